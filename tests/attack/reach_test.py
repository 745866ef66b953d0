"""What an agent reaches of the machine is what `show` declares: reach_test.py SETTING [Test.name...]"""
import contextlib
import fcntl
import os
import pathlib
import secrets
import select
import struct
import subprocess
import sys
import termios
import tty
import unittest

import setting
from attacks import ATTACKS, EVERYTHING, PORT
from bait import Bait
from workspace import BOOT, AttackTest, answers_of, lines_of, missing

SETTING = setting.SETTING


class Terminal:
    """A terminal of the user's, in front of whom somebody sits."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.name, self.seen = os.ttyname(self.slave), b""
        os.chmod(self.name, 0o620)

    def showed(self, text):
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 4096)
        return text.encode() in self.seen

    def was_typed_into(self):
        return struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, b"\0" * 4))[0] > 0

    def close(self):
        os.close(self.master)
        os.close(self.slave)


class Target:
    """What the table's questions are about."""

    def __init__(self, test, bait, own, other):
        self.sandbox, self.bait, self.terminal = test.sandbox, bait, Terminal()
        self.planted = "planted-" + secrets.token_hex(8)
        self.other_sources = self.sandbox.path / "other"
        workspaces = self.sandbox.store / "workspaces"
        self.other_record, self.other_home = workspaces / other / "workspace.json", workspaces / other / "runtime/home"
        self.other_home.mkdir(exist_ok=True)
        (self.other_home / "secret").write_text(bait.mark)
        self._own, self._other = workspaces / own, workspaces / other
        self.release = pathlib.Path("/usr/lib/os-release").read_text().splitlines()[0]
        # Whether this kernel has what the attacks want at all: without, nothing is proved.
        tried = {verb: subprocess.run([setting.ATTEMPT, verb], stdout=subprocess.DEVNULL, check=False).returncode == 0
                 for verb in ("vsock", "vsock32", "namespace32")}
        self.has_vsock, self.has_32 = tried["vsock"], tried["vsock32"] or tried["namespace32"]
        self.shadow, self.links = None, self.sandbox.project
        with contextlib.suppress(OSError):
            self.shadow = pathlib.Path("/etc/shadow").read_text().splitlines()[0]
        (self.links / "shadow").symlink_to("/etc/shadow")
        disks = [line.split() for line in pathlib.Path("/proc/partitions").read_text().splitlines()[2:]]
        self.disk = disks[0][:2] if disks else ("8", "0")
        bare = SETTING == "bare"
        yama = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
        self.may_trace = not bare or setting.ROOT or not yama.exists() or yama.read_text().strip() == "0"
        legacy = pathlib.Path("/proc/sys/dev/tty/legacy_tiocsti")
        self.may_type = not bare or setting.ROOT and (not legacy.exists() or legacy.read_text().strip() == "1")

    @staticmethod
    def _socket_in(workspace):
        return next((path for path in sorted(workspace.rglob("*.sock")) if path.is_socket()), None)

    # A holder makes its socket when it starts; a machine that has not been started has none.
    own_socket = property(lambda self: self._socket_in(self._own))
    other_socket = property(lambda self: self._socket_in(self._other))

    def has_planted(self, path):
        with contextlib.suppress(OSError):
            return self.planted in pathlib.Path(path).read_text(errors="replace")
        return False


class Reach(AttackTest):
    def setUp(self):
        super().setUp()
        self.bait = Bait(self.sandbox, setting.ATTEMPT)
        self.addCleanup(self.bait.close)

    def prepare(self, configuration):
        """Two workspaces, one of which is going to attack."""
        for folder in (self.sandbox.project / ".git/hooks", self.sandbox.path / "other"):
            folder.mkdir(parents=True)
        (self.sandbox.path / "other/secret").write_text(self.bait.mark)
        self.create("other", sources=self.sandbox.path / "other", start=SETTING != "microvm")
        mounts = [] if SETTING == "bare" else [
            {"host": str(self.bait.files[name].parent), "target": str(self.bait.files[name].parent), "ro": name == "read_only"}
            for name in ("read_only", "read_write")]
        asked, answered = self.sandbox.project / "questions", self.sandbox.project / "answers"
        self.create("w", agent=(str(self.sandbox.project / "attempt"), "answer", str(asked), str(answered)), start=False,
                    configuration={"mounts": mounts, **configuration})
        target = Target(self, self.bait, self.show("w")["id"], self.show("other")["id"])
        self.addCleanup(target.terminal.close)
        return target, asked, answered

    def attack(self, configuration, denied=False):
        target, asked, answered = self.prepare(configuration)
        bare = SETTING == "bare"
        attacks = [attack for attack in ATTACKS if not (attack.sandboxed and bare) and (not attack.settings or SETTING in attack.settings)]
        if bare:
            target._own.joinpath("runtime").mkdir(exist_ok=True)
        by_agent = {attack.name: attack.question(target) for attack in attacks}
        questions = {name: words for name, words in by_agent.items() if words}
        asked.write_text(lines_of(questions))
        self.ok("start", "w", timeout=BOOT)
        self.wait_for(answered)
        answers = answers_of(answered.read_text(), questions)
        # Once more as a program beside the agent; now the holder's socket is there as well.
        by_program = {attack.name: words for attack in attacks if (words := attack.question(target))}
        again = self.ask(by_program)
        lines = self.show("w")["exposure"]
        wrong, proved = [], set()
        for attack in attacks:
            if attack.name not in by_program:
                print(f"note: cannot be tried here: {attack.name}", file=sys.stderr)
                line = attack.reach.get(SETTING)
                proved.update(text for text in lines if line and line.search(text))
                continue
            seen = [answer for answer in (answers.get(attack.name), again[attack.name]) if answer]
            reached = attack.host(target) if attack.host else any(one for one, _ in seen)
            line = EVERYTHING if bare else None if attack.network and denied else attack.reach.get(SETTING)
            said = f"{attack.name}: {'; '.join(why for _, why in seen)}"
            matching = [text for text in lines if line and line.search(text)]
            if reached and SETTING not in attack.inside and not matching:
                wrong.append(f"REACHED AND NOT DECLARED  {said}")
            if line and not reached:
                wrong.append(f"DECLARED AND NOT REACHED  {said}")
            proved.update(matching if reached else ())
            if os.environ.get("KORTEX_ATTACK_TELL"):
                print(f"{'reached' if reached else 'stopped'}  {said}", file=sys.stderr)
        wrong += [f"DECLARED, AND NOTHING REACHES IT  {text}" for text in lines if text not in proved and not PORT.search(text)]
        if not bare:
            wrong += [f"SPOILED  {path}" for path in self.bait.spoiled()]
        self.assertEqual(wrong, [], "\nshow says:\n  " + "\n  ".join(lines) + "\n" + "\n".join(wrong))
        print(f"{len(by_program)} attempts by a program, {len(questions)} by the agent; {len(lines)} lines of exposure", file=sys.stderr)

    def tearDown(self):
        for folder in ("/etc", "/usr/local/bin"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, self.bait.name))
        super().tearDown()

    def test_what_is_reached_is_what_show_declares(self):
        self.attack({})

    @unittest.skipIf(SETTING == "bare", "without a sandbox nothing can be denied")
    def test_with_network_deny_nothing_of_a_network_is_reached(self):
        self.attack({"network": {"mode": "deny"}}, denied=True)


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"cannot be attacked here: {reason}", file=sys.stderr)
        sys.exit(setting.SKIPPED)
    unittest.main(verbosity=2)
