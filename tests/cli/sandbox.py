"""What every black-box test stands on: a sandbox of its own, the built binary on PATH, real processes,
real pseudo-terminals. Python's standard library only.

    class Something(TestCase):
        def test_says_what_is_missing(self):
            done = self.run_cli("start", "nobody")
            self.assert_ended(done, 3, stderr=r"no workspace 'nobody'")

    main()

A failing test keeps its sandbox and prints where it is. Nothing here sleeps: every wait has an event and a deadline.
"""
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BUILD = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev")).resolve()
BINARY = BUILD / "bin" / "kortex-cli"
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
SANITIZED = os.environ.get("KORTEX_SANITIZED", "") != ""
# One deadline for whatever must happen "soon"; generous, because it is only ever used up by a failure.
SOON = 60.0


class Done:
    """A program that has ended."""

    def __init__(self, arguments, status, stdout, stderr):
        self.arguments, self.status = arguments, status
        self.stdout_bytes, self.stderr_bytes = stdout, stderr
        self.stdout, self.stderr = stdout.decode(errors="replace"), stderr.decode(errors="replace")

    def json(self):
        return json.loads(self.stdout)

    def __str__(self):
        return f"{' '.join(map(str, self.arguments))}: status {self.status}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"


class Sandbox:
    """A HOME, a store, a folder of sources and a clean environment, all of one test's own."""

    def __init__(self):
        if not os.access(BINARY, os.X_OK):
            raise SystemExit(f"{BINARY}: not built (KORTEX_BUILD_DIR names the build tree)")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="kortex-cli-test-")).resolve()
        self.home, self.project = self.path / "home", self.path / "project"
        self.store = self.home / ".kortex-cli"
        for folder in (self.home, self.project / "src", self.path / "run", self.path / "cache"):
            folder.mkdir(parents=True)
        (self.path / "run").chmod(0o700)
        (self.project / "README.md").write_text("# a sample project\n")
        (self.project / "src" / "main.c").write_text("int main(void) { return 0; }\n")
        self.env = {
            "PATH": f"{BINARY.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "USER": "tester",
            "XDG_RUNTIME_DIR": str(self.path / "run"),
            "XDG_CACHE_HOME": str(self.path / "cache"),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def install(self, *runtimes):
        """A tree of the sandbox's own, as packages would install it, with just these runtimes; it comes first on PATH."""
        tree = self.path / "installed"
        for part in ("bin/kortex-cli", "lib/kortex/kortex-session", *(f"lib/kortex/runtimes/libkortex-runtime-{name}.so" for name in runtimes)):
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(BUILD / part, tree / part)
            except OSError:  # another file system
                shutil.copy2(BUILD / part, tree / part)
        shutil.copytree(BUILD / "share/kortex", tree / "share/kortex")
        for folder, _, _ in os.walk(tree):
            os.chmod(folder, 0o755)
        self.env["PATH"] = f"{tree}/bin:/usr/local/bin:/usr/bin:/bin"
        return tree

    def agent(self, name, *command, **more):
        """A user's own agent: a program the test chooses."""
        folder = self.store / "agents"
        folder.mkdir(parents=True, exist_ok=True)
        for made in (self.store, folder):
            made.chmod(0o700)
        document = {"description": "of a test", "command": list(command)}
        document.update(more)
        (folder / f"{name}.json").write_text(json.dumps(document))

    def popen(self, *arguments, env=None, cwd=None, **options):
        return subprocess.Popen([str(a) for a in arguments], cwd=cwd or self.path, env={**self.env, **(env or {})}, **options)

    def run(self, *arguments, stdin=b"", timeout=SOON, env=None, cwd=None):
        """Runs a program to its end; stdin: bytes, or an open file."""
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        ended = subprocess.run([str(a) for a in arguments], cwd=cwd or self.path, env={**self.env, **(env or {})},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **given)
        return Done(arguments, shell_status(ended.returncode), ended.stdout, ended.stderr)

    def processes(self):
        """Processes that have to do with this sandbox: by command line, environment, directory or an open file."""
        mark, found = str(self.path).encode(), {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            folder = f"/proc/{entry}"
            try:
                with open(f"{folder}/stat", "rb") as file:
                    if file.read().rsplit(b")", 1)[1].split()[0] in (b"Z", b"X"):
                        continue
                with open(f"{folder}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            if mark in command or any(mark in seen for seen in _belongings(folder)):
                found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip() or "?"
        return found

    def wait_until_no_processes(self, seconds=10.0):
        """Those that are being killed need a moment; pidfds tell when it is over."""
        deadline = time.monotonic() + seconds
        while True:
            left = self.processes()
            if not left or time.monotonic() > deadline:
                return left
            for pid in left:
                try:
                    handle = os.pidfd_open(pid)
                except OSError:
                    continue
                select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
                os.close(handle)

    def close(self, keep=False):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if keep:
            print(f"sandbox kept: {self.path}", file=sys.stderr)
            return
        self.wait_until_no_processes(2)
        for folder, names, _ in os.walk(self.path):
            for name in names:  # what an agent or a test made unreadable must not stay behind
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o700)
        shutil.rmtree(self.path, ignore_errors=True)


def _belongings(folder):
    for name in ("environ",):
        try:
            with open(f"{folder}/{name}", "rb") as file:
                yield file.read()
        except OSError:
            pass
    links = [f"{folder}/cwd"]
    try:
        links += [f"{folder}/fd/{number}" for number in os.listdir(f"{folder}/fd")]
    except OSError:
        pass
    for link in links:
        try:
            yield os.readlink(link.encode())
        except OSError:
            pass


def shell_status(returncode):
    """As a shell reports it: 128+n for a signal."""
    return returncode if returncode >= 0 else 128 - returncode


class Pty:
    """A program on a pseudo-terminal, and the person in front of it."""

    def __init__(self, sandbox, *arguments, rows=24, cols=80, env=None):
        self.master, self.slave = os.openpty()  # the slave stays open here, so that its modes can be read afterwards
        self.resize(rows, cols, announce=False)
        self.before = termios.tcgetattr(self.slave)
        self.seen, self._read_to = b"", 0

        def own_the_terminal():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

        self.process = sandbox.popen(*arguments, env={"TERM": "xterm-256color", **(env or {})}, stdin=self.slave, stdout=self.slave,
                                     stderr=self.slave, preexec_fn=own_the_terminal, pass_fds=())
        self.pidfd = os.pidfd_open(self.process.pid)

    def resize(self, rows, cols, announce=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, data):
        os.write(self.master, data if isinstance(data, bytes) else data.encode())

    def expect(self, pattern, seconds=SOON):
        """Reads until `pattern` (a bytes or text regular expression) appears in what has not been expected yet."""
        wanted = re.compile(pattern if isinstance(pattern, bytes) else pattern.encode(), re.DOTALL | re.MULTILINE)
        deadline = time.monotonic() + seconds
        while True:
            found = wanted.search(self.seen, self._read_to)
            if found:
                self._read_to = found.end()
                return found
            if not self._more(deadline):
                raise AssertionError(f"expected {wanted.pattern!r}, saw {self.seen[self._read_to:]!r} (all: {self.seen[-2000:]!r})")

    def _more(self, deadline):
        ready, _, _ = select.select([self.master, self.pidfd], [], [], max(0.0, deadline - time.monotonic()))
        if self.master in ready:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            self.seen += data
            return bool(data)
        return False  # the program has ended and all it wrote has been read, or the deadline has passed

    def ended(self, seconds=SOON):
        """Waits for the program's end, reading what it still writes; its status as a shell reports it."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master, self.pidfd], [], [], max(0.0, deadline - time.monotonic()))
            if self.master in ready:
                self.seen += os.read(self.master, 65536)
            elif self.pidfd in ready:
                return shell_status(self.process.wait())
            else:
                raise AssertionError(f"still running after {seconds} s; saw {self.seen[-2000:]!r}")

    def modes(self):
        return termios.tcgetattr(self.slave)

    def kill(self, number):
        self.process.send_signal(number)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.pidfd, self.master, self.slave):
            os.close(descriptor)


def engine_usable(program, *probe):
    """Whether an engine works here. With KORTEX_TEST_ENGINES=required its absence is a failure, not a skip."""
    try:
        tried = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SOON, check=False)
        reason = "" if tried.returncode == 0 else tried.stdout.decode(errors="replace").strip()
    except OSError as error:
        reason = str(error)
    if reason and os.environ.get("KORTEX_TEST_ENGINES") == "required":
        sys.exit(f"{program} is required and not usable: {reason}")
    return reason


_bubblewrap_reason = None


def process_options():
    """`--runtime-option …` with which the process runtime works here: sandboxed where it can be, visibly not where it cannot."""
    global _bubblewrap_reason
    if _bubblewrap_reason is None:
        _bubblewrap_reason = engine_usable("bubblewrap", "bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true")
        if _bubblewrap_reason:
            print(f"note: no sandbox here, testing with sandbox=none: {_bubblewrap_reason}", file=sys.stderr)
    return ["--runtime-option", "sandbox=none"] if _bubblewrap_reason else []


class TestCase(unittest.TestCase):
    maxDiff = None
    sandbox_type = Sandbox

    def setUp(self):
        self.sandbox = self.sandbox_type()
        self._terminals = []

    def tearDown(self):
        failed = any(error for _, error in self._outcome.errors) if hasattr(self._outcome, "errors") else \
            any(case is self for case, _ in self._outcome.result.failures + self._outcome.result.errors)
        for terminal in self._terminals:
            terminal.close()
        self.sandbox.close(keep=failed)

    def run_cli(self, *arguments, **options):
        return self.sandbox.run(BINARY, *arguments, **options)

    def ok(self, *arguments, **options):
        """Runs kortex-cli, which must succeed."""
        done = self.run_cli(*arguments, **options)
        self.assertEqual(done.status, 0, str(done))
        return done

    def assert_ended(self, done, status, stdout="", stderr=""):
        """The status, and both streams as regular expressions; an empty one: nothing was written."""
        self.assertEqual(done.status, status, str(done))
        for name, pattern in (("stdout", stdout), ("stderr", stderr)):
            text = getattr(done, name)
            if pattern == "":
                self.assertEqual(text, "", f"{name} of {done}")
            else:
                self.assertRegex(text, pattern, f"{name} of {done}")

    def terminal(self, *arguments, **options):
        """kortex-cli on a pseudo-terminal."""
        opened = Pty(self.sandbox, BINARY, *arguments, **options)
        self._terminals.append(opened)
        return opened

    def process_workspace(self, name, *command, start=True):
        """A workspace on the process runtime whose agent is `command`."""
        self.sandbox.agent(name, *command)
        self.ok("init", self.sandbox.project, "--runtime", "process", "--name", name, "--agent", name, *process_options(),
                *(["--start"] if start else []))
        return name

    def remove_everything(self):
        for item in self.ok("list", "-o", "json").json()["items"]:
            self.ok("remove", "--force", item["id"])

    def assert_nothing_left(self):
        """After everything was removed: no process, no name, no directory."""
        left = self.sandbox.wait_until_no_processes()
        self.assertEqual(left, {}, "processes left behind")
        for folder in ("workspaces", "names", "tmp"):
            path = self.sandbox.store / folder
            remains = [str(p) for p in path.rglob("*") if p.name != ".lock"] if path.exists() else []
            self.assertEqual(remains, [], f"left in {folder}/")


def main():
    unittest.main(verbosity=2)
