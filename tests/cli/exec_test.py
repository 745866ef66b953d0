#!/usr/bin/env python3
"""exec is a pipe: bytes, ends of streams, statuses and signals are passed on, on the process runtime."""
import hashlib
import os
import signal
import subprocess
import threading

import sandbox as box

IDLE = ("/bin/sh", "-c", "while read -r line; do :; done")


class Exec(box.TestCase):
    def setUp(self):
        super().setUp()
        self.process_workspace("w", *IDLE)

    def exec_(self, *command, **options):
        return self.run_cli("exec", "w", "--", *command, **options)

    def test_the_three_streams_stay_apart(self):
        done = self.exec_("sh", "-c", "cat; echo to stderr >&2", stdin=b"through\n")
        self.assert_ended(done, 0, stdout="^through\n$", stderr="^to stderr\n$")

    def test_end_of_input_is_passed_on(self):
        done = self.exec_("wc", "-c", stdin=b"x" * 70000)
        self.assertEqual(done.stdout.strip(), "70000", str(done))

    def test_output_goes_on_after_the_end_of_input(self):
        done = self.exec_("sh", "-c", "cat >/dev/null; echo after; exit 5", stdin=b"all of it")
        self.assert_ended(done, 5, stdout="^after\n$")

    def test_a_hundred_megabytes_come_back_as_they_were(self):
        size = (10 if box.SANITIZED else 100) * 1024 * 1024
        sent, back, seed = hashlib.sha256(), hashlib.sha256(), os.urandom(1 << 16)
        process = self.sandbox.popen(box.BINARY, "exec", "w", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def feed():
            with process.stdin as pipe:
                for number in range(size // len(seed)):
                    data = seed[number % 97:] + seed[:number % 97]
                    sent.update(data)
                    pipe.write(data)

        feeder = threading.Thread(target=feed)
        feeder.start()
        received = 0
        with process.stdout as pipe:
            while data := pipe.read(1 << 16):
                back.update(data)
                received += len(data)
        feeder.join()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(received, size)
        self.assertEqual(back.hexdigest(), sent.hexdigest())

    def test_statuses_are_passed_on(self):
        for status in (0, 1, 2, 42, 255):
            self.assertEqual(self.exec_("sh", "-c", f"exit {status}").status, status)

    def test_signals_are_128_plus_their_number(self):
        source = self.sandbox.path / "input"
        source.write_bytes(b"some input\n")
        with source.open("rb") as file:
            done = self.exec_("sh", "-c", "cat >/dev/null; kill -TERM $$", stdin=file)
        self.assert_ended(done, 143)
        self.assertEqual(self.exec_("sh", "-c", "kill -SEGV $$").status, 139)

    def test_a_missing_program_is_127_and_one_that_cannot_run_126(self):
        self.assert_ended(self.exec_("no-such-program"), 127, stderr="no-such-program")
        self.assert_ended(self.exec_("/etc/passwd"), 126, stderr="/etc/passwd")

    def test_kortex_clis_own_failure_is_125(self):
        self.assert_ended(self.run_cli("exec", "nobody", "--", "true"), 125, stderr="no workspace 'nobody'")

    def test_directory_and_environment_can_be_given(self):
        done = self.run_cli("exec", "-e", "GREETING=hello", "-e", "PASSED", "-w", self.sandbox.project / "src", "w", "--", "sh", "-c",
                            "echo $GREETING $PASSED $(pwd)", env={"PASSED": "on"})
        self.assert_ended(done, 0, stdout=f"^hello on {self.sandbox.project}/src\n$")

    def test_a_signal_to_the_cli_is_the_programs(self):
        process = self.sandbox.popen(box.BINARY, "exec", "w", "--", "/bin/bash", "-c",
                                     'trap "echo caught; exit 3" INT; echo up; while :; do read -r -t 1 <> <(:); done', stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, start_new_session=True)
        with process.stdout as pipe:
            self.assertEqual(pipe.readline(), b"up\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(pipe.readline(), b"caught\n")
        self.assertEqual(process.wait(box.SOON), 3)

    def test_the_program_ends_with_a_killed_cli(self):
        fifo = self.sandbox.project / "alive"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        process = self.sandbox.popen(box.BINARY, "exec", "w", "--", "/bin/bash", "-c", f"exec 5>'{fifo}'; echo up; exec sleep 600",
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        with process.stdout as pipe:
            self.assertEqual(pipe.readline(), b"up\n")
        process.kill()
        process.wait()
        ready, _, _ = box.select.select([reader], [], [], box.SOON)
        self.assertTrue(ready, "the program outlived the cli that ran it")
        self.assertEqual(os.read(reader, 1), b"")
        os.close(reader)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        done = self.sandbox.run("/bin/sh", "-c", f"{box.BINARY} exec w -- yes | head -n 1")
        self.assertEqual((done.stdout, done.status), ("y\n", 0), str(done))
        self.assertNotIn("error", done.stderr)

    def test_with_tty_the_program_has_a_terminal(self):
        terminal = self.terminal("exec", "-t", "w", "--", "sh", "-c", "test -t 0 && stty size", rows=20, cols=90)
        terminal.expect("20 90")
        self.assertEqual(terminal.ended(), 0)
        self.assertEqual(terminal.modes(), terminal.before)

    def test_a_lingering_grandchild_does_not_hold_the_end(self):
        done = self.exec_("sh", "-c", "sleep 600 & echo done; exit 4")
        self.assert_ended(done, 4, stdout="^done\n$")


if __name__ == "__main__":
    box.main()
