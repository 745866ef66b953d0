"""What an agent can do with its own session: what it leaves in the place of its records, who answers at its socket, what it
writes to its terminal. It may spoil its own; nobody hangs, nothing of the host is shown, and it is stopped and removed like
any other: session_test.py SETTING [Test.name...]"""
import os
import secrets
import subprocess
import sys
import unittest

import setting
from sandbox import SOON, Pty
from workspace import BOOT, AttackTest, missing

SETTING = setting.SETTING
BARE = SETTING == "bare"
STATE = "/run/kortex/state"  # where a container has its session
LOG_KEPT = 2 * (4 << 20)


class Session(AttackTest):
    def inside(self, script, name="w"):
        return self.ok("exec", name, "--", "sh", "-c", script, timeout=BOOT)

    def bounded(self, *arguments):
        """kortex-cli with little memory and little time: what has no end must not be read to its end."""
        limit = "" if os.environ.get("KORTEX_SANITIZED") else "ulimit -v 4000000; "
        return self.sandbox.run("sh", "-c", f'{limit}exec "$@"', "sh", self.sandbox.env["PATH"].split(":")[0] + "/kortex-cli", *arguments, timeout=SOON)

    def assert_quiet(self, done):
        for text in (done.stdout, done.stderr):
            self.assertNotRegex(text, "[\x00-\x08\x0b-\x1f\x7f]", str(done))

    def assert_can_be_ended(self):
        """Whatever it did: looked at, stopped and removed, all of it soon."""
        for arguments in (("list",), ("show", "w")):
            self.assert_quiet(self.bounded(*arguments))
        self.ok("stop", "w", "--grace", "1s", timeout=BOOT)
        self.assertEqual(self.show()["state"], "stopped")
        self.ok("remove", "w", timeout=BOOT)


