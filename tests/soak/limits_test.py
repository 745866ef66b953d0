#!/usr/bin/env python3
"""What runs out in the middle of a command: descriptors, processes. Whatever the number, the command does its work or says what
there was too little of, and leaves the workspace as it was. As an ordinary user, because root has no limit of processes."""
import atexit
import os
import pathlib
import resource
import shutil
import sys
import tempfile

ORDINARY = 54329  # nobody else's: the limit counts all processes of a user


def become_ordinary():
    """On a copy of what was built, where everybody can reach it."""
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev"))
    place = pathlib.Path(tempfile.mkdtemp(prefix="kortex-limits-", dir="/srv" if os.access("/srv", os.W_OK) else "/var/tmp"))
    for part in ("bin/kortex-cli", "lib/kortex", "share/kortex"):
        (place / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (build / part).is_dir() else shutil.copy2)(build / part, place / part)
    for folder, names, files in os.walk(place):
        for name in (*names, *files, "."):
            os.chown(os.path.join(folder, name), ORDINARY, ORDINARY)
    child = os.fork()
    if child:  # root again, to clear away
        _, status = os.waitpid(child, 0)
        shutil.rmtree(place, ignore_errors=True)
        os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
    atexit.register(sys.stdout.flush)
    os.environ["KORTEX_BUILD_DIR"] = str(place)
    tempfile.tempdir = str(place)
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
    import encodings.idna, sandbox  # noqa: F401, E401  their folders may be closed to that user
    os.setgroups([])
    os.setgid(ORDINARY)
    os.setuid(ORDINARY)
    os.chdir("/")


if os.geteuid() == 0:
    become_ordinary()
else:
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import sandbox as box  # noqa: E402

SAID = {
    resource.RLIMIT_NOFILE: r"kortex-cli: (error|warning): .*too many open files",
    resource.RLIMIT_NPROC: r"kortex-cli: error: .*(no more processes are allowed \(ulimit -u\)|bwrap|Creating new namespace failed|resource temporarily unavailable)",
}
# Enough for everything; below it, all numbers. The dynamic linker itself needs four descriptors.
ENOUGH = {resource.RLIMIT_NOFILE: (4, 64), resource.RLIMIT_NPROC: (1, 40)}
AGENT = ("/bin/sh", "-c", "while read -r line; do echo got:$line; done")


