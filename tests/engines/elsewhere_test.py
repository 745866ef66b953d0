"""What is different when the engine is on another machine: elsewhere_test.py podman-ssh|docker-ssh [Test.name...]"""
import hashlib
import json
import os
import pwd
import signal
import unittest

from place import ADDRESS, FACTS, IMAGE, RUNTIME, SSH, STATE  # first: it decides who we are and where the binary is
from engine_case import EngineTest


class Elsewhere(EngineTest):
    def logins(self):
        return [line for line in (self.sandbox.path / "ssh-calls").read_text().splitlines() if "ControlMaster=auto" in line and "exec sh" in line]

    def refused(self, status, *patterns, address=None, options=(), env=None):
        address = ["--runtime-option", f"host={address}"] if address else []
        done = self.run_cli("init", self.sandbox.project, "--runtime", RUNTIME, *address, "--runtime-option", f"image={IMAGE}", *options, env=env)
        self.assertEqual(done.status, status, str(done))
        for pattern in patterns:
            self.assertRegex(done.stderr, pattern)
        self.assertEqual(self.ok("list", env={"DOCKER_HOST": "", "CONTAINER_HOST": ""}).stdout, "")

    def test_one_login_serves_many_commands(self):
        self.create()
        at_first = len(self.logins())
        for _ in range(3):
            self.inside("true")
            self.ok("list")
        self.assertEqual(len(self.logins()), at_first)

    def test_a_lost_connection_is_made_anew(self):
        self.create()
        masters = [pid for pid, command in self.sandbox.processes().items() if "[mux]" in command]
        self.assertTrue(masters, self.sandbox.processes())
        for pid in masters:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.state(), "running")
        self.assertEqual(self.inside("echo", "here"), "here\n")

    def test_a_connection_that_is_lost_in_the_middle_is_called_that(self):
        self.create()
        terminal = self.terminal("terminal", "w")
        terminal.send("echo $((40+2))\r")
        terminal.expect("42")
        for pid, command in self.sandbox.processes().items():
            if "[mux]" in command:
                os.kill(pid, signal.SIGKILL)
        terminal.expect("the connection to 'root@127.0.0.1' was lost, the agent of 'w' goes on")
        terminal.expect("hint: kortex-cli terminal w")
        self.assertEqual(terminal.ended(), 125)
        again = self.terminal("terminal", "w")
        again.expect("42")

    def test_a_machine_that_cannot_be_reached_says_what_ssh_said(self):
        self.refused(4, "cannot reach 'root@127.0.0.1' by ssh: .*Connection refused", "hint: ssh -p 1 root@127.0.0.1 true", address="ssh://root@127.0.0.1:1")
        self.refused(4, "cannot reach 'nosuchuser@127.0.0.1' by ssh: .*[Pp]ermission denied", address=f"ssh://nosuchuser@127.0.0.1:{SSH['port']}")
        strange = self.sandbox.path / "ssh-config"
        strange.write_text("StrictHostKeyChecking yes\nUserKnownHostsFile /dev/null\n")
        self.refused(4, "cannot reach 'root@127.0.0.1' by ssh: Host key verification failed\n", env={"SSH_CONFIG": str(strange)})

    def test_an_engine_that_is_not_there_says_so(self):
        where = f"ssh://root@127.0.0.1:{SSH['port']}/no/such.sock"
        self.refused(4, f"cannot reach {RUNTIME} on 'root@127.0.0.1' at '/no/such.sock': no such socket there", "hint: ssh -p .*systemctl", address=where)

    def test_addresses_that_are_none_are_refused(self):
        for address, why in (("ssh://", "it names no machine"), ("ssh://machine:x", "its port is not a number"), ("ssh://-oProxyCommand=x", "not an address"),
                             ("ssh://user:secret@machine", "with a password in its address")):
            self.refused(7, why, address=address)
        self.assertFalse((self.sandbox.path / "ssh-calls").exists())

    def test_sources_that_are_not_there_are_refused_and_others_can_be_named(self):
        self.refused(7, "the sources '/no/such' are not a directory on 'root@127.0.0.1'", options=["--runtime-option", "sources=/no/such"])
        elsewhere = self.sandbox.path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "here").write_text("of the other machine\n")
        self.create("w", "--runtime-option", f"sources={elsewhere}")
        self.assertEqual(self.inside("cat", f"{self.sandbox.project}/here"), "of the other machine\n")
        self.inside("sh", "-c", "echo from inside > made")
        self.assertEqual((elsewhere / "made").read_text(), "from inside\n")
        self.assertTrue(any(str(elsewhere) in line for line in self.show()["exposure"]), self.show()["exposure"])

    def test_copied_sources_are_a_copy(self):
        (self.sandbox.project / "link").symlink_to("README.md")
        (self.sandbox.project / "run.sh").write_text("#!/bin/sh\necho ran\n")
        (self.sandbox.project / "run.sh").chmod(0o755)
        (self.sandbox.project / "big").write_bytes(os.urandom(5 << 20))
        self.create("w", "--runtime-option", "sync=copy")
        self.assertEqual(self.inside("./run.sh"), "ran\n")
        self.assertEqual(self.inside("readlink", "link"), "README.md\n")
        self.assertEqual(self.inside("sha256sum", "big").split()[0], hashlib.sha256((self.sandbox.project / "big").read_bytes()).hexdigest())
        self.inside("sh", "-c", "rm README.md; echo new > made")
        self.assertTrue((self.sandbox.project / "README.md").exists())
        self.assertFalse((self.sandbox.project / "made").exists())
        self.ok("stop", "w")
        self.ok("start", "w")
        self.assertEqual(self.inside("cat", "made"), "new\n")
        self.assertTrue(any("copy of the sources" in line for line in self.show()["exposure"]), self.show()["exposure"])

    def test_contexts_and_connections_are_followed(self):
        if RUNTIME == "docker":
            folder = self.sandbox.home / ".docker/contexts/meta/one"
            folder.mkdir(parents=True)
            (folder / "meta.json").write_text(json.dumps({"Name": "bigger", "Endpoints": {"docker": {"Host": ADDRESS}}}))
            option, wrong = "context=bigger", ("context=other", "cannot use docker context 'other': there is none of that name")
        else:
            conf = self.sandbox.path / "containers.conf"
            conf.write_text(f'[engine]\n[engine.service_destinations]\n[engine.service_destinations.bigger]\nuri = "{ADDRESS}"\nidentity = "/no/such/key"\n')
            self.sandbox.env["CONTAINERS_CONF"] = str(conf)
            option, wrong = "connection=bigger", ("connection=other", "cannot use podman connection 'other': there is none of that name")
        del self.sandbox.env["DOCKER_HOST"], self.sandbox.env["CONTAINER_HOST"]
        self.refused(7, wrong[1], options=["--runtime-option", wrong[0]])
        self.create("w", "--runtime-option", option)
        self.assertEqual(self.inside("echo", "there"), "there\n")
        self.assertEqual(self.ok("show", "w", "-o", "json", env={"DOCKER_HOST": "ssh://other"}).json()["state"], "running")
        self.ok("remove", "--force", "w")

    def test_an_ordinary_users_engine_is_his_own(self):
        rootless = STATE.get("rootless", {})
        if "missing" in rootless:
            self.skipTest(rootless["missing"])
        there = pwd.getpwnam(rootless["user"])
        address = f"ssh://{there.pw_name}@127.0.0.1:{SSH['port']}"
        if RUNTIME == "docker":
            self.refused(7, "cannot reach docker on '.*' at '.*': the user there may not use it", "usermod -aG docker", address=address + FACTS["socket"])
            return
        for folder in (self.sandbox.path, self.sandbox.project):
            folder.chmod(0o755)
        os.chown(self.sandbox.project, there.pw_uid, there.pw_gid)
        self.create("w", "--runtime-option", f"host={address}{rootless['socket']}")
        self.assertEqual(self.inside("id", "-u").strip(), str(there.pw_uid))
        self.inside("sh", "-c", 'echo inside > made; echo at home > "$HOME/note"')
        self.assertEqual((self.sandbox.project / "made").stat().st_uid, there.pw_uid)
        terminal = self.terminal("terminal", "w")
        terminal.send("exit 4\r")
        self.assertEqual(terminal.ended(), 4)
        self.ok("start", "w")
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/note"'), "at home\n")
        self.ok("remove", "--force", "w")


if __name__ == "__main__":
    unittest.main(verbosity=2)
