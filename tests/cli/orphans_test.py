#!/usr/bin/env python3
"""What no record owns: shown by `list --orphans`, removed by `prune`; and whose it is not, is neither shown nor touched."""
import os
import shutil
import signal

import sandbox as box


class OrphansTest(box.TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.install("fake", "process", "apple-container")
        self.other = self.sandbox.path / "other-store"

    def run_cli(self, *arguments, **options):
        return self.sandbox.run("kortex-cli", *arguments, **options)

    def init(self, name, *more, runtime="fake"):
        self.ok("init", self.sandbox.project, "--runtime", runtime, "--name", name, *more)
        return self.id_of(name)

    def id_of(self, name):
        return self.ok("show", name, "-o", "json").json()["id"]

    def lose(self, name):
        """Its record is deleted by hand, as a whole."""
        workspace = self.id_of(name)
        shutil.rmtree(self.sandbox.store / "workspaces" / workspace)
        (self.sandbox.store / "names" / name).unlink()
        return f"kortex-{name}-{workspace[:12]}"

    def orphans(self, *more):
        done = self.ok("list", "--orphans", "-o", "json", *more)
        self.assertEqual(done.stderr, "")
        answer = done.json()
        self.assertEqual(answer["schema"], 1)
        self.assertEqual(answer["problems"], [])
        return {orphan["key"]: orphan for orphan in answer["orphans"]}

    def instances(self):
        """What the fake backend has."""
        folder = self.sandbox.store / "runtimes" / "fake" / "instances"
        return set(os.listdir(folder)) if folder.exists() else set()

    def test_what_lost_its_record_is_shown_and_removed_and_nothing_else(self):
        self.init("kept", "--start")
        self.init("lost", "--start")
        key = self.lose("lost")
        self.assertEqual(self.orphans(), {key: {"key": key, "id": key, "runtime": "fake", "state": "running", "created": self.orphans()[key]["created"]}})
        self.assert_ended(self.run_cli("list", "--orphans"), 0, rf"^INSTANCE +RUNTIME +STATE +CREATED\n{key}  fake +running  \S.*\n$", r"^hint: kortex-cli prune\n$")
        self.assert_ended(self.run_cli("list", "--orphans", "--quiet"), 0, rf"^{key}\n$")

        self.assert_ended(self.run_cli("prune"), 0, rf"^INSTANCE.*\n{key} .*\n$", r"^kortex-cli: nothing was removed yet\nhint: kortex-cli prune --force\n$")
        dry = self.ok("prune", "-o", "json").json()["orphans"]
        self.assertEqual([(orphan["key"], orphan["removed"]) for orphan in dry], [(key, False)])
        self.assertIn(key, self.instances())

        self.assert_ended(self.run_cli("prune", "--force"), 0, rf"^{key}\n$")
        self.assertNotIn(key, self.instances())
        self.assertEqual(len(self.instances()), 1)
        self.assertEqual(self.orphans(), {})
        self.assert_ended(self.run_cli("prune", "--force"), 0, "", "no runtime has anything that a workspace left behind")
        self.assertEqual(self.ok("list", "-o", "json").json()["items"][0]["state"], "running")
        self.remove_everything()
        self.assert_nothing_left()

    def test_as_json_it_is_said_of_each_whether_it_was_removed_and_why_not(self):
        self.init("well")
        self.init("ill", "--runtime-option", "fail=remove")
        well, ill = self.lose("well"), self.lose("ill")
        done = self.run_cli("prune", "--force", "-o", "json")
        self.assertEqual(done.status, 1, str(done))
        told = {orphan["key"]: orphan for orphan in done.json()["orphans"]}
        self.assertTrue(told[well]["removed"])
        self.assertNotIn("error", told[well])
        self.assertFalse(told[ill]["removed"])
        self.assertRegex(told[ill]["error"], "told to fail")
        self.assertRegex(done.stderr, rf"warning: cannot remove '{ill}': .*told to fail")
        self.assertEqual(self.instances(), {ill})

    def test_remove_force_that_leaves_something_behind_says_where_it_is_seen(self):
        self.init("lost")
        down = self.sandbox.store / "runtimes" / "fake" / "down"
        down.write_text("out for lunch\n")
        done = self.run_cli("remove", "--force", "lost")
        self.assert_ended(done, 0, "^lost\n$", r"may be left behind: .*\nhint: kortex-cli list --orphans\n$")
        self.assert_ended(self.run_cli("list", "--orphans"), 0, "", r"^kortex-cli: warning: what runtime 'fake' has left cannot be told: .*out for lunch")
        self.assertRegex(self.run_cli("list", "--orphans", "-o", "json").json()["problems"][0], "out for lunch")
        down.unlink()
        self.assertEqual(len(self.orphans()), 1)
        self.ok("prune", "--force")
        self.assertEqual(self.instances(), set())

    def test_another_stores_instances_on_the_same_backend_are_nobodys_orphans(self):
        self.init("ours")
        self.ok("--storage", self.other, "init", self.sandbox.project, "--runtime", "fake", "--name", "theirs")
        # One backend for both, as an engine is.
        backend = self.sandbox.store / "runtimes" / "fake"
        for folder in ("instances", "made"):
            for entry in (self.other / "runtimes" / "fake" / folder).iterdir():
                shutil.copy2(entry, backend / folder / entry.name, follow_symlinks=False)
        shutil.rmtree(self.other / "runtimes" / "fake")
        (self.other / "runtimes" / "fake").symlink_to(backend)
        self.assertEqual(len(self.instances()), 2)
        self.assertEqual(self.orphans(), {})
        self.assertEqual(self.orphans("--storage", self.other), {})
        self.ok("prune", "--force")
        self.ok("--storage", self.other, "prune", "--force")
        self.assertEqual(len(self.instances()), 2)
        key = self.lose("ours")
        self.assertEqual(self.orphans("--storage", self.other), {})
        self.ok("--storage", self.other, "prune", "--force")
        self.assertIn(key, self.instances())
        self.assertEqual(set(self.orphans()), {key})

    def test_what_another_runtime_made_on_the_same_engine_is_shown_by_that_one_alone(self):
        self.init("lost")
        key = self.lose("lost")
        made = self.sandbox.store / "runtimes" / "fake" / "made" / key
        mark = (self.sandbox.store / "marks/fake").read_text()[:32]
        self.assertIn(f"label:io.kortex.store={mark}\n", made.read_text())
        self.assertEqual(set(self.orphans()), {key})
        made.write_text(made.read_text().replace(mark, "0123456789abcdef" * 2))
        self.assertEqual(self.orphans(), {})

    def test_a_runtime_that_can_have_made_nothing_here_is_no_warning(self):
        """Whether its engine can be reached or not: it never had a workspace in this store."""
        self.init("w")
        self.ok("remove", "w")
        self.ok("runtime", "list")
        self.assert_ended(self.run_cli("list", "--orphans"), 0, "^$", "^kortex-cli: no runtime has anything that a workspace left behind\n$")
        self.assertEqual(self.ok("list", "--orphans", "-o", "json").json(), {"schema": 1, "orphans": [], "problems": []})

    def test_a_mark_that_cannot_be_read_is_named_and_hinders_nothing_else(self):
        self.init("w")
        mark = self.sandbox.store / "marks/fake"
        mark.unlink()
        mark.mkdir()
        self.assert_ended(self.run_cli("list", "--orphans"), 0, "^$", f"what runtime 'fake' has left cannot be told: cannot read the store's mark '{mark}': is a directory\n")
        done = self.run_cli("init", self.sandbox.project, "--runtime", "fake", "--name", "v")
        self.assert_ended(done, 1, "^$", f"cannot write the store's mark '{mark}': is a directory\n")
        self.assertEqual(self.ok("list", "-q").stdout, "w\n")

    def test_a_copy_of_a_store_has_no_right_to_what_the_original_has(self):
        self.init("first")
        shutil.copytree(self.sandbox.store, self.other, symlinks=True)
        self.other.chmod(0o700)
        self.init("second")  # recorded in the original only
        shutil.rmtree(self.other / "runtimes")
        (self.other / "runtimes").symlink_to(self.sandbox.store / "runtimes")
        self.assertEqual(self.orphans("--storage", self.other), {})
        self.ok("--storage", self.other, "prune", "--force")
        self.assertEqual(len(self.instances()), 2)
        # What is made there is the copy's own.
        self.ok("--storage", self.other, "init", self.sandbox.project, "--runtime", "fake", "--name", "third")
        marks = [(store / "marks/fake").read_text() for store in (self.sandbox.store, self.other)]
        self.assertNotEqual(marks[0][:32], marks[1][:32])
        self.assertEqual(self.orphans("--storage", self.other), {})
        self.assertEqual(self.orphans(), {})

    def test_a_store_that_is_moved_is_still_the_same(self):
        self.init("lost")
        key = self.lose("lost")
        os.rename(self.sandbox.store, self.other)
        self.assertEqual(set(self.orphans("--storage", self.other)), {key})

    def test_an_instance_without_a_mark_is_left_alone(self):
        self.init("kept")
        made = self.sandbox.store / "runtimes" / "fake"
        for mark in ("", "label:io.kortex.store=\n", "label:io.kortex.store=0123456789abcdef0123456789abcdef\n"):
            (made / "instances" / "kortex-old-0123456789ab").unlink(missing_ok=True)
            (made / "instances" / "kortex-old-0123456789ab").symlink_to("running:1:1:0:-1")
            (made / "made" / "kortex-old-0123456789ab").write_text(mark)
            self.assertEqual(self.orphans(), {})
        (self.sandbox.store / "marks/fake").unlink()
        self.assertEqual(self.orphans(), {})

    def test_what_is_being_created_or_removed_is_no_orphan(self):
        self.init("first")  # so that there is a mark
        for step in ("create", "remove"):
            with self.subTest(step):
                option = ["--runtime-option", f"hang={step}"]
                arguments = ["init", self.sandbox.project, "--runtime", "fake", "--name", step, *option]
                if step == "remove":
                    self.ok(*arguments)
                    arguments = ["remove", step]
                busy = self.sandbox.popen("kortex-cli", "--progress", "plain", *arguments, stderr=-1, stdout=-1)
                self.wait_for_phase(step, "creating" if step == "create" else "removing")
                self.assertEqual(self.orphans(), {})
                self.ok("prune", "--force")
                busy.send_signal(signal.SIGINT)
                busy.communicate(timeout=box.SOON)

    def wait_for_phase(self, name, phase):
        deadline = box.time.monotonic() + box.SOON
        while box.time.monotonic() < deadline:
            done = self.run_cli("show", name, "-o", "json")
            if done.status == 0 and done.json().get("phase") == phase:
                return
        self.fail(f"'{name}' is never {phase}")

    def test_one_whose_record_is_broken_is_its_workspaces_still(self):
        self.init("broken")
        (self.sandbox.store / "workspaces" / self.id_of("broken") / "workspace.json").write_text("{")
        self.assertEqual(self.orphans(), {})
        self.ok("prune", "--force")
        self.assertEqual(len(self.instances()), 1)
        self.assert_ended(self.run_cli("remove", "--force", "broken"), 0, "broken")
        self.assertEqual(self.instances(), set())

    def test_an_agent_whose_record_and_directory_are_gone_is_found_and_ended(self):
        for name, options in (("boxed", box.process_options()), ("bare", ["--runtime-option", "sandbox=none"])):
            with self.subTest(name):
                self.sandbox.agent(name, "sh", "-c", "sleep 1000 & sleep 1000")
                self.init(name, "--agent", name, "--start", *options, runtime="process")
                key = self.lose(name)
                found = self.orphans()
                self.assertEqual((found[key]["runtime"], found[key]["state"]), ("process", "running"))
                self.assertNotEqual(self.sandbox.processes(), {})
                self.assert_ended(self.run_cli("prune", "--force"), 0, rf"^{key}\n$")
                self.assertEqual(self.sandbox.wait_until_no_processes(), {})
                self.assertEqual(self.orphans(), {})

    def test_no_store_has_no_orphans(self):
        self.assertEqual(self.orphans(), {})
        self.assert_ended(self.run_cli("prune", "--force"), 0, "", "no runtime has anything")
        self.assertFalse(self.sandbox.store.exists())


class UpgradeTest(box.TestCase):
    """A workspace outlives the file of its runtime."""

    def setUp(self):
        super().setUp()
        self.runtimes = self.sandbox.path / "runtimes"
        self.runtimes.mkdir(mode=0o755)
        self.sandbox.env["KORTEX_CLI_RUNTIME_PATH"] = str(self.runtimes)
        self.sandbox.install()

    def run_cli(self, *arguments, **options):
        return self.sandbox.run("kortex-cli", *arguments, **options)

    def put(self, variant):
        file = self.runtimes / "libkortex-runtime-aged.so"
        file.unlink(missing_ok=True)
        shutil.copy2(box.BUILD / "tests" / "plugins" / f"libkortex-runtime-aged-{variant}.so", file)
        file.chmod(0o755)

    def listed(self, name="w"):
        done = self.ok("list", "-o", "json")
        items = {item["name"]: item for item in done.json()["items"]}
        return items[name]["state"], done.stderr

    def init(self):
        self.put("1")
        self.ok("init", self.sandbox.project, "--runtime", "aged", "--name", "w", "--start")

    def version(self):
        return self.ok("show", "w", "-o", "json").json()["runtime"]["version"]

    def test_upgraded(self):
        self.init()
        self.assertEqual(self.version(), "1.0.0")
        self.put("2")
        self.assertEqual(self.listed(), ("running", ""))
        self.assertEqual(self.version(), "1.0.0", "the record tells what started it")
        self.ok("stop", "w")
        self.ok("start", "w")
        self.assertEqual(self.version(), "2.0.0")
        self.ok("remove", "--force", "w")

    def test_removed(self):
        self.init()
        (self.runtimes / "libkortex-runtime-aged.so").unlink()
        state, stderr = self.listed()
        self.assertEqual(state, "unknown")
        self.assertRegex(stderr, r"^kortex-cli: warning: no runtime 'aged'")
        for command in ("start", "stop"):
            self.assert_ended(self.run_cli(command, "w"), 4, "", "no runtime 'aged'")
        self.assert_ended(self.run_cli("remove", "w"), 4, "", r"no runtime 'aged'(.|\n)*hint: kortex-cli remove --force w\n$")
        self.assert_ended(self.run_cli("remove", "--force", "w"), 0, "^w\n$", "warning: an instance 'kortex-w-[0-9a-f]{12}' may be left behind: no runtime 'aged'")
        self.assertEqual(self.ok("list", "-o", "json").json()["items"], [])

    def test_changed_major(self):
        self.init()
        self.put("major")
        state, stderr = self.listed()
        self.assertEqual(state, "unknown")
        reason = r"runtime 'aged'.*ABI.* 2"
        self.assertRegex(stderr, reason)
        self.assert_ended(self.run_cli("start", "w"), 4, "", reason)
        self.assert_ended(self.run_cli("remove", "w"), 4, "", rf"{reason}(.|\n)*hint: kortex-cli remove --force w\n$")
        self.assert_ended(self.run_cli("remove", "--force", "w"), 0, "^w\n$", "may be left behind")
        self.assertEqual(self.ok("list", "-o", "json").json()["items"], [])


if __name__ == "__main__":
    box.main()
