#include "layers.hpp"

#include <fcntl.h>

#include <boost/test/unit_test.hpp>
#include <kortex/fd.hpp>
#include <list>

#include "sandbox.hpp"
#include "tar_maker.hpp"

using namespace kortex::microvm;
using kortex::Fd;
using kortex::test::TarMaker;
using kortex::test::written;

namespace {

struct Fixture {
  /// Puts it over those before.
  void layer(const TarMaker& tar, bool marks = true) { bytes(tar.bytes(), marks); }
  void bytes(const std::string& archive, bool marks = true) {
    files.emplace_back(::open(written((sandbox / std::to_string(files.size())).string(), archive).c_str(), O_RDONLY | O_CLOEXEC));
    layers.add(whole_of(files.back().get()), marks);
  }
  std::string refusal(const std::string& archive, bool marks = true) {
    try {
      bytes(archive, marks);
    } catch (const BadArchive& error) {
      return error.what();
    }
    return "nothing was wrong";
  }

  void merge() {
    const Fd out(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    layers.write(out.get());
  }
  /// What comes out, in its order: "d a", "f a/b=content", "l a -> b", "h a => b"; each path once.
  std::vector<std::string> merged() {
    merge();
    const Fd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<std::string> told;
    TarReader reader(whole_of(in.get()));
    while (const std::optional<TarEntry> entry = reader.next()) {
      const std::string content = read_at(entry->content, 0, entry->content.size);
      switch (entry->kind) {
        case TarEntry::Kind::directory: told.push_back("d " + entry->path); break;
        case TarEntry::Kind::file: told.push_back("f " + entry->path + "=" + content); break;
        case TarEntry::Kind::symbolic_link: told.push_back("l " + entry->path + " -> " + entry->link); break;
        case TarEntry::Kind::hard_link: told.push_back("h " + entry->path + " => " + entry->link); break;
        default: told.push_back(std::string(1, static_cast<char>(entry->kind)) + " " + entry->path);
      }
    }
    return told;
  }
  void check(const std::vector<std::string>& expected) {
    const std::vector<std::string> is = merged();
    BOOST_CHECK_EQUAL_COLLECTIONS(is.begin(), is.end(), expected.begin(), expected.end());
  }
  /// Another's reading of the same.
  std::string tar_says() {
    merge();
    std::string out;
    FILE* pipe = ::popen(("tar --numeric-owner -tvf " + path + " 2>&1").c_str(), "r");
    char buffer[4096];
    while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) out += buffer;
    BOOST_TEST(::pclose(pipe) == 0);
    return out;
  }

