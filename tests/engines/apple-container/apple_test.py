"""The apple-container runtime through the real binary, on the simulator. Each version of the tool lives a workspace's whole
life; then everything that can go wrong. apple_test.py [ordinary] [Test.name...]
`ordinary`: started by root, the tests run as an ordinary user who has nothing but a directory."""
import atexit
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
ORDINARY = 54321
sys.path[:0] = [str(HERE.parent.parent / "cli"), str(HERE)]


def become_ordinary():
    """On a copy of the binaries and of the simulator that everybody can reach."""
    if os.geteuid() != 0:
        print("only root can become somebody else, and whoever is not is one already", file=sys.stderr)
        sys.exit(SKIPPED)
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev"))
    copy = pathlib.Path(tempfile.mkdtemp(prefix="kortex-ordinary-"))
    for part in ("bin/kortex-cli", "lib/kortex", "share/kortex"):
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (build / part).is_dir() else shutil.copy2)(build / part, copy / part)
    shutil.copytree(HERE, copy / "simulator")
    for folder, names, files in os.walk(copy):
        for name in (*names, *files, "."):
            os.chown(os.path.join(folder, name), ORDINARY, ORDINARY)
    os.environ["KORTEX_BUILD_DIR"] = str(copy)
    import encodings.idna  # noqa: F401  the interpreter's own folder may be closed to that user, and ours
    import harness
    import sandbox  # noqa: F401
    harness.HERE = copy / "simulator"
    os.setgroups([])
    os.setgid(ORDINARY)
    os.setuid(ORDINARY)
    os.chdir("/")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)


if sys.argv[1:2] == ["ordinary"]:
    sys.argv.pop(1)
    become_ordinary()
from harness import IMAGE, VERSIONS, Mac  # noqa: E402
from machine import missing  # noqa: E402
from sandbox import BINARY, SOON, Pty, TestCase  # noqa: E402


