"""The microvm runtime on real QEMU, emulated, through the real binary: microvm_test.py own|user [Test.name...]
`user`: started by root, the tests run as an ordinary user who has nothing but a directory."""
import atexit
import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request

if len(sys.argv) < 2 or sys.argv[1] not in ("own", "user"):
    sys.exit(f"usage: {sys.argv[0]} {{own|user}} [TEST...]")
AS = sys.argv.pop(1)
SKIPPED = 77
ORDINARY = 54321
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "cli")]


def become_ordinary():
    """On a copy of the binaries that everybody can reach."""
    if os.geteuid() != 0:
        print("only root can become somebody else, and whoever is not is one already", file=sys.stderr)
        sys.exit(SKIPPED)
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev"))
    copy = pathlib.Path(tempfile.mkdtemp(prefix="kortex-ordinary-"))
    for part in ("bin/kortex-cli", "lib/kortex", "share/kortex"):
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (build / part).is_dir() else shutil.copy2)(build / part, copy / part)
    for folder, names, files in os.walk(copy):
        for name in (*names, *files, "."):
            os.chown(os.path.join(folder, name), ORDINARY, ORDINARY)
    os.environ["KORTEX_BUILD_DIR"] = str(copy)
    import encodings.idna  # noqa: F401  the interpreter's own folder may be closed to that user
    import sandbox  # noqa: F401
    os.setgroups([])
    os.setgid(ORDINARY)
    os.setuid(ORDINARY)
    os.chdir("/")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)


if AS == "user":
    become_ordinary()
from sandbox import BINARY, SOON, TestCase, engine_usable  # noqa: E402
from secrecy import Secrecy  # noqa: E402

EMULATED = ["--runtime-option", "accel=tcg"]
BOOT = 240.0  # an emulated machine on a busy one
BUSYBOX = "/bin/busybox"


def missing():
    reason = engine_usable("QEMU", f"qemu-system-{os.uname().machine}", "--version") or engine_usable("bubblewrap", "bwrap", "--unshare-user", "--ro-bind", "/", "/", "true")
    kernels = [path for path in pathlib.Path("/boot").glob("vmlinuz-*") if pathlib.Path("/lib/modules", path.name[8:]).is_dir()]
    if not reason and not kernels:
        reason = "no kernel in /boot with its modules in /lib/modules"
        if os.environ.get("KORTEX_TEST_ENGINES") == "required":
            sys.exit(f"a kernel is required: {reason}")
    return reason


class MachineTest(TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.env["PATH"] += ":/usr/sbin:/sbin"

    def create(self, name="w", *more, agent=("sh",), configuration=None, start=True, memory="256MiB", accelerate=EMULATED):
        self.sandbox.agent(name, *agent)
        folder = self.sandbox.project / ".kortex"
        folder.mkdir(exist_ok=True)
        document = {"resources": {"memory": memory, "cpus": 1}, "network": {"mode": "deny"}}
        document.update(configuration or {})
        (folder / "workspace.json").write_text(json.dumps(document))
        self.ok("init", self.sandbox.project, "--runtime", "microvm", "--name", name, "--agent", name, *accelerate, *more,
                *(["--start"] if start else []), timeout=BOOT)
        return name

    def start(self, name="w"):
        return self.ok("start", name, timeout=BOOT)

    def show(self, name="w"):
        return self.ok("show", name, "-o", "json").json()

    def state(self, name="w"):
        return self.show(name)["state"]

    def directory(self, name="w"):
        return self.sandbox.store / "workspaces" / self.show(name)["id"] / "runtime"

    def inside(self, *command, name="w", **options):
        return self.ok("exec", name, "--", *command, **options).stdout

    def qemu(self):
        """Process ids of this sandbox's machines: none else has its directory open."""
        return [pid for pid, command in self.sandbox.processes().items() if "qemu-system" in command]

    def qemu_itself(self):
        """Not what it was started by."""
        return [pid for pid in self.qemu() if "qemu-system" in os.readlink(f"/proc/{pid}/exe")]

    def is_free(self, port):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    def busybox_root(self):
        root = self.sandbox.path / "root"
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "usr/bin"):
            (root / folder).mkdir(parents=True)
        shutil.copy2(BUSYBOX, root / "bin/busybox")
        for name in ("sh", "ls", "cat", "id", "echo", "mount", "uname", "grep", "touch", "sync"):
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc/made-by").write_text("the test\n")
        return root


