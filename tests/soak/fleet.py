"""A sandbox whose every process stays ours: whatever a command leaves running is inherited, counted and, at the end, killed."""
import ctypes
import os
import pathlib
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import sandbox as box  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


class Fleet(box.Sandbox):
    def __init__(self):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        self._lock = threading.Lock()
        self._commands = set()  # which somebody here waits for; all other children are inherited ones
        super().__init__()

    def popen(self, *arguments, **options):
        with self._lock:
            self._commands = {command for command in self._commands if command.returncode is None}
            started = super().popen(*arguments, **options)
            self._commands.add(started)
        return started

    def run(self, *arguments, stdin=b"", timeout=5 * box.SOON, env=None, cwd=None):
        process = self.popen(*arguments, env=env, cwd=cwd, stdin=box.subprocess.PIPE, stdout=box.subprocess.PIPE, stderr=box.subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return box.Done(arguments, box.shell_status(process.returncode), stdout, stderr)

    def cost(self, *arguments):
        """Seconds by the clock and of processors, of the command and the children it waited for."""
        with self._lock:
            before = time.monotonic()
            process = super().popen(*arguments, stdin=box.subprocess.DEVNULL, stdout=box.subprocess.DEVNULL, stderr=box.subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise AssertionError(f"{arguments}: status {process.returncode}")
        return time.monotonic() - before, usage.ru_utime + usage.ru_stime

    def descendants(self):
        """pid -> Process of all that came of us; those that have ended and are ours to reap are reaped."""
        with self._lock:
            waited_for = {command.pid for command in self._commands if command.returncode is None}
            table = {}
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        process = Process(int(entry))
                    except OSError:
                        continue
                    table[process.pid] = process
            children = {}
            for process in table.values():
                children.setdefault(process.parent, []).append(process)
            found, to_visit = {}, [os.getpid()]
            while to_visit:
                for process in children.get(to_visit.pop(), ()):
                    to_visit.append(process.pid)
                    if process.parent == os.getpid() and process.zombie:
                        if process.pid not in waited_for:
                            os.waitpid(process.pid, os.WNOHANG)
                        continue
                    found[process.pid] = process
            return found

    def kill_all(self):
        left = self.descendants()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return left

    def close(self, keep=False):
        while self.kill_all():
            time.sleep(0.02)
        if keep:
            print(f"kept: {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


class Process:
    """One line of the process table; what it holds is read when asked for."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, rest = file.read().split(b"(", 1)[1].rsplit(b")", 1)
        fields = rest.split()
        self.name, self.zombie, self.parent = name.decode(), fields[0] == b"Z", int(fields[1])
        self.threads, self.started = int(fields[17]), int(fields[19])

    @property
    def key(self):
        return self.pid, self.started

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """(resident, proportional) in KiB."""
        resident = proportional = 0
        with open(f"/proc/{self.pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Rss:"):
                    resident = int(line.split()[1])
                elif line.startswith("Pss:"):
                    proportional = int(line.split()[1])
        return resident, proportional
