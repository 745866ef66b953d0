"""A recognizable secret goes in by every way there is, and is then looked for wherever anybody could look: the store and the
other directories of kortex-cli, every process's command line at the moment when the agent runs, all that the commands print.

    class Secrets(Secrecy, TestCase):
        def test_it(self):
            self.exercise("process")
"""
import json
import os
import stat
import subprocess
import threading

import sandbox as box

WAYS = ("passed-by-name", "agents-own", "exec-given", "runtime-option", "git-remote", "git-user")


def secret(way):
    return f"S3CR3T-{way}-d41d8cd98f00"


def command_lines():
    """Of every process there is now."""
    lines = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                lines[pid] = file.read()
        except OSError:
            pass
    return lines


class Watch(threading.Thread):
    """Looks at the command lines of whatever comes and goes, again and again until the block ends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.seen = threading.Event(), set()

    def run(self):
        while not self.over.wait(0.002):  # and lets others work
            self.seen.update(command_lines().values())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Secrecy:
    """Beside a TestCase, and before it."""
    configuration = {}

    def setUp(self):
        super().setUp()
        self.old_umask = os.umask(0)
        self.addCleanup(os.umask, self.old_umask)
        self.printed = []
        self.sandbox.env.update({"PASSED_SECRET": secret("passed-by-name"), "AGENT_SECRET": secret("agents-own"), "EXEC_SECRET": secret("exec-given")})
        git = ["git", "-C", str(self.sandbox.project)]
        self.sandbox.run(*git, "init", "-q")
        self.sandbox.run(*git, "remote", "add", "origin", f"https://{secret('git-user')}:{secret('git-remote')}@git.example.com/team/shop.git")
        folder = self.sandbox.project / ".kortex"
        folder.mkdir()
        (folder / "workspace.json").write_text(json.dumps({"environment": [{"name": "PASSED_SECRET"}, {"name": "PLAIN", "value": "plain"}], **self.configuration}))
        self.sandbox.agent("careful", "sh", "-c", "echo there; exec sleep 1000", environment=[{"name": "AGENT_SECRET"}])

    def run_cli(self, *arguments, **options):
        done = super().run_cli(*arguments, **options)
        self.printed.append((arguments, done.stdout_bytes + done.stderr_bytes))
        return done

    def assert_no_secret_in(self, what, data):
        for way in WAYS:
            self.assertFalse(secret(way).encode() in data, f"the secret '{way}' is in {what}")

    def assert_no_command_line_has_it(self, moment):
        for pid, line in command_lines().items():
            self.assert_no_secret_in(f"the command line of process {pid} ({line[:200]!r}), {moment}", line)

    def assert_nothing_stored(self, moment):
        seen = 0
        for root in (self.sandbox.home, self.sandbox.path / "run", self.sandbox.path / "cache"):
            for folder, _, files in os.walk(root):
                for name in files:
                    path = os.path.join(folder, name)
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        seen += 1
                        with open(path, "rb") as file:
                            self.assert_no_secret_in(f"{path}, {moment}", file.read())
                    self.assert_no_secret_in(f"the name {path}", path.encode())
                    if os.path.islink(path):
                        self.assert_no_secret_in(f"the link {path}", os.readlink(path).encode())
        self.assertGreater(seen, 0)

    def assert_modes(self):
        """Whatever the user's umask: files 0600, directories 0700, in the store and beside it. What an instance's own tree has inside
        (its agent's files) lies behind such a directory."""
        for root in (self.sandbox.store, self.sandbox.path / "run" / "kortex-cli", self.sandbox.path / "cache" / "kortex-cli"):
            if not root.exists():
                continue
            self.assertEqual(stat.S_IMODE(root.stat().st_mode), 0o700, root)
            for folder, folders, files in os.walk(root):
                here = os.path.relpath(folder, root).split(os.sep)
                folders[:] = [name for name in folders if not (here[-1] == "runtime" and name in ("home", "tmp"))]
                if here[-2:] == ["runtimes", "process"]:
                    folders[:] = [name for name in folders if name != "etc"]  # a copy of what is public, to be seen in sandboxes
                for name in folders + files:
                    path = os.path.join(folder, name)
                    status = os.lstat(path)
                    if stat.S_ISLNK(status.st_mode) or here[:1] == ["agents"] or name == "agents":
                        continue  # the test itself made those
                    mode = stat.S_IMODE(status.st_mode)
                    wanted = (0o700,) if stat.S_ISDIR(status.st_mode) else (0o600, 0o400, 0o700, 0o500)  # programs, too
                    if root == self.sandbox.store and stat.S_ISREG(status.st_mode):
                        wanted = (0o600,)
                    self.assertIn(mode, wanted, f"{path} has mode {mode:o}")

    def exercise(self, runtime, *options, seconds=box.SOON):
        with Watch() as watch:
            self.ok("init", self.sandbox.project, "--runtime", runtime, "--name", "w", "--agent", "careful", "-v", "-o", "json", *options, timeout=seconds)
            self.assert_nothing_stored("after init")
            self.ok("start", "w", "--progress", "json", "-v", timeout=seconds)
        self.assertGreater(len(watch.seen), 1)
        for line in watch.seen:
            self.assert_no_secret_in(f"a command line of the start: {line[:200]!r}", line)
        self.assert_nothing_stored("after start")
        self.assert_no_command_line_has_it("with the agent running")
        self.during_an_exec()
        for command in (("show", "w"), ("show", "w", "-o", "json"), ("list",), ("list", "-o", "json"), ("logs", "w"), ("info", "-o", "json"),
                        ("list", "--orphans", "-o", "json")):
            self.ok(*command)
        self.run_cli("exec", "w", "--env", "EXEC_SECRET", "--env", "NOT_SET_AT_ALL", "--", "no-such-program-at-all")
        self.run_cli("exec", "w", "--env", "EXEC_SECRET", "--workdir", "/no/such/place", "--", "true")
        self.assert_modes()
        self.ok("stop", "w")
        self.assert_nothing_stored("after stop")
        self.ok("remove", "w")
        for arguments, data in self.printed:
            self.assert_no_secret_in(f"what {arguments} printed", data)

    def during_an_exec(self):
        """The program is there when its first line arrives, and stays until it gets one."""
        told = "env | grep -c 'SECRET=S3CR3T-'; read line"
        program = self.sandbox.popen(box.BINARY, "exec", "w", "--env", "EXEC_SECRET", "--", "sh", "-c", told,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.assertEqual(program.stdout.readline(), b"3\n", "all three have arrived where they belong")
            self.assert_no_command_line_has_it("during an exec")
            self.assert_nothing_stored("during an exec")
        finally:
            out, err = program.communicate(b"\n", timeout=box.SOON)
        self.assert_no_secret_in("what an exec printed", out + err)
        self.assertEqual(program.returncode, 0, err)
