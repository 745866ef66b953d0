#!/usr/bin/env python3
"""Commands that only read: they run nothing of other people's, write nothing, and damage stays where it is."""
import json
import os
import pwd

import sandbox as box


class Reading(box.TestCase):
    def setUp(self):
        super().setUp()
        self.trace = self.sandbox.path / "witness"
        self.witnessed = {"KORTEX_WITNESS": str(self.trace), "KORTEX_CLI_RUNTIME_PATH": str(box.BUILD / "tests/cli/runtimes")}

    def test_nothing_of_a_plugin_runs_for_a_command_that_does_not_need_it(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f")
        for arguments in (("version",), ("--version",), ("help",), ("list", "--help"), ("list",), ("list", "-o", "json"), ("show", "f"),
                          ("start", "f"), ("stop", "f"), ("runtime", "list", "-o", "json"), ("info",), ("info", "-o", "json"), ("agent", "list"),
                          ("completion", "bash"), ("rename", "f", "g"), ("remove", "g")):
            with self.subTest(arguments=arguments):
                self.ok(*arguments, env=self.witnessed)
                self.assertFalse(self.trace.exists(), f"{arguments} ran the code of a plugin it does not need")

    def test_the_witness_does_tell_when_it_is_needed(self):
        self.ok("init", self.sandbox.project, "--runtime", "witness", "--name", "w", env=self.witnessed)
        self.assertIn("loaded", self.trace.read_text())
        self.trace.unlink()
        self.ok("list", env=self.witnessed)
        self.assertIn("loaded", self.trace.read_text())

    def test_a_workspace_whose_runtime_is_gone_is_listed_and_can_be_removed(self):
        self.ok("init", self.sandbox.project, "--runtime", "witness", "--name", "w", env=self.witnessed)
        done = self.run_cli("list", "-o", "json")
        self.assertEqual([(item["name"], item["state"]) for item in done.json()["items"]], [("w", "unknown")])
        self.assertRegex(done.stderr, "warning: .*'w'.*'witness'|warning: .*'witness'")
        refused = self.run_cli("remove", "w")
        self.assert_ended(refused, 4, stderr="(?s)'witness'.*--force")
        forced = self.run_cli("remove", "--force", "w")
        self.assertEqual(forced.status, 0, str(forced))
        self.assertIn("left", forced.stderr)
        self.assertEqual(self.ok("list").stdout, "")

    def test_a_store_that_does_not_exist_is_an_empty_one_and_is_not_made(self):
        for arguments in (("list",), ("list", "-o", "json"), ("info",), ("runtime", "list", "-o", "json"), ("agent", "list"), ("version",)):
            self.ok(*arguments)
            self.assertFalse(self.sandbox.store.exists(), f"{arguments} made the store")

    def snapshot(self):
        return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_ino, p.lstat().st_size) for p in self.sandbox.store.rglob("*")}

    def test_reading_changes_nothing_on_disk(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f", "--start")
        self.process_workspace("p", "/bin/cat")
        before = self.snapshot()
        for arguments in (("list",), ("show", "f"), ("show", "p"), ("info",), ("runtime", "list", "-o", "json"), ("agent", "show", "shell")):
            self.ok(*arguments)
        self.assertEqual(self.snapshot(), before)

    def test_a_read_only_store_lists(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f", "--start")
        if os.geteuid() == 0:  # root may write anywhere but on a read-only mount
            inner = f"mount --bind {self.sandbox.store} {self.sandbox.store} && mount -o remount,bind,ro {self.sandbox.store} && exec {box.BINARY} list"
            done = self.sandbox.run("unshare", "-m", "sh", "-c", inner)
            if "unshare" in done.stderr or "mount:" in done.stderr:
                self.skipTest(done.stderr)
        else:
            folders = [self.sandbox.store, *(p for p in self.sandbox.store.rglob("*") if p.is_dir() and not p.is_symlink())]
            for folder in folders:
                folder.chmod(0o500)
            done = self.run_cli("list")
            for folder in folders:
                folder.chmod(0o700)
        self.assert_ended(done, 0, stdout=r"(?m)^f .*running")

    def record(self, name):
        return (self.sandbox.store / "names" / name).resolve() / "workspace.json"

    def test_a_broken_record_costs_its_own_row_only(self):
        for name in ("good", "torn", "newer", "empty"):
            self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", name)
        torn, newer, empty = self.record("torn"), self.record("newer"), self.record("empty")
        torn.write_text(torn.read_text()[:40])
        newer.write_text(json.dumps({**json.loads(newer.read_text()), "schema": 99}))
        empty.write_text("")
        done = self.run_cli("list")
        self.assertEqual(done.status, 0, str(done))
        self.assertRegex(done.stdout, "(?m)^good .*stopped")
        for name in ("torn", "newer", "empty"):
            self.assertRegex(done.stderr, f"(?m)^kortex-cli: warning: .*{self.record(name).parent.name[:12]}|'{name}'")
        self.ok("start", "good")
        refused = self.run_cli("start", "newer")
        self.assertRegex(refused.stderr, "newer kortex-cli")
        self.assertNotEqual(refused.status, 0)
        for name in ("torn", "newer", "empty"):
            self.assertEqual(self.run_cli("remove", "--force", name).status, 0, name)
        self.ok("remove", "--force", "good")
        self.assert_nothing_left()

    def test_a_broken_plugin_is_a_line_of_runtime_list_and_nothing_else(self):
        folder = self.sandbox.path / "plugins"
        folder.mkdir(0o755)
        whole = (box.BUILD / "lib/kortex/runtimes/libkortex-runtime-fake.so").read_bytes()
        (folder / "libkortex-runtime-torn.so").write_bytes(whole[:5000])
        (folder / "libkortex-runtime-text.so").write_text("not a library\n")
        os.mkfifo(folder / "libkortex-runtime-fifo.so")
        loose = folder / "libkortex-runtime-loose.so"
        loose.write_bytes(whole)
        loose.chmod(0o777)
        env = {"KORTEX_CLI_RUNTIME_PATH": str(folder)}
        done = self.ok("runtime", "list", env=env)
        for name in ("torn", "text", "fifo", "loose"):
            self.assertRegex(done.stdout, f"(?m)^{name} .*refused: ")
        self.assertRegex(done.stdout, "(?m)^fake .*usable")
        self.assert_ended(self.ok("init", self.sandbox.project, "--runtime", "fake", env=env), 0, stdout=".", stderr="")
        asked = self.run_cli("init", self.sandbox.project, "--runtime", "loose", env=env)
        self.assert_ended(asked, 4, stderr="(?s)error: .*'loose'.*hint: .*chmod")

    def test_a_plugin_folder_entry_must_be_absolute(self):
        done = self.run_cli("runtime", "list", env={"KORTEX_CLI_RUNTIME_PATH": "plugins"})
        self.assert_ended(done, 2, stderr="'plugins'")

    @staticmethod
    def somebody():
        """An ordinary user to become, when we are root."""
        try:
            return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        except KeyError:
            return None

    def test_a_store_of_somebody_else_is_refused(self):
        user = self.somebody()
        if user is None:
            self.skipTest("needs root")
        self.sandbox.store.mkdir(0o700)
        os.chown(self.sandbox.store, user.pw_uid, user.pw_gid)
        done = self.run_cli("init", self.sandbox.project, "--runtime", "fake")
        self.assertIn(done.status, (1, 7), str(done))
        self.assertIn(str(self.sandbox.store), done.stderr)

    def test_a_store_others_can_write_is_refused_with_the_command_that_mends_it(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f")
        self.sandbox.store.chmod(0o777)
        done = self.run_cli("init", self.sandbox.project, "--runtime", "fake")
        self.assert_ended(done, 7, stderr=f"(?s)error: .*hint: .*chmod .*{self.sandbox.store}")
        self.sandbox.store.chmod(0o700)


class Elsewhere(box.TestCase):
    def test_the_binary_works_from_a_copied_tree(self):
        """What packagers do: the installed tree is found relative to the binary."""
        tree = self.sandbox.install("process")
        done = self.sandbox.run(tree / "bin/kortex-cli", "init", self.sandbox.project, "--runtime", "process", *box.process_options(), "--start")
        self.assertEqual(done.status, 0, str(done))
        listed = self.sandbox.run(tree / "bin/kortex-cli", "runtime", "info", "process")
        self.assertIn(str(tree), listed.stdout)


if __name__ == "__main__":
    box.main()