class Lifecycle(MachineTest):
    def test_from_nothing_to_nothing(self):
        self.create(start=False)
        self.assertIn(self.state(), ("created", "stopped"))
        self.start()
        self.assertEqual(self.state(), "running")
        self.start()
        self.assertEqual(len(self.qemu()), 1)
        guest, host = self.inside("uname", "-r").strip(), os.uname().release
        self.assertTrue(pathlib.Path("/lib/modules", guest).is_dir(), guest)
        if not pathlib.Path("/boot", f"vmlinuz-{host}").exists():
            self.assertNotEqual(guest, host)
        self.assertEqual(self.inside("pwd").strip(), str(self.sandbox.project))
        self.assertIn("a sample project", self.inside("cat", "README.md"))
        self.inside("sh", "-c", 'echo kept > "$HOME/note"; touch /tmp/gone; echo inside > made; mkdir sub; echo more >> README.md')
        made = self.sandbox.project / "made"
        self.assertEqual((made.read_text(), made.stat().st_uid), ("inside\n", self.sandbox.project.stat().st_uid))
        self.assertFalse((self.sandbox.home / "note").exists())
        (self.sandbox.project / "from-the-host").write_text("outside\n")
        self.assertEqual(self.inside("cat", "from-the-host"), "outside\n")
        # A refusal, and what a look at the machine from outside says.
        self.assert_ended(self.run_cli("remove", "w"), 5, stderr="is running")
        self.assertIn("microvm", self.ok("list").stdout)
        # No network is no device.
        self.assertEqual([line.split(":")[0].strip() for line in self.inside("cat", "/proc/net/dev").splitlines()[2:]], ["lo"])
        self.ok("stop", "w")
        self.assertEqual(self.state(), "stopped")
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        self.ok("stop", "w")
        self.start()
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/note"; test -e /tmp/gone || echo cleared'), "kept\ncleared\n")
        self.ok("stop", "w")
        directory = self.directory()
        self.assertEqual([path.name for path in directory.iterdir() if path.is_socket()], [])
        self.ok("remove", "w")
        self.assertFalse(directory.exists())
        self.assert_nothing_left()

    def test_the_agents_end_is_the_machines_end_and_keeps_its_status(self):
        self.create(agent=("sh", "-c", "echo one; echo two; read line; exit 9"))
        terminal = self.terminal("terminal", "w")
        terminal.expect("two\r\n")
        self.assertEqual(self.ok("logs", "w").stdout, "one\r\ntwo\r\n")
        self.assertEqual(self.ok("logs", "--tail", "1", "w").stdout, "two\r\n")
        waiting = self.sandbox.popen(BINARY, "wait", "w", stdout=subprocess.PIPE)
        terminal.send("now\r")
        self.assertEqual(terminal.ended(), 9)
        self.assertEqual(waiting.communicate(timeout=SOON)[0], b"9\n")
        self.assertEqual(self.ok("wait", "w").stdout, "9\n")
        self.sandbox.wait_until_no_processes()
        shown = self.show()
        self.assertEqual((shown["state"], shown["exit_code"]), ("stopped", 9))
        self.assertIn("one\r\ntwo\r\n", self.ok("logs", "w").stdout)

    def test_an_agent_that_cannot_be_run_leaves_nothing_running(self):
        self.create(agent=("no-such-agent",), start=False)
        self.assert_ended(self.run_cli("start", "w", timeout=BOOT), 1, stderr="cannot start agent 'w': cannot run 'no-such-agent'")
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        self.assertIn(self.state(), ("created", "stopped"))
        self.ok("remove", "w")

    def test_a_start_that_is_interrupted_is_finished_or_undone(self):
        self.create(start=False)
        starting = self.sandbox.popen(BINARY, "start", "w", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + SOON
        while not self.qemu():
            self.assertLess(time.monotonic(), deadline)
        for pid in self.sandbox.processes():
            with contextlib.suppress(OSError):  # it may have ended since
                if "kortex-cli" in pathlib.Path(f"/proc/{pid}/comm").read_text():
                    os.kill(pid, signal.SIGKILL)
        starting.wait()
        self.assertIn(self.state(), ("starting", "stopped"))
        self.start()
        self.assertEqual((self.state(), len(self.qemu())), ("running", 1))
        self.assertEqual(self.inside("echo", "here"), "here\n")
        self.ok("remove", "--force", "w")
        self.assert_nothing_left()


    def test_a_machine_whose_record_and_directory_are_gone_is_found_and_ended(self):
        connected = not engine_usable("passt", "passt", "--version")
        self.create("kept", start=False)
        self.create("lost", configuration={"network": {"mode": "allow"}, "ports": [8080]} if connected else None)
        [pid] = self.qemu_itself()
        self.assertIn("virtiofsd", " ".join(self.sandbox.processes().values()))
        # passt keeps an ordinary user from looking at it: its port tells.
        ports = [forward["port"] for forward in self.show("lost")["forwards"]]
        self.assertEqual([self.is_free(port) for port in ports], [False] if connected else [])
        self.assertEqual(self.ok("list", "--orphans").stdout, "")
        workspace = self.show("lost")["id"]
        shutil.rmtree(self.sandbox.store / "workspaces" / workspace)
        (self.sandbox.store / "names/lost").unlink()
        key = f"kortex-lost-{workspace[:12]}"
        [orphan] = self.ok("list", "--orphans", "-o", "json").json()["orphans"]
        self.assertEqual((orphan["key"], orphan["runtime"], orphan["state"]), (key, "microvm", "running"))
        self.assertGreater(orphan["created"], 0)
        elsewhere = self.sandbox.path / "other-store"
        self.ok("--storage", elsewhere, "list")
        self.assertEqual(self.ok("--storage", elsewhere, "list", "--orphans", "-o", "json").json(), {"schema": 1, "orphans": [], "problems": []})
        self.assert_ended(self.run_cli("--storage", elsewhere, "prune", "--force"), 0, "", "no runtime has anything")
        self.assertEqual(self.qemu_itself(), [pid])
        self.assert_ended(self.run_cli("prune", "--force"), 0, rf"^{key}\n$")
        # With QEMU all goes that served it.
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        deadline = time.monotonic() + SOON
        while not all(map(self.is_free, ports)):
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.ok("list", "--orphans", "-o", "json").json()["orphans"], [])
        self.assertEqual(len(os.listdir(self.sandbox.store / "runtimes/microvm/instances")), 1)
        # One whose machine has ended already.
        workspace = self.show("kept")["id"]
        shutil.rmtree(self.sandbox.store / "workspaces" / workspace)
        (self.sandbox.store / "names/kept").unlink()
        [orphan] = self.ok("list", "--orphans", "-o", "json").json()["orphans"]
        self.assertEqual((orphan["key"], orphan["state"]), (f"kortex-kept-{workspace[:12]}", "stopped"))
        self.ok("prune", "--force")
        self.assertEqual(os.listdir(self.sandbox.store / "runtimes/microvm/instances"), [])
        self.assert_nothing_left()


