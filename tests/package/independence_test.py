#!/usr/bin/env python3
"""Runtimes and kortex-cli ship apart: every plugin of ours builds alone against the installed SDK, today's kortex-cli runs a plugin
that was built against the first header (frozen/runtime-1.0.h, never to be changed), and refuses one that needs a newer contract
than it has, saying what to update.

independence_test.py --build BUILD --source SOURCE --cc CC --cxx CXX --cmake CMAKE"""
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
HERE = pathlib.Path(__file__).resolve().parent


def run(*command, check=True, **more):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Independence(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = pathlib.Path(tempfile.mkdtemp(prefix="kortex-independence-"))
        cls.path.chmod(0o755)
        cls.source = pathlib.Path(options.source)
        cls.binary = pathlib.Path(options.build) / "bin/kortex-cli"
        run(options.cmake, "--install", options.build, "--component", "libkortex-runtime-dev", "--prefix", cls.path / "sdk")

    def header(self, place, minor=None):
        """A directory with the first header, or with today's as it would be in a newer minor."""
        include = self.path / place / "include/kortex"
        include.mkdir(parents=True)
        if minor is None:
            shutil.copy2(HERE / "frozen/runtime-1.0.h", include / "runtime.h")
        else:
            text = (self.source / "sdk/include/kortex/runtime.h").read_text()
            newer = re.sub(r"(#define KORTEX_ABI_MINOR )\d+", rf"\g<1>{minor}", text)
            self.assertNotEqual(newer, text)
            (include / "runtime.h").write_text(newer)
        return include.parent

    def plugin(self, include, *flags):
        """The C example of the guide, built with that header."""
        code = re.search(r"<!-- proc\.c -->\n```c\n(.*?)```", (self.source / "sdk/README.md").read_text(), re.S).group(1)
        directory = include.parent / "runtimes"
        directory.mkdir()
        (include.parent / "proc.c").write_text(code)
        run(options.cc, "-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-fvisibility=hidden", *flags, f"-I{include}",
            f"-Wl,--version-script={self.source}/sdk/runtime.map,-z,defs,-z,relro,-z,now", include.parent / "proc.c", "-o", directory / "libkortex-runtime-proc.so")
        return directory

    def cli(self, runtimes, *arguments, check=True):
        home = runtimes.parent / "home"
        (home / "project").mkdir(parents=True, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "KORTEX_CLI_RUNTIME_PATH": str(runtimes)}
        return run(self.binary, *arguments, env=env, cwd=home / "project", check=check)

    def lives(self, runtimes):
        def state():
            return [item["state"] for item in json.loads(self.cli(runtimes, "list", "-o", "json").stdout)["items"]]
        self.cli(runtimes, "init", "--runtime", "proc", "--name", "w")
        self.assertEqual(state(), ["stopped"])
        self.cli(runtimes, "start", "w")
        self.assertEqual(state(), ["running"])
        self.cli(runtimes, "stop", "w")
        self.cli(runtimes, "remove", "w")
        self.assertEqual(state(), [])

    def test_a_plugin_of_the_first_header_runs_on_todays_host(self):
        runtimes = self.plugin(self.header("first"))
        note = run("readelf", "-p", ".note.kortex", runtimes / "libkortex-runtime-proc.so").stdout
        self.assertIn('"name":"proc"', note)
        self.lives(runtimes)

    def test_a_plugin_that_needs_a_newer_minor_is_refused_with_what_to_update(self):
        minor = int(re.search(r"#define KORTEX_ABI_MINOR (\d+)", (self.source / "sdk/include/kortex/runtime.h").read_text()).group(1))
        runtimes = self.plugin(self.header("newer", minor + 1))
        refused = self.cli(runtimes, "init", "--runtime", "proc", check=False)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn(f"it is built for runtime ABI 1.{minor + 1}, this kortex-cli provides 1.{minor}: update kortex-cli", refused.stderr)
        self.assertRegex(self.cli(runtimes, "runtime", "list").stdout, rf"(?m)^proc .*refused: it is built for runtime ABI 1\.{minor + 1}")

    def test_a_plugin_that_only_knows_a_newer_minor_runs(self):
        minor = int(re.search(r"#define KORTEX_ABI_MINOR (\d+)", (self.source / "sdk/include/kortex/runtime.h").read_text()).group(1))
        self.lives(self.plugin(self.header("careful", minor + 1), "-DKORTEX_MIN_HOST_MINOR=0"))

    def test_every_runtime_builds_alone_against_the_installed_sdk(self):
        plugins = self.path / "plugins"
        shutil.copytree(self.source / "plugins", plugins)
        launchers = [line.replace("STRING=", "=").split(":")[0] + "=" + line.split("=", 1)[1] for line in
                     (pathlib.Path(options.build) / "CMakeCache.txt").read_text().splitlines() if line.startswith("CMAKE_CXX_COMPILER_LAUNCHER:")]
        for project in sorted(plugins.iterdir()):
            lists = project / "CMakeLists.txt"
            if not lists.exists() or f"project(kortex-runtime-{project.name} " not in lists.read_text():
                continue
            with self.subTest(project.name):
                build = self.path / f"build-{project.name}"
                run(options.cmake, "-S", project, "-B", build, "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O0", f"-DCMAKE_PREFIX_PATH={self.path}/sdk",
                    f"-DCMAKE_CXX_COMPILER={options.cxx}", f"-DCMAKE_C_COMPILER={options.cc}", *(f"-D{one}" for one in launchers))
                run(options.cmake, "--build", build, "--parallel", "2")
                self.assertTrue((build / f"libkortex-runtime-{project.name}.so").exists())


if __name__ == "__main__":
    options, rest = OPTIONS.parse_known_args()
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    if program.result.wasSuccessful():
        shutil.rmtree(Independence.path)
    else:
        print(f"sandbox kept: {Independence.path}", file=sys.stderr)
    sys.exit(0 if program.result.wasSuccessful() else 1)
