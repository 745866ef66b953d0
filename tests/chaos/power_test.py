#!/usr/bin/env python3
"""The power is cut after every call by which a command changes the store, and what was not synced is lost, in several ways (disk.py).
What a command has reported as done is there; all else is complete, absent, or can be removed as the messages say."""
import re
import shutil
import unittest

import chaos
import disk
from chaos import SETTING, Chaos


class Power(Chaos):
    def cut_everywhere(self, what, state, *words, before, after):
        """`before`, `after`: the names that are listed when the power is cut before, and after, the command has ended."""
        self.begin(state)
        model = disk.Disk(self.sandbox.store)
        recording = self.record(*words)
        self.assertEqual(recording.done.status, 0, str(recording.done))
        seen = set()
        for number, point in enumerate(recording.points):
            last = number == len(recording.points) - 1
            model.play(point)
            if not last and (not model.has(point.path) or (self.is_runtimes(point) and self.is_runtimes(recording.points[number + 1]))):
                continue
            # The other two are about the store, which is the same on every runtime.
            for kind, survives in list(disk.CUTS.items())[:None if SETTING == "fake" or chaos.ALL else 2]:
                tree = model.cut(survives)
                if SETTING == "fake":
                    # Its backend stands for an engine, whose disk is its own affair.
                    tree = {path: there for path, there in tree.items() if not path.startswith("runtimes")}
                    tree.update({path: there for path, there in self.everything(model).items() if path.startswith("runtimes") and "" in tree})
                known = repr(sorted(tree.items(), key=lambda item: item[0])) + str(last)
                if known in seen:
                    continue
                seen.add(known)
                self.tried += 1
                self.last = f"kortex-cli {' '.join(map(str, words))}, then {kind} as of call {point.role}:{point.number}"
                with self.judged(f"{what}, power cut after {point}, {kind} left"):
                    self.come_back(tree)
                    self.check_after_cut(after if last else before)
        self.conclude(what)

    def is_runtimes(self, point):
        """Of what a runtime does in a row the end is taken."""
        return not chaos.ALL and (not point.path.startswith(str(self.sandbox.store)) or "/runtime" in point.path[len(str(self.sandbox.store)):])

    @staticmethod
    def everything(model):
        out = {}

        def walk(node, path):
            out[path] = bytes(node.data) if isinstance(node, disk.File) else node.target if isinstance(node, disk.Link) else None
            for name, entry in getattr(node, "entries", {}).items():
                walk(entry, f"{path}/{name}".lstrip("/"))

        if model.top is not None:
            walk(model.top, "")
        return out

    def come_back(self, tree):
        self.end_processes()
        shutil.rmtree(self.sandbox.store, ignore_errors=True)
        disk.write_out(tree, self.sandbox.store)
        # Not what is tried here.
        self.agents()

    def check_after_cut(self, expected):
        listed = self.run_cli("list", "-o", "json")
        self.assertEqual(listed.status, 0, str(listed))
        items = listed.json()["items"]
        self.assertLessEqual(len(items), 1, str(listed))
        names = [item["name"] for item in items]
        readable = "cannot be read" not in listed.stderr and not re.search(r"workspace\.json:\d+", listed.stderr)
        if expected:
            self.assertTrue(readable and names and names[0] in expected, f"listed: {names}, expected: {expected}\n{listed}")
        if items and readable:
            self.check_usable(("w", "v"))
            return
        if not readable:
            # It was never reported: the record may be damaged. What the messages say can be typed, and removes all of it.
            given = self.ok("list").stdout.splitlines()[1].split()[0]
            refused = self.run_cli("remove", given)
            hint = re.search(r"(?m)^hint: kortex-cli (remove --force .*)$", refused.stderr)
            self.assertTrue(refused.status == 1 and hint, f"no way out: {refused}")
            self.assert_ended(self.run_cli(*hint[1].split()), 0, stdout=".+", stderr=r"(may be left behind|^$)")
        # A runtime whose disk was faster than ours may have an instance of which nothing has reached ours.
        self.vanish()
        self.check_usable()

    def test_init(self):
        self.cut_everywhere("init", "absent", *self.init_words(), before=(), after=("w",))

    @unittest.skipIf(SETTING != "fake", "the store is the same on every runtime")
    def test_the_first_init_of_all(self):
        self.begin("absent")
        shutil.rmtree(self.sandbox.store)
        self.saved["nothing"] = self.sandbox.path / "saved-nothing"
        shutil.copytree(self.sandbox.home, self.saved["nothing"], symlinks=True)
        words = [str(word) if str(word) != "idle" else "shell" for word in self.init_words()]
        self.cut_everywhere("the first init", "nothing", *words, before=(), after=("w",))

    def test_init_and_start(self):
        self.cut_everywhere("init --start", "absent", *self.init_words("--start"), before=(), after=("w",))

    def test_start(self):
        self.cut_everywhere("start", "stopped", "start", "w", before=("w",), after=("w",))

    def test_stop(self):
        self.cut_everywhere("stop", "running", "stop", "w", before=("w",), after=("w",))

    def test_rename(self):
        self.cut_everywhere("rename", "stopped", "rename", "w", "v", before=("w", "v"), after=("v",))

    def test_remove(self):
        self.cut_everywhere("remove", "stopped", "remove", "w", before=(), after=())

    def test_start_when_the_instance_is_gone(self):
        self.cut_everywhere("start of a gone instance", "gone", "start", "w", before=("w",), after=("w",))


if __name__ == "__main__":
    chaos.main()
