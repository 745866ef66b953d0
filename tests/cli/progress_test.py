#!/usr/bin/env python3
"""What people see while something takes long."""
import sandbox as box


class Progress(box.TestCase):
    def test_the_time_on_the_live_line_goes_on_while_the_runtime_is_silent(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f", "--runtime-option", "hang=start")
        terminal = self.terminal("start", "f")
        terminal.expect(r"\rhang: start hangs +0\.0s")
        # The runtime says nothing more: these come from the waiting alone.
        terminal.expect(r"\rhang: start hangs +0\.[2-9]s")
        terminal.expect(r"\rhang: start hangs +1\.\ds")
        terminal.send(b"\x03")
        terminal.expect(r"\r\x1b\[Kkortex-cli: error: ")
        self.assertEqual(terminal.ended(), 130)

    def test_what_is_not_isolated_is_told_to_who_sits_in_front_of_it(self):
        self.sandbox.agent("reader", "/bin/cat")
        self.ok("init", self.sandbox.project, "--runtime", "process", "--name", "bare", "--agent", "reader", "--start",
                "--runtime-option", "sandbox=none")
        terminal = self.terminal("exec", "bare", "--", "echo", "hello")
        terminal.expect(r"warning: workspace 'bare' is not isolated: what runs in it has all rights of your user\r\nhello")
        self.assertEqual(terminal.ended(), 0)
        self.assert_ended(self.run_cli("exec", "bare", "--", "echo", "hello"), 0, stdout="^hello$")
        self.ok("remove", "--force", "bare")


if __name__ == "__main__":
    box.main()
