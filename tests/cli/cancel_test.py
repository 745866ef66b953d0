#!/usr/bin/env python3
"""Ctrl-c during an operation that hangs, and deadlines."""
import signal
import subprocess
import time

import sandbox as box


class Cancel(box.TestCase):
    def fake(self, name, *options):
        words = [word for option in options for word in ("--runtime-option", option)]
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", name, *words)

    def assert_usable(self, name):
        """What was interrupted can be finished or removed."""
        self.assertIn(name, self.ok("list").stdout)
        self.ok("remove", "--force", name)
        self.assert_nothing_left()

    def test_ctrl_c_cancels_a_hanging_operation(self):
        self.fake("f", "hang=start")
        terminal = self.terminal("start", "f", "--progress", "plain")
        terminal.expect("hang|start")  # the operation has said that it works
        terminal.send(b"\x03")
        self.assertEqual(terminal.ended(), 130)
        self.assert_usable("f")

    def test_a_second_ctrl_c_does_not_wait_for_a_deaf_runtime(self):
        self.fake("f", "hang=start", "deaf=true")
        terminal = self.terminal("start", "f", "--progress", "plain")
        terminal.expect("hang|start")
        before = time.monotonic()
        while not box.select.select([terminal.pidfd], [], [], 0.05)[0]:  # two that come at once are one signal
            terminal.send(b"\x03")
            self.assertLess(time.monotonic() - before, 2, "the second ctrl-c did not end it")
        self.assertEqual(terminal.ended(), 130)
        self.assert_usable("f")

    def test_sigterm_cancels_too(self):
        self.fake("f", "hang=start")
        process = self.sandbox.popen(box.BINARY, "start", "f", "--progress", "plain", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self.assertNotEqual(process.stderr.readline(), b"")
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertIn(process.returncode, (130, 143))
        self.assert_usable("f")

    def test_a_deadline_is_kept_and_told(self):
        self.fake("f", "hang=start")
        done = self.run_cli("start", "f", "--timeout", "300ms")
        self.assert_ended(done, 6, stderr="(?s)error: .*fake.*start")
        self.assert_usable("f")

    def test_a_deadline_holds_against_a_deaf_runtime(self):
        self.fake("f", "hang=start", "deaf=true")
        done = self.run_cli("start", "f", "--timeout", "300ms")
        self.assert_ended(done, 6, stderr="error: .*fake.*start")
        self.assert_usable("f")

    def test_a_cancelled_init_leaves_nothing(self):
        terminal = self.terminal("init", self.sandbox.project, "--runtime", "fake", "--name", "f", "--runtime-option", "hang=create", "--progress", "plain")
        terminal.expect("hang|create")
        terminal.send(b"\x03")
        self.assertEqual(terminal.ended(), 130)
        self.assertEqual(self.ok("list").stdout, "")
        self.assert_nothing_left()

    def test_what_is_being_changed_is_waited_for_and_that_is_said(self):
        self.fake("f", "hang=start")
        holder = self.terminal("start", "f", "--progress", "plain")
        holder.expect("hang|start")
        waiter = self.terminal("stop", "f")
        waiter.expect("waiting for another kortex-cli")
        holder.send(b"\x03")
        self.assertEqual(holder.ended(), 130)
        self.assertEqual(waiter.ended(), 0)

    def test_a_hanging_runtime_costs_its_own_rows_of_the_list(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "hangs", "--runtime-option", "hang=inspect")
        self.process_workspace("good", "/bin/cat")
        done = self.run_cli("list", "-o", "json", "--timeout", "500ms")
        self.assertEqual(done.status, 0, str(done))
        states = {item["name"]: item["state"] for item in done.json()["items"]}
        self.assertEqual(states, {"hangs": "unknown", "good": "running"})
        self.assertIn("warning", done.stderr)


if __name__ == "__main__":
    box.main()
