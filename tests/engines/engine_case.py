"""What tests on a real engine stand on: one sandbox each, the engine's own program, what is left at the end."""
import json
import os

from place import ADDRESS, FACTS, IMAGE, REMOTE, RUNTIME, SSH  # first: it decides who we are and where the binary is
from sandbox import TestCase

ROOT = os.geteuid() == 0


def give_ssh(sandbox):
    """ssh takes nothing from $HOME, so that its settings go in by a program of that name; it notes who was called."""
    folder = sandbox.path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(f"""#!/bin/sh
echo "$*" >>{sandbox.path}/ssh-calls
exec /usr/bin/ssh -F ${{SSH_CONFIG:-{SSH["config"]}}} "$@"
""")
    (folder / "ssh").chmod(0o755)
    sandbox.env["PATH"] = f"{folder}:{sandbox.env['PATH']}"


class EngineTest(TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.env["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
        if not REMOTE:
            self.sandbox.env.update(FACTS["env"])
            return
        self.sandbox.env.update({"DOCKER_HOST": ADDRESS, "CONTAINER_HOST": ADDRESS})
        give_ssh(self.sandbox)

    def tearDown(self):
        try:
            left = self.containers()
            if left:
                self.engine("rm", "-f", *left)
        finally:
            super().tearDown()

    def engine(self, *arguments):
        """The engine's own program."""
        done = self.sandbox.run("env", "-u", "DOCKER_HOST", "-u", "CONTAINER_HOST", *(f"{k}={v}" for k, v in FACTS["env"].items()), RUNTIME, *arguments)
        self.assertEqual(done.status, 0, str(done))
        return done.stdout

    def containers(self):
        """Of this test's sandbox: other tests may be at work beside it."""
        ids = self.engine("ps", "-aq", "--no-trunc", "--filter", "label=io.kortex.key").split()
        if not ids:
            return []
        described = json.loads(self.engine("inspect", *ids))
        # Copied sources are not mounted.
        ours = [(item["Id"], [*(mount.get("Source", "") for mount in item["Mounts"]), *item["Config"]["Labels"].values()]) for item in described]
        return [its for its, words in ours if any(str(self.sandbox.path) in word for word in words)]

    def create(self, name="w", *more, agent=("sh",), configuration=None, start=True):
        self.sandbox.agent(name, *agent)
        if configuration is not None:
            folder = self.sandbox.project / ".kortex"
            folder.mkdir(exist_ok=True)
            (folder / "workspace.json").write_text(json.dumps(configuration))
        image = [] if any("image=" in str(word) for word in more) or "build" in (configuration or {}) else ["--runtime-option", f"image={IMAGE}"]
        return self.ok("init", self.sandbox.project, "--runtime", RUNTIME, "--name", name, "--agent", name, *image, *more, *(["--start"] if start else []))

    def state(self, name="w"):
        return self.show(name)["state"]

    def show(self, name="w"):
        return self.ok("show", name, "-o", "json").json()

    def container(self, name="w"):
        return self.show(name)["runtime"]["instance_id"]

    def inside(self, *command, name="w", **options):
        return self.ok("exec", name, "--", *command, **options).stdout