class Limits(box.TestCase):
    def setUp(self):
        super().setUp()
        # of this user, who may have others than ours
        self.others = sum(1 for entry in os.listdir("/proc") if entry.isdigit() and _owner(entry) == os.geteuid()) if os.geteuid() != ORDINARY else 0

    def limited(self, which, most, *arguments, stdin=b""):
        process = self.sandbox.popen(box.BINARY, *arguments, stdin=box.subprocess.PIPE, stdout=box.subprocess.PIPE, stderr=box.subprocess.PIPE,
                                     preexec_fn=lambda: resource.setrlimit(which, (most, most)))
        stdout, stderr = process.communicate(stdin, timeout=box.SOON)
        return box.Done((f"[{most}]", *arguments), box.shell_status(process.returncode), stdout, stderr)

    def numbers(self, which):
        first, last = ENOUGH[which]
        few = range(first + self.others, first + self.others + 24)
        return [*few, last + self.others] if not box.SANITIZED else [*few[12::3], last + self.others]

    def sweep(self, which, attempt):
        """attempt(most) -> whether it succeeded. It must with the last number, and must not with the first, or nothing was tried."""
        results = {most: attempt(most) for most in self.numbers(which)}
        self.assertTrue(results[max(results)], results)
        if not box.SANITIZED:
            self.assertFalse(results[min(results)], results)

    def check(self, which, done, allowed=(1, 4, 125)):
        if done.status == 0:
            return True
        self.assertIn(done.status, allowed, str(done))
        self.assertRegex(done.stderr, SAID[which], str(done))
        self.assertNotIn("internal error", done.stderr)
        self.assertNotIn("remove --force", done.stderr, f"nothing is wrong with the workspace\n{done}")
        return False

    def files(self):
        """Without what a failure may change: what it said, and the story of the start before."""
        found = (path for part in ("workspaces", "names", "tmp") for path in (self.sandbox.store / part).rglob("*"))
        return sorted(str(path.relative_to(self.sandbox.store)) for path in found if path.name not in (".lock", "lock", "log", "session.status", "session.sock"))

    def starts(self, which):
        self.process_workspace("w", *AGENT, start=False)
        self.ok("start", "w")
        self.ok("stop", "w")
        before = self.files()

        def attempt(most):
            done = self.limited(which, most, "start", "w")
            state = self.ok("show", "w", "-o", "json").json()["state"]
            started = self.check(which, done)
            self.assertEqual(state, "running" if started else "stopped", str(done))
            if started:
                self.ok("stop", "w")
            self.assertEqual(self.sandbox.wait_until_no_processes(), {}, f"left running by {done}")
            self.assertEqual(self.files(), before, f"left by {done}")
            return started

        self.sweep(which, attempt)
        self.ok("start", "w")

    def inits(self, which):
        self.process_workspace("first", *AGENT, start=False)
        before = self.files()

        def attempt(most):
            done = self.limited(which, most, "init", self.sandbox.project, "--runtime", "process", "--agent", "first", "--name", "w", *box.process_options())
            made = self.check(which, done)
            self.assertEqual([row["name"] for row in self.ok("list", "-o", "json").json()["items"]].count("w"), int(made), str(done))
            if made:
                self.ok("remove", "w")
            self.assertEqual(self.files(), before, f"left by {done}")
            return made

        self.sweep(which, attempt)

    def uses(self, which):
        """Of a workspace that runs: it goes on running."""
        self.process_workspace("w", *AGENT)
        payload = b"x" * 100000

        def attempt(most):
            done = self.limited(which, most, "exec", "w", "--", "cat", stdin=payload)
            ran = self.check(which, done)
            if ran:
                self.assertEqual(done.stdout_bytes, payload, "not all of it came back, and nobody said so")
            self.check(which, self.limited(which, most, "list"))
            self.check(which, self.limited(which, most, "show", "w"))
            self.check(which, self.limited(which, most, "logs", "w"))
            return ran

        self.sweep(which, attempt)
        self.assertEqual(self.ok("show", "w", "-o", "json").json()["state"], "running")

    def stops(self, which):
        self.process_workspace("w", *AGENT, start=False)

        def attempt(most):
            self.ok("start", "w")
            stopped = self.check(which, self.limited(which, most, "stop", "w"))
            self.assertEqual(self.ok("show", "w", "-o", "json").json()["state"], "stopped" if stopped else "running")
            self.ok("stop", "w")
            return stopped

        self.sweep(which, attempt)

    def test_start_without_enough_descriptors_starts_nothing(self):
        self.starts(resource.RLIMIT_NOFILE)

    def test_init_without_enough_descriptors_registers_nothing(self):
        self.inits(resource.RLIMIT_NOFILE)

    def test_commands_without_enough_descriptors_lose_no_byte_and_say_so(self):
        self.uses(resource.RLIMIT_NOFILE)

    def test_stop_without_enough_descriptors_can_be_repeated(self):
        self.stops(resource.RLIMIT_NOFILE)

    def test_start_without_enough_processes_starts_nothing(self):
        self.starts(resource.RLIMIT_NPROC)

    def test_init_without_enough_processes_registers_nothing(self):
        self.inits(resource.RLIMIT_NPROC)

    def test_commands_without_enough_processes_lose_no_byte_and_say_so(self):
        self.uses(resource.RLIMIT_NPROC)

    def test_stop_without_enough_processes_can_be_repeated(self):
        self.stops(resource.RLIMIT_NPROC)


def _owner(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


if __name__ == "__main__":
    box.main()
