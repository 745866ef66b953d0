#!/usr/bin/env python3
"""Every command is killed before every call by which it changes anything: by itself, with the child that has called the
runtime, that child alone (the runtime crashed), and the command alone (the child outlives it)."""
import shutil

import chaos
import sandbox as box
from chaos import ALL, AT, SETTING, Chaos

FAST = SETTING in ("fake", "process")
# Where a start takes long: around the runtime's functions, which is where the child writes to the command.
SPARSE = not FAST and not ALL and not AT


class Kill(Chaos):
    def points(self, recording):
        """Those to kill at. A call is not told from the next by a kill when it has changed nothing."""
        chosen, before = [], {}
        for point in recording.made():
            if AT and f"{point.role}:{point.number}" != AT:
                continue
            changed = before.get(point.role, True)
            before[point.role] = point.result == 0
            if not changed and not ALL and not AT:
                continue
            if SPARSE and point.in_child and not (point.call == "write" and point.path.startswith("pipe:")):
                continue
            if SETTING == "microvm" and not ALL and not AT and not point.in_child and point.call not in ("symlink", "rename", "fork"):
                continue
            chosen.append(point)
        # Of what takes longer every third, which is another one for each command; the points of the host are those of fake anyway.
        return chosen[len(recording.points) % 3::3] if SETTING == "process" and not ALL and not AT else chosen

    def kill_everywhere(self, what, state, *words, names=("w",)):
        self.begin(state)
        recording = self.record(*words)
        self.assertEqual(recording.done.status, 0, str(recording.done))
        for number, point in enumerate(self.points(recording)):
            actions = ["kill"]
            if point.in_child:
                actions = ["kill", "crash", "orphan"] if ALL or AT else [("kill", "crash", "orphan")[number % 3]]
            for turn, action in enumerate(actions):
                with self.judged(f"{what}, {action} at {point}"):
                    self.begin(state)
                    self.take_what_was_told(self.strike(point, action, *words).done)
                    self.check_usable(names, remove_only=(number + turn) % 4 == 3)
        self.conclude(what)

    def test_init(self):
        self.kill_everywhere("init", "absent", *self.init_words())

    def test_init_and_start(self):
        self.kill_everywhere("init --start", "absent", *self.init_words("--start"))

    def test_start(self):
        self.kill_everywhere("start", "stopped", "start", "w")

    def test_stop(self):
        self.kill_everywhere("stop", "running", "stop", "w")

    def test_remove(self):
        self.kill_everywhere("remove", "stopped", "remove", "w")

    def test_remove_of_a_running_one(self):
        self.kill_everywhere("remove --force", "running", "remove", "--force", "w")


class Runtimes(Chaos):
    """What installs and uninstalls runtimes has a directory of its own, outside of the store."""

    def kill_everywhere(self, what, prepare, *words):
        prepare()
        recording = self.record(*words)
        self.assertEqual(recording.done.status, 0, str(recording.done))
        for point in recording.made():
            if AT and f"{point.role}:{point.number}" != AT:
                continue
            with self.judged(f"{what}, kill at {point}"):
                prepare()
                self.strike(point, "kill", *words)
                self.check_runtimes()
        self.conclude(what)

    def file(self):
        return box.BUILD / "lib/kortex/runtimes/libkortex-runtime-fake.so"

    def nothing(self):
        shutil.rmtree(self.sandbox.home / ".local", ignore_errors=True)

    def installed(self):
        self.nothing()
        self.ok("runtime", "install", "--replace", self.file())

    def check_runtimes(self):
        self.ok("runtime", "info", "fake")
        self.ok(*self.init_words("--start"))
        self.ok("remove", "--force", "w")
        self.ok("runtime", "install", "--replace", self.file())
        self.ok("runtime", "uninstall", "fake")
        left = [str(path) for path in (self.sandbox.home / ".local").rglob("*") if not path.is_dir() or path.name.startswith(".install-")]
        self.assertEqual(left, [])

    def test_install(self):
        self.kill_everywhere("runtime install", self.nothing, "runtime", "install", "--replace", self.file())

    def test_replace(self):
        self.kill_everywhere("runtime install --replace", self.installed, "runtime", "install", "--replace", self.file())

    def test_uninstall(self):
        self.kill_everywhere("runtime uninstall", self.installed, "runtime", "uninstall", "fake")


if SETTING != "fake":
    del Runtimes


if FAST or ALL:
    # What asks engines nothing that the rest does not ask.
    def more(case):
        setattr(Kill, case.__name__, case)

    @more
    def test_exec_that_starts_first(self):
        self.kill_everywhere("exec of a stopped one", "stopped", "exec", "w", "--", "true")

    @more
    def test_rename(self):
        self.kill_everywhere("rename", "stopped", "rename", "w", "v", names=("w", "v"))

    @more
    def test_rename_of_a_running_one(self):
        self.kill_everywhere("rename of a running one", "running", "rename", "w", "v", names=("w", "v"))

    @more
    def test_exec(self):
        self.kill_everywhere("exec", "running", "exec", "w", "--", "true")

    @more
    def test_list(self):
        self.kill_everywhere("list", "running", "list")

    @more
    def test_terminal(self):
        self.kill_everywhere("terminal", "running", "terminal", "w", "--", "true")

    @more
    def test_start_when_the_instance_is_gone(self):
        self.kill_everywhere("start of a gone instance", "gone", "start", "w")

    @more
    def test_start_after_a_killed_init(self):
        self.kill_everywhere("start after a killed init", "creating", "start", "w")

    @more
    def test_remove_after_a_killed_init(self):
        self.kill_everywhere("remove after a killed init", "creating", "remove", "w")

    @more
    def test_remove_after_a_killed_remove(self):
        self.kill_everywhere("remove after a killed remove", "removing", "remove", "w")


if __name__ == "__main__":
    chaos.main()
