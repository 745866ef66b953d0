#include "root_archive.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <kortex/error.hpp>

#include "image_archive.hpp"
#include "runtimes/process_runner.hpp"
#include "sandbox.hpp"
#include "tar_maker.hpp"

using namespace kortex::microvm;
using kortex::Error;
using kortex::Fd;
using kortex::test::sha256_of;
using kortex::test::TarMaker;
using kortex::test::written;

namespace {

const std::string own = own_platform().substr(own_platform().find('/') + 1), foreign = own == "amd64" ? "arm64" : "amd64";

/// A call whose programs are run by the host's own code.
class RealCall {
 public:
  RealCall() : m_runner(surroundings()) {
    m_call.struct_size = sizeof m_call;
    m_call.ctx = this;
    m_call.deadline_ms = -1;
    m_call.cancel_fd = m_call.resize_fd = m_call.signal_fd = -1;
    m_call.is_cancelled = [](const kortex_call*) -> std::int32_t { return 0; };
    m_call.run = [](const kortex_call* call, const kortex_process* process, kortex_process_result* result) {
      return static_cast<RealCall*>(call->ctx)->m_runner.run(*process, result);
    };
  }
  [[nodiscard]] kortex::Call call() const { return kortex::Call(&m_call); }

 private:
  static kortex::host::RunnerSurroundings surroundings() {
    kortex::host::RunnerSurroundings out;
    out.fail = [](kortex_status code, const std::string&, const std::string&, const std::string&) { return code; };
    return out;
  }
  kortex::host::ProcessRunner m_runner;
  kortex_call m_call{};
};

/// Blobs by their digests, and what tells of them.
struct Oci {
  std::string add(const std::string& bytes) {
    const std::string digest = sha256_of(bytes);
    blobs.file("blobs/sha256/" + digest, bytes);
    return "sha256:" + digest;
  }
  static std::string descriptor(const std::string& digest, const std::string& more = {}) { return R"({"mediaType":"x","digest":")" + digest + "\"" + more + "}"; }
  std::string manifest(const std::vector<std::string>& layers, const std::string& architecture = own) {
    const std::string config = add(R"({"os":"linux","architecture":")" + architecture + R"(","rootfs":{"diff_ids":[]}})");
    std::string text;
    for (const std::string& layer : layers) text += (text.empty() ? "" : ",") + descriptor(add(layer));
    return add(R"({"schemaVersion":2,"config":)" + descriptor(config) + R"(,"layers":[)" + text + "]}");
  }
  std::string bytes(const std::string& manifests) {
    return blobs.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})").file("index.json", R"({"schemaVersion":2,"manifests":[)" + manifests + "]}").bytes();
  }
  TarMaker blobs;
};

std::string name_of(const std::string& name) { return R"(,"annotations":{"org.opencontainers.image.ref.name":")" + name + "\"}"; }

