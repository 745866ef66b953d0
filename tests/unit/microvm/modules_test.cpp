#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

#include <kortex/error.hpp>

#include "modules.hpp"
#include "sandbox.hpp"

using kortex::microvm::ModuleIndex;
using kortex::microvm::module_name;

namespace {

struct Fixture {
  Fixture() {
    std::ofstream(sandbox.path() / "modules.dep") << "kernel/fs/fuse/fuse.ko.xz:\n"
                                                    "kernel/virtio/virtio_ring.ko:\n"
                                                    "kernel/virtio/virtio.ko: kernel/virtio/virtio_ring.ko\n"
                                                    "kernel/fs/fuse/virtio-fs.ko: kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko.xz\n";
    std::ofstream(sandbox.path() / "modules.builtin") << "kernel/fs/ext4/ext4.ko\n";
  }
  kortex::test::Sandbox sandbox;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(modules, Fixture)

BOOST_AUTO_TEST_CASE(names_ignore_folders_packing_and_hyphens) { BOOST_TEST(module_name("kernel/fs/virtio-fs.ko.zst") == "virtio_fs"); }

BOOST_AUTO_TEST_CASE(what_is_needed_is_loaded_first) {
  const std::vector<std::string> expected{"kernel/fs/fuse/fuse.ko.xz", "kernel/virtio/virtio_ring.ko", "kernel/virtio/virtio.ko", "kernel/fs/fuse/virtio-fs.ko"};
  BOOST_TEST(ModuleIndex(sandbox.path().string()).files_of("virtio_fs") == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_built_in_needs_no_file_and_what_is_missing_is_named) {
  const ModuleIndex index(sandbox.path().string());
  BOOST_TEST(index.files_of("ext4").empty());
  BOOST_TEST(index.has("ext4"));
  BOOST_TEST(!index.has("overlay"));
  BOOST_CHECK_EXCEPTION((void)index.files_of("overlay"), kortex::Error, [](const kortex::Error& error) {
    return error.code == KORTEX_E_UNSUPPORTED && std::string(error.what()).find("it has no 'overlay'") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