class Sessions(MachineTest):
    def test_programs_and_terminals(self):
        """One machine for all of it: starting one takes longer than the rest."""
        self.create("w", "--runtime-option", "sessions=16", configuration={"environment": [{"name": "STATED", "value": "yes"}]})
        for command, status in (("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)):
            self.assert_ended(self.run_cli("exec", "w", "--", "sh", "-c", command), status)
        self.assert_ended(self.run_cli("exec", "w", "--", "no-such-program"), 127, stderr="no-such-program")
        done = self.run_cli("exec", "w", "--", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((done.stdout, done.stderr), ("out\n", "err\n"))
        self.assertEqual(self.inside("sh", "-c", 'echo "$STATED $KORTEX_WORKSPACE"'), "yes w\n")
        self.assertEqual(self.ok("exec", "-e", "MORE=1", "-w", "/tmp", "w", "--", "sh", "-c", 'echo "$MORE $PWD"').stdout, "1 /tmp\n")
        self.assertEqual(self.inside("wc", "-c", stdin=b"12345").strip(), "5")
        # Every byte, those of the link's own among them.
        for data in (bytes(range(256)) * 64 + b"\xf5" * 70000 + b"\xf5X\xf5A\xf5R", os.urandom(8 << 20)):
            done = self.run_cli("exec", "w", "--", "cat", stdin=data, timeout=BOOT)
            self.assertEqual((done.status, hashlib.sha256(done.stdout_bytes).hexdigest()), (0, hashlib.sha256(data).hexdigest()))
        self.attach_leave_and_come_back()
        self.a_crowd_of_sessions()
        self.a_killed_client_leaves_nothing()

    def attach_leave_and_come_back(self):
        first = self.terminal("terminal", "w", rows=31, cols=101)
        first.send("stty size; cd /tmp; VALUE=kept\r")
        first.expect("31 101")
        first.send("\x10")
        first.send("\x11")
        first.expect("detached")
        self.assertEqual(first.ended(), 0)
        second, third = self.terminal("terminal", "w", rows=40, cols=90), self.terminal("terminal", "w", rows=40, cols=90)
        second.expect("31 101")
        third.expect("31 101")
        second.send("echo $VALUE $PWD; stty size\r")
        for viewer in (second, third):
            viewer.expect("kept /tmp")
            viewer.expect("40 90")
        own = self.terminal("terminal", "w", "--", "sh", "-c", "stty size; exit 3", rows=20, cols=70)
        own.expect("20 70")
        self.assertEqual(own.ended(), 3)
        for viewer in (second, third):
            viewer.send("\x10\x11")
            viewer.ended()

    def a_crowd_of_sessions(self):
        many = [self.sandbox.popen(BINARY, "exec", "w", "--", "sh", "-c", f"read line; echo {number}-$line", stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE) for number in range(15)]
        for number, one in enumerate(many):
            self.assertEqual(one.communicate(b"x\n", timeout=BOOT)[0], f"{number}-x\n".encode())

    def a_killed_client_leaves_nothing(self):
        for _ in range(5):
            client = self.sandbox.popen(BINARY, "exec", "w", "--", "sh", "-c", "echo begun; cat > /dev/null; sleep 1000", stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
            client.stdin.write(b"\xf5" * 1000)
            client.stdin.flush()
            self.assertEqual(client.stdout.read(6), b"begun\n")
            children = pathlib.Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text().split()
            for pid in (client.pid, *map(int, children)):
                os.kill(pid, signal.SIGKILL)
            client.communicate()
            self.assertEqual(self.inside("echo", "next"), "next\n")
        deadline = time.monotonic() + SOON
        while "sleep 1000" in self.inside("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep [1]000' || true"):
            self.assertLess(time.monotonic(), deadline)


class Files(MachineTest):
    def test_mounts_and_owners(self):
        for name in ("open", "closed"):
            (self.sandbox.path / name).mkdir()
        (self.sandbox.path / "closed/kept").write_text("as it was\n")
        (self.sandbox.home / "rc").write_text("from the home\n")
        owner = 1234 if os.geteuid() == 0 else os.geteuid()
        if os.geteuid() == 0:
            for top in (self.sandbox.project, self.sandbox.path / "open", self.sandbox.path / "closed"):
                for folder, _, files in os.walk(top):
                    for name in (".", *files):
                        os.chown(os.path.join(folder, name), owner, owner)
        self.create(configuration={"mounts": [{"host": str(self.sandbox.path / "open"), "target": "/mnt/open"},
                                              {"host": str(self.sandbox.path / "closed"), "target": "/mnt/a,b=c", "ro": True},
                                              {"host": "$HOME/rc", "target": "$HOME/.config/rc", "ro": True},
                                              {"host": "/no/such/place", "target": "/mnt/none", "optional": True}]})
        self.assertEqual(self.inside("id", "-u").strip(), str(owner))
        self.inside("sh", "-c", "echo inside > made; echo more >> README.md; touch /mnt/open/made; mkdir closed; chmod 700 closed")
        for path in (self.sandbox.project / "made", self.sandbox.project / "closed", self.sandbox.path / "open/made"):
            self.assertEqual(path.stat().st_uid, owner, path)
        self.assertEqual(self.inside("stat", "-c", "%u", "README.md").strip(), str(owner))
        self.assert_ended(self.run_cli("exec", "w", "--", "touch", "/mnt/a,b=c/made"), 1, stderr="[Rr]ead-only")
        self.assertEqual(self.inside("cat", "/mnt/a,b=c/kept"), "as it was\n")
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/.config/rc"'), "from the home\n")
        self.assert_ended(self.run_cli("exec", "w", "--", "test", "-e", "/mnt/none"), 1)
        # Of this machine there is what was shared, and no secrets.
        for path in ("/etc/shadow", str(self.sandbox.home / ".kortex-cli"), str(self.sandbox.path / "open")):
            self.assert_ended(self.run_cli("exec", "w", "--", "test", "-e", path), 1)
        # Programs of this machine run.
        self.assertIn("sh", self.inside("ls", "/usr/bin"))
        self.ok("stop", "w")
        self.assertEqual((self.sandbox.project / "made").read_text(), "inside\n")

    def test_without_virtiofsd_qemu_serves_them_by_9p(self):
        kernels = [path for path in sorted(pathlib.Path("/boot").glob("vmlinuz-*")) if list(pathlib.Path("/lib/modules", path.name[8:]).glob("kernel/fs/9p/9p.ko*"))]
        if not kernels and os.environ.get("KORTEX_TEST_ENGINES") != "required":
            self.skipTest("no kernel in /boot has 9p")
        for name in ("open", "closed"):
            (self.sandbox.path / name).mkdir()
        (self.sandbox.path / "closed/kept").write_text("as it was\n")
        (self.sandbox.project / "mine").write_text("mine\n")
        self.create("w", "--runtime-option", "share=9p", "--runtime-option", f"kernel={kernels[-1]}", agent=("sh", "-c", "echo begun; exec sh"),
                    configuration={"mounts": [{"host": str(self.sandbox.path / "open"), "target": "/mnt/open"},
                                              {"host": str(self.sandbox.path / "closed"), "target": "/mnt/closed", "ro": True}]})
        # None but QEMU serves anything.
        self.assertEqual([command for command in self.sandbox.processes().values() if "virtiofsd" in command], [])
        self.assertEqual(self.inside("cat", "mine"), "mine\n")
        self.inside("sh", "-c", "echo inside > made; mkdir sub; mv made sub/moved; ln -s sub/moved link; touch /mnt/open/made; chmod 750 sub")
        moved = self.sandbox.project / "sub/moved"
        self.assertEqual((moved.read_text(), moved.stat().st_uid, (self.sandbox.project / "sub").stat().st_mode & 0o777), ("inside\n", os.geteuid(), 0o750))
        self.assertEqual(os.readlink(self.sandbox.project / "link"), "sub/moved")
        (self.sandbox.project / "from-the-host").write_text("outside\n")
        self.assertEqual(self.inside("cat", "from-the-host"), "outside\n")
        # Read-only on this side, and nothing there but what is shared.
        self.assert_ended(self.run_cli("exec", "w", "--", "touch", "/mnt/closed/made"), 1, stderr="[Rr]ead-only")
        self.assertEqual(self.inside("cat", "/mnt/closed/kept"), "as it was\n")
        for path in ("/etc/shadow", str(self.sandbox.home / ".kortex-cli"), str(self.sandbox.path / "open")):
            self.assert_ended(self.run_cli("exec", "w", "--", "test", "-e", path), 1)
        self.assertIn("begun", self.ok("logs", "w").stdout)
        self.assertEqual(self.state(), "running")
        self.ok("stop", "w")
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        self.start()
        [pid] = self.qemu_itself()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        self.assertEqual(self.show()["status"], "QEMU was killed")
        self.ok("remove", "w")
        self.assert_nothing_left()

    def test_file_systems_in_images(self):
        root, images = self.busybox_root(), {}
        for kind, command in (("ext4", ["mkfs.ext4", "-q", "-d", root, "FILE", "16M"]), ("erofs", ["mkfs.erofs", "--quiet", "FILE", root]),
                              ("squashfs", ["mksquashfs", root, "FILE", "-quiet", "-no-progress"])):
            if kind == "erofs" and not shutil.which("mkfs.erofs", path=self.sandbox.env["PATH"]) and os.environ.get("KORTEX_TEST_ENGINES") != "required":
                continue
            images[kind] = self.sandbox.path / f"root.{kind}"
            done = self.sandbox.run(*[images[kind] if word == "FILE" else word for word in command])
            self.assertEqual(done.status, 0, str(done))
        for kind, image in images.items():
            before = hashlib.sha256(image.read_bytes()).hexdigest()
            self.create(kind, "--runtime-option", f"root={image}", agent=("/bin/sh",))
            self.assertEqual(self.inside("sh", "-c", "echo changed > /etc/made-by 2>/dev/null; cat /etc/made-by; cat README.md", name=kind).splitlines()[0],
                             "changed" if self.sandbox.project.stat().st_uid == 0 else "the test")
            self.ok("remove", "--force", kind)
            self.assertEqual(hashlib.sha256(image.read_bytes()).hexdigest(), before, kind)
        self.assert_nothing_left()

    def test_a_root_of_ones_own(self):
        root = self.busybox_root()
        archive = self.sandbox.path / "root.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        self.create("d", "--runtime-option", f"root={root}", agent=("/bin/sh",))
        self.create("t", "--runtime-option", f"root={archive}", agent=("/bin/sh",))
        for name in ("d", "t"):
            self.assertEqual(self.inside("cat", "/etc/made-by", name=name), "the test\n")
            self.assertEqual(self.inside("sh", "-c", "ls /usr/bin; id -u", name=name), f"{self.sandbox.project.stat().st_uid}\n")
            self.assertIn("a sample project", self.inside("cat", "README.md", name=name))
        cached = [path.name for path in (self.sandbox.path / "cache").rglob("root-*")]
        self.assertEqual(len(cached), 1, cached)
        # It was read once, and what came of it stays.
        self.inside("sh", "-c", "echo mine > /etc/mine", name="t")
        self.ok("stop", "t")
        archive.unlink()
        self.start("t")
        self.assertEqual(self.inside("cat", "/etc/made-by", "/etc/mine", name="t"), "the test\nmine\n")
        self.assertEqual(self.show("t")["state"], "running")
        self.assert_ended(self.run_cli("show", "t"), 0, stdout="running", stderr="")
        for name in ("d", "t"):
            self.ok("remove", "--force", name)
        self.assert_nothing_left()

    def oci_archive(self, path, *layers, packing=None):
        """As skopeo and `podman save --format oci-archive` write it."""
        blobs = {}

        def add(content):
            digest = hashlib.sha256(content).hexdigest()
            blobs[digest] = content
            return {"mediaType": "application/octet-stream", "digest": f"sha256:{digest}", "size": len(content)}

        platform = {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]}
        config = add(json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]}}).encode())
        packed = [subprocess.run([packing, "-c"], input=layer, stdout=subprocess.PIPE, check=True).stdout if packing else layer for layer in layers]
        manifest = add(json.dumps({"schemaVersion": 2, "config": config, "layers": [add(layer) for layer in packed]}).encode())
        with tarfile.open(path, "w") as archive:
            for name, content in [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()),
                                  *((f"blobs/sha256/{digest}", content) for digest, content in blobs.items())]:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    def test_an_image_in_layers_is_a_root(self):
        root = self.busybox_root()
        lower = subprocess.run(["tar", "-C", root, "--numeric-owner", "--owner=0", "--group=0", "-cf", "-", "."], stdout=subprocess.PIPE, check=True).stdout
        upper = io.BytesIO()
        with tarfile.open(fileobj=upper, mode="w") as archive:
            for name, kind, content, more in (("bin/.wh.touch", tarfile.REGTYPE, b"", {}), ("etc/made-by", tarfile.REGTYPE, b"the upper layer\n", {}),
                                              ("etc/linked", tarfile.LNKTYPE, b"", {"linkname": "bin/busybox"}), ("etc/secret", tarfile.REGTYPE, b"s", {"mode": 0o640, "uid": 4321, "gid": 8765}),
                                              ("dev/made", tarfile.CHRTYPE, b"", {"devmajor": 1, "devminor": 3, "mode": 0o666})):
                member = tarfile.TarInfo(name)
                member.type, member.size = kind, len(content)
                for key, value in more.items():
                    setattr(member, key, value)
                archive.addfile(member, io.BytesIO(content))
        image = self.oci_archive(self.sandbox.path / "image.tar", lower, upper.getvalue(), packing="zstd")
        self.create("w", "--runtime-option", f"root={image}", agent=("/bin/sh",))
        self.assertEqual(self.inside("cat", "/etc/made-by"), "the upper layer\n")
        self.assertEqual(self.inside("/bin/busybox", "stat", "-c", "%u:%g %a", "/etc/secret"), "4321:8765 640\n")
        self.assertEqual(self.inside("/bin/busybox", "stat", "-c", "%a", "/"), "755\n")
        self.assertEqual(self.inside("/bin/busybox", "cmp", "/etc/linked", "/bin/busybox"), "")
        self.assertEqual(self.inside("/bin/busybox", "stat", "-c", "%h", "/etc/linked"), "2\n")
        self.assert_ended(self.run_cli("exec", "w", "--", "/bin/ls", "/bin/touch"), 1, stderr="No such file")
        self.assertIn("bin/touch", lower.decode(errors="replace"))
        self.ok("remove", "--force", "w")
        # Half of it is none, and leaves nothing in the cache.
        half = self.sandbox.path / "half.tar"
        half.write_bytes(image.read_bytes()[:image.stat().st_size // 2])
        cached = sorted(path.name for path in (self.sandbox.path / "cache").rglob("*"))
        done = self.run_cli("init", self.sandbox.project, "--runtime", "microvm", "--name", "h", *EMULATED, "--runtime-option", f"root={half}", timeout=BOOT)
        self.assert_ended(done, 7, stderr=f"cannot use '{half}' as the root: it is cut off")
        self.assertEqual(sorted(path.name for path in (self.sandbox.path / "cache").rglob("*")), cached)
        self.assert_nothing_left()

    def test_a_full_disk_is_the_guests_trouble_alone(self):
        self.create("w", "--runtime-option", "disk=64MiB")
        done = self.run_cli("exec", "w", "--", "sh", "-c", "head -c 100000000 /dev/zero > $HOME/big")
        self.assert_ended(done, 1, stderr="[Nn]o space left")
        self.assertLess(os.stat(self.directory() / "disk.img").st_blocks * 512, 80 << 20)
        self.inside("sh", "-c", "echo still > here")
        self.inside("sh", "-c", "rm $HOME/big; echo room > $HOME/small")
        self.ok("stop", "w")
        self.assertEqual((self.sandbox.project / "here").read_text(), "still\n")
        self.start()
        self.assertEqual(self.inside("sh", "-c", "cat $HOME/small"), "room\n")


class Secrets(Secrecy, MachineTest):
    configuration = {"resources": {"memory": "256MiB", "cpus": 1}, "network": {"mode": "deny"}}

    def test_they_are_where_they_are_needed_and_nowhere_else(self):
        """Not on the machine's disk either, which is searched as every file of the store is."""
        self.exercise("microvm", *EMULATED, "--runtime-option", "disk=64MiB", seconds=BOOT)


class Trouble(MachineTest):
    def test_qemu_is_killed(self):
        self.create()
        terminal = self.terminal("terminal", "w")
        terminal.send("echo rea''dy; echo written > written\r")
        terminal.expect("ready")
        self.inside("true")
        [pid] = self.qemu()
        os.kill(pid, signal.SIGKILL)
        self.assertNotEqual(terminal.ended(), 0)
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        shown = self.show()
        self.assertEqual((shown["state"], shown["status"]), ("failed", "QEMU was killed"))
        self.assertEqual((self.sandbox.project / "written").read_text(), "written\n")
        self.assert_ended(self.run_cli("exec", "--no-start", "w", "--", "true"), 125, stderr="is failed|not running")
        self.start()
        self.assertEqual(self.inside("echo", "back"), "back\n")
        [pid] = self.qemu()
        os.kill(pid, signal.SIGKILL)
        self.ok("remove", "--force", "w")
        self.assert_nothing_left()

    def test_the_guest_panics(self):
        if os.geteuid() != 0:
            self.skipTest("only root's agent may make its kernel panic")
        self.create()
        self.run_cli("exec", "w", "--", "sh", "-c", "echo c > /proc/sysrq-trigger", timeout=BOOT)
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        shown = self.show()
        self.assertEqual(shown["state"], "failed")
        self.assertRegex(shown["status"], "Kernel panic - not syncing: sysrq triggered crash")
        self.start()
        self.assertEqual(self.state(), "running")

    def test_what_the_guest_says_on_its_console_is_bounded(self):
        if os.geteuid() != 0:
            self.skipTest("only root's agent may write there")
        self.create()
        self.inside("sh", "-c", "i=0; while [ $i -lt 3000 ]; do printf '%0200d\n' $i; i=$((i + 1)); done > /dev/console; echo the last > /dev/console", timeout=BOOT)
        console = self.directory() / "console.log"
        deadline = time.monotonic() + SOON
        while "the last" not in console.read_text(errors="replace"):
            self.assertLess(time.monotonic(), deadline)
        self.assertLess(console.stat().st_size, 300 * 1024)
        self.assertIn("0002999", console.read_text(errors="replace"))

    def test_this_machine_was_rebooted(self):
        self.create()
        [pid] = self.qemu()
        os.kill(pid, signal.SIGKILL)
        self.sandbox.wait_until_no_processes()
        (self.directory() / "boot").write_text("another boot\n")
        shown = self.show()
        self.assertEqual((shown["state"], shown["status"]), ("stopped", "this machine was rebooted"))

    def test_a_stubborn_agent_and_a_halted_machine_are_stopped(self):
        self.create(agent=("sh", "-c", "trap '' TERM HUP INT; while :; do sleep 100; done"))
        self.ok("stop", "w", "--grace", "500ms")
        self.assertEqual(self.state(), "stopped")
        self.start()
        [pid] = self.qemu()
        os.kill(pid, signal.SIGSTOP)
        self.ok("stop", "w", "--kill", timeout=BOOT)
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        self.assertEqual(self.state(), "stopped")


    def test_a_machine_whose_session_holder_is_halted_ends_in_good_order(self):
        self.create()
        halting = self.sandbox.popen(BINARY, "exec", "w", "--", "sh", "-c", 'echo kept > "$HOME/note"; kill -STOP $PPID; echo > halted',
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SOON
        while not (self.sandbox.project / "halted").exists():
            self.assertLess(time.monotonic(), deadline)
        halting.kill()
        halting.wait()
        self.ok("stop", "w", "--kill", timeout=BOOT)
        self.assertEqual(self.sandbox.wait_until_no_processes(), {})
        # QEMU was not killed: the file system was put away, and there was nothing to repair.
        said = subprocess.run(["dumpe2fs", "-h", self.directory() / "disk.img"], env=self.sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        self.assertNotIn(b"needs_recovery", said)
        self.start()
        self.assertEqual(self.inside("sh", "-c", 'cat "$HOME/note"'), "kept\n")


class Network(MachineTest):
    def test_a_port_and_the_hosts_loopback(self):
        if engine_usable("passt", "passt", "--version"):
            self.skipTest("passt is not installed")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(0)
            self.create(configuration={"ports": [8080], "network": {"mode": "allow"}})
            [forward] = self.show()["forwards"]
            self.assertEqual((forward["target"], forward["bind"]), (8080, "127.0.0.1"))
            server = self.sandbox.popen(BINARY, "exec", "w", "--", "/usr/bin/python3", "-m", "http.server", "8080", stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env={"PYTHONUNBUFFERED": "1"})
            self.inside("sh", "-c", "until grep -q ':1F90 ' /proc/net/tcp; do :; done", timeout=BOOT)
            with urllib.request.urlopen(f"http://127.0.0.1:{forward['port']}/README.md", timeout=SOON) as answer:
                self.assertIn(b"a sample project", answer.read())
            port = listener.getsockname()[1]
            for address in ("127.0.0.1", "10.0.2.2"):
                done = self.run_cli("exec", "w", "--", "/usr/bin/python3", "-c",
                                    f"import socket; socket.create_connection(('{address}', {port}), 3)", timeout=BOOT)
                self.assertNotEqual(done.status, 0, address)
            self.assertRaises(BlockingIOError, listener.accept)
            server.kill()
            server.wait()
        self.ok("remove", "--force", "w")


    def test_a_passt_that_fails_is_named(self):
        """The machine would start without it, and not know that it has no network."""
        folder = self.sandbox.path / "found-first"
        folder.mkdir()
        (folder / "passt").write_text("#!/bin/sh\necho one line >&2\necho 'Failed to bind port 8080' >&2\nexit 3\n")
        (folder / "passt").chmod(0o755)
        before = self.sandbox.env["PATH"]
        self.sandbox.env["PATH"] = f"{folder}:{before}"
        self.create(configuration={"network": {"mode": "allow"}}, start=False)
        done = self.run_cli("start", "w", timeout=BOOT)
        self.sandbox.env["PATH"] = before
        self.assert_ended(done, 1, stderr="kortex-cli: error: cannot give the virtual machine a network: passt: Failed to bind port 8080\n")
        self.assertEqual(self.state(), "stopped")
        self.start()
        self.ok("remove", "--force", "w")
        self.assert_nothing_left()


class Kvm(MachineTest):
    def test_a_machine_within_a_machine(self):
        """An emulated processor has KVM (QEMU's has AMD's), whatever this machine has: a machine on it lives a whole life."""
        if os.uname().machine != "x86_64":
            self.skipTest("which kernel has KVM is known on x86_64 alone")
        if os.geteuid() != 0:
            self.skipTest("only root's agent may load KVM")
        kernels = [path for path in sorted(pathlib.Path("/boot").glob("vmlinuz-*")) if list(pathlib.Path("/lib/modules", path.name[8:]).glob("kernel/arch/x86/kvm/kvm-amd.ko*"))]
        if not kernels and os.environ.get("KORTEX_TEST_ENGINES") != "required":
            self.skipTest("no kernel in /boot has KVM")
        self.assertTrue(kernels, "no kernel in /boot has KVM")
        build = pathlib.Path(BINARY).resolve().parent.parent
        self.create("outer", "--runtime-option", f"kernel={kernels[-1]}", memory="1GiB", configuration={
            "network": {"mode": "deny"}, "resources": {"memory": "1GiB", "cpus": 1},
            "mounts": [{"host": str(build / part), "target": f"/opt/kortex/{part}", "ro": True} for part in ("bin", "lib", "share")] +
                      [{"host": "/boot", "target": "/boot", "ro": True}]})
        (self.sandbox.project / "inner").mkdir()
        (self.sandbox.project / "inner.sh").write_text("""
set -e
/sbin/modprobe kvm_amd
export HOME=/root XDG_RUNTIME_DIR=/run/kvm KORTEX_CLI_STORAGE=/root/store XDG_CACHE_HOME=/root/cache
mkdir -p -m 700 $XDG_RUNTIME_DIR /root/inner/.kortex
echo '{"network": {"mode": "deny"}, "resources": {"memory": "192MiB", "cpus": 1}}' > /root/inner/.kortex/workspace.json
cli=/opt/kortex/bin/kortex-cli
$cli runtime info microvm | grep -o 'kvm works'
$cli init /root/inner --name inner --runtime microvm --agent shell --start
$cli exec inner -- sh -c 'dmesg | grep -o "Hypervisor detected: KVM"; echo from inside > written'
cat /root/inner/written
$cli exec inner -- sh -c 'exit 7' || echo status $?
$cli stop inner
$cli remove inner
$cli list
""")
        done = self.run_cli("exec", "outer", "--", "sh", "inner.sh", timeout=2 * BOOT)
        self.assertEqual(done.status, 0, str(done))
        self.assertEqual(done.stdout, "kvm works\ninner\nHypervisor detected: KVM\nfrom inside\nstatus 7\ninner\ninner\n")
        self.ok("remove", "--force", "outer")
        self.assert_nothing_left()


class Refusals(MachineTest):
    """Nothing of these starts a machine."""

    def refuse(self, status, message, *options, configuration=None, hint=None):
        folder = self.sandbox.project / ".kortex"
        folder.mkdir(exist_ok=True)
        (folder / "workspace.json").write_text(json.dumps(configuration or {"network": {"mode": "deny"}}))
        done = self.run_cli("init", self.sandbox.project, "--runtime", "microvm", *options)
        self.assert_ended(done, status, stderr=message)
        if hint:
            self.assertRegex(done.stderr, f"hint: .*{hint}")
        self.assertEqual(self.ok("list").stdout, "")
        self.assertEqual(list((self.sandbox.store / "workspaces").glob("*")), [])

    def test_without_kvm_it_is_said_what_to_type(self):
        info = self.ok("runtime", "info", "microvm", "-o", "json").stdout
        if '"works"' in info:
            self.skipTest("KVM works here")
        self.refuse(4, "cannot use KVM: ", hint="--runtime-option accel=tcg")

    def test_9p_does_not_write_anothers_files_with_roots_rights(self):
        if os.geteuid() != 0:
            self.skipTest("only root can run an agent on another user's sources")
        kernels = [path for path in sorted(pathlib.Path("/boot").glob("vmlinuz-*")) if list(pathlib.Path("/lib/modules", path.name[8:]).glob("kernel/fs/9p/9p.ko*"))]
        if not kernels and os.environ.get("KORTEX_TEST_ENGINES") != "required":
            self.skipTest("no kernel in /boot has 9p")
        os.chown(self.sandbox.project, ORDINARY, ORDINARY)
        by_9p = (*EMULATED, "--runtime-option", "share=9p", "--runtime-option", f"kernel={kernels[-1]}")
        self.refuse(7, rf"cannot share the files of user '[^']+' by 9p: QEMU would write them with root's rights\n", *by_9p, hint="--runtime-option share=virtiofs$")

    def test_what_cannot_be_is_refused_before_anything_is_made(self):
        deny = {"network": {"mode": "deny"}}
        self.refuse(7, "no such file or directory", *EMULATED, "--runtime-option", "root=/no/such/root")
        self.refuse(7, "nothing would be kept from the agent", *EMULATED, "--runtime-option", "root=/")
        self.refuse(7, "cannot read the kernel '/no/kernel': no such file", *EMULATED, "--runtime-option", "kernel=/no/kernel")
        for cpus, enough in ((0.5, 1), (1.5, 2)):
            self.refuse(7, "cannot give the agent a part of a processor", *EMULATED, configuration={**deny, "resources": {"cpus": cpus}},
                        hint=f'"cpus": {enough} in .kortex/workspace.json')
        for modules in pathlib.Path("/lib/modules").glob("*-cloud-*"):
            if pathlib.Path("/boot", f"vmlinuz-{modules.name}").exists() and not list(modules.glob("kernel/net/9p/9pnet.ko*")):
                self.refuse(7, f"cannot use the kernel with modules in '{modules}': it has no '9p", *EMULATED, "--runtime-option", "share=9p",
                            "--runtime-option", f"kernel=/boot/vmlinuz-{modules.name}", hint="--runtime-option kernel=PATH")
        self.refuse(7, "less than 128 MiB", *EMULATED, configuration={**deny, "resources": {"memory": "64MiB"}})
        self.refuse(7, "the machine has no network", *EMULATED, configuration={**deny, "ports": [80]})
        self.refuse(7, "processes", *EMULATED, configuration={**deny, "resources": {"processes": 10}})
        self.refuse(7, "network", *EMULATED, configuration={"network": {"mode": "deny", "hosts": ["example.org"]}})
        self.refuse(7, "image", *EMULATED, configuration={**deny, "image": "debian:12"})


class Crowd(MachineTest):
    def test_ten_machines_at_once(self):
        names = [f"w{number}" for number in range(10)]
        root = self.busybox_root()
        for name in names:
            self.create(name, "--runtime-option", f"root={root}", agent=("/bin/sh",), memory="128MiB", start=False)
        starting = [self.sandbox.popen(BINARY, "start", name, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for name in names]
        for name, one in zip(names, starting):
            said = one.communicate(timeout=BOOT * 2)[1]
            self.assertEqual(one.returncode, 0, f"{name}: {said.decode()}")
        self.assertEqual(len(self.qemu()), 10)
        for name in names:
            self.assertEqual(self.inside("sh", "-c", "echo $KORTEX_WORKSPACE", name=name), f"{name}\n")
        self.assertEqual([item["state"] for item in self.ok("list", "-o", "json").json()["items"]], ["running"] * 10)
        used = 0
        for pid in self.sandbox.processes():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                used += int(line.split()[1]) if line.startswith("Pss:") else 0
        print(f"\nten machines of 128 MiB: {used // 1024} MiB in all", file=sys.stderr)
        self.assertLess(used, 10 * (128 + 128) * 1024)
        for name in names:
            self.ok("remove", "--force", name, timeout=BOOT)
        self.assert_nothing_left()


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"microvm: {reason}", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
