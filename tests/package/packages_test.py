#!/usr/bin/env python3
"""The packages: what is in them and what they say, that two builds give the same bytes, that a runtime's version is its own, and
that they install on a Debian with nothing else. Makes them from the build tree it is given, and some of them twice more from copies
of the sources, in one of which one runtime has a newer version.

KORTEX_REPRODUCE=all makes all of them twice, which takes minutes."""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

OPTIONS = argparse.ArgumentParser()
for name in ("build", "source", "cmake"):
    OPTIONS.add_argument(f"--{name}", required=True)
REQUIRED = os.environ.get("KORTEX_TEST_ENGINES") == "required"

SOME = ("kortex-runtime-check", "kortex-runtime-fake", "kortex-runtime-process", "libkortex-runtime-dev")


def run(*command, check=True, timeout=900, **more):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout, check=False, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done


def cached(name):
    """A variable of the build's cache."""
    for line in (pathlib.Path(options.build) / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split("=", 1)[1]
    return ""


def digests(directory, component):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob(f"{component}_*")}


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = pathlib.Path(tempfile.mkdtemp(prefix="kortex-packages-"))
        cls.path.chmod(0o755)
        run(options.cmake, "--build", options.build, "--target", "packages")
        cls.made = pathlib.Path(options.build) / "packages"

    def deb(self, component, directory=None):
        (found,) = (directory or self.made).glob(f"{component}_*.deb")
        return found

    def field(self, component, name):
        return run("dpkg-deb", "-f", self.deb(component), name).stdout.strip()

    def files(self, component):
        return [line.split(None, 5)[5].lstrip(".") for line in run("dpkg-deb", "-c", self.deb(component)).stdout.splitlines()
                if not line.startswith("d")]

    def test_each_component_is_a_package_with_its_own_version(self):
        self.assertEqual(sorted({path.name.split("_")[0] for path in self.made.iterdir()}), sorted(ALL))
        for component in ALL:
            self.assertEqual(len(list(self.made.glob(f"{component}_*.tar.gz"))), 1)
            self.assertEqual(self.field(component, "Package"), component)
        for name in RUNTIMES:
            text = (pathlib.Path(options.source) / "plugins" / name / "CMakeLists.txt").read_text()
            version = re.search(rf"project\(kortex-runtime-{name} VERSION (\S+)", text).group(1)
            self.assertEqual(self.field(f"kortex-runtime-{name}", "Version"), version)
        abi = re.search(r"KORTEX_ABI_MINOR (\d+)", (pathlib.Path(options.source) / "sdk/include/kortex/runtime.h").read_text()).group(1)
        self.assertRegex(self.field("libkortex-runtime-dev", "Version"), rf"^1\.{abi}\.\d+$")
        self.assertEqual(self.field("libkortex-runtime-dev", "Architecture"), "all")

    def test_runtimes_depend_on_the_abi_and_not_on_the_host(self):
        abi = re.search(r"KORTEX_ABI_MINOR (\d+)", (pathlib.Path(options.source) / "sdk/include/kortex/runtime.h").read_text()).group(1)
        self.assertEqual(self.field("kortex-cli", "Provides"), f"kortex-runtime-abi-1 (= 1.{abi})")
        for name in RUNTIMES:
            depends = self.field(f"kortex-runtime-{name}", "Depends")
            self.assertIn(f"kortex-runtime-abi-1 (>= 1.{abi})", depends)
            self.assertNotIn("kortex-cli", depends)
            self.assertNotIn("libstdc++", depends)
            (plugin,) = [file for file in self.files(f"kortex-runtime-{name}") if file.endswith(".so")]
            self.assertRegex(plugin, rf"^/usr/lib(/[^/]+)?/kortex/runtimes/libkortex-runtime-{name}\.so$")
        self.assertIn("bubblewrap", self.field("kortex-runtime-process", "Depends"))
        # What probe() asks for, and nothing of another architecture.
        microvm = self.field("kortex-runtime-microvm", "Depends")
        for wanted in ("qemu-system-", "virtiofsd | qemu-system-common", "bubblewrap"):
            self.assertIn(wanted, microvm)
        self.assertNotRegex(microvm, r"qemu-system-x86.*qemu-system-arm")
        for wanted in ("passt", "linux-image-"):
            self.assertIn(wanted, self.field("kortex-runtime-microvm", "Recommends"))

    def test_every_directory_has_something_in_it(self):
        for component in ALL:
            names = [line.split(None, 5)[5].lstrip(".") for line in run("dpkg-deb", "-c", self.deb(component)).stdout.splitlines()]
            for name in names:
                if name.endswith("/") and name != "/":
                    self.assertTrue(any(other != name and other.startswith(name) for other in names), f"{component}: {name} is empty")
        self.assertIn("/usr/share/kortex-runtime/template/CMakeLists.txt", self.files("libkortex-runtime-dev"))

    def test_manual_pages_and_completions_are_in_them(self):
        files = self.files("kortex-cli")
        for wanted in ("/usr/bin/kortex-cli", "/usr/share/man/man1/kortex-cli.1.gz", "/usr/share/bash-completion/completions/kortex-cli",
                       "/usr/share/zsh/vendor-completions/_kortex-cli", "/usr/share/fish/vendor_completions.d/kortex-cli.fish",
                       "/usr/share/kortex/agents/shell.json", "/usr/share/doc/kortex-cli/copyright"):
            self.assertIn(wanted, files)
        self.assertTrue(any(file.endswith("/kortex/kortex-session") for file in files), files)
        self.assertFalse(any("runtimes/" in file for file in files), "the host's package has a runtime in it")
        page = run("man", "--warnings", "-l", pathlib.Path(options.build) / "documents/kortex-cli.1", check=False,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}) if shutil.which("man") else None
        if page is not None and page.returncode == 0:
            self.assertNotRegex(page.stdout, r"warning|error:")
            for command in ("runtime install", "workspace.json", "EXIT STATUS"):
                self.assertIn(command, page.stdout)

    def test_archives_hold_the_same_files(self):
        for component in ALL:
            (archive,) = self.made.glob(f"{component}_*.tar.gz")
            with tarfile.open(archive) as tar:
                packed = sorted("/" + member.name.lstrip("./") for member in tar if not member.isdir())
            self.assertEqual(packed, sorted(self.files(component)))

    def test_lintian_has_nothing_serious_to_say(self):
        if shutil.which("lintian") is None:
            self.skipTest("lintian is not installed")
        said = run("lintian", "--allow-root", "--tag-display-limit", "0", *self.made.glob("*.deb"), check=False).stdout
        self.assertNotRegex(said, r"(?m)^E:")

    def build_copy(self, name, change):
        """Packages of a copy of the sources, in a place of its own."""
        copy, build = self.path / name / "sources", self.path / name / "build"
        copy.mkdir(parents=True)
        for part in ("CMakeLists.txt", "LICENSE", "cmake", "sdk", "host", "plugins"):
            place = pathlib.Path(options.source) / part
            (shutil.copytree if place.is_dir() else shutil.copy2)(place, copy / part)
        change(copy)
        same = [f"-D{variable}={cached(variable)}" for variable in ("CMAKE_C_COMPILER", "CMAKE_CXX_COMPILER", "CMAKE_C_COMPILER_LAUNCHER",
                                                                    "CMAKE_CXX_COMPILER_LAUNCHER")]
        run(options.cmake, "-S", copy, "-B", build, "-G", cached("CMAKE_GENERATOR"), "-DBUILD_TESTING=OFF", "-DCMAKE_INSTALL_PREFIX=/usr",
            "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *same)
        run(options.cmake, "--build", build, "--parallel", "2", "--target", *(f"package-{component}" for component in TWICE))
        return build / "packages"

    def test_two_builds_give_the_same_bytes_and_a_version_changes_one_package(self):
        def change(copy):
            lists, changes = copy / "plugins/fake/CMakeLists.txt", copy / "plugins/fake/CHANGELOG.md"
            lists.write_text(re.sub(r"(project\(kortex-runtime-fake VERSION )\S+", r"\g<1>7.1.0", lists.read_text()))
            changes.write_text(changes.read_text().replace("\n## ", "\n## 7.1.0\n- Something else.\n\n## ", 1))

        first, second = self.build_copy("one", lambda copy: None), self.build_copy("another", change)
        for component in TWICE:
            if component == "kortex-runtime-fake":
                self.assertEqual(run("dpkg-deb", "-f", self.deb(component, second), "Version").stdout.strip(), "7.1.0")
                self.assertNotEqual(digests(first, component), digests(second, component))
            else:
                self.assertEqual(digests(first, component), digests(second, component), f"{component} is not the same twice")
                self.assertEqual(len(digests(first, component)), 2)

    def test_they_install_on_a_bare_debian(self):
        missing = [program for program in ("debootstrap", "unshare") if shutil.which(program) is None]
        if missing or os.geteuid() != 0:
            self.skipTest(f"{missing[0]} is not installed" if missing else "a system of one's own needs root")
        root = self.path / "root"
        made = run("debootstrap", "--variant=minbase", "--include=bubblewrap", "bookworm", root, self.mirror(), check=False)
        if made.returncode != 0:
            shutil.copy2(root / "debootstrap/debootstrap.log", self.path, follow_symlinks=True) if (root / "debootstrap").exists() else None
            if REQUIRED:
                self.fail(f"debootstrap: {made.stdout[-2000:]}")
            self.skipTest(f"no Debian to be had: {made.stdout.strip().splitlines()[-1:]}")
        shutil.copytree(self.made, root / "packages")
        shutil.copy2(pathlib.Path(__file__).with_name("bare_debian.sh"), root / "bare_debian.sh")
        # A root that is the root: bubblewrap cannot make its own in a mere chroot.
        inner = f"mount --bind '{root}' '{root}' && cd '{root}' && mkdir -p old && mount --rbind /dev dev && mount -t proc proc proc && " \
                "mount -t tmpfs tmpfs tmp && pivot_root . old && umount -l /old && exec sh /bare_debian.sh"
        done = run("unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", inner, check=False, timeout=300,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("\nall of it\n", done.stdout)

    @staticmethod
    def mirror():
        """Where this system's own packages come from."""
        for place in sorted(pathlib.Path("/etc/apt").glob("sources.list.d/*")) + [pathlib.Path("/etc/apt/sources.list")]:
            if place.is_file():
                for line in place.read_text(errors="replace").splitlines():
                    found = re.match(r"(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(https?://\S+/debian/?)(?:\s|$)", line)
                    if found:
                        return found.group(1)
        return "http://deb.debian.org/debian"


if __name__ == "__main__":
    options, rest = OPTIONS.parse_known_args()
    RUNTIMES = sorted(path.parent.name for path in (pathlib.Path(options.source) / "plugins").glob("*/CMakeLists.txt")
                      if f"project(kortex-runtime-{path.parent.name} " in path.read_text())
    ALL = ["kortex-cli", "kortex-runtime-check", "libkortex-runtime-dev", *(f"kortex-runtime-{name}" for name in RUNTIMES)]
    TWICE = ALL if os.environ.get("KORTEX_REPRODUCE") == "all" else SOME
    if shutil.which("dpkg-deb") is None:
        print("dpkg-deb is not installed")
        sys.exit(77)
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    if program.result.wasSuccessful():
        shutil.rmtree(Packages.path, ignore_errors=True)
    else:
        print(f"sandbox kept: {Packages.path}", file=sys.stderr)
    sys.exit(0 if program.result.wasSuccessful() else 1)