struct Fixture {
  /// The paths of the file system that it makes.
  std::string paths(const std::string& bytes) {
    const RootArchive archive(host.call(), written(path, bytes), fresh);
    const std::string out = (sandbox / "out.tar").string();
    const Fd fd(::open(out.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    archive.write(fd.get());
    std::string told;
    TarReader reader(whole_of(fd.get()));
    while (const std::optional<TarEntry> entry = reader.next()) told += (told.empty() ? "" : " ") + entry->path + (entry->content.size > 0 ? "=" + read_at(entry->content, 0, 100) : "");
    nothing_is_left();
    return told;
  }
  /// What it is refused with; without the beginning that is always the same.
  std::string refusal(const std::string& bytes, kortex_status status = KORTEX_E_INVALID) {
    hint.clear();
    try {
      const RootArchive archive(host.call(), written(path, bytes), fresh);
    } catch (const Error& error) {
      BOOST_TEST(error.code == status);
      hint = error.hint;
      nothing_is_left();
      const std::string begin = "cannot use '" + path + "' as the root: ", message = error.what();
      return message.compare(0, begin.size(), begin) == 0 ? message.substr(begin.size()) : message;
    }
    return "nothing was wrong";
  }
  void nothing_is_left() {
    for (const auto& entry : std::filesystem::directory_iterator(sandbox.path())) BOOST_TEST(entry.path().string().find(fresh) == std::string::npos, entry.path());
  }
  std::string packed(const std::string& program, const std::string& bytes) {
    const std::string plain = written((sandbox / "plain").string(), bytes), out = (sandbox / "packed").string();
    BOOST_REQUIRE(::system((program + " -c < " + plain + " > " + out).c_str()) == 0);
    std::ifstream in(out, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static bool has_program(const std::string& program) { return ::system(("command -v " + program + " >/dev/null").c_str()) == 0; }

  kortex::test::Sandbox sandbox;
  std::string path = (sandbox / "image.tar").string(), fresh = (sandbox / "fresh").string(), hint;
  RealCall host;
  const std::string lower = TarMaker().directory("d").file("d/a", "1").file("d/b", "2").bytes(), upper = TarMaker().file("d/.wh.a", "").file("d/b", "3").hard_link("c", "d/b").bytes();
};

std::string docker(const std::vector<std::pair<std::string, std::string>>& layers, const std::string& architecture = own, const std::string& tag = "name:1") {
  std::string names, digests;
  TarMaker tar;
  for (const auto& [name, bytes] : layers) {
    tar.file(name, bytes);
    names += (names.empty() ? "\"" : ",\"") + name + "\"";
    digests += (digests.empty() ? "\"sha256:" : ",\"sha256:") + sha256_of(bytes) + "\"";
  }
  tar.file("config.json", R"({"os":"linux","architecture":")" + architecture + R"(","rootfs":{"type":"layers","diff_ids":[)" + digests + "]}}");
  return tar.file("manifest.json", R"([{"Config":"config.json","RepoTags":[")" + tag + R"("],"Layers":[)" + names + "]}]").bytes();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(root_archive, Fixture)

BOOST_AUTO_TEST_CASE(an_archive_without_layers_is_the_file_system) {
  BOOST_TEST(paths(lower) == "d d/a=1 d/b=2");
  BOOST_TEST(paths(packed("gzip", lower)) == "d d/a=1 d/b=2");
  if (has_program("zstd")) BOOST_TEST(paths(packed("zstd", lower)) == "d d/a=1 d/b=2");
  BOOST_TEST(RootArchive::is_one(written(path, packed("gzip", lower))));
  BOOST_TEST(RootArchive::is_one(written(path, lower)));
  BOOST_TEST(!RootArchive::is_one(written(path, std::string(2000, 'x'))));
  BOOST_TEST(RootArchive::digest(host.call(), written(path, lower)) == sha256_of(lower));
}

BOOST_AUTO_TEST_CASE(an_archive_that_changes_while_it_is_read_is_refused) {
  const RootArchive archive(host.call(), written(path, lower), fresh);
  const Fd out(::open((sandbox / "out.tar").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  BOOST_REQUIRE(::truncate(path.c_str(), 1024) == 0);
  BOOST_CHECK_EXCEPTION(archive.write(out.get()), Error, [&](const Error& error) {
    return error.code == KORTEX_E_INVALID && std::string(error.what()) == "cannot use '" + path + "' as the root: it has become shorter meanwhile";
  });
}

BOOST_AUTO_TEST_CASE(layers_are_put_one_over_the_other) {
  const std::string merged = "d c=3 d/b";
  Oci oci;
  const std::string manifest = oci.manifest({lower, upper}), archive = oci.bytes(Oci::descriptor(manifest));
  BOOST_TEST(paths(archive) == merged);
  BOOST_TEST(paths(packed("gzip", archive)) == merged);
  for (const std::string program : {"gzip", "zstd"}) {
    if (!has_program(program)) continue;
    Oci with;
    const std::string packed_manifest = with.manifest({packed(program, lower), packed(program, upper)});
    BOOST_TEST(paths(with.bytes(Oci::descriptor(packed_manifest))) == merged, program);
  }
  BOOST_TEST(paths(docker({{"1/layer.tar", lower}, {"2/layer.tar", upper}})) == merged);
  BOOST_TEST(paths(packed("gzip", docker({{"a.tar", lower}, {"b.tar", upper}}))) == merged);
}

BOOST_AUTO_TEST_CASE(an_equal_layer_may_be_a_link_to_the_other) {
  TarMaker tar;
  tar.directory("1").file("1/layer.tar", lower).directory("2").symbolic_link("2/layer.tar", "../1/layer.tar");
  tar.file("c.json", R"({"rootfs":{"diff_ids":["sha256:)" + sha256_of(lower) + R"(","sha256:)" + sha256_of(lower) + R"("]}})");
  tar.file("manifest.json", R"([{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar"]}])");
  BOOST_TEST(paths(tar.bytes()) == "d d/a=1 d/b=2");
}

BOOST_AUTO_TEST_CASE(of_several_platforms_this_machines_is_taken) {
  const auto on = [](const std::string& architecture, const std::string& variant = {}) {
    return R"(,"platform":{"os":"linux","architecture":")" + architecture + "\"" + (variant.empty() ? "" : R"(,"variant":")" + variant + "\"") + "}";
  };
  Oci oci;
  const std::string theirs = oci.manifest({upper}, foreign), ours = oci.manifest({lower});
  const std::string many = R"({"manifests":[)" + Oci::descriptor(theirs, on(foreign)) + "," + Oci::descriptor("sha256:" + std::string(64, '0'), on("s390x")) + "," + Oci::descriptor(ours, on(own)) + "," +
                           Oci::descriptor("sha256:" + std::string(64, '1'), R"(,"platform":{"os":"unknown","architecture":"unknown"})") + "]}";
  const std::string index = oci.add(many);
  BOOST_TEST(paths(oci.bytes(Oci::descriptor(index, name_of("a")))) == "d d/a=1 d/b=2");
  Oci flat;  // one list of all, and two names for one
  const std::string first = flat.manifest({lower}), second = flat.manifest({lower}, foreign);
  BOOST_TEST(paths(flat.bytes(Oci::descriptor(second) + "," + Oci::descriptor(first, name_of("a")) + "," + Oci::descriptor(first, name_of("b")))) == "d d/a=1 d/b=2");
  Oci none;
  const std::string only = none.manifest({lower}, foreign);
  BOOST_TEST(refusal(none.bytes(Oci::descriptor(only)), KORTEX_E_UNSUPPORTED) == "it holds an image for linux/" + foreign + ", and this machine is linux/" + own);
  BOOST_TEST(refusal(docker({{"a.tar", lower}}, foreign), KORTEX_E_UNSUPPORTED) == "it holds an image for linux/" + foreign + ", and this machine is linux/" + own);
}

BOOST_AUTO_TEST_CASE(of_several_images_none_is_taken) {
  Oci oci;
  const std::string one = oci.manifest({lower}), two = oci.manifest({upper});
  BOOST_TEST(refusal(oci.bytes(Oci::descriptor(one, name_of("one:1")) + "," + Oci::descriptor(two, name_of("two:1")))) == "it holds several images: one:1, two:1");
  BOOST_TEST(hint == "skopeo copy oci-archive:" + path + ":one:1 oci-archive:root.tar");
  Oci unnamed;
  const std::string three = unnamed.manifest({lower}), four = unnamed.manifest({upper});
  BOOST_TEST(refusal(unnamed.bytes(Oci::descriptor(three) + "," + Oci::descriptor(four))) == "it holds several images: " + three + ", " + four);
  BOOST_TEST(hint == "");
  TarMaker tar;
  tar.file("1.json", "{}").file("2.json", "{}").file("manifest.json", R"([{"Config":"1.json","RepoTags":["one:1"]},{"Config":"2.json","RepoTags":["two:1"]}])");
  BOOST_TEST(refusal(tar.bytes()) == "it holds several images: one:1, two:1");
  BOOST_TEST(hint == "skopeo copy docker-archive:" + path + ":one:1 docker-archive:root.tar");
}

BOOST_AUTO_TEST_CASE(what_is_damaged_is_told_by_name) {
  const std::string nothing(64, '0');
  BOOST_TEST(refusal(Oci().bytes("")) == "it holds no image");
  BOOST_TEST(refusal(TarMaker().file("oci-layout", "{}").file("index.json", "{\"manifests\":").bytes()).find("'index.json' in it is no JSON: ") == 0);
  BOOST_TEST(refusal(TarMaker().file("oci-layout", "{}").file("index.json", "[]").bytes()) == "'index.json' in it has no list 'manifests'");
  BOOST_TEST(refusal(Oci().bytes(Oci::descriptor("sha256:" + nothing))) == "its blob 'sha256:" + nothing + "' is missing");
  BOOST_TEST(refusal(Oci().bytes(Oci::descriptor("sha512:" + nothing))) == "'sha512:" + nothing + "' in it is no digest of a kind that is known");
  BOOST_TEST(refusal(Oci().bytes(Oci::descriptor("sha256:../../../../etc/passwd"))) == "'sha256:../../../../etc/passwd' in it is no digest of a kind that is known");
  BOOST_TEST(refusal(Oci().bytes("7")) == "'' in it is no digest of a kind that is known");
  Oci changed;
  changed.blobs.file("blobs/sha256/" + nothing, "{}");
  BOOST_TEST(refusal(changed.bytes(Oci::descriptor("sha256:" + nothing))) == "its blob 'sha256:" + nothing + "' is damaged: it has the digest sha256:" + sha256_of("{}"));
  Oci odd;
  const std::string number = odd.add("7");
  BOOST_TEST(refusal(odd.bytes(Oci::descriptor(number))) == "'' in it is no digest of a kind that is known");
  Oci bare;
  const std::string empty = bare.manifest({});
  BOOST_TEST(refusal(bare.bytes(Oci::descriptor(empty))) == "its image has no layers");
  Oci broken;
  const std::string bad = TarMaker().file("../x", "").bytes(), with_bad = broken.manifest({bad});
  BOOST_TEST(refusal(broken.bytes(Oci::descriptor(with_bad))) == "in its layer 'sha256:" + sha256_of(bad) + "': its entry '../x' leads out of it");
  Oci cut;
  const std::string half = packed("gzip", lower).substr(0, 60), with_half = cut.manifest({half});
  BOOST_TEST(refusal(cut.bytes(Oci::descriptor(with_half))).find("its layer 'sha256:" + sha256_of(half) + "' cannot be unpacked: ") == 0);

  BOOST_TEST(refusal(packed("gzip", lower).substr(0, 60)).find("it cannot be unpacked: ") == 0);
  BOOST_TEST(refusal(packed("gzip", "text")).find("it is cut off") == 0);
  for (const std::size_t size : {1024, 1100, 1536, 1600, 2048})
    BOOST_TEST(refusal(lower.substr(0, size)).compare(0, 13, "it is cut off") == 0, size);
  BOOST_TEST(refusal(packed("gzip", std::string(1024, '\0'))) == "there is nothing in it");

  BOOST_TEST(refusal(TarMaker().file("manifest.json", "{}").bytes()) == "'manifest.json' in it is no list");
  BOOST_TEST(refusal(TarMaker().file("manifest.json", "[]").bytes()) == "it holds no image");
  BOOST_TEST(refusal(TarMaker().file("manifest.json", "[{}]").bytes()) == "'' in it is missing");
  BOOST_TEST(refusal(TarMaker().file("c", "{}").file("manifest.json", R"([{"Config":"c"}])").bytes()) == "'c' in it has no list 'diff_ids'");
  BOOST_TEST(refusal(TarMaker().file("c", R"({"rootfs":{"diff_ids":[]}})").file("manifest.json", R"([{"Config":"c","Layers":["a"]}])").bytes()) == "'manifest.json' in it has 1 layers, and 'c' has 0");
  BOOST_TEST(refusal(TarMaker().file("a.tar", upper).file("c", R"({"rootfs":{"diff_ids":["sha256:)" + nothing + R"("]}})").file("manifest.json", R"([{"Config":"c","Layers":["a.tar"]}])").bytes()) ==
             "its layer 'a.tar' is damaged: it has the digest sha256:" + sha256_of(upper) + " instead of sha256:" + nothing);
}

BOOST_AUTO_TEST_CASE(indexes_that_lie_in_one_another_end) {
  Oci oci;
  std::string inner = oci.manifest({lower});
  for (int depth = 0; depth < 6; ++depth) inner = oci.add(R"({"manifests":[)" + Oci::descriptor(inner) + "]}");
  BOOST_TEST(refusal(oci.bytes(Oci::descriptor(inner))) == "its indexes lie in one another");
}

BOOST_AUTO_TEST_SUITE_END()
