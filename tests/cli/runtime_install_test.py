#!/usr/bin/env python3
"""`runtime install` and `runtime uninstall` from files and archives, and pins."""
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import unittest

import sandbox as box

PLUGIN = box.BUILD / "lib/kortex/runtimes/libkortex-runtime-fake.so"


class Installs(box.TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.install("process")  # a host of its own, without the fake runtime
        self.own = self.sandbox.home / ".local/lib/kortex/runtimes"
        self.given = self.sandbox.path / PLUGIN.name
        shutil.copy2(PLUGIN, self.given)
        self.digest = hashlib.sha256(PLUGIN.read_bytes()).hexdigest()

    def cli(self, *arguments):
        return self.sandbox.run("kortex-cli", *arguments)

    def names(self):
        return [item["name"] for item in self.cli("runtime", "list", "-o", "json").json()["items"]]

    def pins(self, name, text):
        folder = self.sandbox.home / ".config/kortex/runtimes.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def archive(self, *members):
        path = self.sandbox.path / "a-runtime.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for member in members:
                tar.add(self.given, member)
        return path

    def test_installs_a_file_and_takes_it_away(self):
        self.assert_ended(self.cli("runtime", "install", self.given), 0, stdout=r"^fake\n$")
        self.assertEqual(self.names(), ["fake", "process"])
        self.assert_ended(self.cli("runtime", "uninstall", "fake"), 0, stdout=r"^fake\n$")
        self.assertEqual(self.names(), ["process"])
        self.assertEqual(os.listdir(self.own), [])

    def test_takes_the_runtime_out_of_an_archive(self):
        packed = self.archive("usr/lib/kortex/runtimes/" + PLUGIN.name, "usr/share/doc/something")
        self.assert_ended(self.cli("runtime", "install", packed), 0, stdout=r"^fake\n$")
        self.assertEqual(os.listdir(self.own), [PLUGIN.name])
        self.assertEqual((self.own / PLUGIN.name).stat().st_mode & 0o777, 0o755)

    @unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg-deb is not installed")
    def test_takes_the_runtime_out_of_a_package(self):
        tree = self.sandbox.path / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN").chmod(0o755)
        (tree / "usr/lib/kortex/runtimes").mkdir(parents=True)
        shutil.copy2(PLUGIN, tree / "usr/lib/kortex/runtimes")
        (tree / "DEBIAN/control").write_text("Package: kortex-runtime-fake\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n")
        package = self.sandbox.path / "kortex-runtime-fake_1.0_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, package], check=True, stdout=subprocess.DEVNULL)
        self.assert_ended(self.cli("runtime", "install", package), 0, stdout=r"^fake\n$")
        self.assertEqual(self.names(), ["fake", "process"])

    def test_refuses_an_archive_without_one_runtime(self):
        self.assert_ended(self.cli("runtime", "install", self.archive("README")), 7,
                          stderr=r"error: cannot install '.*a-runtime.tar.gz': there is no file libkortex-runtime-NAME.so in it")
        two = self.archive("a/" + PLUGIN.name, "b/" + PLUGIN.name)
        self.assert_ended(self.cli("runtime", "install", two), 7, stderr=r"there are 2 runtimes in it\nhint: unpack it")
        broken = self.sandbox.path / "broken.tar.gz"
        broken.write_text("no archive")
        self.assert_ended(self.cli("runtime", "install", broken), 1, stderr=r"cannot install '.*broken.tar.gz': tar cannot unpack it")
        self.assertEqual(os.listdir(self.own), [])

    def test_takes_nothing_else_out_of_an_archive(self):
        """Neither what leads outside, nor links, nor devices; and an archive is known by what is in it, not by its name."""
        outside = self.sandbox.path / "outside"
        outside.mkdir()
        path = self.sandbox.path / "download"
        with tarfile.open(path, "w") as tar:
            way = tarfile.TarInfo("way")
            way.type, way.linkname = tarfile.SYMTYPE, str(outside)
            tar.addfile(way)
            for name in ("way/planted", "../planted"):
                member = tarfile.TarInfo(name)
                member.size = 5
                tar.addfile(member, io.BytesIO(b"bytes"))
            tar.add(self.given, "here/" + PLUGIN.name)
        self.assert_ended(self.cli("runtime", "install", path), 0, stdout=r"^fake\n$")
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(os.listdir(self.own), [PLUGIN.name])
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            with tarfile.open(path, "w") as tar:
                member = tarfile.TarInfo("libkortex-runtime-odd.so")
                member.type, member.linkname = kind, str(self.given)
                tar.addfile(member)
            self.assert_ended(self.cli("runtime", "install", path), 7, stderr=r"there is no file libkortex-runtime-NAME.so in it")

    def test_unpacks_no_more_than_a_runtime_can_have(self):
        path = self.sandbox.path / "bomb.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            member = tarfile.TarInfo("libkortex-runtime-bomb.so")
            member.size = 400 << 20
            with open("/dev/zero", "rb") as zeros:
                tar.addfile(member, zeros)
        self.assert_ended(self.cli("runtime", "install", path), 7,
                          stderr=r"error: cannot install '.*bomb.tar.gz': the runtime in it is larger than 256 MiB")
        self.assertEqual(os.listdir(self.own), [])

    def test_refuses_what_anybody_could_have_changed(self):
        self.given.chmod(0o646)
        self.assert_ended(self.cli("runtime", "install", self.given), 7,
                          stderr=r"cannot install '.*': it can be written by other users\nhint: chmod o-w ")
        self.assertFalse(self.own.exists() and os.listdir(self.own))
        self.assert_ended(self.cli("runtime", "install", "--sha256", self.digest, self.given), 0, stdout=r"^fake\n$")

    def test_says_how_a_file_must_be_named(self):
        """The hint is of the file that was given, and typing it helps."""
        for wrong in ("libkortex-runtime-other.so", "build.so"):
            path = self.sandbox.path / wrong
            shutil.copy2(PLUGIN, path)
            self.given.unlink(missing_ok=True)
            done = self.cli("runtime", "install", path)
            self.assert_ended(done, 7, stderr=rf"hint: mv {path} {self.given}\n")
            subprocess.run(["sh", "-c", done.stderr.split("hint: ")[1]], check=True)
            self.assert_ended(self.cli("runtime", "install", "--replace", self.given), 0, stdout=r"^fake\n$", stderr=r"^(kortex-cli: replaced runtime 'fake' .*\n)?$")
        text = self.sandbox.path / "README"
        text.write_text("words")
        self.assert_ended(self.cli("runtime", "install", text), 7, stderr=r"it is not an ELF file\nhint: a runtime is a file libkortex-runtime-NAME.so, or a")

    def test_clears_away_what_a_killed_one_left(self):
        """But not what another is at."""
        self.own.mkdir(parents=True)
        for name in (".install-killed", ".install-alive"):
            (self.own / name / "unpacked").mkdir(parents=True)
            (self.own / name / "runtime").write_text("half")
        fd = os.open(self.own / ".install-alive", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self.assert_ended(self.cli("runtime", "install", self.given), 0, stdout=r"^fake\n$")
            self.assertEqual(sorted(os.listdir(self.own)), [".install-alive", PLUGIN.name])
        finally:
            os.close(fd)
        self.assert_ended(self.cli("runtime", "install", "--replace", self.given), 0, stdout=r"^fake\n$", stderr=r"^(kortex-cli: replaced runtime 'fake' .*\n)?$")
        self.assertEqual(os.listdir(self.own), [PLUGIN.name])

    def test_killed_at_any_moment_leaves_the_old_or_the_new_one(self):
        packed = self.archive("usr/" + PLUGIN.name)
        for i in range(25):
            install = self.sandbox.popen("kortex-cli", "runtime", "install", "--replace", packed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
            try:
                install.wait(0.004 * i)
            except subprocess.TimeoutExpired:
                install.kill()
            install.wait()
            self.assertIn(self.names(), (["process"], ["fake", "process"]))
            if (self.own / PLUGIN.name).exists():
                self.assertEqual(hashlib.sha256((self.own / PLUGIN.name).read_bytes()).hexdigest(), self.digest)
        self.assert_ended(self.cli("runtime", "install", "--replace", packed), 0, stdout=r"^fake\n$", stderr=r"^(kortex-cli: replaced runtime 'fake' .*\n)?$")
        self.assertEqual(os.listdir(self.own), [PLUGIN.name])

    def test_compares_the_digest_of_what_was_given(self):
        self.assert_ended(self.cli("runtime", "install", "--sha256", "0" * 64, self.given), 7, stderr=f"its sha256 is {self.digest}")
        self.assert_ended(self.cli("runtime", "install", "--sha256", "123", self.given), 2, stderr=r"not 64 hexadecimal digits")
        self.assertEqual(os.listdir(self.own), [])
        self.assert_ended(self.cli("runtime", "install", "--sha256", self.digest.upper(), self.given), 0, stdout=r"^fake\n$")

    def test_replaces_only_when_told_to(self):
        self.cli("runtime", "install", self.given)
        refused = self.cli("runtime", "install", self.given)
        self.assert_ended(refused, 7, stderr=r"it would replace runtime 'fake' \S+ from '.*/.local/lib/.*'\nhint: kortex-cli runtime install --replace ")
        self.assert_ended(self.cli("runtime", "install", "--replace", self.given), 0, stdout=r"^fake\n$", stderr=r"replaced runtime 'fake'")

    def test_shadows_only_when_told_to(self):
        system = self.sandbox.path / "installed/lib/kortex/runtimes"
        shutil.copy2(PLUGIN, system)
        self.assert_ended(self.cli("runtime", "install", self.given), 7, stderr=r"it would take the place of runtime 'fake' \S+ from '.*/installed/lib/")
        self.assertEqual(os.listdir(self.own), [])
        self.assert_ended(self.cli("runtime", "install", "--replace", self.given), 0, stdout=r"^fake\n$", stderr=r"takes the place of")
        listed = self.cli("runtime", "list").stdout
        self.assertRegex(listed, r"(?m)^fake\s+\S+\s+\S+\s+user\s+usable")
        self.assertRegex(listed, r"(?m)^fake\s+\S+\s+\S+\s+bundled\s+shadowed")

    def test_stays_while_workspaces_use_it(self):
        self.cli("runtime", "install", self.given)
        for name in ("one", "two"):
            self.assertEqual(self.cli("init", self.sandbox.project, "--runtime", "fake", "--name", name).status, 0)
        self.assert_ended(self.cli("runtime", "uninstall", "fake"), 5, stderr=r"2 workspaces use it(.|\n)*one\n(.|\n)*two\n")
        refused = self.cli("runtime", "uninstall", "fake", "-o", "json")
        self.assertEqual((refused.status, refused.json()), (5, {"error": "cannot uninstall runtime 'fake': 2 workspaces use it: 'one', 'two'"}))
        self.assertEqual(self.cli("remove", "two").status, 0)
        self.assert_ended(self.cli("runtime", "uninstall", "fake"), 5, stderr=r"workspace 'one' uses it\nhint: kortex-cli remove one")
        self.assert_ended(self.cli("runtime", "uninstall", "--force", "fake"), 0, stdout=r"^fake\n$")
        listed = self.cli("list")
        self.assertRegex(listed.stdout, r"(?m)^one\s+unknown")
        self.assertRegex(listed.stderr, r"no runtime 'fake'")
        self.assertEqual(self.cli("remove", "--force", "one").status, 0)

    def test_says_where_a_runtime_is_that_is_not_its_to_uninstall(self):
        self.assert_ended(self.cli("runtime", "uninstall", "process"), 4,
                          stderr=r"cannot uninstall runtime 'process': it is not in your own directory but '.*/installed/lib/.*/libkortex-runtime-process.so'\n"
                                 r"hint: remove the package that it came with: kortex-runtime-process\n")
        self.assert_ended(self.cli("runtime", "uninstall", "proces"), 4, stderr=r"error: no runtime 'proces'\nhint: did you mean 'process'\? ")

    def test_goes_when_another_of_its_name_is_left(self):
        self.cli("runtime", "install", self.given)
        self.assertEqual(self.cli("init", self.sandbox.project, "--runtime", "fake", "--name", "one").status, 0)
        shutil.copy2(PLUGIN, self.sandbox.path / "installed/lib/kortex/runtimes")
        self.assert_ended(self.cli("runtime", "uninstall", "fake"), 0, stdout=r"^fake\n$")
        self.assertEqual(self.cli("remove", "one").status, 0)

    def test_keeps_to_pins(self):
        self.pins("fake.conf", f"# ours\nsha256 = {'0' * 64}\n")
        self.assert_ended(self.cli("runtime", "install", self.given), 7, stderr=r"its sha256 is not the one that is pinned in '.*/fake.conf'")
        self.pins("fake.conf", f"sha256 = {'0' * 64}\nsha256={self.digest.upper()}\n")
        self.assert_ended(self.cli("runtime", "install", self.given), 0, stdout=r"^fake\n$")
        with open(self.own / PLUGIN.name, "ab") as file:
            file.write(b"x")
        self.assert_ended(self.cli("init", self.sandbox.project, "--runtime", "fake"), 4, stderr=r"cannot use runtime 'fake'.*: its sha256 is not")
        self.assertRegex(self.cli("runtime", "list").stdout, r"(?m)^fake\s.*refused: its sha256 is not")

    def test_lets_only_what_is_pinned_pass_where_that_is_the_policy(self):
        self.pins("policy.conf", "policy = pinned-only\n")
        self.assert_ended(self.cli("runtime", "install", self.given), 7, stderr=r"it is not pinned, and '.*/policy.conf' allows only runtimes that are")
        self.pins("fake.conf", f"sha256 = {self.digest}\n")
        self.assert_ended(self.cli("runtime", "install", self.given), 0, stdout=r"^fake\n$")
        self.assertEqual(self.names(), ["fake"])

    def test_lets_nothing_pass_when_a_pin_is_not_understood(self):
        self.pins("fake.conf", "sha256 = 12\n")
        self.assert_ended(self.cli("runtime", "install", self.given), 7, stderr=r"'.*/fake.conf' has a line 1 that is neither")
        self.assertEqual(self.names(), [])


if __name__ == "__main__":
    box.main()
