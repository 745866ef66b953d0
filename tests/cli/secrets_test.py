#!/usr/bin/env python3
"""Nothing that is secret is anywhere but where it is needed: in the agent's environment, or in the runtime's hands while it creates."""
import subprocess
import sys

import sandbox as box
from secrecy import Secrecy, secret


class SecretsTest(Secrecy, box.TestCase):
    def setUp(self):
        super().setUp()
        runtimes = self.sandbox.path / "runtimes"
        runtimes.mkdir(mode=0o755)
        self.sandbox.env["KORTEX_CLI_RUNTIME_PATH"] = str(runtimes)
        plugin = runtimes / "libkortex-runtime-secretive.so"
        plugin.write_bytes((box.BUILD / "tests" / "cli" / "secretive" / plugin.name).read_bytes())
        plugin.chmod(0o755)

    def test_process(self):
        self.exercise("process", *box.process_options())

    def test_process_without_a_sandbox(self):
        self.exercise("process", "--runtime-option", "sandbox=none")

    def test_fake(self):
        self.exercise("fake")

    def test_a_secret_option_reaches_create_alone_and_no_record(self):
        given = self.sandbox.path / "token"
        given.write_text(secret("runtime-option") + "\n")
        given.chmod(0o600)
        option = ["--runtime-option", "token=@token"]
        self.ok("init", self.sandbox.project, "--runtime", "secretive", "--name", "w", "--agent", "careful", *option, "-v", "-o", "json")
        # What the plugin saw: the length is in its details, so that the test knows it got there.
        self.assertEqual(self.ok("show", "w", "-o", "json").json()["info"]["token_length"], len(secret("runtime-option")))
        self.assert_nothing_stored("after init")
        self.ok("start", "w")  # fails in the plugin where it sees the option again
        self.assert_nothing_stored("after start")
        self.ok("show", "w")
        self.ok("runtime", "info", "secretive")
        self.ok("remove", "--force", "w")
        # Its own complaint about a value it does not like is the plugin's to word; ours never tell a value.
        for value in ("token=@no-such-file", "token=@.", f"token={secret('runtime-option')}"):
            self.run_cli("init", self.sandbox.project, "--runtime", "secretive", "--name", "x", *["--runtime-option", value, "--runtime-option", "size=many"])
        for arguments, data in self.printed:
            self.assert_no_secret_in(f"what {arguments} printed", data)
        self.assert_nothing_stored("after what failed")
        self.assert_modes()

    def test_a_remote_address_is_told_without_its_credentials(self):
        self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", "w")
        shown = self.ok("show", "w", "-o", "json").json()
        self.assertIn("git.example.com/team/shop", shown["project"])
        self.assert_nothing_stored("after init")


if __name__ == "__main__":
    if subprocess.run(["git", "--version"], capture_output=True).returncode != 0:
        sys.exit("git is needed")
    box.main()