class AppleTest(TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.path.chmod(0o755)
        self.mac = None

    def tearDown(self):
        try:
            if self.mac:
                self.mac.close()
        finally:
            super().tearDown()

    def use(self, version):
        if self.mac:
            self.mac.close()
        self.mac = Mac(self.sandbox.path / f"mac-{version}", version)
        self.chosen = ["--runtime", "apple-container", "--runtime-option", f"program={self.mac.program}"]
        return self.mac

    def create(self, name="w", *more, agent=("sh",), start=True, configuration=None):
        self.sandbox.agent(name, *agent)
        if configuration is not None:
            folder = self.sandbox.project / ".kortex"
            folder.mkdir(exist_ok=True)
            (folder / "workspace.json").write_text(json.dumps(configuration))
        self.ok("init", self.sandbox.project, *self.chosen, "--name", name, "--agent", name, *more, *(["--start"] if start else []))
        return name

    def container(self, *arguments, **options):
        """The tool itself, as a user would type it."""
        return self.sandbox.run(self.mac.program, *arguments, **options)

    def state(self, name="w"):
        (item,) = [item for item in self.ok("list", "-o", "json").json()["items"] if item["name"] == name]
        return item["state"]

    def shown(self, name="w"):
        """The state in words, as `list` has it for people."""
        (line,) = [line for line in self.run_cli("list").stdout.splitlines() if line.startswith(name + " ")]
        return line.split()[1]


class Lifecycle(AppleTest):
    def live(self, version):
        self.use(version)
        self.create(agent=("sh", "-c", "trap 'exit 9' TERM; echo the agent is here; while read line; do echo \"<$line>\"; [ \"$line\" = end ] && exit 7; done"))
        self.assertEqual(self.state(), "running")
        self.assertEqual(self.shown(), "running")
        # exec: streams, statuses, directory, the sources
        self.assert_ended(self.run_cli("exec", "w", "--", "sh", "-c", "echo out; echo err >&2; exit 5"), 5, r"\Aout\n\Z", r"\Aerr\n\Z")
        self.assertEqual(self.ok("exec", "w", "--", "sh", "-c", "cat; pwd", stdin=b"piped\n").stdout, f"piped\n{self.sandbox.project}\n")
        self.ok("exec", "w", "--", "sh", "-c", "echo of the agent >made && mkdir -p ~/kept")
        self.assertEqual((self.sandbox.project / "made").read_text(), "of the agent\n")
        self.assert_ended(self.run_cli("exec", "w", "--", "sh", "-c", "kill -9 $$"), 137)
        # the terminal: left, and entered again with what was seen
        first = self.terminal("terminal", "w", rows=31, cols=101)
        first.expect("the agent is here")
        first.send("one\r")
        first.expect("<one>")
        first.send("\x10\x11")
        self.assertEqual(first.ended(), 0)
        second = self.terminal("terminal", "w")
        second.expect("<one>")
        second.send("two\r")
        second.expect("<two>")
        second.send("end\r")
        self.assertEqual(second.ended(), 7)
        self.assertEqual(self.state(), "stopped")
        self.assertEqual(self.ok("show", "w", "-o", "json").json()["exit_code"], 7)
        self.assertRegex(self.ok("logs", "w").stdout, "(?s)the agent is here.*<two>")
        self.assertEqual(self.ok("wait", "w").stdout, "7\n")
        # again, and ended by stop
        self.ok("start", "w")
        self.assertRegex(self.ok("exec", "w", "--", "sh", "-c", "ls -d ~/kept").stdout, "kept")
        self.assert_ended(self.run_cli("remove", "w"), 5, stderr="running")
        self.ok("stop", "w")
        self.assertEqual(self.shown(), "stopped")
        self.assertEqual(self.ok("show", "w", "-o", "json").json()["exit_code"], 9)
        self.ok("remove", "w")
        self.assertEqual(self.mac.names(), [])
        self.assert_nothing_left()

    def test_deny_is_no_network_where_the_tool_has_it(self):
        self.use("1.2.2")
        self.create(configuration={"network": {"mode": "deny"}})
        self.assertEqual(self.ok("exec", "w", "--", "sh", "-c", "ls /sys/class/net 2>/dev/null; cat /proc/net/dev | grep -c tap || true").stdout.split()[-1], "0")
        self.use("1.0.0")
        done = self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "v")
        self.assert_ended(done, 7, stderr=r"(?i)network")

    def test_limits_and_labels_reach_the_tool(self):
        self.use("1.2.2")
        self.create(configuration={"resources": {"cpus": 2, "memory": "512MiB"}}, start=False)
        (config,) = [json.loads(path.read_text()) for path in self.mac.folder.glob("containers/*/config.json")]
        self.assertEqual((config["cpus"], config["memory"]), (2, 512 << 20))
        self.assertEqual(config["labels"]["io.kortex.name"], "w")
        for resources, said in (({"memory": "100MiB"}, "200 MiB"), ({"cpus": 0.5}, "whole ones"), ({"cpus": 1.5}, "whole ones")):
            (self.sandbox.project / ".kortex/workspace.json").write_text(json.dumps({"resources": resources}))
            self.assert_ended(self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "x"), 7, stderr=said)

    def test_a_single_file_is_mounted_from_0_9_on(self):
        (self.sandbox.path / "one").write_text("of the host\n")
        mounts = {"mounts": [{"host": str(self.sandbox.path / "one"), "target": "/mnt/one", "ro": True}]}
        self.use("0.9.0")
        self.create(configuration=mounts)
        self.assertEqual(self.ok("exec", "w", "--", "cat", "/mnt/one").stdout, "of the host\n")
        self.use("0.7.1")
        self.assert_ended(self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "v"), 7, stderr="mounts")
        folder = {"mounts": [{"host": str(self.sandbox.home), "target": "/mnt/folder"}]}
        self.create("u", configuration=folder)
        self.ok("exec", "u", "--", "test", "-d", "/mnt/folder")

    def test_an_image_that_is_not_there_is_fetched_or_refused(self):
        self.use("1.4.1")
        self.create("w", "--runtime-option", "image=alpine", start=False)
        self.assertIn("docker.io/library/alpine:latest", (self.mac.folder / "images").read_text())
        done = self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "v", "--runtime-option", "image=localhost/nowhere:1")
        self.assert_ended(done, 1, stderr="(?s)create the container of 'v'.*localhost/nowhere")
        self.assertEqual(len(self.mac.names()), 1)

    def test_what_is_not_asked_for_an_agent_is_not_run(self):
        self.use("1.2.2")
        self.sandbox.agent("absent", "/nowhere/at/all")
        done = self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "w", "--agent", "absent", "--start")
        self.assertNotEqual(done.status, 0)
        self.assertRegex(done.stderr, "/nowhere/at/all")
        self.assertEqual([machine.state() for machine in self.mac.machines()], ["stopped"])

    def test_the_store_among_the_sources_is_hidden(self):
        self.use("0.12.3")
        self.sandbox.agent("w", "sh")
        self.ok("init", self.sandbox.home, *self.chosen, "--name", "w", "--agent", "w", "--start")
        self.assertEqual(self.ok("exec", "w", "--", "sh", "-c", f"ls {self.sandbox.store}").stdout, "")


