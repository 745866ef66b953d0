#!/usr/bin/env python3
"""The terminal contract on the process runtime, through real pseudo-terminals."""
import os
import signal

import sandbox as box

# An agent that tells its terminal's size first, then on each change, and echoes lines.
# Not by a trap: bash forgets a signal that comes while the trap for the one before it still runs.
SIZES = ('while :; do new=$(stty size); [ "$new" = "$old" ] || echo "$new"; old=$new; line=; read -r -t 0.1 line; '
         '[ "$line" = quit ] && exit 7; done')
ECHO = 'echo ready; while read -r line; do echo "got:$line"; done'


class Terminal(box.TestCase):
    def attach(self, name, *more, **options):
        return self.terminal("terminal", name, *more, **options)

    def assert_restored(self, terminal):
        self.assertEqual(terminal.modes(), terminal.before, "the terminal's modes were not restored")

    def test_a_program_has_the_window_size_before_its_first_byte(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w", "--", "stty", "size", rows=31, cols=101)
        terminal.expect(r"^31 101\r$")
        self.assertEqual(terminal.ended(), 0)
        self.assert_restored(terminal)

    def test_the_window_size_is_followed(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w", "--", "/bin/bash", "-c", 'trap "stty size; exit 3" WINCH; echo waiting; while :; do read -r -t 1; done')
        terminal.expect("waiting")
        terminal.resize(40, 120)
        terminal.expect(r"40 120")
        self.assertEqual(terminal.ended(), 3)

    def test_the_agents_session_gets_the_size_of_its_viewer(self):
        self.process_workspace("w", "/bin/bash", "-c", SIZES)
        terminal = self.attach("w", rows=33, cols=77)
        terminal.expect(r"33 77")
        terminal.resize(34, 78)
        terminal.expect(r"34 78")

    def test_the_status_of_the_program_is_passed_on(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w", "--", "sh", "-c", "exit 42")
        self.assertEqual(terminal.ended(), 42)
        self.assert_restored(terminal)

    def test_a_signal_is_128_plus_its_number(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        self.assertEqual(self.attach("w", "--", "sh", "-c", "kill -TERM $$").ended(), 128 + signal.SIGTERM)
        self.assertEqual(self.attach("w", "--", "sh", "-c", "kill -KILL $$").ended(), 128 + signal.SIGKILL)

    def test_ctrl_c_reaches_the_program_and_not_the_cli(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w", "--", "/bin/bash", "-c", 'trap "echo caught; exit 9" INT; echo waiting; while :; do read -r -t 1; done')
        terminal.expect("waiting")
        terminal.send(b"\x03")
        terminal.expect("caught")
        self.assertEqual(terminal.ended(), 9)

    def test_detach_keys_leave_the_agent_running_even_split_across_writes(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w")
        terminal.expect("ready")
        terminal.send(b"one\r")
        terminal.expect("got:one")
        terminal.send(b"\x10")
        # A prefix that does not become the sequence is input like any other; ctrl-p then x, erased before the line is sent.
        terminal.send(b"x\x7f\x7f")
        terminal.send(b"two\r")
        terminal.expect("got:")
        terminal.send(b"\x10")
        terminal.resize(25, 81)  # something else happens between the two keys
        terminal.send(b"\x11")
        terminal.expect("detached")
        self.assertEqual(terminal.ended(), 0)
        self.assert_restored(terminal)
        self.assertEqual(self.ok("list", "-o", "json").json()["items"][0]["state"], "running")

    def test_a_second_attach_replays_what_was_on_the_screen(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        first = self.attach("w", "--detach-keys", "ctrl-a,d")
        first.expect("ready")
        first.send(b"remember this\r")
        first.expect("got:remember this")
        first.send(b"\x01d")
        self.assertEqual(first.ended(), 0)
        second = self.attach("w")
        second.expect("got:remember this")
        second.send(b"still here\r")
        second.expect("got:still here")

    def test_two_viewers_see_the_same(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        first, second = self.attach("w"), self.attach("w")
        first.expect("ready")
        second.expect("ready")
        first.send(b"from the first\r")
        second.expect("got:from the first")
        second.send(b"from the second\r")
        first.expect("got:from the second")

    def test_the_agents_end_is_the_sessions_end(self):
        self.process_workspace("w", "/bin/bash", "-c", SIZES)
        terminal = self.attach("w")
        terminal.send(b"quit\r")
        self.assertEqual(terminal.ended(), 7)
        self.assert_restored(terminal)

    def test_stopping_the_workspace_ends_every_session_with_one_line(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        agent, program = self.attach("w"), self.attach("w", "--", "sh", "-c", "echo up; cat")
        agent.expect("ready")
        program.expect("up")
        self.ok("stop", "w")
        for terminal in (agent, program):
            terminal.ended()
            self.assertEqual(terminal.seen.count(b"was stopped"), 1, terminal.seen)
            self.assert_restored(terminal)

    def test_the_terminal_is_restored_when_the_cli_is_terminated_or_killed(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            with self.subTest(signal=number.name):
                terminal = self.attach("w")
                terminal.expect("ready")
                self.assertNotEqual(terminal.modes(), terminal.before, "the terminal should be in raw mode while attached")
                terminal.kill(number)
                terminal.ended()
                # Restoring after SIGKILL is the guardian's work, which may end a moment after its parent.
                self.sandbox_settles(terminal)
                self.assert_restored(terminal)

    def sandbox_settles(self, terminal):
        handles = []
        name = os.path.realpath(box.BINARY)
        for pid in self.sandbox.processes():
            try:
                if os.readlink(f"/proc/{pid}/exe") == name:
                    handles.append(os.pidfd_open(pid))
            except OSError:
                pass
        for handle in handles:
            box.select.select([handle], [], [], box.SOON)
            os.close(handle)

    def test_the_terminal_is_restored_when_the_runtime_crashes(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f", "--runtime-option", "crash=terminal", "--start")
        terminal = self.attach("f")
        terminal.expect("crashed in terminal")
        self.assertEqual(terminal.ended(), 125)
        self.assert_restored(terminal)

    def test_modes_the_agent_left_on_are_reset_when_leaving(self):
        # What was in the alternate screen is not replayed: its program is made to draw it again.
        self.process_workspace("w", "/bin/bash", "-c", "draw() { printf '\\033[?1049h\\033[?25l\\033[?2004hfull screen'; }; "
                               "trap draw WINCH; draw; while :; do read -r -t 0.2; done")
        terminal = self.attach("w")
        terminal.expect("full screen")
        terminal.send(b"\x10\x11")
        self.assertEqual(terminal.ended(), 0)
        after = terminal.seen.rsplit(b"full screen", 1)[1]
        for reset in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l"):
            self.assertIn(reset, after)

    def test_a_stopped_workspace_is_started_first_or_refused(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO, start=False)
        refused = self.attach("w", "--no-start")
        refused.expect("error: .*stopped")
        self.assertEqual(refused.ended(), 125)
        terminal = self.attach("w")
        terminal.expect("ready")

    def test_a_program_that_does_not_exist_is_127(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        terminal = self.attach("w", "--", "no-such-program")
        terminal.expect("no-such-program")
        self.assertEqual(terminal.ended(), 127)

    def test_the_terminal_of_a_killed_viewers_program_is_hung_up(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        mark = self.sandbox.project / "hung-up"
        os.mkfifo(mark)
        reader = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)
        terminal = self.attach("w", "--", "/bin/bash", "-c", f"exec 5>'{mark}'; echo up; read -r")
        terminal.expect("up")
        terminal.kill(signal.SIGKILL)
        terminal.ended()
        box.select.select([reader], [], [], box.SOON)  # end of file: the program is gone
        self.assertEqual(os.read(reader, 1), b"")
        os.close(reader)


class ATerminalThatIsNone(box.TestCase):
    def test_attaching_without_a_terminal_says_what_to_use(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        done = self.run_cli("terminal", "w")
        self.assertEqual(done.stdout, "")
        self.assertIn("terminal", done.stderr)
        self.assertIn(done.status, (2, 125), str(done))

    def test_a_program_without_a_terminal_gets_a_clean_pipe(self):
        self.process_workspace("w", "/bin/sh", "-c", ECHO)
        done = self.ok("terminal", "w", "--", "sh", "-c", "test ! -t 0 && echo out && echo err >&2")
        self.assert_ended(done, 0, stdout="^out\n$", stderr="^err\n$")


if __name__ == "__main__":
    box.main()
