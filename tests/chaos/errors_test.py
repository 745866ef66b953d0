#!/usr/bin/env python3
"""Every call by which a command changes the store fails: as on a disk that is full from there on, and as on one that is damaged in
that place. The command says so or copes; it never claims what is not so; and what it leaves can be used."""
import errno

import chaos
from chaos import ALL, AT, Chaos

NEED_SPACE = {"open", "mkostemp", "mkdtemp", "mkdir", "mkdirat", "write", "pwrite", "symlink", "fsync"}


class Errors(Chaos):
    def faults(self, number, point):
        full = [f"+:{errno.ENOSPC}"] if point.call in NEED_SPACE else []
        damaged = [f":{errno.EIO}"]
        if ALL or AT or not full:
            return full + damaged
        return full if number % 2 else damaged

    def fail_everywhere(self, what, state, *words, done, names=("w",)):
        """`done`: what list says when the command says that it has succeeded."""
        self.begin(state)
        recording = self.record(*words)
        self.assertEqual(recording.done.status, 0, str(recording.done))
        chosen = [p for p in recording.made() if p.path.startswith(str(self.sandbox.store)) and p.call != "flock" and (not AT or AT == f"{p.role}:{p.number}")]
        if chaos.SETTING == "process" and not ALL and not AT:
            chosen = chosen[len(chosen) % 3::3]
        for number, point in enumerate(chosen):
            for fault in self.faults(number, point):
                with self.judged(f"{what}, errno {fault} at {point}"):
                    self.begin(state)
                    ended = self.cheat(point, fault, *words)
                    self.assertIn(ended.status, range(8), f"it crashed: {ended}")
                    if ended.status != 0:
                        self.assertRegex(ended.stderr, "(?m)^kortex-cli: error: ", str(ended))
                        self.assertNotIn("bug in the runtime", ended.stderr)
                    elif done is not None:
                        self.assertEqual(self.listed(), done, f"it claims to have done it: {ended}")
                    self.take_what_was_told(ended)
                    self.check_usable(names, remove_only=number % 4 == 3)
        self.conclude(what)

    def cheat(self, point, fault, *words):
        plus, number = fault.split(":")
        self.last = (f"LD_PRELOAD={chaos.SHIM} KORTEX_CHAOS_DATA={self.sandbox.store} "
                     f"KORTEX_CHAOS_FAULT={point.role}:{point.number}{plus}:{number} kortex-cli {' '.join(map(str, words))}")
        recording = self.record(*words, fault=f"{point.role}:{point.number}{plus}:{number}")
        self.tried += 1
        self.unreached += not recording.fired()
        return recording.done

    def test_init(self):
        self.fail_everywhere("init", "absent", *self.init_words(), done={"w": "stopped"})

    def test_init_and_start(self):
        self.fail_everywhere("init --start", "absent", *self.init_words("--start"), done={"w": "running"})

    def test_start(self):
        self.fail_everywhere("start", "stopped", "start", "w", done={"w": "running"})

    def test_stop(self):
        self.fail_everywhere("stop", "running", "stop", "w", done={"w": "stopped"})

    def test_remove(self):
        self.fail_everywhere("remove", "stopped", "remove", "w", done={})

    def test_remove_by_force(self):
        self.fail_everywhere("remove --force", "running", "remove", "--force", "w", done=None)

    def test_rename(self):
        self.fail_everywhere("rename", "stopped", "rename", "w", "v", done={"v": "stopped"}, names=("w", "v"))

    def test_start_when_the_instance_is_gone(self):
        self.fail_everywhere("start of a gone instance", "gone", "start", "w", done={"w": "running"})


if __name__ == "__main__":
    chaos.main()