@unittest.skipUnless(setting.CONTAINER, "the agent does not get at its session's files")
class Records(Session):
    def setUp(self):
        super().setUp()
        self.secret = "secret-" + secrets.token_hex(8)
        self.outside = self.sandbox.path / "outside"
        self.outside.write_text(self.secret + "\n")

    def test_what_takes_the_place_of_its_log_is_not_shown(self):
        self.create()
        for make in (f"ln -s {self.outside} $f", "ln -s /dev/zero $f", "mkfifo $f", "mkdir $f", "truncate -s 1099511627776 $f", "ln -s /proc/kmsg $f"):
            self.inside(f"cd {STATE}; for f in output.0 output.1; do rm -rf $f; {make}; done")
            for arguments in (("logs", "w"), ("logs", "--tail", "5", "w")):
                done = self.bounded(*arguments)
                self.assertNotIn(self.secret, done.stdout + done.stderr, make)
                self.assertLessEqual(len(done.stdout_bytes), LOG_KEPT, make)
        self.assert_can_be_ended()

    def test_what_takes_the_place_of_its_status_costs_nobody_else(self):
        self.create()
        (self.sandbox.path / "other").mkdir()
        self.create("other", sources=self.sandbox.path / "other")
        for make in (f"ln -s {self.outside} $f", "ln -s /dev/zero $f", "mkfifo $f", "mkdir $f", "truncate -s 1099511627776 $f", "ln -s /etc/shadow $f",
                     'printf "serving 1\\nstarted 1 1\\nended 77 1\\n\\033[2J\\n" >$f'):
            self.inside(f"cd {STATE}; f=status; rm -rf $f; {make}")
            done = self.bounded("list", "-o", "json")
            self.assertEqual(done.status, 0, str(done))
            states = {item["name"]: item["state"] for item in done.json()["items"]}
            self.assertEqual(states["other"], "running", f"{make}: {done}")
            self.assert_quiet(self.bounded("list"))
        self.assert_can_be_ended()

    def test_it_starts_again_whatever_lies_there(self):
        self.create()
        for make in ("mkfifo $f", "ln -s /dev/zero $f", f"ln -s {self.outside} $f", "mkdir -p $f/in"):
            self.inside(f"cd {STATE}; for f in *; do rm -rf $f; {make}; done")
            self.ok("stop", "w", "--kill", timeout=BOOT)
            done = self.run_cli("start", "w", timeout=BOOT)
            self.assertEqual(done.status, 0, f"{make}: {done}")
            self.assertEqual(self.outside.read_text(), self.secret + "\n")
            self.assertEqual(self.inside("echo works").stdout, "works\n", make)
        self.assert_can_be_ended()

    def test_a_link_in_its_sockets_place_leads_to_no_other_session(self):
        self.create()
        (self.sandbox.path / "other").mkdir()
        self.create("other", sources=self.sandbox.path / "other")
        there = self.runtime_directory("other") / "session/session.sock"
        self.assertTrue(there.is_socket())
        self.inside(f"cd {STATE}; rm session.sock; ln -s {there} session.sock")
        done = self.bounded("exec", "w", "--", "sh", "-c", f"touch {self.sandbox.path}/other/ran; echo ran")
        self.assertEqual(done.status, 125, str(done))
        self.assertNotIn("ran", done.stdout)
        self.assertFalse((self.sandbox.path / "other/ran").exists())
        # Neither is another one stopped in its place.
        self.ok("stop", "w", "--grace", "1s", timeout=BOOT)
        self.assertEqual(self.show("other")["state"], "running")

    def test_an_impostor_at_its_socket_keeps_nobody(self):
        self.create()
        for kind in ("mute", "garbage", "error"):
            reached, why = self.attempt("impostor", f"{STATE}/session.sock", kind)
            self.assertTrue(reached, why)
            for arguments in (("exec", "w", "--", "true"), ("terminal", "w"), ("wait", "w", "--timeout", "2s"), ("logs", "w"), ("list",), ("show", "w")):
                done = self.bounded(*arguments)
                if arguments[0] != "logs":  # what an agent wrote is shown as it is
                    self.assert_quiet(done)
                self.assertNotRegex(done.stderr, "^kortex-cli: error: all is well", str(done))
            # The session is lost; the workspace is not.
            self.ok("stop", "w", "--grace", "1s", timeout=BOOT)
            self.ok("start", "w", timeout=BOOT)
        self.assert_can_be_ended()

    def test_a_crowd_at_its_socket_is_turned_away(self):
        self.create()
        crowd = self.sandbox.popen("kortex-cli", "exec", "w", "--", self.sandbox.project / "attempt", "crowd", f"{STATE}/session.sock", "400",
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with crowd:
            self.assertGreater(int(crowd.stdout.readline()), 100)
            done = self.bounded("exec", "w", "--", "true")
            self.assertEqual(done.status, 125, str(done))
            self.assert_quiet(done)
            self.assert_can_be_ended()
            crowd.stdin.close()


class Terminal(Session):
    def test_escape_sequences_reach_no_table(self):
        self.create(agent=("sh", "-c", r"printf '\033]0;title\007\033[2J\033[6n\033P+q\033\\\nlast\n'; exec sleep 1000"))
        for arguments in (("list",), ("show", "w"), ("list", "-o", "json"), ("show", "w", "-o", "json")):
            self.assert_quiet(self.ok(*arguments, timeout=BOOT))
        self.assert_can_be_ended()

    def test_nothing_is_typed_into_the_users_terminal(self):
        self.create()
        ran = self.sandbox.path / "ran"
        program = f"{self.sandbox.project}/attempt type /dev/tty \"touch {ran}\n\""
        for tty in ("--tty ", ""):
            terminal = self.shell()
            terminal.send(f"kortex-cli exec {tty}w -- {program}; echo sta''tus $?\n")
            terminal.expect(r"status \d", seconds=BOOT)
            # What had been typed would be read, and run, before this.
            terminal.send("echo no''thing; exit\n")
            terminal.expect(r"nothing")
            terminal.ended()
            self.assertFalse(ran.exists())
        if not BARE:
            self.ok("stop", "w", "--kill", timeout=BOOT)

    def shell(self):
        """The user's own, on a terminal."""
        opened = Pty(self.sandbox, "sh")
        self._terminals.append(opened)
        return opened

    def test_an_endless_output_fills_nothing(self):
        self.create(agent=("sh", "-c", "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done"))
        # More than both of its logs hold.
        done = self.sandbox.run("sh", "-c", "kortex-cli logs --follow w | head -c 30000000 | wc -c", timeout=BOOT)
        self.assertEqual(done.stdout.strip(), "30000000", str(done))
        kept = sum(path.stat().st_size for path in self.runtime_directory().rglob("*output.[01]"))
        self.assertLessEqual(kept, LOG_KEPT + 65536)
        self.assertLessEqual(len(self.bounded("logs", "w").stdout_bytes), LOG_KEPT)
        terminal = self.terminal("terminal", "w")
        terminal.expect(rb"0123456789", seconds=BOOT)
        terminal.send(b"\x10\x11")
        self.assertEqual(terminal.ended(BOOT), 0)
        self.assert_can_be_ended()

    @unittest.skipIf(BARE, "without a sandbox it would end everything on this machine")
    def test_it_ends_all_it_sees_and_nothing_else(self):
        self.create(agent=("sh", "-c", "sleep 1000"))
        (self.sandbox.path / "other").mkdir()
        other = SETTING != "microvm" and self.create("other", sources=self.sandbox.path / "other")
        self.run_cli("exec", "w", "--", "sh", "-c", "kill -9 -1; kill -9 1; kill -STOP 1", timeout=BOOT)
        self.run_cli("wait", "w", timeout=BOOT)
        # Its session may be among what it ended; how it ended itself is told all the same.
        shown = self.show()
        self.assertEqual((shown["state"], shown.get("exit_code")), ("stopped", 137), shown)
        if other:
            self.assertEqual(self.show("other")["state"], "running")
        self.ok("start", "w", timeout=BOOT)
        self.assert_can_be_ended()

    def test_exit_statuses_are_what_they_are(self):
        self.create()
        for status in (0, 1, 2, 7, 125, 130, 137, 255):
            self.assertEqual(self.run_cli("exec", "w", "--", "sh", "-c", f"exit {status}", timeout=BOOT).status, status)
        done = self.run_cli("exec", "w", "--", "sh", "-c", "printf 'kortex-cli: error: \\033[2J' >&2; exit 3", timeout=BOOT)
        self.assertEqual((done.status, done.stderr), (3, "kortex-cli: error: \x1b[2J"))  # a program's own stderr, as it is


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"cannot be attacked here: {reason}", file=sys.stderr)
        sys.exit(setting.SKIPPED)
    unittest.main(verbosity=2)
