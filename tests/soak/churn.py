"""The commands that people type all day: each has to say what is right, with status 0, however long it has gone on."""
import collections
import random
import signal
import threading

from fleet import box


class Churn(threading.Thread):
    """One person with workspaces of their own, who does something every `pause` seconds."""

    def __init__(self, fleet, number, workspaces, others, pause, expected_rows):
        super().__init__(daemon=True)
        self.fleet, self.number, self.workspaces, self.others, self.pause = fleet, number, workspaces, others, pause
        self.expected_rows = expected_rows  # (at least, at most) rows of list
        self.done, self.failures = collections.Counter(), []
        self.rest, self.resting, self.end = threading.Event(), threading.Event(), threading.Event()
        self.wake = threading.Event()
        self._random, self._pings, self._made = random.Random(1000 + number), {}, 0
        self._turns = [self.stop_and_start, self.exec, self.exec, self.look_in, self.look_in, self.look_at_another, self.logs, self.rename, self.show,
                       self.list, self.init_and_remove, self.init_start_and_remove, self.agent_ends, self.viewer_is_killed, self.exec_is_killed,
                       self.refused]

    def run(self):
        turns = []
        while not self.end.is_set():
            if self.rest.is_set():
                self.resting.set()
                self.wake.wait(0.2)
                continue
            self.resting.clear()
            if not turns:
                turns = self._turns[:]
                self._random.shuffle(turns)
            turn = turns.pop()
            try:
                turn()
                self.done[turn.__name__] += 1
            except Exception as error:  # the verdict is given at the end, with all of them
                self.failures.append(f"{turn.__name__}: {type(error).__name__}: {error}")
            self.end.wait(self.pause * self._random.uniform(0.5, 1.5))
        self.resting.set()

    # What they say is compared in full, so each of these is a `who` and what is to be expected.
    def cli(self, *arguments, status=0, stdout=None, stderr="", **options):
        if self._random.random() < 0.2:  # somebody without a session of systemd's
            options["env"] = {"XDG_RUNTIME_DIR": ""}
        done = self.fleet.run(box.BINARY, *arguments, **options)
        if done.status != status or (stdout is not None and done.stdout != stdout) or (stderr is not None and done.stderr != stderr):
            raise AssertionError(f"{done}\n--- expected status {status}, stdout {stdout!r}, stderr {stderr!r}")
        return done

    def anyone(self):
        return self._random.choice(self.workspaces)

    def new_name(self):
        self._made += 1
        return f"made-{self.number}-{self._made}"

    def state(self, who):
        return self.cli("show", who, "-o", "json").json()["state"]

    def expect_state(self, who, state):
        seen = self.state(who)
        if seen != state:
            raise AssertionError(f"{who} is {seen}, not {state}")

    def stop_and_start(self):
        who = self.anyone()
        self.cli("stop", who, stdout=f"{who}\n")
        self.expect_state(who, "stopped")
        self.cli("start", who, stdout=f"{who}\n")
        self.expect_state(who, "running")
        self._pings.pop(who, None)

    def exec(self):
        status, text = self._random.choice((0, 0, 3, 77)), b"x" * self._random.choice((0, 10, 70000))
        done = self.cli("exec", self.anyone(), "--", "sh", "-c", "cat; echo aside >&2; exit $0", str(status), stdin=text, status=status, stderr="aside\n")
        if done.stdout_bytes != text:
            raise AssertionError(f"{len(text)} bytes became {len(done.stdout_bytes)}")

    def ping(self, who):
        terminal = box.Pty(self.fleet, box.BINARY, "terminal", who)
        word = f"ping-{self.number}-{self._random.randrange(10 ** 9)}"
        try:
            terminal.send(f"{word}\r")
            terminal.expect(f"got:{word}\r\n")
            return terminal, word
        except BaseException:
            terminal.close()
            raise

    def look_in(self):
        who = self.anyone()
        terminal, self._pings[who] = self.ping(who)
        try:
            terminal.send(b"\x10\x11")
            if terminal.ended() != 0:
                raise AssertionError(f"detached from {who} with {terminal.process.returncode}: {terminal.seen[-500:]!r}")
        finally:
            terminal.close()

    def look_at_another(self):
        """A second viewer where one is attached already: it says nothing, and the first must not notice."""
        if not self.others:
            return
        who = self._random.choice(self.others)
        terminal = box.Pty(self.fleet, box.BINARY, "terminal", who, rows=70, cols=220)  # not the smallest, or the first would be resized
        try:
            terminal.expect("got:|of a burst")
            terminal.send(b"\x10\x11")
            if terminal.ended() != 0:
                raise AssertionError(f"detached from {who} with {terminal.process.returncode}: {terminal.seen[-500:]!r}")
        finally:
            terminal.close()

    def logs(self):
        if not self._pings:
            self.look_in()
        who, word = self._random.choice(list(self._pings.items()))
        done = self.cli("logs", who)
        if f"got:{word}\r\n" not in done.stdout_bytes.decode():
            raise AssertionError(f"logs of {who} without {word}: {done.stdout[-500:]!r}")

    def rename(self):
        who, other = self.anyone(), self.new_name()
        self.cli("rename", who, other, stdout=f"{other}\n")
        self.expect_state(other, "running")
        self.cli("rename", other, who, stdout=f"{who}\n")

    def show(self):
        who = self.anyone()
        known = self.cli("show", who, "-o", "json").json()
        if (known["name"], known["state"]) != (who, "running"):
            raise AssertionError(f"show {who}: {known}")

    def list(self):
        rows = self.cli("list", "-o", "json", "--timeout", "60s").json()["items"]  # thousands, and the machine may have others to serve
        least, most = self.expected_rows
        if not least <= len(rows) <= most:
            raise AssertionError(f"list has {len(rows)} rows, expected {least} to {most}")
        states = {row["name"]: row["state"] for row in rows}
        wrong = {name: states.get(name) for name in self.workspaces + self.others if states.get(name) != "running"}
        if wrong:
            raise AssertionError(f"list: {wrong}")

    def init_and_remove(self):
        name, runtime = self.new_name(), self._random.choice(("process", "fake"))
        self.cli("init", self.fleet.project, "--runtime", runtime, "--name", name, stdout=f"{name}\n")
        self.expect_state(name, "stopped")
        self.cli("remove", name, stdout=f"{name}\n")
        self.cli("show", name, status=3, stdout="", stderr=None)

    def init_start_and_remove(self):
        name = self.new_name()
        self.cli("init", self.fleet.project, "--runtime", "process", "--agent", "counting", "--name", name, "--start", stdout=f"{name}\n")
        self.expect_state(name, "running")
        self.cli("remove", "--force", name, stdout=f"{name}\n")

    def agent_ends(self):
        who, status = self.anyone(), self._random.randint(0, 99)
        terminal, _ = self.ping(who)
        try:
            terminal.send(f"quit {status}\r")
            if terminal.ended() != status:
                raise AssertionError(f"{who} ended with {status}, its terminal with {terminal.process.returncode}: {terminal.seen[-500:]!r}")
        finally:
            terminal.close()
        self.expect_state(who, "stopped")
        self.cli("start", who, stdout=f"{who}\n")
        self._pings.pop(who, None)

    def viewer_is_killed(self):
        who = self.anyone()
        terminal, self._pings[who] = self.ping(who)
        try:
            terminal.kill(self._random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)))
            terminal.ended()
        finally:
            terminal.close()
        self.expect_state(who, "running")

    def exec_is_killed(self):
        who = self.anyone()
        process = self.fleet.popen(box.BINARY, "exec", who, "--", "sh", "-c", "echo up; exec sleep 1000", stdin=box.subprocess.DEVNULL,
                                   stdout=box.subprocess.PIPE, stderr=box.subprocess.PIPE)
        try:
            if process.stdout.readline() != b"up\n":
                raise AssertionError(f"exec in {who}: {process.stderr.read()!r}")
        finally:
            process.kill()
            process.communicate()

    def refused(self):
        self.cli("start", "nobody-at-all", status=3, stdout="", stderr=None)
        who = self.anyone()
        self.cli("remove", who, status=5, stdout="", stderr=None)