def add_lifecycles():
    for version in VERSIONS:
        setattr(Lifecycle, f"test_a_whole_life_with_{version.replace('.', '_')}", lambda self, version=version: self.live(version))


class Faults(AppleTest):
    def running(self, version="1.2.2"):
        self.use(version)
        self.create(agent=("sh", "-c", "echo ready; exec sleep 1000"))

    def test_services_that_are_down_say_what_starts_them(self):
        for version in ("0.9.0", "0.12.3", "1.2.2", "1.4.1"):
            with self.subTest(version):
                self.use(version)
                self.mac.services(False)
                done = self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "w")
                self.assert_ended(done, 4, stderr=r"(?s)the services of Apple's container do not run\n.*hint: container system start\n\Z")
        self.mac.services(True)
        self.create(start=False)
        self.mac.services(False)
        self.assertEqual(self.shown(), "unknown")
        self.assert_ended(self.run_cli("start", "w"), 4, stderr="(?s)do not run.*hint: container system start")
        self.mac.services(True)
        self.ok("start", "w")

    def test_a_hang_costs_its_time_limit_and_no_more(self):
        self.running()
        for command, arguments in (("inspect", ("stop", "w")), ("--version", ("start", "w")), ("exec", ("stop", "w")), ("stop", ("stop", "w"))):
            with self.subTest(command):
                self.mac.fault(f"{command} hang")
                begun = time.monotonic()
                done = self.run_cli("--timeout", "3s", *arguments)
                self.assertLess(time.monotonic() - begun, 20)
                self.assertNotEqual(done.status, 0, str(done))
                self.mac.fault()
                self.assertEqual(self.hanging(), [])
        self.assertIn(self.state(), ("running", "stopped"))
        self.ok("stop", "w")

    def test_its_own_limit_names_the_command(self):
        self.running()
        self.mac.fault("--version hang")
        done = self.run_cli("stop", "w", "--timeout", "40s")
        self.assert_ended(done, 6, stderr=r"'container --version' did not answer in 20 seconds\nhint: container system status")

    def test_a_session_that_cannot_be_reached_is_given_up(self):
        self.running()
        self.mac.fault("exec hang")
        done = self.run_cli("exec", "w", "--", "true")
        self.assert_ended(done, 125, stderr=r"cannot reach the session: 'container exec' did not answer in 20 seconds\nhint: container system status")
        self.assertEqual(self.hanging(), [])

    def test_waiting_for_a_session_can_be_cancelled(self):
        self.running()
        self.mac.fault("exec hang")
        before, deadline = len(self.mac.calls()), time.monotonic() + SOON
        stop = self.sandbox.popen(BINARY, "stop", "w", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not any(call[0] == "exec" for call in self.mac.calls()[before:]):
            self.assertLess(time.monotonic(), deadline)
            select.select([], [], [], 0.02)
        begun = time.monotonic()
        stop.send_signal(signal.SIGINT)
        said = stop.communicate(timeout=SOON)[1]
        self.assertEqual(stop.returncode, 130, said)
        self.assertLess(time.monotonic() - begun, 4)
        self.assertEqual(self.hanging(), [])
        self.mac.fault()
        self.assertEqual(self.shown(), "running")

    def hanging(self):
        """Simulated tools that still run."""
        return [command for command in self.sandbox.processes().values() if "simulator.py" in command and " start " not in command]

    def test_a_row_that_cannot_be_had_is_unknown_and_the_others_are_there(self):
        self.running()
        self.sandbox.agent("other", "sh")
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "other", "--agent", "other")
        self.mac.fault("inspect hang")
        done = self.run_cli("list", "--timeout", "3s")
        self.assertRegex(done.stdout, r"(?m)^w +unknown")
        self.assertRegex(done.stdout, r"(?m)^other +stopped")

    def test_half_an_answer_is_none(self):
        self.running()
        for command in ("inspect", "list"):
            with self.subTest(command):
                self.mac.fault(f"{command} half-json")
                if command == "list":
                    self.create("second", start=False) if len(self.mac.names()) == 1 else None
                done = self.run_cli("list")
                self.assertRegex(done.stdout, r"(?m)^w +unknown")
                self.assertRegex(done.stderr, r"cannot understand what container 1\.2\.2 says: .*no JSON")
                self.mac.fault()
        self.assert_refused_without_change("inspect half-json", r"no JSON")

    def test_another_shape_is_refused_with_the_version(self):
        self.running("1.4.1")
        self.assert_refused_without_change("inspect other-shape", r"cannot understand what container 1\.4\.1 says: a container's status is neither a word nor has it a state")

    def test_a_container_that_is_not_understood_is_not_left_behind(self):
        for version in ("0.9.0", "1.4.1"):
            with self.subTest(version):
                self.use(version)
                self.mac.fault("inspect other-shape")
                done = self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "w")
                self.assertEqual(done.status, 1, str(done))
                self.assertRegex(done.stderr, rf"cannot understand what container {re.escape(version)} says: ")
                self.assertNotIn("left behind", done.stderr)
                self.assertEqual([call[0] for call in self.mac.calls() if call[0] in ("create", "delete")], ["create", "delete"])
                self.assertEqual(self.mac.names(), [])
                self.assertEqual(self.ok("list", "-o", "json").json()["items"], [])

    def test_another_thing_that_is_not_found_is_no_container_that_is_gone(self):
        self.running()
        self.mac.fault("inspect plugin")
        self.assertEqual(self.shown(), "unknown")
        self.assert_ended(self.run_cli("start", "w"), 1, stderr="plugin 'container-inspect' not found")
        self.mac.fault()
        self.assertEqual(len(self.mac.names()), 1)

    def assert_refused_without_change(self, fault, said):
        self.mac.fault(fault)
        for command in (("start", "w"), ("stop", "w"), ("remove", "w")):
            done = self.run_cli(*command)
            self.assertEqual(done.status, 1, str(done))
            self.assertRegex(done.stderr, said)
        self.mac.fault()
        self.assertEqual(self.shown(), "running")

    def test_a_lost_connection_to_the_services_is_told(self):
        self.running()
        self.mac.fault("inspect xpc")
        self.assert_ended(self.run_cli("stop", "w"), 4, stderr="(?s)do not run.*hint: container system start")
        self.mac.fault("exec xpc")
        self.assert_ended(self.run_cli("exec", "w", "--", "true"), 125, stderr="(?s)cannot reach the session.*hint: container system start")

    def test_a_restart_of_the_machine_is_a_stop(self):
        self.running()
        self.mac.reboot()
        self.assertEqual(self.shown(), "unknown")
        self.mac.services(True)
        self.assertEqual(self.shown(), "failed")  # for all that can be told: this machine has not been restarted
        (boot,) = self.sandbox.store.glob("workspaces/*/runtime/boot")
        boot.write_text("another-boot\n")
        self.assertEqual(self.shown(), "stopped")
        self.assertRegex(self.ok("show", "w").stdout, "this machine was restarted while it ran")
        self.ok("start", "w")
        self.assertEqual(self.shown(), "running")

    def test_a_container_that_somebody_deleted_is_gone_and_made_again(self):
        for version in ("0.12.3", "1.2.2"):
            with self.subTest(version):
                self.use(version)
                self.create(f"w{version[0]}", agent=("sh", "-c", "exec sleep 1000"))
                name = f"w{version[0]}"
                self.container("delete", "--force", *self.mac.names())
                self.assertEqual(self.shown(name), "gone")
                self.assertRegex(self.ok("start", name).stderr, "(?i)again")
                self.assertEqual(self.shown(name), "running")

    def test_a_stop_by_the_tool_itself_is_seen(self):
        self.running()
        self.assertEqual(self.container("stop", *self.mac.names()).status, 0)
        self.assertEqual(self.shown(), "stopped")
        self.ok("start", "w")
        self.mac.crash()
        self.assertEqual(self.shown(), "failed")
        self.assertRegex(self.ok("show", "w").stdout, "ended without a word of the agent")
        self.ok("remove", "w")

    def test_a_container_that_runs_without_its_agent_is_stopped(self):
        self.use("1.2.2")
        self.create(start=False)
        self.container("start", *self.mac.names())
        deadline = time.monotonic() + SOON
        while self.shown() != "stopped":  # until the holder serves it is taken for running
            self.assertLess(time.monotonic(), deadline)
        self.assertRegex(self.ok("show", "w").stdout, "its container runs, the agent does not")
        self.assert_ended(self.run_cli("exec", "w", "--no-start", "--", "true"), 125, stderr="kortex-cli start w")
        self.ok("start", "w")
        self.assertEqual(self.shown(), "running")
        self.ok("exec", "w", "--", "true")

    def test_a_container_of_the_same_name_that_is_not_ours_is_left_alone(self):
        self.running()
        (name,) = self.mac.names()
        self.container("delete", "--force", name)
        self.container("create", "--name", name, IMAGE, "sleep", "1")
        self.assertEqual(self.shown(), "unknown")
        self.assertEqual(self.run_cli("remove", "w").status, 1)
        self.assertEqual(self.mac.names(), [name])

    def test_a_tool_that_is_too_old_or_none_is_refused(self):
        self.use("0.3.0")
        self.assert_ended(self.run_cli("init", self.sandbox.project, *self.chosen, "--name", "w"), 7, stderr=r"container 0\.3\.0: this runtime needs 0\.4\.0")
        wrong = ["--runtime", "apple-container", "--runtime-option", "program=/bin/true"]
        self.assert_ended(self.run_cli("init", self.sandbox.project, *wrong, "--name", "w"), 4, stderr="does not tell its version")


