#!/usr/bin/env python3
"""Several kortex-cli at once on one store."""
import subprocess

import sandbox as box


class Concurrency(box.TestCase):
    def at_once(self, commands):
        running = [self.sandbox.popen(box.BINARY, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for command in commands]
        ended = []
        for command, process in zip(commands, running):
            stdout, stderr = process.communicate(timeout=box.SOON)
            ended.append(box.Done(command, box.shell_status(process.returncode), stdout, stderr))
        return ended

    def test_twenty_inits_of_one_folder_get_twenty_names_and_ids(self):
        done = self.at_once([["init", self.sandbox.project, "--runtime", "fake", "-v", "-o", "json"]] * 20)
        for each in done:
            self.assertEqual(each.status, 0, str(each))
        made = [each.json() for each in done]
        self.assertEqual(len({each["id"] for each in made}), 20)
        self.assertEqual({each["name"] for each in made}, {"project"} | {f"project-{n}" for n in range(2, 21)})
        listed = self.ok("list", "-o", "json").json()["items"]
        self.assertEqual({each["id"] for each in listed}, {each["id"] for each in made})

    def test_of_twenty_inits_with_one_name_one_wins(self):
        done = self.at_once([["init", self.sandbox.project, "--runtime", "fake", "--name", "mine"]] * 20)
        self.assertEqual(sorted(each.status for each in done), [0] + [1] * 19, "\n".join(map(str, done)))
        for each in done:
            if each.status:
                self.assertRegex(each.stderr, "error: .*'mine'")
        self.assertEqual(len(self.ok("list", "-o", "json").json()["items"]), 1)

    def test_ten_starts_of_one_workspace_make_one_instance(self):
        self.process_workspace("w", "/bin/cat", start=False)
        for each in self.at_once([["start", "w"]] * 10):
            self.assertEqual(each.status, 0, str(each))
        agents = [command for command in self.sandbox.processes().values() if command == "/bin/cat"]
        self.assertEqual(len(agents), 1, agents)

    def test_starts_stops_and_lists_do_not_disturb_each_other(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f")
        done = self.at_once([[verb, "f"] for verb in ("start", "stop") for _ in range(8)] + [["list", "-o", "json"]] * 8)
        for each in done:
            self.assertEqual(each.status, 0, str(each))
            if each.arguments[0] == "list":
                self.assertEqual([item["name"] for item in each.json()["items"]], ["f"])

    def test_of_ten_removals_one_removes_and_the_others_say_it_is_gone(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f")
        done = self.at_once([["remove", "f"]] * 10)
        self.assertEqual(sorted(each.status for each in done), [0] + [3] * 9, "\n".join(map(str, done)))
        self.assert_nothing_left()


if __name__ == "__main__":
    box.main()
