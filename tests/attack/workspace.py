"""What the attacks stand on: a workspace on the runtime that is attacked, with the program that attacks in its sources."""
import json
import os
import pathlib
import shutil
import time

import setting
from sandbox import TestCase, engine_usable

BOOT = 240.0 if setting.SETTING == "microvm" else 60.0
BUSYBOX = "/bin/busybox"


def missing():
    """Why this runtime cannot be attacked here; "": it can."""
    if setting.CONTAINER or setting.SETTING == "bare":
        return ""
    reason = engine_usable("bubblewrap", "bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true")
    if setting.SETTING == "microvm" and not reason:
        reason = engine_usable("QEMU", f"qemu-system-{os.uname().machine}", "--version")
        if not reason and not any(pathlib.Path("/lib/modules", path.name[8:]).is_dir() for path in pathlib.Path("/boot").glob("vmlinuz-*")):
            reason = "no kernel in /boot with its modules in /lib/modules"
    return reason


class AttackTest(TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.env["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
        if setting.CONTAINER:
            self.sandbox.env.update(setting.FACTS["env"])

    def tearDown(self):
        try:
            listed = self.run_cli("list", "-o", "json")
            for item in listed.json()["items"] if listed.status == 0 else []:
                self.run_cli("remove", "--force", item["id"], timeout=BOOT)
        finally:
            super().tearDown()

    def options(self):
        if setting.SETTING == "bare":
            return ["--runtime-option", "sandbox=none"]
        if setting.CONTAINER:
            return ["--runtime-option", f"image={setting.IMAGE}"]
        return ["--runtime-option", "accel=tcg"] if setting.SETTING == "microvm" else []

    def create(self, name="w", sources=None, agent=("sh",), configuration=None, start=True, more=()):
        """The configuration is not in the sources: what the agent may make of that is a test of its own."""
        sources = sources or self.sandbox.project
        if not (sources / "attempt").exists():
            shutil.copy2(setting.ATTEMPT, sources / "attempt")
        document = dict(configuration or {})
        if setting.SETTING == "microvm":
            document.setdefault("resources", {"memory": "256MiB", "cpus": 1})
        folder = self.sandbox.path / f"configuration-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "workspace.json").write_text(json.dumps(document))
        self.sandbox.agent(name, *agent)
        self.ok("init", sources, "--runtime", setting.RUNTIME, "--name", name, "--agent", name, "--workspace-configuration", folder,
                *self.options(), *more, *(["--start"] if start else []), timeout=BOOT)
        return name

    def show(self, name="w"):
        return self.ok("show", name, "-o", "json").json()

    def runtime_directory(self, name="w"):
        return self.sandbox.store / "workspaces" / self.show(name)["id"] / "runtime"

    def ask(self, questions, name="w"):
        """{id: (reached, why)} of questions {id: (verb, argument…)}."""
        text = lines_of(questions)
        return answers_of(self.ok("exec", name, "--", self.sandbox.project / "attempt", "ask", stdin=text.encode(), timeout=BOOT).stdout, questions)

    def attempt(self, *words, name="w", **options):
        """One attempt: whether it reached what it wanted, and why (not)."""
        done = self.run_cli("exec", name, "--", self.sandbox.project / "attempt", *words, **options)
        self.assertIn(done.status, (0, 1), str(done))
        verdict, _, why = done.stdout.strip().rpartition("\n")[2].partition(": ")
        self.assertIn(verdict, ("reached", "stopped"), str(done))
        self.assertNotIn("USAGE", why)
        return verdict == "reached", why

    def wait_for(self, path, seconds=BOOT):
        """Until the file is there: the agent's own sign, which no descriptor tells of."""
        deadline = time.monotonic() + seconds
        while not os.path.exists(path):
            self.assertLess(time.monotonic(), deadline, f"{path} never appeared; the agent says: {self.run_cli('logs', 'w').stdout[-2000:]}")
            time.sleep(0.02)


def lines_of(questions):
    return "".join("\t".join(map(str, (name, *words))) + "\n" for name, words in questions.items())


def answers_of(text, questions):
    answers = {}
    for line in text.splitlines():
        name, verdict, why = line.split("\t")
        assert verdict in ("reached", "stopped") and not why.startswith("USAGE"), line
        answers[name] = (verdict == "reached", why)
    assert list(answers) == list(questions), f"not all was answered: {text}"
    return answers
