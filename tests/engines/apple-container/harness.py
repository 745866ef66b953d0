"""For tests: a simulated Mac in a folder, with one version of the tool."""
import contextlib
import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import machine  # noqa: E402

VERSIONS = ("0.4.1", "0.7.1", "0.9.0", "0.12.3", "1.0.0", "1.2.2", "1.4.1")
IMAGE = "docker.io/library/debian:stable-slim"
HERE = pathlib.Path(__file__).resolve().parent


class Mac:
    def __init__(self, folder, version):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "containers").mkdir(exist_ok=True)
        self.set_version(version)
        (self.folder / "services").write_text("running")
        (self.folder / "images").write_text(IMAGE + "\n")
        (self.folder / "registry").write_text("docker.io/library/alpine:latest\n")
        self.program = self.folder / "container"
        self.program.write_text(f'#!/bin/sh\nexec /usr/bin/python3 -IS {HERE / "simulator.py"} {self.folder} "$@"\n')
        self.program.chmod(0o755)

    def set_version(self, version):
        (self.folder / "version").write_text(version)

    def fault(self, *lines):
        """Lines "COMMAND KIND"; kinds: hang, xpc, half-json, other-shape, plugin (another thing is not found). None: all is well."""
        (self.folder / "faults").write_text("\n".join(lines) + "\n")

    def services(self, running):
        (self.folder / "services").write_text("running" if running else "down")

    def names(self):
        return sorted(path.parent.name for path in self.folder.glob("containers/*/config.json"))

    def machines(self):
        return [machine.Machine(path.parent) for path in self.folder.glob("containers/*/config.json")]

    def calls(self):
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in (self.folder / "calls.log").read_text().splitlines()]
        return []

    def crash(self):
        """All virtual machines are gone at once, without a word."""
        for one in self.machines():
            facts = one.facts()
            for name in ("pid",):
                with contextlib.suppress(KeyError, ProcessLookupError):
                    os.kill(facts[name], signal.SIGKILL)
            one.await_end()

    def reboot(self):
        """As a Mac that was restarted: nothing runs, the services neither."""
        self.crash()
        self.services(False)

    def close(self):
        self.fault()
        self.crash()
