#!/usr/bin/env python3
"""Installs the component libkortex-runtime-dev into a sandbox and builds plugins against it, outside the source tree: the
template and the fake runtime with CMake, the examples in C and Rust, taken out of sdk/README.md, as it says. Looks at what they
export, runs kortex-runtime-check on them, packs one, and drives some through kortex-cli where that is built."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

OPTIONS = argparse.ArgumentParser()
for name in ("build", "source", "cc", "cxx", "cmake"):
    OPTIONS.add_argument(f"--{name}", required=True)
ENTRY = "kortex_runtime_plugin_v1"


def run(*command, cwd=None, env=None, check=True):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = pathlib.Path(tempfile.mkdtemp(prefix="kortex-sdk-"))
        cls.path.chmod(0o755)
        # Moved after it was installed: nothing in the package may know its place.
        run(options.cmake, "--install", options.build, "--component", "libkortex-runtime-dev", "--prefix", cls.path / "made")
        cls.prefix = cls.path / "moved"
        (cls.path / "made").rename(cls.prefix)
        cls.source = pathlib.Path(options.source)

    def installed(self, pattern):
        found = list(self.prefix.rglob(pattern))
        self.assertTrue(found, f"{pattern} is not installed")
        return found[0]

    def build(self, project, cxx=None):
        """A copy of `project`, built against the installed SDK; the plugin's file."""
        name = f"{project.name}-{pathlib.Path(cxx or options.cxx).name}"
        copy, build = self.path / f"copy-of-{name}", self.path / f"build-of-{name}"
        if build.exists():
            (plugin,) = build.glob("libkortex-runtime-*.so")
            return plugin
        shutil.copytree(project, copy)
        run(options.cmake, "-S", copy, "-B", build, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={cxx or options.cxx}", "-DCMAKE_INSTALL_PREFIX=/usr")
        run(options.cmake, "--build", build)
        (plugin,) = build.glob("libkortex-runtime-*.so")
        return plugin

    def build_c_example(self):
        readme = self.installed("README.md").read_text()
        code = re.search(r"<!-- proc\.c -->\n```c\n(.*?)```", readme, re.S)
        self.assertIsNotNone(code, "the guide has lost its C example")
        directory = self.path / "c-example"
        directory.mkdir(exist_ok=True)
        (directory / "proc.c").write_text(code.group(1))
        # The command of the guide, with our compiler and warnings.
        command = re.search(r"^gcc (.*proc\.c.*)$", readme, re.M).group(1)
        env = {**os.environ, "PKG_CONFIG_PATH": str(self.installed("kortex-runtime.pc").parent)}
        run("sh", "-c", f"{options.cc} -Wall -Wextra -Wpedantic -Werror {command}", cwd=directory, env=env)
        return directory / "libkortex-runtime-proc.so"

    def build_rust_example(self):
        rustc = next((place for place in ("/usr/bin/rustc", shutil.which("rustc")) if place and os.access(place, os.X_OK)), None)
        if rustc is None:
            self.skipTest("rustc is not installed")
        readme = self.installed("README.md").read_text()
        directory = self.path / "rust-example"
        directory.mkdir(exist_ok=True)
        (directory / "rusty.rs").write_text(re.search(r"<!-- rusty\.rs -->\n```rust\n(.*?)```", readme, re.S).group(1))
        command = re.search(r"^rustc (.*rusty\.rs.*)$", readme, re.M).group(1)
        run("sh", "-c", f"{rustc} -D warnings {command}", cwd=directory)
        return directory / "libkortex-runtime-rusty.so"

    def conforms(self, plugin):
        checker = pathlib.Path(options.build) / "bin" / "kortex-runtime-check"
        if not checker.exists():
            self.skipTest("kortex-runtime-check is not built")
        done = run(checker, "--pretend", plugin, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"\n# core (\d+)/\1 .*; claimed, and not tried: network-allow; runs no agent\n$")

    def test_the_examples_pass_the_conformance_checker(self):
        self.conforms(self.build(self.installed("template")))
        if shutil.which("pkg-config"):
            self.conforms(self.build_c_example())

    def test_a_runtime_that_runs_no_agent_is_told_so_once(self):
        """The example without --pretend: one test waits for the agent, the others that need it do not."""
        checker = pathlib.Path(options.build) / "bin" / "kortex-runtime-check"
        if not checker.exists():
            self.skipTest("kortex-runtime-check is not built")
        done = run(checker, "--timeout", "5", "--only", "core", self.build(self.installed("template")), check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"not ok \d+ - core.starts-again\n(.*\n){2}  message: \"start\(\) returned, and within 5 s the agent "
                                      r"was not seen: .*--pretend")
        self.assertGreater(done.stdout.count("not tried: no agent was seen in core.starts-again"), 5)
        self.assertNotIn("it took longer", done.stdout)

    def test_the_rust_example_builds_and_passes(self):
        plugin = self.build_rust_example()
        self.conforms(plugin)

    def test_the_template_made_with_clang_is_packed_installed_and_run(self):
        """From nothing to a package in the hands of a user, as the guide has it."""
        binary = pathlib.Path(options.build) / "bin" / "kortex-cli"
        missing = [program for program in ("clang++", "dpkg-deb", "dpkg-shlibdeps") if shutil.which(program) is None]
        if missing or not binary.exists():
            self.skipTest(f"{missing[0]} is not installed" if missing else "kortex-cli is not built")
        plugin = self.build(self.installed("template"), "clang++")
        self.check_plugin(plugin, "example", "0.1.0")
        self.conforms(plugin)
        run(pathlib.Path(options.cmake).with_name("cpack"), "-G", "DEB", cwd=plugin.parent)
        (package,) = plugin.parent.glob("*.deb")
        self.assertIn("kortex-runtime-abi-1 (>= 1.0)", run("dpkg-deb", "-f", package, "Depends").stdout)
        home = self.path / "a-user"
        (home / "project").mkdir(parents=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        self.assertEqual(run(binary, "runtime", "install", package, env=env).stdout, "example\n")
        run(binary, "init", home / "project", "--runtime", "example", "--start", env=env)
        self.assertRegex(run(binary, "list", env=env).stdout, r"(?m)^project +running +example ")
        mistyped = run(binary, "init", home / "project", "--runtime", "exmaple", "--name", "x", env=env, check=False)
        self.assertEqual(mistyped.returncode, 4)
        self.assertRegex(mistyped.stderr, r"error: no runtime 'exmaple'\n(  .*\n)*  example +usable\n(  .*\n)*hint: kortex-cli init --runtime example /")
        run(binary, "remove", "--force", "project", env=env)

    def check_plugin(self, plugin, name, version):
        symbols = run("nm", "-D", "--defined-only", plugin).stdout.split()
        self.assertEqual([s for s in symbols if s.startswith("kortex") or len(s) > 1 and not re.fullmatch(r"[0-9a-f]{16}", s)], [ENTRY])
        note = run("readelf", "-p", ".note.kortex", plugin).stdout
        said = json.loads(re.search(r"\{.*\}", note).group(0))
        self.assertEqual((said["name"], said["version"]), (name, version))
        self.assertIn("NOTE", run("readelf", "-lW", plugin).stdout, "the note is in no segment: the host could not see it")
        dynamic = run("readelf", "-dW", plugin).stdout
        self.assertIn("NOW", dynamic)
        self.assertNotIn("TEXTREL", dynamic)
        self.assertNotIn("libstdc++", dynamic, "it does not ship alone")
        self.assertNotRegex(dynamic, "RPATH|RUNPATH")
        stack = re.search(r"GNU_STACK.*", run("readelf", "-lW", plugin).stdout).group(0)
        self.assertNotIn("RWE", stack)

    def test_the_template_builds_outside_the_tree(self):
        self.check_plugin(self.build(self.installed("template")), "example", "0.1.0")

    def test_the_fake_runtime_builds_alone(self):
        project = self.source / "plugins" / "fake"
        version = re.search(r"VERSION (\S+)", (project / "CMakeLists.txt").read_text().split("project(")[1]).group(1)
        self.check_plugin(self.build(project), "fake", version)

    def test_the_c_example_of_the_guide_builds_with_pkg_config(self):
        if shutil.which("pkg-config") is None:
            self.skipTest("pkg-config is not installed")
        self.check_plugin(self.build_c_example(), "proc", "0.1.0")

    def test_the_guide_quotes_the_hosts_refusals(self):
        """The left column of the last table, up to what differs from file to file, is in the host's sources."""
        table = self.installed("README.md").read_text().split("| `runtime list` or the error says |")[1]
        host = re.sub(r'"\s*\n?\s*"', "", "".join(path.read_text() for path in (self.source / "host" / "runtimes").glob("*.cpp")))
        quoted = re.findall(r"`([^`]*)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:]))
        self.assertGreater(len(quoted), 8)
        for message in quoted:
            if message.startswith("undefined symbol"):
                continue  # the dynamic linker's
            message = re.sub(r"^(it|its directory '…'|the runtime in it) (can be|belongs|is larger)", r"\2", message)
            start = re.split(r"'|…|\(|\d|arm64", message)[0].strip()
            self.assertTrue(start in host, f"the guide quotes '{message}', which is not in the host's sources")

    def test_a_plugin_with_a_missing_symbol_does_not_link(self):
        project = self.path / "incomplete"
        shutil.copytree(self.installed("template"), project)
        with open(project / "src" / "example.cpp", "a") as source:
            source.write('\nvoid nowhere();\nvoid (*volatile used)() = nowhere;\n__attribute__((used)) static void use() { used(); }\n')
        with self.assertRaisesRegex(AssertionError, "undefined reference to .nowhere"):
            self.build(project)

    def test_a_name_that_is_none_is_refused_when_compiling(self):
        project = self.path / "misnamed"
        shutil.copytree(self.installed("template"), project)
        source = project / "src" / "example.cpp"
        source.write_text(source.read_text().replace('"example", KORTEX', '"Example", KORTEX'))
        with self.assertRaisesRegex(AssertionError, "KORTEX_RUNTIME: the name is a lower-case letter"):
            self.build(project)

    def test_a_class_with_open_functions_is_refused_by_a_sentence(self):
        project = self.path / "abstract"
        shutil.copytree(self.installed("template"), project)
        source = project / "src" / "example.cpp"
        source.write_text(source.read_text().replace("public kortex::Runtime {", "public kortex::Runtime, public kortex::Waits {"))
        with self.assertRaisesRegex(AssertionError, "KORTEX_RUNTIME: the class leaves pure functions open"):
            self.build(project)

    def test_the_c_example_works_in_kortex_cli(self):
        binary = pathlib.Path(options.build) / "bin" / "kortex-cli"
        if not binary.exists():
            self.skipTest("kortex-cli is not built")
        if shutil.which("pkg-config") is None:
            self.skipTest("pkg-config is not installed")
        plugins, project = self.path / "runtimes", self.path / "project"
        plugins.mkdir(mode=0o755)
        project.mkdir()
        shutil.copy2(self.build_c_example(), plugins)
        (plugins / "libkortex-runtime-proc.so").chmod(0o755)
        home = self.path / "home"
        home.mkdir()
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "KORTEX_CLI_RUNTIME_PATH": str(plugins),
               "KORTEX_CLI_STORAGE": str(self.path / "store")}

        def cli(*arguments, check=True):
            return run(binary, *arguments, env=env, check=check)

        def state():
            return {item["name"]: item["state"] for item in json.loads(cli("list", "-o", "json").stdout)["items"]}

        self.assertRegex(cli("runtime", "list").stdout, r"(?m)^proc\b.*usable")
        cli("init", project, "--runtime", "proc", "--name", "c")
        self.assertEqual(state(), {"c": "stopped"})
        cli("start", "c")
        self.assertEqual(state(), {"c": "running"})
        refused = cli("remove", "c", check=False)
        self.assertEqual(refused.returncode, 5, refused.stderr)
        cli("stop", "c")
        self.assertEqual(state(), {"c": "stopped"})
        cli("remove", "c")
        self.assertEqual(state(), {})


if __name__ == "__main__":
    options, rest = OPTIONS.parse_known_args()
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    if program.result.wasSuccessful():
        shutil.rmtree(Sdk.path)
    else:
        print(f"sandbox kept: {Sdk.path}", file=sys.stderr)
    sys.exit(0 if program.result.wasSuccessful() else 1)
