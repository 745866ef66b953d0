#!/usr/bin/env python3
"""Every document of -o json against the schema that clients rely on (schemas/api.json)."""
import json
import os
import sys

import sandbox as box

try:
    import jsonschema
except ImportError:
    if os.environ.get("KORTEX_TEST_ENGINES") == "required":
        sys.exit("python3-jsonschema is required and not installed")
    print("skipped: python3-jsonschema is not installed")
    sys.exit(box.SKIPPED)

SCHEMA = json.loads((box.SOURCE / "tests/cli/schemas/api.json").read_text())


class Json(box.TestCase):
    def document(self, kind, *arguments, status=0, stderr=""):
        done = self.run_cli(*arguments, "-o", "json")
        self.assert_ended(done, status, stdout=".", stderr=stderr)
        self.assertTrue(done.stdout.endswith("\n"), done.stdout)
        document = json.loads(done.stdout)  # one document and nothing else
        jsonschema.validate(document, {**SCHEMA, "$ref": f"#/$defs/{kind}"})
        return document

    def test_the_life_of_a_workspace(self):
        source = str(self.sandbox.project)
        ident = self.document("workspace_id", "init", source, "--runtime", "fake")["id"]
        made = self.document("workspace", "init", source, "--runtime", "fake", "--name", "second", "--agent", "claude", "--project", "p", "--model", "m", "-v")
        self.assertEqual((made["name"], made["project"], made["model"], made["state"], made["runtime"]), ("second", "p", "m", "stopped", "fake"))
        self.assertEqual(made["paths"], {"source": source, "configuration": f"{source}/.kortex"})
        self.assertNotIn("started", made["timestamps"])
        self.assertEqual(self.document("workspace_id", "start", "second"), {"id": made["id"]})
        listed = {item["id"]: item for item in self.document("workspaces_list", "list")["items"]}
        self.assertEqual(set(listed), {ident, made["id"]})
        self.assertEqual(listed[made["id"]]["state"], "running")
        self.assertGreaterEqual(listed[made["id"]]["timestamps"]["started"], made["timestamps"]["created"])
        self.assertEqual(listed[ident]["state"], "stopped")
        self.assertEqual(self.document("workspace_id", "stop", made["id"][:12]), {"id": made["id"]})
        self.assertEqual(self.document("workspace_id", "remove", "second"), {"id": made["id"]})
        self.document("workspace_id", "remove", ident)
        self.assertEqual(self.document("workspaces_list", "list"), {"items": []})

    def test_init_with_start_reports_the_final_state(self):
        made = self.document("workspace", "init", self.sandbox.project, "--runtime", "fake", "--start", "-v")
        self.assertEqual(made["state"], "running")

    def test_a_running_workspace_of_the_process_runtime(self):
        self.process_workspace("w", "/bin/cat")
        (item,) = self.document("workspaces_list", "workspace", "list")["items"]
        self.assertEqual((item["name"], item["state"], item["agent"], item["runtime"]), ("w", "running", "w", "process"))

    def test_ports_are_forwards(self):
        (self.sandbox.project / ".kortex").mkdir()
        (self.sandbox.project / ".kortex" / "workspace.json").write_text('{"ports": [8080]}')
        made = self.document("workspace", "init", self.sandbox.project, "--runtime", "fake", "--start", "-v")
        self.assertEqual([forward["target"] for forward in made["forwards"]], [8080])

    def test_info_and_runtimes(self):
        info = self.document("info", "info")
        self.assertLessEqual({"fake", "process"}, set(info["runtimes"]))
        self.assertIn("shell", info["agents"])
        names = [item["name"] for item in self.document("runtimes_list", "runtime", "list")["items"]]
        self.assertLessEqual({"fake", "process"}, set(names))
        self.assertEqual(names, sorted(names))

    def test_errors_are_one_document_on_stdout_and_silence_on_stderr(self):
        source = str(self.sandbox.project)
        self.ok("init", source, "--runtime", "fake", "--name", "f", "--start")
        for status, arguments in ((3, ("start", "nobody")), (3, ("stop", "nobody")), (3, ("remove", "nobody")), (3, ("show", "nobody")),
                                  (5, ("remove", "f")), (2, ("init", source)), (4, ("init", source, "--runtime", "no-such-runtime")),
                                  (2, ("start",)), (2, ("frobnicate",)), (2, ("list", "--no-such-option")), (2, ("start", "f", "too", "many")),
                                  (7, ("init", source, "--runtime", "fake", "--name", "x/y")),
                                  (1, ("init", source, "--runtime", "fake", "--name", "f")),
                                  (2, ("init", source, "--runtime", "fake", "--agent", "no-such-agent")),
                                  (2, ("init", source, "--runtime", "fake", "--runtime-option", "no-such=1"))):
            with self.subTest(arguments=arguments):
                self.document("error", *arguments, status=status)

    def test_an_environment_that_makes_no_sense_is_an_error_document_too(self):
        done = self.run_cli("init", self.sandbox.project, "--runtime", "fake", "-o", "json", env={"KORTEX_CLI_INIT_AUTO_START": "maybe"})
        self.assertEqual(done.status, 2, str(done))
        jsonschema.validate(done.json(), {**SCHEMA, "$ref": "#/$defs/error"})

    def test_show_is_a_document_of_our_own_with_a_version(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "f")
        shown = self.ok("show", "f", "-o", "json").json()
        self.assertEqual((shown["schema"], shown["name"], shown["state"]), (1, "f", "stopped"))

    def test_progress_events_are_lines_of_json_on_stderr(self):
        done = self.run_cli("init", self.sandbox.project, "--runtime", "process", *box.process_options(), "--start", "-o", "json", "--progress", "json")
        self.assertEqual(done.status, 0, str(done))
        for line in done.stderr.splitlines():
            event = json.loads(line)
            self.assertEqual((event["version"], event["runtime"]), (1, "process"))


if __name__ == "__main__":
    box.main()