  kortex::test::Sandbox sandbox;
  std::string path = (sandbox / "merged.tar").string();
  std::list<Fd> files;
  Layers layers;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(layers, Fixture)

BOOST_AUTO_TEST_CASE(what_is_above_takes_the_place_of_what_is_below) {
  layer(TarMaker().directory("a").file("a/kept", "1").file("a/changed", "old").file("file", "1").directory("b").file("b/gone", "1").symbolic_link("s", "file"));
  layer(TarMaker().file("a/changed", "new").directory("file").file("file/in", "2").file("b", "now a file").file("s", "now a file"));
  check({"d a", "d file", "f a/kept=1", "f a/changed=new", "f file/in=2", "f b=now a file", "f s=now a file"});
  BOOST_TEST(has(tar_says(), "a/kept"));
}

BOOST_AUTO_TEST_CASE(a_mark_takes_away_what_lies_below_and_nothing_of_its_own_layer) {
  layer(TarMaker().directory("a").file("a/1", "").file("a/12", "").directory("b").file("b/1", "").file("b-", "").directory("c").file("c/1", ""));
  layer(TarMaker().file("a/.wh.1", "").file(".wh.b", "").file(".wh.missing", "").file("c/new", "n").file("c/.wh.new", "").file("c/.wh..wh..opq", ""));
  check({"d a", "d c", "f a/12=", "f b-=", "f c/new=n"});
}

BOOST_AUTO_TEST_CASE(a_directory_may_be_made_anew_where_one_was_taken_away) {
  layer(TarMaker().directory("a").file("a/old", "").directory("a/deep").file("a/deep/old", ""));
  layer(TarMaker().directory("a").file("a/.wh..wh..opq", "").file("a/new", "n"));
  layer(TarMaker().file("a/.wh.deep", "").file("a/deep", "now a file"));
  check({"d a", "f a/new=n", "f a/deep=now a file"});
}

BOOST_AUTO_TEST_CASE(the_root_itself_may_be_opaque_and_has_an_owner) {
  layer(TarMaker().directory("./", {0700, 1, 2, 0, 0, {}, {}, {}}).file("./old", ""));
  layer(TarMaker().directory("./", {0711, 3, 4, 0, 0, {}, {}, {}}).file("./.wh..wh..opq", "").file("./new", ""));
  check({"f new="});
  BOOST_TEST(layers.root().mode == 0711u);
  BOOST_TEST(layers.root().uid == 3u);
  BOOST_TEST(layers.root().gid == 4u);
}

BOOST_AUTO_TEST_CASE(without_layers_a_mark_is_a_file_like_any_other) {
  layer(TarMaker().file("a", "").file(".wh.a", "").file(".wh..wh.plnk", ""), false);
  check({"f a=", "f .wh.a=", "f .wh..wh.plnk="});
}

BOOST_AUTO_TEST_CASE(what_the_marks_keep_for_themselves_is_left_out) {
  layer(TarMaker().directory(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", "").file(".wh.", "").file("a", ""));
  check({"f a="});
}

BOOST_AUTO_TEST_CASE(a_hard_link_is_to_what_was_there_when_it_was_made) {
  layer(TarMaker().directory("d").file("d/a", "first"));
  layer(TarMaker().hard_link("d/b", "d/a").hard_link("c", "./d/b"));
  check({"d d", "f c=first", "h d/a => c", "h d/b => c"});
  layer(TarMaker().file("d/a", "second").file(".wh.c", ""));
  check({"d d", "f d/b=first", "f d/a=second"});
  BOOST_TEST(has(tar_says(), "d/b"));
}

BOOST_AUTO_TEST_CASE(a_hard_link_to_what_is_not_there_is_refused) {
  BOOST_TEST(refusal(TarMaker().hard_link("b", "a").bytes()) == "its hard link 'b' is to 'a', which is not there");
  BOOST_TEST(refusal(TarMaker().directory("a").hard_link("b", "a").bytes()) == "its hard link 'b' is to 'a', which is a directory");
  BOOST_TEST(refusal(TarMaker().file("a", "").hard_link("b", "../a").bytes()) == "its entry '../a' leads out of it");
  layer(TarMaker().file("e", "kept").hard_link("e", "e"));
  BOOST_TEST((merged().back() == "f e=kept"));
}

BOOST_AUTO_TEST_CASE(a_layer_made_below_anothers_link_lands_where_that_leads) {
  layer(TarMaker().directory("usr").directory("usr/lib").symbolic_link("lib", "usr/lib").symbolic_link("abs", "/usr/lib").symbolic_link("up", "../../usr").symbolic_link("s", "s"));
  layer(TarMaker().file("lib/a", "1").file("abs/b", "2").file("up/lib/c", "3"));
  layer(TarMaker().file("lib/.wh.b", "").hard_link("usr/d", "lib/a"));
  check({"d usr", "d usr/lib", "l lib -> usr/lib", "l abs -> /usr/lib", "l up -> ../../usr", "l s -> s", "f usr/d=1", "h usr/lib/a => usr/d", "f usr/lib/c=3"});
  BOOST_TEST(refusal(TarMaker().file("s/x", "").bytes()) == "its entry 's' lies behind too many symbolic links");
}

BOOST_AUTO_TEST_CASE(no_path_leads_out) {
  BOOST_TEST(refusal(TarMaker().file("../x", "").bytes()) == "its entry '../x' leads out of it");
  BOOST_TEST(refusal(TarMaker().file("a/../../x", "").bytes()) == "its entry 'a/../../x' leads out of it");
  BOOST_TEST(refusal(TarMaker().file(".", "").bytes()) == "its entry '.' has no name");
  layer(TarMaker().file("/abs", "").file(".//a//./b", "").symbolic_link("out", "../../../etc").file("out/x", ""));
  check({"d a", "d etc", "f abs=", "f a/b=", "l out -> ../../../etc", "f etc/x="});
}

BOOST_AUTO_TEST_CASE(a_path_comes_once_and_parents_come_first) {
  layer(TarMaker().file("z/y/x", "1").file("z/y/x", "2").directory("z/y", {0700, 5, 6, 0, 0, {}, {}, {}}).file("z-/a", ""));
  check({"d z", "d z-", "d z/y", "f z/y/x=2", "f z-/a="});
}

BOOST_AUTO_TEST_CASE(owners_devices_and_attributes_come_out_as_they_went_in) {
  const std::string deep = std::string(90, 'd') + "/" + std::string(120, 'f'), target(200, 't');
  layer(TarMaker()
            .directory(std::string(90, 'd'), {01777, 7, 8, 0, 0, {}, "root", {}})
            .add('3', "null", {}, {0666, 0, 5, 1, 3, {}, {}, {}})
            .add('4', "disk", {}, {0660, 0, 6, 8, 1, {}, {}, {}})
            .add('6', "fifo", {}, {0600, 1, 1, 0, 0, {}, {}, {}})
            .file("x", "1", {04755, 1000, 1001, 0, 0, {}, "root", {{"SCHILY.xattr.user.a", std::string("b\0c", 3)}, {"uid", "3000000"}, {"uname", "root"}}})
            .add('0', "cut", "long", {0640, 9, 9, 0, 0, {}, {}, {{"path", deep}}})
            .add('2', "l", {}, {0777, 0, 0, 0, 0, "cut", {}, {{"linkpath", target}}}));
  layer(TarMaker().hard_link("y", "x"));
  const std::string said = tar_says();
  for (const std::string& line : {std::string("drwxrwxrwt 7/8"), std::string("crw-rw-rw- 0/5"), std::string("1,3"), std::string("brw-rw---- 0/6"), std::string("8,1"),
                                  std::string("prw------- 1/1"), std::string("-rwsr-xr-x 3000000/1001"), std::string("-rw-r----- 9/9 ")})
    BOOST_TEST(has(said, line), line << " in " << said);
  BOOST_TEST(has(said, deep));
  BOOST_TEST(has(said, "l -> " + target));
  const Fd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  TarReader reader(whole_of(in.get()));
  std::size_t attributes = 0;
  while (const std::optional<TarEntry> entry = reader.next()) {
    BOOST_TEST(!has(std::string(entry->block.data(), 512), "root"), "another machine's names are not ours");
    for (const auto& [key, value] : entry->records) attributes += key == "SCHILY.xattr.user.a" && value == std::string("b\0c", 3) && entry->path == "x" ? 1 : 0;
  }
  BOOST_TEST(attributes == 1u);
}

BOOST_AUTO_TEST_CASE(gnus_own_ways_are_read) {
  const std::string name = std::string(150, 'n') + "/" + std::string(150, 'n');
  TarMaker tar;
  tar.add('L', "././@LongLink", name + '\0', {}).file("nnn", "1").add('K', "././@LongLink", name + '\0', {}).symbolic_link("l", "nnn");
  tar.add('g', "pax_global_header", "30 comment=of the archive....\n", {}).add('V', "label", {}, {}).file("old-directory/", "");
  layer(tar);
  check({"d " + std::string(150, 'n'), "d old-directory", "f " + name + "=1", "l l -> " + name});
  const std::string sparse = (sandbox / "sparse").string();
  BOOST_REQUIRE(::system(("cd " + sandbox.path().string() + " && truncate -s 3M sparse && printf end >> sparse && tar -S --format=gnu -cf gnu.tar sparse && "
                          "tar -S --format=pax -cf pax.tar sparse").c_str()) == 0);
  for (const std::string kind : {"gnu", "pax"}) {
    std::ifstream in((sandbox / (kind + ".tar")).string(), std::ios::binary);
    bytes({std::istreambuf_iterator<char>(in), {}});
    merge();
    BOOST_TEST(::system(("cd " + sandbox.path().string() + " && mkdir out-" + kind + " && tar -C out-" + kind + " -xf merged.tar && cmp sparse out-" + kind + "/sparse").c_str()) == 0, kind);
  }
}

BOOST_AUTO_TEST_CASE(what_is_damaged_is_refused) {
  const std::string good = TarMaker().file("a", std::string(2000, 'x')).bytes();
  std::string flipped = good;
  flipped[0] = 'b';
  BOOST_TEST(refusal(flipped) == "it is damaged: a header's sum is wrong");
  BOOST_TEST(refusal(good.substr(0, 300)) == "it is cut off");
  BOOST_TEST(refusal(good.substr(0, 1000)) == "it is cut off in 'a'");
  BOOST_TEST(refusal(TarMaker().add('x', "x", "9 path=a\n", {}).unended()) == "it is cut off");
  for (const std::string record : {"8 path=a\n", "path=a\n", "99 path=a\n", "9 pathaa\n", "9 path=aa", "18446744073709551616 a=b\n"})
    BOOST_TEST(refusal(TarMaker().add('x', "x", record, {}).file("a", "").bytes()) == "it is damaged: an extended header cannot be read", record);
  BOOST_TEST(refusal(TarMaker().file("a", "", {0644, 0, 0, 0, 0, {}, {}, {{"size", "99999999999999999999"}}}).bytes()) == "it is damaged: there is no such number");
  BOOST_TEST(refusal(TarMaker().file("a", "", {0644, 0, 0, 0, 0, {}, {}, {{"size", "18446744073709551615"}}}).bytes()) == "it is cut off in 'a'");
  BOOST_TEST(refusal(TarMaker().add('Z', "a", {}, {}).bytes()) == "'a' is of a kind that is not known");
  BOOST_TEST(refusal(std::string(5000, 'x')).compare(0, 14, "it is damaged:") == 0);
  BOOST_TEST(refusal("") == "nothing was wrong");
  BOOST_TEST(refusal(TarMaker().file("whole", "1").unended()) == "nothing was wrong");
}

BOOST_AUTO_TEST_SUITE_END()
