#!/usr/bin/env python3
"""The store on a real file system that is full, or was mounted read-only behind our back."""
import os
import shutil
import subprocess
import sys

import chaos
import sandbox as box
from chaos import Chaos


class Mounted(Chaos):
    """The store is a file system of its own. `limit`: mount options that bound it."""
    limit = "size=1m"

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root mounts")
        super().setUp()
        self.store = self.sandbox.path / "disk"
        self.store.mkdir(mode=0o700)
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"{self.limit},mode=700", "tmpfs", self.store], stderr=subprocess.PIPE, check=False)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", self.store], stderr=subprocess.DEVNULL, check=False))
        if self.mounted.returncode != 0:
            if os.environ.get("KORTEX_TEST_ENGINES") == "required":
                self.fail(self.mounted.stderr.decode())
            self.skipTest(self.mounted.stderr.decode())
        self.sandbox.store = self.store
        self.sandbox.env["KORTEX_CLI_STORAGE"] = str(self.store)
        self.agents()

    def tearDown(self):
        self.remount("rw")
        (self.store / "filler").unlink(missing_ok=True)
        super().tearDown()

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.store], check=True)

    def fill(self, blocks):
        """Until so many pages are left."""
        with open(self.store / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
            file.truncate(max(0, file.tell() - 4096 * blocks))

    def said(self, done, reason):
        """It has not been done, and why is said."""
        self.assertIn(done.status, (1, 7), str(done))
        self.assertRegex(done.stderr, rf"(?mi)^kortex-cli: error: .*{reason}", str(done))


class Full(Mounted):
    def test_of_no_use_for_anything_new_but_what_is_there_can_be_used_and_removed(self):
        for left in (0, 1, 2, 3, 5):
            with self.subTest(pages_left=left):
                self.ok(*self.init_words("--start"))
                self.fill(left)
                self.assertEqual(self.listed(), {"w": "running"})
                self.ok("show", "w")
                self.ok("exec", "w", "--", "true")
                new = self.run_cli(*self.init_words(name="v"))
                if new.status == 0:
                    self.ok("remove", "v")
                else:
                    self.said(new, "no space left on device")
                self.assertEqual(self.listed(), {"w": "running"}, "an init that has failed takes itself back")
                stopped = self.run_cli("stop", "w")
                if stopped.status != 0:
                    self.said(stopped, "no space left on device")
                self.assertEqual(self.listed(), {"w": "stopped"}, str(stopped))
                removed = self.run_cli("remove", "w")
                self.assert_ended(removed, 0, stdout=".+")
                self.assertEqual(self.listed(), {})
                self.assertEqual(self.instances(), [])
                self.assert_nothing_left()
                (self.store / "filler").unlink()

    def test_a_running_one_is_removed_by_force(self):
        self.ok(*self.init_words("--start"))
        self.fill(0)
        self.assert_ended(self.run_cli("remove", "--force", "w"), 0, stdout=".+")
        self.assertEqual(self.instances(), [])
        self.assert_nothing_left()

    def test_when_there_is_room_again_what_was_not_done_is_done(self):
        self.ok(*self.init_words())
        self.fill(0)
        started = self.run_cli("start", "w")
        if started.status != 0:
            self.said(started, "no space left on device")
        (self.store / "filler").unlink()
        self.check_usable()


class NoMoreFiles(Mounted):
    limit = "size=1m,nr_inodes=64"

    def test_new_ones_are_refused_and_take_themselves_back(self):
        self.ok(*self.init_words("--start"))
        before = sorted(str(path) for path in self.store.rglob("*"))
        made = []
        try:
            while True:
                made.append(self.store / f"filler-{len(made)}")
                made[-1].touch()
        except OSError:
            made.pop()
        for left in range(12):
            with self.subTest(files_left=left):
                new = self.run_cli(*self.init_words(name="v"))
                if new.status == 0:
                    self.ok("remove", "v")
                else:
                    self.said(new, "no space left on device")
                    self.assertEqual(self.listed(), {"w": "running"})
                now = sorted(str(path) for path in self.store.rglob("*") if path not in made and path.name not in ("last-init.log", ".lock"))
                self.assertEqual(now, [path for path in before if not path.endswith(("last-init.log", ".lock"))])
                made.pop().unlink()
        for path in made:
            path.unlink()
        self.ok("stop", "w")
        self.ok("remove", "w")
        self.assert_nothing_left()


class ReadOnly(Mounted):
    def test_what_only_looks_still_works_and_what_would_write_says_why_not(self):
        self.ok(*self.init_words("--start"))
        self.remount("ro")
        self.assertEqual(self.listed(), {"w": "running"})
        self.ok("show", "w")
        self.ok("logs", "w")
        self.ok("exec", "w", "--", "true")
        self.said(self.run_cli(*self.init_words(name="v")), "read-only file system")
        for words in (("rename", "w", "v"), ("remove", "--force", "w")):
            self.said(self.run_cli(*words), "read-only file system")
        self.assertEqual(self.listed(), {"w": "running"}, "what cannot be unregistered is not ended either")
        self.remount("rw")
        self.ok("stop", "w")
        self.remount("ro")
        self.said(self.run_cli("remove", "w"), "read-only file system")
        self.assertEqual(self.listed(), {"w": "stopped"})
        self.remount("rw")
        self.check_usable()


if __name__ == "__main__":
    chaos.main()
