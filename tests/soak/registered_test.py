#!/usr/bin/env python3
"""What a command costs does not depend on how many workspaces there are; and many that come at once all get theirs.

KORTEX_REGISTERED=10000 KORTEX_BUILD_DIR=build/release registered_test.py    prints the figures for so many"""
import os
import statistics
import unittest

from fleet import Fleet, box
from registered import register_many

MANY = int(os.environ.get("KORTEX_REGISTERED", "2000"))
ROUNDS = 7
MOST = 2.0  # of processors' time, the medians of pairs: a walk through all the workspaces takes many times as long


class Registered(unittest.TestCase):
    def setUp(self):
        self.options = box.process_options()
        self.fleets = {count: Fleet() for count in (1, MANY)}
        for fleet in self.fleets.values():
            self.addCleanup(fleet.close)
            fleet.agent("cat", "/bin/cat")

    def test_no_command_costs_more_with_many_workspaces(self):
        costs = {}

        def measure(name, count, *arguments):
            costs.setdefault(name, {}).setdefault(count, []).append(self.fleets[count].cost(box.BINARY, *arguments))

        for count, fleet in self.fleets.items():
            register_many(fleet, count, self.options)
        for turn in range(ROUNDS):
            for count, fleet in self.fleets.items():
                measure("init", count, "init", fleet.project, "--runtime", "process", "--agent", "cat", "--name", f"w{turn}", *self.options)
                measure("start", count, "start", f"w{turn}")
                measure("show", count, "show", f"w{turn}")
                measure("exec", count, "exec", f"w{turn}", "--", "true")
                measure("logs", count, "logs", f"w{turn}")
                measure("rename", count, "rename", f"w{turn}", f"v{turn}")
                measure("stop", count, "stop", f"v{turn}")
                measure("remove", count, "remove", f"v{turn}")
                measure("list", count, "list", "-o", "json")
        for name, by_count in costs.items():
            few, many = ([statistics.median(column) for column in zip(*by_count[count])] for count in (1, MANY))
            print(f"{name:8} with 1: {few[0] * 1e3:7.1f} ms, {few[1] * 1e3:6.1f} ms of processors; with {MANY}: {many[0] * 1e3:7.1f} ms, "
                  f"{many[1] * 1e3:6.1f} ms of processors (x{many[1] / few[1]:.2f})", flush=True)
            if name != "list":  # which tells of all of them
                self.assertLess(many[1] / few[1], MOST, name)

    def test_two_hundred_inits_at_once_of_one_folder_get_two_hundred_names(self):
        fleet = self.fleets[1]
        command = [box.BINARY, "init", fleet.project, "--runtime", "process", "--agent", "cat", "-v", "-o", "json", *self.options]
        running = [fleet.popen(*command, stdin=box.subprocess.DEVNULL, stdout=box.subprocess.PIPE, stderr=box.subprocess.PIPE) for _ in range(200)]
        made = []
        for process in running:
            stdout, stderr = process.communicate(timeout=4 * box.SOON)
            done = box.Done(command, box.shell_status(process.returncode), stdout, stderr)
            self.assertEqual((done.status, done.stderr), (0, ""), str(done))
            made.append(done.json())
        self.assertEqual({each["name"] for each in made}, {"project"} | {f"project-{n}" for n in range(2, 201)})
        self.assertEqual(len({each["id"] for each in made}), 200)
        listed = fleet.run(box.BINARY, "list", "-o", "json").json()["items"]
        self.assertEqual({each["id"] for each in listed}, {each["id"] for each in made})
        folders = {entry.name for entry in (fleet.store / "workspaces").iterdir()}
        self.assertEqual(folders - {".lock"}, {each["id"] for each in made})


if __name__ == "__main__":
    box.main()