class Elsewhere(AppleTest):
    def test_runtime_list_says_why_it_is_not_usable_here(self):
        done = self.ok("runtime", "list")
        self.assertRegex(done.stdout, r"(?m)^apple-container +0\.1\.0 .*cannot use Apple's container: it needs macOS 26 on Apple silicon$")

    def test_init_without_a_program_says_so_too(self):
        done = self.run_cli("init", self.sandbox.project, "--runtime", "apple-container", "--name", "w")
        self.assert_ended(done, 4, stderr="it needs macOS 26 on Apple silicon")


class Simulated(AppleTest):
    """What the simulator stands for: it must be as strict as the real parser."""

    def test_unknown_and_misplaced_flags_end_with_64(self):
        self.use("0.9.0")
        name = "aa"
        self.assertEqual(self.container("create", "--name", name, IMAGE, "sleep", "9").status, 0)
        for arguments in (("create", "--init", IMAGE), ("create", "--frob", IMAGE), ("system", "status", "--format", "json"), ("exec", "--frob", name, "true"),
                          ("inspect",), ("frob",), ("list", "--format"), ("start",), ("start", name, "--frob"), ("create", "--cpus=2", "--name")):
            with self.subTest(arguments):
                done = self.container(*arguments)
                self.assertEqual(done.status, 64, str(done))
                self.assertRegex(done.stderr, r"\AError: .*\nUsage: ")
        self.use("0.10.0")
        self.assertEqual(self.container("create", "--init", IMAGE).status, 0)
        self.assertEqual(self.container("system", "status", "--format", "json").status, 0)

    def test_flags_after_the_id_are_the_programs(self):
        self.use("1.2.2")
        self.container("create", "--name", "aa", IMAGE, "sleep", "1000")
        self.container("start", "aa")
        self.assertEqual(self.container("exec", "aa", "echo", "--frob", "--").stdout, "--frob --\n")

    def test_a_machine_whose_supervisor_is_killed_leaves_nothing_running(self):
        self.use("1.2.2")
        self.container("create", "--name", "aa", IMAGE, "sleep", "1000")
        self.container("start", "aa")
        (facts,) = [machine.facts() for machine in self.mac.machines()]
        self.assertTrue(any("slirp4netns" in command for command in self.sandbox.processes().values()))
        os.kill(facts["supervisor"], signal.SIGKILL)
        self.assertEqual(self.sandbox.wait_until_no_processes(SOON), {})

    def test_a_machine_that_ends_while_it_is_being_stopped_is_stopped(self):
        import machine
        ended = subprocess.Popen(["true"])
        handle = os.pidfd_open(ended.pid)
        ended.wait()
        (self.sandbox.path / "machine.json").write_text(json.dumps({"pid": ended.pid}))
        with unittest.mock.patch("os.pidfd_open", return_value=handle):
            machine.Machine(self.sandbox.path).stop(1)

    def test_one_that_is_missing_cannot_be_deleted(self):
        for version, said in (("0.9.0", r"notFound: .failed to delete one or more containers: .*aa"), ("1.2.2", "container aa not found")):
            self.use(version)
            done = self.container("delete", "--force", "aa")
            self.assertEqual(done.status, 1, str(done))
            self.assertRegex(done.stderr, said)

    def test_exec_on_a_terminal_has_its_size_and_status(self):
        self.use("1.2.2")
        self.container("create", "--name", "aa", IMAGE, "sleep", "1000")
        self.container("start", "aa")
        terminal = Pty(self.sandbox, self.mac.program, "exec", "--interactive", "--tty", "aa", "sh", "-c", "stty size; read x; echo \"<$x>\"; exit 6", rows=33, cols=99)
        self._terminals.append(terminal)
        terminal.expect("33 99")
        terminal.send("hello\r")
        terminal.expect("<hello>")
        self.assertEqual(terminal.ended(), 6)

    def test_every_shape_says_where_it_comes_from(self):
        import shapes
        self.assertTrue(shapes.SOURCE)
        for what, source in shapes.SOURCE.items():
            self.assertRegex(source, r"^(derived|reported|recorded)\b", what)
        readme = (HERE / "README.md").read_text()
        self.assertRegex(re.sub(r"\s+", " ", readme), "not to Apple's binary")

    def test_the_checker_records_what_was_run_and_said(self):
        self.use("1.2.2")
        file = self.sandbox.path / "recording.jsonl"
        build = BINARY.parent.parent
        done = self.sandbox.run(build / "bin/kortex-runtime-check", "--only", "core.starts-and-stops", "--record", file, "--option", f"program={self.mac.program}",
                                "--session-program", build / "lib/kortex/kortex-session", build / "lib/kortex/runtimes/libkortex-runtime-apple-container.so")
        self.assertEqual(done.status, 0, str(done))
        head, *entries = [json.loads(line) for line in file.read_text().splitlines()]
        self.assertEqual(head["kortex-recording"], 1)
        self.assertEqual(head["plugin"], "libkortex-runtime-apple-container.so")
        inspects = [entry for entry in entries if entry["argv"][1] == "inspect" and entry["status"] == 0]
        self.assertEqual(json.loads(inspects[-1]["stdout"])[0]["configuration"]["image"]["reference"], IMAGE)
        self.assertTrue(any(entry["function"] == "inspect" and entry["status"] == 1 and "not found" in entry["stderr"] or entry["function"] == "create" for entry in entries))
        sessions = [entry for entry in entries if entry["argv"][1] == "exec"]
        self.assertTrue(sessions and all(entry["detached"] and entry["status"] is None and entry["stdout"] is None for entry in sessions))
        self.assertEqual({entry["argv"][0] for entry in entries}, {str(self.mac.program)})
        refused = self.sandbox.run(build / "bin/kortex-runtime-check", "--record", "/nowhere/at/all", "libkortex-runtime-x.so")
        self.assertNotEqual(refused.status, 0)

    def test_the_script_for_mac_users_records_the_tool(self):
        self.use("1.2.2")
        done = self.sandbox.run("sh", HERE / "record.sh", self.mac.program, timeout=SOON)
        self.assertEqual(done.status, 0, str(done))
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(entries[0]["kortex-recording"], 1)
        said = {tuple(entry["argv"][1:3]): entry for entry in entries[1:]}
        self.assertIn("container CLI version 1.2.2", said[("--version",)]["stdout"])
        self.assertTrue(any(entry["argv"][1:3] == ["exec", "--interactive"] and entry["status"] == 7 and "shared\n" in entry["stdout"] for entry in entries[1:]))
        self.assertTrue(any(entry["argv"][1] == "inspect" and entry["status"] == 1 for entry in entries[1:]))
        self.assertEqual(self.mac.names(), [])


if __name__ == "__main__":
    if why := missing():
        print(f"no simulator here: {why}", file=sys.stderr)
        sys.exit(1 if os.environ.get("KORTEX_TEST_ENGINES") == "required" else SKIPPED)
    add_lifecycles()
    unittest.main(verbosity=2)
