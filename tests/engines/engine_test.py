"""A runtime on a real engine, through the real binary: engine_test.py podman|rootless|docker|podman-ssh|docker-ssh [Test.name...]"""
import base64
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import unittest
import urllib.request

from place import DIRECTORY, ENGINE, IMAGE, REMOTE, RUNTIME  # first: it decides who we are and where the binary is
from engine_case import ROOT, EngineTest
from fixture import Fixture
from sandbox import BINARY, SOON
from secrecy import Secrecy

CROWD = int(os.environ.get("KORTEX_CROWD", "100"))


class Lifecycle(EngineTest):
    def test_from_nothing_to_nothing(self):
        self.create(start=False)
        self.assertIn(self.state(), ("created", "stopped"))
        self.ok("start", "w")
        self.assertEqual(self.state(), "running")
        self.ok("start", "w")
        self.assertEqual(self.inside("pwd").strip(), str(self.sandbox.project))
        self.assertIn("a sample project", self.inside("cat", "README.md"))
        self.ok("stop", "w")
        self.assertEqual(self.state(), "stopped")
        self.ok("stop", "w")
        self.ok("start", "w")
        self.assert_ended(self.run_cli("remove", "w"), 5, stderr="is running")
        self.ok("stop", "w")
        self.ok("remove", "w")
        self.assertEqual(self.containers(), [])
        for folder in ("workspaces", "names"):
            self.assertEqual([str(p) for p in (self.sandbox.store / folder).rglob("*") if p.name != ".lock"], [])

    def test_what_is_made_carries_the_labels_and_the_users_name(self):
        self.create(start=False)
        described = json.loads(self.engine("inspect", self.container()))[0]
        self.assertEqual(described["Config"]["Labels"]["io.kortex.name"], "w")
        self.assertEqual(described["Config"]["Labels"]["io.kortex.key"], self.show()["runtime"]["key"])
        self.assertRegex(described["Config"]["Labels"]["io.kortex.version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(described["Name"].lstrip("/"), self.show()["runtime"]["key"])

    def test_the_agents_end_is_the_containers_end_and_keeps_its_status(self):
        self.create(agent=("sh", "-c", "read line; exit 9"))
        terminal = self.terminal("terminal", "w")
        terminal.send("now\r")
        self.assertEqual(terminal.ended(), 9)
        self.assertEqual(self.ok("wait", "w").stdout, "9\n")
        shown = self.show()
        self.assertEqual((shown["state"], shown["exit_code"]), ("stopped", 9))

    def test_an_agent_that_cannot_be_run_leaves_nothing_running(self):
        self.create(agent=("no-such-agent",), start=False)
        self.assert_ended(self.run_cli("start", "w"), 1, stderr=r"no-such-agent")
        self.assertEqual(self.state(), "stopped")
        self.ok("remove", "w")

    def test_a_stubborn_agent_is_killed_after_the_grace(self):
        self.create(agent=("sh", "-c", "trap '' TERM HUP INT; while :; do sleep 100; done"))
        begun = time.monotonic()
        self.ok("stop", "w", "--grace", "500ms")
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(self.state(), "stopped")
        self.ok("start", "w")
        self.ok("stop", "w", "--kill")
        self.assertEqual(self.state(), "stopped")

    def test_what_the_agent_wrote_is_kept(self):
        self.create(agent=("sh", "-c", "echo one; echo two; read line"))
        terminal = self.terminal("terminal", "w")
        terminal.expect("two")
        self.assertEqual(self.ok("logs", "w").stdout, "one\r\ntwo\r\n")
        self.assertEqual(self.ok("logs", "--tail", "1", "w").stdout, "two\r\n")
        terminal.send("\r")
        terminal.ended()
        self.assertIn("one\r\ntwo\r\n", self.ok("logs", "w").stdout)

    def test_what_the_agent_writes_is_followed_to_its_end(self):
        self.create(agent=("sh", "-c", "echo one; read line; echo two; read line; exit 6"))
        keys = self.terminal("terminal", "w")
        keys.expect("one")
        follower = self.terminal("logs", "--follow", "w")
        waiter = self.terminal("wait", "w")
        follower.expect("one\r")
        keys.send("go\r")
        follower.expect("two\r")
        keys.send("on\r")
        self.assertEqual((keys.ended(), follower.ended()), (6, 0))
        self.assertEqual(follower.seen.count(b"one"), 1, follower.seen)
        waiter.expect(r"^6\r")
        self.assertEqual(waiter.ended(), 0)
        # All of it is there already.
        again = self.ok("logs", "--follow", "w").stdout
        self.assertEqual((again.count("one"), again.count("two")), (1, 1), again)

    def test_a_home_of_its_own_survives_a_restart(self):
        self.create()
        self.inside("sh", "-c", 'echo kept > "$HOME/note"')
        self.ok("stop", "w")
        self.ok("start", "w")
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/note"'), "kept\n")
        self.assertFalse((self.sandbox.home / "note").exists())


class Programs(EngineTest):
    def test_statuses_signals_and_a_missing_program(self):
        self.create()
        for command, status in (("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)):
            self.assert_ended(self.run_cli("exec", "w", "--", "sh", "-c", command), status)
        self.assert_ended(self.run_cli("exec", "w", "--", "no-such-program"), 127, stderr="no-such-program")

    def test_bytes_are_bytes_and_the_end_of_input_is_passed_on(self):
        self.create()
        data = os.urandom(3 << 20)
        done = self.run_cli("exec", "w", "--", "cat", stdin=data)
        self.assertEqual((done.status, hashlib.sha256(done.stdout_bytes).hexdigest()), (0, hashlib.sha256(data).hexdigest()))
        self.assertEqual(self.inside("wc", "-c", stdin=b"12345").strip(), "5")

    def test_output_and_errors_stay_apart(self):
        self.create()
        done = self.run_cli("exec", "w", "--", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((done.stdout, done.stderr), ("out\n", "err\n"))

    def test_environment_and_directory(self):
        self.create(configuration={"environment": [{"name": "STATED", "value": "yes"}]})
        self.assertEqual(self.inside("sh", "-c", 'echo "$STATED $KORTEX_WORKSPACE"'), "yes w\n")
        done = self.ok("exec", "-e", "MORE=1", "-w", "/tmp", "w", "--", "sh", "-c", 'echo "$MORE $PWD"')
        self.assertEqual(done.stdout, "1 /tmp\n")


class Terminal(EngineTest):
    def test_attach_leave_and_come_back(self):
        self.create()
        first = self.terminal("terminal", "w", rows=31, cols=101)
        first.send("stty size; cd /tmp; VALUE=kept\r")
        first.expect("31 101")
        first.send("\x10")
        first.send("\x11")
        first.expect("detached")
        self.assertEqual(first.ended(), 0)
        second = self.terminal("terminal", "w", rows=40, cols=90)
        second.expect("31 101")
        second.send("echo $VALUE $PWD; stty size\r")
        second.expect("kept /tmp")
        second.expect("40 90")
        second.send("exit 5\r")
        self.assertEqual(second.ended(), 5)

    def test_what_is_typed_just_before_leaving_arrives(self):
        self.create(agent=("sh", "-c", "while read line; do echo $line >>typed; echo got $line; done"))
        for number in range(4):
            terminal = self.terminal("terminal", "w")
            terminal.send("here\r")
            terminal.expect("got here\r\n")  # and so is the terminal's own handling of keys gone
            if number > 0:
                self.assertEqual(self.inside("grep", "-c", "line", "typed").strip(), str(number))
            terminal.send(f"line{number}\r\x10\x11")
            terminal.expect("detached")
            self.assertEqual(terminal.ended(), 0)
        terminal = self.terminal("terminal", "w")
        terminal.expect("got line3")
        self.assertEqual(self.inside("grep", "line", "typed"), "line0\nline1\nline2\nline3\n")

    def test_stopping_ends_the_session(self):
        self.create()
        terminal = self.terminal("terminal", "w")
        terminal.send("echo rea''dy\r")
        terminal.expect("ready")
        self.ok("stop", "w")
        terminal.expect("stopped")
        terminal.ended()

    def test_a_program_of_ones_own_on_a_terminal(self):
        self.create()
        terminal = self.terminal("terminal", "w", "--", "sh", "-c", "stty size; exit 3", rows=20, cols=70)
        terminal.expect("20 70")
        self.assertEqual(terminal.ended(), 3)


class LiveState(EngineTest):
    def test_stopped_by_hand(self):
        self.create()
        self.engine("kill", self.container())
        self.assertEqual(self.state(), "stopped")
        self.assert_ended(self.run_cli("exec", "--no-start", "w", "--", "true"), 125, stderr="is stopped")
        self.ok("start", "w")
        self.assertEqual(self.state(), "running")

    def test_removed_by_hand(self):
        self.create()
        self.engine("rm", "-f", self.container())
        self.assertIn("gone", self.ok("list").stdout)
        self.ok("start", "w")
        self.assertEqual(self.inside("echo", "back"), "back\n")
        self.engine("rm", "-f", self.container())
        self.ok("remove", "w")
        self.assertEqual(self.ok("list").stdout, "")

    def test_paused_by_hand(self):
        if ENGINE == "rootless":
            self.skipTest("pausing needs cgroup v2 or root")
        self.create()
        self.engine("pause", self.container())
        self.assertEqual(self.state(), "paused")
        self.assert_ended(self.run_cli("exec", "w", "--", "true"), 125, stderr="workspace 'w' is paused, not running\nhint: kortex-cli start w")
        self.ok("stop", "w", "--grace", "1s")
        self.assertEqual(self.state(), "stopped")

    def test_renamed_and_restarted_by_hand(self):
        self.create()
        self.engine("rename", self.container(), "kortex-renamed-" + self.sandbox.path.name)
        self.assertEqual(self.state(), "running")
        self.ok("stop", "w")
        self.engine("start", self.container())
        # Its agent is started by us, not by the engine.
        self.assertEqual(self.state(), "running" if REMOTE else "stopped")
        self.ok("start", "w")
        self.assertEqual(self.state(), "running")
        self.assertEqual(self.inside("echo", "here"), "here\n")
        self.ok("remove", "--force", "w")

    def test_a_container_started_by_hand_has_no_agent_and_says_so(self):
        self.create()
        self.engine("restart", "-t", "1", self.container())
        self.assert_ended(self.run_cli("wait", "w"), 5, stderr="workspace 'w' is stopped, not running\nhint: kortex-cli start w")
        self.ok("logs", "--follow", "w")
        done = self.run_cli("exec", "w", "--", "echo", "here")
        if REMOTE:  # what only the holder knows is not asked by ssh for each state
            self.assert_ended(done, 125, stderr="workspace 'w' is stopped, not running\nhint: kortex-cli start w")
            self.ok("start", "w")
        else:
            self.assertEqual((done.status, done.stdout, done.stderr), (0, "here\n", "kortex-cli: starting 'w'\n"))
        self.ok("stop", "w")
        self.engine("start", self.container())
        if not REMOTE:
            self.ok("remove", "w")
            self.assertEqual(self.containers(), [])

    def test_what_lost_its_record_is_shown_and_removed_and_no_other(self):
        self.create("kept")
        self.create("lost")
        lost = self.show("lost")
        key, id_of_it = f"kortex-lost-{lost['id'][:12]}", self.container("lost")
        elsewhere = self.sandbox.path / "other-store"
        self.assertEqual(self.ok("--storage", elsewhere, "list", "--orphans").stdout, "")
        self.assertEqual(self.ok("list", "--orphans").stdout, "")
        shutil.rmtree(self.sandbox.store / "workspaces" / lost["id"])
        (self.sandbox.store / "names/lost").unlink()
        found = self.ok("list", "--orphans", "-o", "json").json()["orphans"]
        self.assertEqual([(orphan["key"], orphan["id"], orphan["runtime"], orphan["state"]) for orphan in found], [(key, id_of_it, RUNTIME, "running")])
        # Another store, even one that has workspaces on the same engine, knows nothing of it.
        self.ok("--storage", elsewhere, "init", self.sandbox.project, "--runtime", "fake", "--name", "x")
        self.assertEqual(self.ok("--storage", elsewhere, "list", "--orphans", "-o", "json").json()["orphans"], [])
        self.ok("--storage", elsewhere, "prune", "--force")
        self.assertIn(id_of_it, self.containers())
        self.assertIn(key, self.ok("prune").stdout)
        self.assertIn(id_of_it, self.containers())
        self.assertEqual(self.ok("prune", "--force").stdout, f"{key}\n")
        self.assertEqual(self.containers(), [self.container("kept")])
        self.assertEqual(self.state("kept"), "running")
        self.ok("remove", "--force", "kept")

    def test_a_crowd_is_listed_in_one_query(self):
        names = [f"w{number}" for number in range(CROWD)]
        self.sandbox.agent("sleeper", "sh")
        for name in names:
            self.ok("init", self.sandbox.project, "--runtime", RUNTIME, "--name", name, "--agent", "sleeper", "--runtime-option", f"image={IMAGE}")
        listed = self.ok("list", "-o", "json").json()["items"]
        self.assertEqual(sorted(item["name"] for item in listed), sorted(names))
        times = {"kortex-cli list": [], f"{RUNTIME} ps -a": []}
        for _ in range(5):
            for what, command in (("kortex-cli list", (BINARY, "list")), (f"{RUNTIME} ps -a", (RUNTIME, "ps", "-a"))):
                begun = time.monotonic()
                self.sandbox.run(*command)
                times[what].append(time.monotonic() - begun)
        medians = {what: sorted(values)[2] * 1000 for what, values in times.items()}
        print(f"\n{ENGINE}, {CROWD} containers: " + ", ".join(f"{what} {value:.0f} ms" for what, value in medians.items()), file=sys.stderr)
        self.engine("rm", "-f", *self.containers())
        for name in names:
            self.ok("remove", name)


class Sandboxing(EngineTest):
    def test_files_belong_to_the_owner_of_the_sources(self):
        owner = 1234 if ROOT else os.geteuid()
        if ROOT:
            for folder, _, files in os.walk(self.sandbox.project):
                for name in (".", *files):
                    os.chown(os.path.join(folder, name), owner, owner)
        self.create()
        self.assertEqual(self.inside("id", "-u").strip(), str(owner))
        self.inside("sh", "-c", "echo inside > made; echo more >> README.md")
        self.assertEqual((self.sandbox.project / "made").stat().st_uid, owner)
        self.assertEqual(self.inside("stat", "-c", "%u", "README.md").strip(), str(owner))
        self.ok("remove", "--force", "w")

    def test_mounts_are_writable_unless_they_are_not(self):
        for name in ("open", "closed"):
            (self.sandbox.path / name).mkdir()
        (self.sandbox.home / "rc").write_text("from the home\n")
        self.create(configuration={"mounts": [{"host": str(self.sandbox.path / "open"), "target": "/mnt/open"},
                                              {"host": str(self.sandbox.path / "closed"), "target": "/mnt/a,b=c", "ro": True},
                                              {"host": "$HOME/rc", "target": "$HOME/.config/rc", "ro": True},
                                              {"host": "/no/such/place", "target": "/mnt/none", "optional": True}]})
        self.inside("touch", "/mnt/open/made")
        self.assertTrue((self.sandbox.path / "open/made").exists())
        self.assert_ended(self.run_cli("exec", "w", "--", "touch", "/mnt/a,b=c/made"), 1, stderr="[Rr]ead-only")
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/.config/rc"'), "from the home\n")
        self.assert_ended(self.run_cli("exec", "w", "--", "test", "-e", "/mnt/none"), 1)
        self.ok("remove", "--force", "w")
        self.assertEqual([str(p) for p in (self.sandbox.store / "workspaces").rglob("*")], [])

    def test_a_worktree_has_its_repository(self):
        main, tree = self.sandbox.path / "main", self.sandbox.path / "tree"
        (main / ".git/worktrees/tree").mkdir(parents=True)
        tree.mkdir()
        (main / ".git/objects").mkdir()
        (main / ".git/refs").mkdir()
        (main / ".git/HEAD").write_text("ref: refs/heads/main\n")
        (main / ".git/worktrees/tree/commondir").write_text("../..\n")
        (main / ".git/worktrees/tree/gitdir").write_text(f"{tree}/.git\n")
        (tree / ".git").write_text(f"gitdir: {main}/.git/worktrees/tree\n")
        self.sandbox.project = tree
        done = self.create()
        self.assertIn(f"the sources are a git worktree: '{main}/.git' is mounted too, to read and to write", done.stderr)
        self.assertEqual(self.inside("cat", str(main / ".git/HEAD")), "ref: refs/heads/main\n")
        self.assertTrue(any("worktree" in line for line in self.show()["exposure"]), self.show()["exposure"])
        self.assertEqual(self.show()["info"]["git_directory"], str(main / ".git"))

    def test_a_port_is_reached_on_loopback(self):
        if REMOTE:
            (self.sandbox.project / ".kortex").mkdir()
            (self.sandbox.project / ".kortex/workspace.json").write_text(json.dumps({"ports": [8080]}))
            self.assert_ended(self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME), 7, stderr="ports")
            return
        self.create(configuration={"ports": [8080]})
        shown = self.show()["forwards"]
        self.assertEqual([(f["target"], f["bind"]) for f in shown], [(8080, "127.0.0.1")], shown)
        self.inside("httpd", "-p", "8080", "-h", str(self.sandbox.project))
        with urllib.request.urlopen(f"http://127.0.0.1:{shown[0]['port']}/README.md", timeout=SOON) as answer:
            self.assertIn(b"a sample project", answer.read())

    def test_denied_is_no_network_at_all(self):
        self.create(configuration={"network": {"mode": "deny"}})
        interfaces = [line.split(":")[0].strip() for line in self.inside("cat", "/proc/net/dev").splitlines()[2:]]
        self.assertEqual(interfaces, ["lo"])
        self.assertEqual(len(self.inside("cat", "/proc/net/route").splitlines()), 1)

    def test_denied_with_exceptions_is_refused(self):
        folder = self.sandbox.project / ".kortex"
        folder.mkdir()
        (folder / "workspace.json").write_text(json.dumps({"network": {"mode": "deny", "hosts": ["example.org"]}}))
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", f"image={IMAGE}")
        self.assert_ended(done, 7, stderr="network")
        self.assertEqual(self.containers(), [])

    def gateway(self):
        for line in self.inside("cat", "/proc/net/route").splitlines()[1:]:
            fields = line.split()
            if fields[1] == "00000000" and fields[2] != "00000000":
                return socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
        return None

    def test_the_hosts_loopback_is_not_reached(self):
        self.create()
        gateway = self.gateway()
        for where, expected in (("127.0.0.1", False), ("0.0.0.0", True)):
            with socket.socket() as listener:
                listener.bind((where, 0))
                listener.listen()
                listener.settimeout(0)
                port = str(listener.getsockname()[1])
                for address in ("127.0.0.1", "10.0.2.2", "169.254.1.2", "host.containers.internal", "host.docker.internal", gateway):
                    if address and not (expected and address != gateway):
                        self.run_cli("exec", "w", "--", "timeout", "3", "nc", "-w", "2", address, port)
                try:
                    listener.accept()[0].close()
                    reached = True
                except BlockingIOError:
                    reached = False
            # That a service for everybody is reached shows that the attempts are real; slirp4netns has no way to that one either.
            if not expected or ENGINE != "rootless":
                self.assertEqual(reached, expected, f"a listener on {where}, gateway {gateway}")
        self.assertIn("host-loopback", self.ok("show", "w").stdout)

    def test_a_network_that_was_opened_to_the_hosts_loopback_is_not_called_closed(self):
        if ENGINE != "rootless":
            self.skipTest("of rootless networks only")
        conf = self.sandbox.path / "containers.conf"
        with open(self.sandbox.env["CONTAINERS_CONF"], encoding="utf-8") as given:
            text = given.read().replace("[engine]", '[engine]\nnetwork_cmd_options = ["allow_host_loopback=true"]')
        conf.write_text(text)
        self.sandbox.env["CONTAINERS_CONF"] = str(conf)
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", f"image={IMAGE}", "--require", "host-loopback")
        self.assert_ended(done, 7, stderr="host-loopback|loopback")
        self.create()
        shown = self.ok("show", "w").stdout
        self.assertNotIn("host-loopback", shown)
        self.assertRegex(shown, "this machine's own loopback included")

    def test_limits_hold_or_are_refused(self):
        limits = {"resources": {"memory": "64MiB", "cpus": 0.5, "processes": 40}}
        if ENGINE == "rootless":
            folder = self.sandbox.project / ".kortex"
            folder.mkdir()
            (folder / "workspace.json").write_text(json.dumps(limits))
            done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", f"image={IMAGE}")
            if done.status != 0:
                self.assert_ended(done, 7, stderr="memory")
                return
            self.ok("remove", "project")
        self.create(configuration=limits)
        described = json.loads(self.engine("inspect", self.container()))[0]["HostConfig"]
        self.assertEqual((described["Memory"], described["PidsLimit"]), (64 << 20, 40))
        done = self.run_cli("exec", "w", "--", "sh", "-c", "head -c 200m /dev/zero | tail")
        self.assertNotEqual(done.status, 0, str(done))
        done = self.run_cli("exec", "w", "--", "sh", "-c", "for n in $(seq 60); do sleep 5 & done; wait")
        self.assertRegex(done.stderr, "fork")

    def test_the_agent_gains_no_privileges(self):
        self.create()
        self.assertRegex(self.inside("cat", "/proc/self/status"), r"NoNewPrivs:\t1")


class Secrets(Secrecy, EngineTest):
    def test_they_are_where_they_are_needed_and_nowhere_else(self):
        self.exercise(RUNTIME, "--runtime-option", f"image={IMAGE}", seconds=4 * SOON)


class Images(EngineTest):
    def test_a_missing_image_says_so_and_what_to_type(self):
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", "image=localhost/kortex-nowhere:1")
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("image 'localhost/kortex-nowhere:1' is not here and cannot be fetched", done.stderr)
        self.assertRegex(done.stderr, rf"hint: (ssh .*)?{RUNTIME}.* pull localhost/kortex-nowhere:1")
        self.assertEqual(self.ok("list").stdout, "")
        self.assertEqual(self.containers(), [])

        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", "image=localhost/kortex-nowhere:1", "--start")
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("image 'localhost/kortex-nowhere:1' is not here and cannot be fetched", done.stderr)
        for name in ("NO//image", "Upper", "-v", "a:", "spaced out"):
            done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", f"image={name}")
            self.assert_ended(done, 7, stderr=f"cannot use image '{name}': that is not the name of an image")
        self.assertEqual(self.ok("list").stdout, "")

    def test_a_registry_is_told_who_asks(self):
        if RUNTIME != "docker":
            self.skipTest("podman asks a registry of this machine by https only")
        asked = []

        class Registry(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.headers.get("Authorization", ""))
                self.send_response(404 if asked[-1] else 401)
                if not asked[-1]:
                    self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            registry = f"127.0.0.1:{server.server_address[1]}"
            folder = self.sandbox.home / ".docker"
            folder.mkdir()
            helper = self.sandbox.path / "helper"
            helper.mkdir()
            (helper / "docker-credential-test").write_text(f"""#!/bin/sh
[ "$1 $(cat)" = "get {registry}" ] && echo '{{"ServerURL":"{registry}","Username":"helped","Secret":"hush-helper"}}'
""")
            (helper / "docker-credential-test").chmod(0o755)
            self.sandbox.env["PATH"] += f":{helper}"
            for config, expected in (({"auths": {registry: {"auth": base64.b64encode(b"me:hush-file").decode()}}}, b"me:hush-file"),
                                     ({"credHelpers": {registry: "test"}}, b"helped:hush-helper"), ({"credsStore": "test"}, b"helped:hush-helper")):
                (folder / "config.json").write_text(json.dumps(config))
                asked.clear()
                done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", f"image={registry}/app:1", "--progress", "plain")
                self.assertEqual(done.status, 1, str(done))
                self.assertIn("Basic " + base64.b64encode(expected).decode(), asked)
                self.assertNotIn("hush", done.stderr + done.stdout)
            server.shutdown()
        for found in self.sandbox.store.rglob("*"):
            if found.is_file():
                self.assertNotIn(b"hush", found.read_bytes(), str(found))

    def test_an_image_is_built_and_removed_again(self):
        context = self.sandbox.project / "image"
        context.mkdir()
        (context / "Containerfile").write_text(f"FROM {IMAGE}\nCOPY made /made\n")
        (context / "made").write_text("by the build\n")
        self.create(configuration={"build": {"context": "$SOURCES/image", "file": "$SOURCES/image/Containerfile"}})
        self.assertEqual(self.inside("cat", "/made"), "by the build\n")
        self.ok("remove", "--force", "w")
        self.assertNotIn("kortex-w-", self.engine("images"))

    def test_a_failed_build_keeps_its_log(self):
        context = self.sandbox.project / "image"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo about to fail && exit 3\n")
        folder = self.sandbox.project / ".kortex"
        folder.mkdir()
        (folder / "workspace.json").write_text(json.dumps({"build": {"context": "$SOURCES/image", "file": "$SOURCES/image/Dockerfile"}}))
        before = self.engine("ps", "-aq")
        for more in ((), ("--start",)):
            done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, *more)
            self.assertEqual(done.status, 1, str(done))
            self.assertRegex(done.stderr, "cannot build the image")
            self.assertRegex(done.stderr, "about to fail")
            self.assertNotRegex(done.stderr, r"\?\n")
        self.assertEqual(self.engine("ps", "-aq"), before)
        self.assertEqual(self.ok("list").stdout, "")


class EngineTrouble(EngineTest):
    def absent(self):
        return {"DOCKER_HOST": f"unix://{self.sandbox.path}/absent.sock", "CONTAINER_HOST": f"unix://{self.sandbox.path}/absent.sock"}

    def test_an_engine_that_is_down_says_so(self):
        done = self.run_cli("runtime", "list", env=self.absent())
        self.assertRegex(done.stdout, rf"{RUNTIME} .*not usable.*cannot reach {RUNTIME} at '.*absent.sock': no such socket; hint: .+")
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, env=self.absent())
        self.assertEqual(done.status, 4, str(done))
        self.assertRegex(done.stderr, rf"cannot reach {RUNTIME}")

    def test_the_engine_that_was_chosen_is_remembered(self):
        if ENGINE == "docker":
            self.create()
            self.assertEqual(self.ok("show", "w", "-o", "json", env=self.absent()).json()["state"], "running")

    def test_remove_force_works_without_the_engine(self):
        self.create(start=False)
        where = self.sandbox.store / "workspaces" / self.show()["id"] / "runtime/endpoint"
        where.write_text(f"unix://{self.sandbox.path}/absent.sock\n")
        self.assert_ended(self.run_cli("remove", "w"), 4, stderr=rf"cannot reach {RUNTIME} at '.*absent.sock'")
        self.assert_ended(self.run_cli("remove", "--force", "w"), 0, stdout="w", stderr="left")
        self.assertEqual(self.ok("list").stdout, "")

    def test_an_engine_that_is_killed_costs_its_own_rows_and_comes_back(self):
        self.create()
        if ENGINE == "docker":
            fixture = Fixture(DIRECTORY)
            fixture.end("docker", signal.SIGKILL)
            try:
                done = self.ok("list")
            finally:
                fixture.start_docker()
            self.assertRegex(done.stdout, r"w +unknown")
            self.assertRegex(done.stderr, "cannot reach docker at '.*': nobody listens there")
            self.assertIn(self.state(), ("running", "stopped"))
        else:
            for pid, command in self.sandbox.processes().items():
                if "system service" in command:
                    os.kill(pid, signal.SIGKILL)
            self.assertEqual(self.state(), "running")
        self.ok("start", "w")
        self.assertEqual(self.inside("echo", "back"), "back\n")

    def test_engines_by_tcp_are_refused_with_the_reason(self):
        env = {"DOCKER_HOST": "tcp://machine:2375", "CONTAINER_HOST": "tcp://machine:2375"}
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, env=env)
        self.assertEqual(done.status, 7, str(done))
        self.assertRegex(done.stderr, "cannot use engine 'tcp://machine:2375': engines of other machines are reached by ssh only\n")
        self.assertRegex(done.stderr, "hint: --runtime-option host=ssh://USER@MACHINE")

    def test_options_for_other_machines_are_refused_on_this_one(self):
        if not REMOTE:
            done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, "--runtime-option", "sync=copy")
            self.assert_ended(done, 7, stderr="option 'sync' is for an engine of another machine")


if __name__ == "__main__":
    unittest.main(verbosity=2)
