#!/usr/bin/env python3
"""SIGKILL of the CLI at random moments of a workspace's life. Afterwards every workspace can be started or removed, and once all are
removed nothing is left: no process, no name, no directory.

KORTEX_KILLS: how many kills (150). KORTEX_SEED: repeats a run; it is printed.
"""
import os
import random
import re
import select
import signal
import subprocess
import time

import sandbox as box

KILLS = int(os.environ.get("KORTEX_KILLS", "150")) // (5 if box.SANITIZED else 1)
SEED = int(os.environ.get("KORTEX_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)


class Kill(box.TestCase):
    def measure(self, runtime, options):
        """How long each verb takes when it is not disturbed."""
        name = f"{runtime}-0"
        for verb, *words in (("init", self.sandbox.project, "--runtime", runtime, "--agent", "idle", *options, "--start", "--name", name),
                             ("exec", name, "--", "true"), ("stop", name), ("start", name), ("remove", "--force", name)):
            begun = time.monotonic()
            self.ok(verb, *words)
            self.durations[verb, runtime] = time.monotonic() - begun

    def kill_within(self, runtime, verb, *words):
        """Starts kortex-cli and kills it at a moment chosen within the time that it usually takes."""
        usual = self.durations[verb, runtime]
        process = self.sandbox.popen(box.BINARY, verb, *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        handle = os.pidfd_open(process.pid)
        begun = time.monotonic()
        ended, _, _ = select.select([handle], [], [], self.random.random() * usual * 1.1)
        if ended:
            self.durations[verb, runtime] = (usual + time.monotonic() - begun) / 2
        else:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            self.killed += 1
        os.close(handle)
        process.wait()

    def workspaces(self):
        done = self.ok("list", "-o", "json")
        return {item["name"]: item for item in done.json()["items"]}

    def finish(self, name):
        """A workspace that was being worked on can be started; where it cannot, it says why and can be removed."""
        started = self.run_cli("start", name)
        if started.status == 0:
            return
        self.assertRegex(started.stderr, "(?m)^kortex-cli: error: ", str(started))
        self.refused_starts.append(started.stderr.strip())
        removed = self.run_cli("remove", "--force", name)
        self.assertIn(removed.status, (0, 3), f"neither startable nor removable:\n{started}\n{removed}")

    def test_whatever_is_killed_can_be_finished_or_removed_and_nothing_is_left(self):
        print(f"KORTEX_SEED={SEED}", flush=True)
        self.random = random.Random(SEED)
        self.durations, self.killed, self.refused_starts = {}, 0, []
        self.sandbox.agent("idle", "/bin/cat")
        options = {"fake": [], "process": box.process_options()}
        for runtime, words in options.items():
            self.measure(runtime, words)
        count = 0
        while self.killed < KILLS:
            count += 1
            known = self.workspaces()
            runtime = "fake" if self.random.random() < 0.5 else "process"
            mine = sorted(name for name in known if name.startswith(runtime))
            verb = self.random.choice(["init", "start", "start", "stop", "remove", "exec"]) if mine else "init"
            if verb == "init" and len(mine) < 4:
                name = f"{runtime}-{count}"
                start = ["--start"] if self.random.random() < 0.5 else []
                self.kill_within(runtime, "init", self.sandbox.project, "--runtime", runtime, "--agent", "idle", *options[runtime], *start, "--name", name)
            elif mine:
                name = self.random.choice(mine)
                if verb == "exec":
                    self.kill_within(runtime, "exec", name, "--", "true")
                elif verb == "remove":
                    self.kill_within(runtime, "remove", "--force", name)
                else:
                    self.kill_within(runtime, verb if verb != "init" else "stop", name)
            if name in self.workspaces() and self.random.random() < 0.5:
                self.finish(name)
        reasons = sorted({re.sub(r"(fake|process)-\d+", "NAME", text) for text in self.refused_starts})
        print(f"{count} commands, {self.killed} killed, {len(self.refused_starts)} later starts refused:", *reasons, sep="\n  ")
        for name in self.workspaces():
            self.finish(name)
        for name in self.workspaces():
            self.ok("remove", "--force", name)
        self.assertEqual(self.workspaces(), {})
        # What a killed command left half-made is swept by the next one that writes.
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "last")
        self.ok("remove", "last")
        self.assert_nothing_left()
        backend = [p for p in (self.sandbox.store / "runtimes" / "fake").rglob("*") if p.is_symlink()]
        self.assertEqual(backend, [], "the fake backend still has instances")
        self.assertEqual(sorted(p.name for p in self.sandbox.project.iterdir()), ["README.md", "src"])


if __name__ == "__main__":
    box.main()
