"""What an agent writes into its sources and its home does not turn against whoever starts, looks at or removes the
workspace: sources_test.py SETTING [Test.name...]"""
import json
import os
import pathlib
import secrets
import shutil
import sys
import unittest

import setting
from workspace import BOOT, AttackTest, missing

SETTING = setting.SETTING
BARE = SETTING == "bare"


class Sources(AttackTest):
    def setUp(self):
        super().setUp()
        self.secret = "secret-" + secrets.token_hex(8)
        self.outside = self.sandbox.path / "outside"
        (self.outside / "deep").mkdir(parents=True)
        (self.outside / "file").write_text(self.secret)
        (self.outside / "workspace.json").write_text(json.dumps({self.secret: self.secret}))

    def inside(self, script, name="w"):
        return self.ok("exec", name, "--", "sh", "-c", script, timeout=BOOT)

    def refused(self, *arguments, reason):
        """Refused before anything is made or runs, and without a word of what it must not show."""
        done = self.run_cli(*arguments, timeout=BOOT)
        self.assert_ended(done, 125 if arguments[0] == "exec" else 7, stderr=reason)
        self.assertNotIn(self.secret, done.stderr)
        return done

    # The configuration.

    def test_a_configuration_by_a_link_out_of_the_sources_is_refused(self):
        folder = self.sandbox.project / ".kortex"
        arguments = ("init", self.sandbox.project, "--runtime", setting.RUNTIME, "--name", "w", *self.options())
        folder.symlink_to(self.outside)
        self.refused(*arguments, reason="symbolic link out of the sources")
        folder.unlink()
        folder.mkdir()
        for target in (self.outside / "workspace.json", "/etc/shadow", "../../outside/workspace.json", "/proc/self/environ"):
            (folder / "workspace.json").symlink_to(target)
            self.refused(*arguments, reason="symbolic link out of the sources|permission denied")
            (folder / "workspace.json").unlink()
        # Nor is one waited for that nobody writes.
        os.mkfifo(folder / "workspace.json")
        self.refused(*arguments, reason="not a regular file")
        self.assertEqual(self.ok("list", "-o", "json").json()["items"], [])

    def test_what_the_agent_writes_into_the_configuration_is_not_taken_without_init(self):
        kept = self.sandbox.project / ".kortex"
        kept.mkdir()
        (kept / "workspace.json").write_text("{}")
        shutil.copy2(setting.ATTEMPT, self.sandbox.project / "attempt")
        small = {"resources": {"memory": "256MiB", "cpus": 1}} if SETTING == "microvm" else {}
        (kept / "workspace.json").write_text(json.dumps({"network": {"mode": "allow" if BARE else "deny"}, **small}))
        self.ok("init", self.sandbox.project, "--runtime", setting.RUNTIME, "--name", "w", *self.options(), "--start", timeout=BOOT)
        before = self.show()
        self.inside(f"""cat > .kortex/workspace.json <<'END'
{{"network": {{"mode": "allow"}}, "mounts": [{{"host": "{self.outside}", "target": "{self.outside}"}}], "agent": "other",
 "runtime_options": {{"sandbox": "none"}}, "environment": [{{"name": "KORTEX_BAIT"}}]}}
END""")
        self.ok("stop", "w", timeout=BOOT)
        self.ok("start", "w", timeout=BOOT)
        after = self.show()
        for key in ("exposure", "guarantees", "mounts", "network", "agent", "environment"):
            self.assertEqual(before.get(key), after.get(key), key)
        if not BARE:
            reached, why = self.attempt("read", self.outside / "file", self.secret)
            self.assertFalse(reached, why)

    # Mounts.

    @unittest.skipIf(BARE, "without a sandbox nothing is mounted")
    def test_a_mounted_folder_of_the_sources_that_became_a_link_is_refused(self):
        (self.sandbox.project / "cache").mkdir()
        self.create(configuration={"mounts": [{"host": "$SOURCES/cache", "target": "/mnt/cache"}]})
        self.inside(f"rm -r cache && ln -s {self.outside} cache")
        self.ok("stop", "w", timeout=BOOT)
        for command in ("start", "exec"):
            self.refused(command, "w", *(["--", "true"] if command == "exec" else []), reason="leads out of .* through a symbolic link")
        self.assertEqual(self.show()["state"], "stopped")
        (self.sandbox.project / "cache").unlink()
        (self.sandbox.project / "cache").mkdir()
        self.ok("start", "w", timeout=BOOT)

    @unittest.skipIf(BARE, "without a sandbox nothing is mounted")
    def test_a_link_at_a_mounts_target_leads_nowhere_outside(self):
        mounted, target = self.sandbox.path / "mounted", self.sandbox.project / "vendor/one"
        mounted.mkdir()
        (mounted / "file").write_text("mounted")
        target.mkdir(parents=True)
        self.create(configuration={"mounts": [{"host": str(mounted), "target": "$SOURCES/vendor/one"}]}, start=False)
        # As an agent leaves it, that has not had this mount in its way yet.
        for name, there in (("vendor", self.outside), ("vendor", "/etc"), ("vendor", "../outside")):
            shutil.rmtree(self.sandbox.project / name, ignore_errors=True)
            (self.sandbox.project / name).symlink_to(there)
            before = sorted(self.outside.rglob("*"))
            done = self.run_cli("start", "w", timeout=BOOT)
            self.assertIn(done.status, (0, 1, 7), str(done))
            self.assertEqual(sorted(self.outside.rglob("*")), before)
            self.assertFalse(os.path.exists("/etc/one"))
            if done.status == 0:
                # Then it is mounted somewhere in there, and what lies outside is as unseen as ever.
                reached, why = self.attempt("read", self.outside / "file", self.secret)
                self.assertFalse(reached, why)
                self.ok("stop", "w", "--kill", timeout=BOOT)
            (self.sandbox.project / name).unlink()

    @unittest.skipIf(BARE or SETTING == "microvm", "its home is not of this machine")
    def test_a_link_in_its_home_is_not_followed_outside(self):
        mounted = self.sandbox.path / "rc"
        mounted.write_text("mounted")
        self.create(configuration={"mounts": [{"host": str(mounted), "target": "$HOME/.config/deep/rc", "ro": True}]})
        home = self.runtime_directory() / "home"
        self.ok("stop", "w", timeout=BOOT)
        if setting.CONTAINER:  # somebody tidies up: the next start makes it again
            self.sandbox.run(setting.RUNTIME, "rm", "-f", self.show()["runtime"]["instance_id"])
        shutil.rmtree(home / ".config", ignore_errors=True)
        (home / ".config").symlink_to(self.outside)
        before = sorted((str(path), path.stat().st_uid, path.stat().st_mode) for path in (self.outside, *self.outside.rglob("*")))
        done = self.run_cli("start", "w", timeout=BOOT)
        self.assertIn(done.status, (0, 1, 7), str(done))
        self.assertEqual(sorted((str(path), path.stat().st_uid, path.stat().st_mode) for path in (self.outside, *self.outside.rglob("*"))), before)

    def test_sources_that_became_a_link_are_refused(self):
        """An agent of another workspace, whose sources contain these, can do it."""
        self.create()
        self.ok("stop", "w", timeout=BOOT)
        self.sandbox.project.rename(self.sandbox.path / "moved")
        self.sandbox.project.symlink_to(self.outside)
        self.refused("start", "w", reason="there is a symbolic link now")
        # It can still be looked at, and removed.
        self.assertEqual(self.show()["state"], "stopped")
        self.ok("remove", "w", timeout=BOOT)

    # git: its settings can name programs, and a file can name another place.

    def test_no_program_of_git_runs_outside(self):
        git = self.sandbox.project / ".git"
        for name in ("hooks", "objects", "refs"):
            (git / name).mkdir(parents=True)
        ran = self.sandbox.path / "ran"
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        program = self.sandbox.project / "evil"
        program.write_text(f"#!/bin/sh\ntouch {ran}\n")
        program.chmod(0o755)
        (git / "config").write_text(f"""[core]
\tfsmonitor = {program}
\thooksPath = {self.sandbox.project}
\tsshCommand = {program}
[include]
\tpath = {self.outside}/file
[remote "origin"]
\turl = https://user:{self.secret}@example.com/a.git
\turl = ext::{program}
\tuploadpack = {program}
""")
        for hook in ("post-checkout", "post-index-change", "fsmonitor-watchman"):
            (git / "hooks" / hook).symlink_to(program)
        self.create()
        for arguments in (("list",), ("show", "w"), ("show", "w", "-o", "json"), ("logs", "w"), ("stop", "w"), ("remove", "w")):
            done = self.ok(*arguments, timeout=BOOT)
            self.assertNotIn(self.secret, done.stdout + done.stderr)
        self.assertFalse(ran.exists())

    @unittest.skipIf(BARE, "without a sandbox everything is reached")
    def test_a_git_file_brings_nothing_that_does_not_name_the_sources(self):
        repository = self.outside / "worktrees/w"
        repository.mkdir(parents=True)
        (self.outside / "HEAD").write_text("ref: refs/heads/main\n")
        (self.outside / "config").write_text("[core]\n\tworktree = /somewhere/else\n")
        (repository / "commondir").write_text("../..\n")
        (repository / "gitdir").write_text("/somewhere/else/.git\n")
        for folder in ("objects", "refs"):
            (self.outside / folder).mkdir()
        for named in (self.outside, repository) if SETTING != "microvm" else (repository,):
            (self.sandbox.project / ".git").write_text(f"gitdir: {named}\n")
            self.create()
            reached, why = self.attempt("read", self.outside / "file", self.secret)
            self.assertFalse(reached, f"{named}: {why}")
            self.assertFalse([line for line in self.show()["exposure"] if str(self.outside) in line])
            self.ok("remove", "--force", "w", timeout=BOOT)

    def test_a_git_file_without_an_end_is_not_read_to_its_end(self):
        git = self.sandbox.project / ".git"
        for make in (lambda: git.symlink_to("/dev/zero"), lambda: os.mkfifo(git), lambda: git.symlink_to("/proc/self/fd/0")):
            make()
            self.create(start=False)
            self.ok("remove", "w", timeout=BOOT)
            git.unlink()

    # Names.

    def test_names_of_folders_do_nothing_to_the_terminal(self):
        evil = self.sandbox.project / "a\x1b]0;title\x07\x1b[2Jb\nc\u202etxt"
        evil.mkdir()
        self.create("w", sources=evil, start=False)
        for arguments in (("list",), ("show", "w"), ("list", "-o", "json"), ("show", "w", "-o", "json"), ("remove", "w")):
            done = self.ok(*arguments)
            for text in (done.stdout, done.stderr):
                self.assertNotRegex(text, "[\x00-\x08\x0b-\x1f\x7f\u202e]" if "json" not in arguments else "[\x00-\x08\x0b-\x1f\x7f]", str(done))
        done = self.run_cli("init", self.sandbox.project / "\x1b[31mnone", "--runtime", setting.RUNTIME)
        self.assertNotIn("\x1b", done.stderr)

    # What it leaves behind can be removed.

    @unittest.skipIf(BARE or SETTING == "microvm", "its home is not ours to remove")
    def test_a_home_that_is_deep_and_wide_is_removed(self):
        self.create()
        home = str(self.sandbox.home)
        for words in (("deep", home, "3000"), ("deep", "/tmp", "3000"), ("many", home, "10000")):
            reached, why = self.attempt(*words)
            self.assertTrue(reached, why)
        self.inside(f'mkdir -p "{home}/shut/in" "{home}/.removed-0/x" && ln -s {self.outside} "{home}/link" && mkfifo "{home}/fifo" && chmod 0 "{home}/shut"')
        # With as few descriptors as users have.
        for command in ("stop w", "start w", "remove --force w"):
            done = self.sandbox.run("sh", "-c", f"ulimit -n 256; kortex-cli {command}", timeout=BOOT)
            self.assertEqual(done.status, 0, str(done))
        self.assert_nothing_left()
        self.assertEqual((self.outside / "file").read_text(), self.secret)


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"cannot be attacked here: {reason}", file=sys.stderr)
        sys.exit(setting.SKIPPED)
    unittest.main(verbosity=2)
