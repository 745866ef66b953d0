"""What the chaos tests stand on: a runtime to do it to, commands in a shim that numbers every call by which they change anything
(shim.c), and what must hold of a store and its runtime whatever has happened to the command before.

    kill_test.py {fake|process|podman|docker|microvm} [TEST…]

A failure says how to do the same by hand. KORTEX_CHAOS=all: every point, also where a suite otherwise takes some of them.
KORTEX_CHAOS_AT=ROLE:NUMBER: only there."""
import atexit
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = ("fake", "process", "podman", "docker", "microvm")
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE.parent / "engines")]

SETTING = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in SETTINGS else "fake"
CONTAINER = SETTING in ("podman", "docker")
if CONTAINER:
    import place  # takes the engine's name from the arguments
elif len(sys.argv) > 1 and sys.argv[1] in SETTINGS:
    sys.argv.pop(1)



def with_one_runtime(name):
    """What is built, but of the runtimes only that one: all there are would be asked for orphans, and podman's engine, once asked, stays for seconds."""
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev")).resolve()
    tree = pathlib.Path(tempfile.mkdtemp(prefix="kortex-chaos-"))
    tree.chmod(0o755)
    atexit.register(shutil.rmtree, tree, ignore_errors=True)
    for part in ("bin/kortex-cli", "lib/kortex/kortex-session", f"lib/kortex/runtimes/libkortex-runtime-{name}.so"):
        (tree / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(build / part, tree / part)
    shutil.copytree(build / "share/kortex", tree / "share/kortex")
    os.environ.setdefault("KORTEX_CHAOS_SHIM", str(build / "tests/chaos/libchaos.so"))
    os.environ["KORTEX_BUILD_DIR"] = str(tree)


with_one_runtime(SETTING)
import sandbox as box  # noqa: E402

SHIM = pathlib.Path(os.environ["KORTEX_CHAOS_SHIM"]).resolve()
ALL = os.environ.get("KORTEX_CHAOS") == "all"
AT = os.environ.get("KORTEX_CHAOS_AT", "")
BOOT = 240.0 if SETTING == "microvm" else box.SOON


class Point:
    """A call that a command has made: the `number`-th of the command (`host`) or of a child of its (`call1`, …)."""

    def __init__(self, line):
        self.role, number, self.call, result, self.path, self.detail = line.split("\t", 5)
        self.number, self.result = int(number), int(result)

    @property
    def in_child(self):
        return self.role != "host"

    def __str__(self):
        return f"{self.role}:{self.number}, {self.call} {self.path}{' -> ' + self.detail if self.call.startswith('rename') else ''}".strip()


class Recording:
    """What a command did, and how it ended."""

    def __init__(self, done, lines):
        self.done, self.points = done, [Point(line) for line in lines]

    def fired(self):
        return any(p.detail.startswith("fault ") or p.detail == "failed on purpose" for p in self.points)

    def made(self):
        """Without what was only asked for."""
        return [p for p in self.points if not p.detail.startswith("fault ")]


PR_SET_CHILD_SUBREAPER = 36


class Descendants(box.Sandbox):
    """Whoever is left behind by a command becomes a child of ours: nobody else's processes need to be looked at, which takes a
    hundred times longer. Of daemons that others start for us (an engine's) nothing is seen so; the engine is asked."""

    def __init__(self):
        super().__init__()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def processes(self):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        found, ask = {}, [os.getpid()]
        while ask:
            pid = ask.pop()
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    ask += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
                if pid != os.getpid() and state not in "ZX":
                    command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or "?"
                    # podman's own, which goes when nobody has asked it for five seconds: to wait for that each time takes an hour.
                    if not command.startswith("podman system service --time "):
                        found[pid] = command
        return found


class Chaos(box.TestCase):
    """`w` is the workspace, always."""
    sandbox_type = Descendants if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else box.Sandbox

    def setUp(self):
        super().setUp()
        if not SHIM.exists():
            raise SystemExit(f"{SHIM}: not built (KORTEX_CHAOS_SHIM names it)")
        self.sandbox.env["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
        if CONTAINER:
            self.sandbox.env.update(place.FACTS["env"])
        self.log = self.sandbox.path / "calls"
        self.saved = {}
        self.found, self.tried, self.unreached = [], 0, 0
        self.agents()
        # What is made once in a runtime's or a user's life, so that every run makes the same calls.
        if SETTING == "fake":
            self.ok("runtime", "info", SETTING)
            shutil.rmtree(self.sandbox.store, ignore_errors=True)
            self.agents()
        else:
            self.ok(*self.init_words("--start"))
            self.ok("remove", "--force", "w")

    def tearDown(self):
        with contextlib.suppress(Exception):
            self.clear()
        super().tearDown()

    def agents(self):
        self.sandbox.agent("idle", "sh" if CONTAINER or SETTING == "microvm" else "/bin/cat")

    # ------------------------------------------------------------------ the workspace

    def options(self):
        if SETTING == "process":
            return box.process_options()
        if CONTAINER:
            return ["--runtime-option", f"image={place.IMAGE}"]
        if SETTING == "microvm":
            return ["--runtime-option", "accel=tcg", "--workspace-configuration", self.configuration({"resources": {"memory": "256MiB", "cpus": 1}, "network": {}})]
        return []

    def configuration(self, document):
        folder = self.sandbox.path / "configuration"
        folder.mkdir(exist_ok=True)
        (folder / "workspace.json").write_text(json.dumps(document))
        return folder

    def init_words(self, *more, name="w"):
        return ("init", self.sandbox.project, "--runtime", SETTING, "--name", name, "--agent", "idle", *self.options(), *more)

    def ok(self, *arguments, **options):
        return super().ok(*arguments, timeout=BOOT + 60, **options)

    def run_cli(self, *arguments, **options):
        if arguments[0] in ("list", "show", "start", "stop", "remove"):
            # A busy machine is not what is tried.
            arguments = (arguments[0], "--timeout", "60s", *arguments[1:])
        return super().run_cli(*arguments, **{"timeout": BOOT + 60, **options})

    def listed(self):
        """{name: state}"""
        return {item["name"]: item["state"] for item in self.ok("list", "-o", "json").json()["items"]}

    def instances(self):
        """What the runtime has that is ours, asked of it and not of kortex-cli."""
        if SETTING == "fake":
            backend = self.sandbox.store / "runtimes" / "fake"
            return sorted(str(path.relative_to(backend)) for path in backend.rglob("*") if not path.is_dir()) if backend.exists() else []
        if CONTAINER:
            ids = self.engine("ps", "-aq", "--no-trunc", "--filter", "label=io.kortex.key").split()
            described = json.loads(self.engine("inspect", *ids)) if ids else []
            return [its["Id"][:12] + " " + its["State"]["Status"] for its in described if str(self.sandbox.path) in json.dumps(its)]
        return []  # processes, which are looked for anyway

    def engine(self, *arguments):
        done = self.sandbox.run(SETTING, *arguments)
        self.assertEqual(done.status, 0, str(done))
        return done.stdout

    # ------------------------------------------------------------------ states to begin with

    def files_only(self, state):
        return SETTING == "fake" or (state != "running" and not CONTAINER)

    def begin(self, state):
        """absent, stopped, running, gone (its instance has vanished), creating or removing (the command that did so was killed)."""
        if state in self.saved and self.files_only(state):
            if SETTING != "fake":
                self.end_processes()
            shutil.rmtree(self.sandbox.home)
            shutil.copytree(self.saved[state], self.sandbox.home, symlinks=True)
            return
        self.clear()
        self.agents()
        if state == "absent":
            self.ok("list")
        elif state == "creating":
            # The instance is there, but nobody has been told.
            for _ in range(5):
                points = self.record(*self.init_words()).points
                self.ok("remove", "w")
                last = [p for p in points if p.role == "host" and p.path.endswith("workspace.json.new")][-1]
                self.strike(last, "kill", *self.init_words())
                # An engine's answers come in more or fewer pieces, so that it may have been killed sooner.
                if not CONTAINER or self.instances():
                    break
                self.clear()
                self.agents()
            self.assertEqual(list(self.listed()), ["w"])
        elif state == "removing":
            self.ok(*self.init_words())
            self.ok("start", "w") if SETTING == "fake" else None
            points = self.record("remove", "--force", "w").points
            self.clear()
            self.ok(*self.init_words())
            self.ok("start", "w") if SETTING == "fake" else None
            last = [p for p in points if p.role == "host" and p.path == str(self.sandbox.store / "names" / "w")][-1]
            self.strike(last, "kill", "remove", "--force", "w")
            self.assertEqual(list(self.listed()), ["w"])
        elif state == "running" and "stopped" in self.saved and self.files_only("stopped"):
            self.begin("stopped")
            self.ok("start", "w")
        else:
            self.ok(*self.init_words(*(["--start"] if state == "running" else [])))
        if state == "gone":
            self.vanish()
        if self.files_only(state):
            self.saved[state] = self.sandbox.path / f"saved-{state}"
            shutil.copytree(self.sandbox.home, self.saved[state], symlinks=True)

    def take_what_was_told(self, done):
        """`remove --force` unregisters also when the runtime has failed, and tells what may be left: that is the user's to take away."""
        if "may be left behind" in done.stderr and done.status == 0:
            self.assertEqual(self.listed(), {})
            self.vanish()
            self.end_processes()

    def vanish(self):
        """The workspace's instance goes away behind our back."""
        if SETTING == "fake":
            for path in (self.sandbox.store / "runtimes/fake").rglob("kortex-*"):
                path.unlink()
        elif CONTAINER:
            left = self.instances()
            if left:
                self.engine("rm", "-f", *[line.split()[0] for line in left])
        else:
            for runtime in (self.sandbox.store / "workspaces").glob("*/runtime"):
                shutil.rmtree(runtime)

    def clear(self):
        """By force and from outside, where something has gone wrong."""
        listed = self.run_cli("list", "-o", "json")
        if listed.status == 0:
            for item in listed.json()["items"]:
                self.run_cli("remove", "--force", item["id"])
        self.end_processes()
        if CONTAINER and self.instances():
            self.engine("rm", "-f", *[line.split()[0] for line in self.instances()])
        for folder in ("workspaces", "names", "tmp", *(["runtimes"] if SETTING == "fake" else [])):
            shutil.rmtree(self.sandbox.store / folder, ignore_errors=True)

    def end_processes(self):
        for pid in self.sandbox.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.sandbox.wait_until_no_processes()

    # ------------------------------------------------------------------ commands in the shim

    def shimmed(self, fault="", **more):
        env = {"LD_PRELOAD": str(SHIM), "KORTEX_CHAOS_LOG": str(self.log), "KORTEX_CHAOS_DATA": str(self.sandbox.store), "KORTEX_CHAOS_FAULT": fault, **more}
        if box.SANITIZED:
            env["ASAN_OPTIONS"] = ":".join(filter(None, (self.sandbox.env.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        return env

    def record(self, *words, fault="", **more):
        """Runs a command in the shim, to whatever end; words that begin with `terminal` on a pseudo-terminal."""
        self.log.unlink(missing_ok=True)
        env = self.shimmed(fault, **more)
        if words[0] == "terminal":
            with contextlib.closing(box.Pty(self.sandbox, box.BINARY, *words, env=env)) as terminal:
                status = terminal.ended(BOOT)
                done = box.Done(words, status, terminal.seen, b"")
        else:
            # Not by pipes: children that are left behind may keep them open.
            with open(self.sandbox.path / "stdout", "w+b") as out, open(self.sandbox.path / "stderr", "w+b") as err:
                process = self.sandbox.popen(box.BINARY, *words, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
                status = box.shell_status(process.wait(timeout=BOOT))
                out.seek(0), err.seek(0)
                done = box.Done(words, status, out.read(), err.read())
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return Recording(done, lines)

    def strike(self, point, action, *words):
        """Runs a command to which something happens at that point."""
        self.last = f"LD_PRELOAD={SHIM} KORTEX_CHAOS_DATA={self.sandbox.store} KORTEX_CHAOS_FAULT={point.role}:{point.number}:{action} kortex-cli {' '.join(map(str, words))}"
        recording = self.record(*words, fault=f"{point.role}:{point.number}:{action}")
        self.tried += 1
        if not recording.fired():
            self.unreached += 1
        return recording

    @contextlib.contextmanager
    def judged(self, what):
        """A failure is noted with how it came about, and the next point is tried."""
        try:
            yield
        except (AssertionError, subprocess.TimeoutExpired) as wrong:
            self.found.append(f"{SETTING}: {what}\n  by hand: {self.last}\n  {str(wrong).strip()}")
            print("FOUND " + self.found[-1], file=sys.stderr, flush=True)
            if len(self.found) >= 20:
                self.fail("too much is wrong:\n" + "\n\n".join(self.found))
            self.clear()

    def conclude(self, what):
        print(f"{SETTING}: {what}: {self.tried} tried, {self.unreached} not reached, {len(self.found)} failed", flush=True)
        self.assertEqual(self.found, [], "\n\n".join(self.found))
        # An engine is asked again where it was not done, which is not told beforehand.
        self.assertLessEqual(self.unreached, max(3, self.tried // (5 if CONTAINER else 10)), "the points are not where they were recorded")

    # ------------------------------------------------------------------ what must hold

    def check_store(self, settled):
        """What is in the store is known. `settled`: a command that writes has been there since."""
        store = self.sandbox.store
        known = {"workspace.json", "lock", "runtime", "log"}
        for workspace in sorted((store / "workspaces").glob("*")):
            stray = {path.name for path in workspace.iterdir()} - known
            if settled:
                self.assertEqual(stray, set(), f"files in {workspace} that nobody knows")
            self.assertRegex(workspace.name, "^[0-9a-f]{64}$")
        if settled:
            self.assertEqual([p.name for p in (store / "tmp").glob("*")], [], "left in tmp/")
            for name in (store / "names").glob("[!.]*"):
                self.assertTrue(name.is_symlink() and name.exists(), f"names/{name.name} leads nowhere: {os.readlink(name)}")

    def check_usable(self, names=("w",), remove_only=False):
        """Whatever was done before: each workspace is listed and readable, and can be started or removed, without force and by what
        the messages say; the name is its own or free; and once it is removed nothing is left anywhere."""
        state = self.listed()
        self.assertLessEqual(set(state), set(names))
        self.assertLessEqual(len(state), 1, "one workspace has become two")
        self.check_store(settled=False)
        if not state:
            name = names[0]
            self.ok(*self.init_words(name=name))
            self.assertEqual(self.instances() == [], SETTING not in ("fake", "podman", "docker"), "what init makes is seen")
        else:
            (name,) = state
            self.ok("show", name)
        if remove_only:
            # A child that outlives its command keeps the workspace until it has noticed.
            self.assert_ended(self.run_cli("remove", "--force", name), 0, stdout=".+", stderr="^(kortex-cli: waiting for another kortex-cli, .*\n)?$")
        else:
            self.start_or_remove(name)
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.instances(), [], "the runtime has an instance that no record owns")
        self.assert_nothing_left()
        self.assertEqual(sorted(p.name for p in self.sandbox.project.iterdir()), ["README.md", "src"])

    def start_or_remove(self, name):
        started = self.run_cli("start", name)
        if started.status == 0:
            self.check_store(settled=True)
            self.assertEqual(self.listed(), {name: "running"})
            self.ok("exec", name, "--", "true")
            self.assert_ended(self.run_cli("remove", name), 5, stderr="it is running")
            self.ok("stop", name)
            self.assert_ended(self.run_cli("remove", name), 0, stdout=".+")
            return
        hint = re.search(r"(?m)^hint: kortex-cli (.*)$", started.stderr)
        self.assertTrue(started.status == 5 and hint and "half removed" in started.stderr, f"cannot be started, and not because it is half removed: {started}")
        self.assert_ended(self.run_cli(*hint[1].split()), 0, stdout=".+")


def missing():
    """Why this runtime cannot be tried here; "": it can."""
    if SETTING != "microvm":
        return ""
    reason = box.engine_usable("QEMU", f"qemu-system-{os.uname().machine}", "--version") or \
        box.engine_usable("bubblewrap", "bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true")
    if not reason and not any(pathlib.Path("/lib/modules", path.name[8:]).is_dir() for path in pathlib.Path("/boot").glob("vmlinuz-*")):
        reason = "no kernel in /boot with its modules in /lib/modules"
    return reason


def main():
    reason = missing()
    if reason:
        print(reason, file=sys.stderr)
        sys.exit(box.SKIPPED)
    box.main()
