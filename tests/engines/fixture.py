"""Container engines of the tests' own: rootful podman, rootless podman and dockerd, on private sockets and storage.

    fixture.py up DIR      starts what is installed; DIR/state.json says what came up, and why the rest did not
    fixture.py down DIR    ends all of it and leaves nothing

Engines that are on the machine already are not touched. With KORTEX_TEST_ENGINES=required an engine that does not
come up is a failure; else its tests are skipped with the reason. Facts behind the settings:
  - podman 4.3 swaps soft and hard limits through its API: both are given the same value;
  - podman 4.3 does not hand CONTAINERS_STORAGE_CONF to conmon's clean-up process, unless conmon_env_vars says so;
  - dockerd with --bridge=none deletes another dockerd's docker0: it gets a bridge of its own;
  - rootless podman keeps its images under $HOME, unless rootless_storage_path says where;
  - rootless podman's pause process pins a mount namespace: it is ended at last;
  - Debian's openssh-server wants the openssh-client of its own revision: where it is not installed, its files are
    unpacked here instead, so that nothing installed is upgraded for the tests' sake;
  - sshd lets nobody in whose account is locked, as a new one is.
"""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time

IMAGE = "localhost/kortex-test:1"
REQUIRED = os.environ.get("KORTEX_TEST_ENGINES") == "required"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = {"podman": ["podman", "conmon", "runc", "netavark", "catatonit", "busybox-static"],
            "rootless": ["podman", "slirp4netns", "uidmap", "busybox-static"],
            "docker": ["docker.io", "iptables", "tini", "busybox-static"],
            "ssh": ["openssh-client", "openssh-server"]}


class Missing(Exception):
    """Why an engine cannot be had here."""


def run(*command, env=None, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=120, **options)
    if done.returncode != 0:
        raise Missing(f"{' '.join(command)}: status {done.returncode}: {done.stdout.decode(errors='replace').strip()[-500:]}")
    return done.stdout.decode()


def ping(path):
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        connection.sock.settimeout(10)
        connection.sock.connect(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200


def wait_for_socket(path, process, log):
    """Until the engine answers; its process ending is the other way out."""
    handle, deadline = os.pidfd_open(process.pid), time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            try:
                if ping(path):
                    return
            except OSError:
                pass
            if select.select([handle], [], [], 0.05)[0]:
                break
        raise Missing(f"it did not come up: {log.read_text(errors='replace').strip()[-500:]}")
    finally:
        os.close(handle)


def started_at(pid):
    """The process's start time in the kernel's ticks: with it a reused process id is not taken for ours."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else int(fields[19])
    except OSError:
        return None


class Fixture:
    def __init__(self, directory):
        self.path = pathlib.Path(directory)
        self.etc, self.log, self.state_file = self.path / "etc", self.path / "log", self.path / "state.json"
        # Of this directory's own: two checkouts may be tested at once.
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()
        self.user, self.bridge, self.bridge_address = f"kortex-t{digest[:8]}", f"kx{digest[:8]}", f"172.31.{int(digest[:2], 16)}.1/24"

    # What the engines stand on.

    def configure_podman(self, name, root, run_root, engine="", network=""):
        for folder in (root, run_root):
            folder.mkdir(parents=True, exist_ok=True)
        storage, containers = self.etc / f"{name}.storage.conf", self.etc / f"{name}.containers.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{root}"\nrootless_storage_path = "{root}"\nrunroot = "{run_root}"\n')
        containers.write_text(f"""[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_env_vars = ["PATH={PATH}", "CONTAINERS_STORAGE_CONF={storage}"]
{engine}
[network]
network_backend = "netavark"
{network}
""")
        return {"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage)}

    def root_file_system(self):
        """Debian's static busybox is all the image there is: no registry is asked for anything."""
        archive = self.path / "rootfs.tar"
        if archive.exists():
            return archive
        busybox = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
        if busybox is None:
            raise Missing("busybox is not installed: apt-get install busybox-static")
        applets = run(busybox, "--list").split()
        with tarfile.open(archive, "w") as tar:
            for folder in ("bin", "etc", "proc", "sys", "dev", "root", "run", "usr", "usr/local", "usr/local/bin", "home", "home/agent"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            for folder in ("tmp", "var", "var/tmp"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
                tar.addfile(entry)
            tar.add(busybox, "bin/busybox", filter=self._plain)
            for applet in applets:
                if applet != "busybox":
                    entry = tarfile.TarInfo(f"bin/{applet}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(entry)
            for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/home/agent:/bin/sh\n"),
                               ("etc/group", "root:x:0:\nagent:x:1000:\n")):
                written = self.path / "text"
                written.write_text(text)
                tar.add(written, name, filter=self._plain)
        archive.chmod(0o644)
        return archive

    @staticmethod
    def _plain(entry):
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    def spawn(self, name, command, env, **options):
        log = self.log / f"{name}.log"
        with open(log, "ab") as out:
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **options), log

    def need(self, engine, *programs):
        if os.geteuid() != 0:
            raise Missing("starting engines needs root")
        for program in programs:
            if shutil.which(program, path=PATH) is None:
                raise Missing(f"'{program}' is not installed: apt-get install {' '.join(PACKAGES[engine])}")

    # The engines. Each returns what its tests need to know.

    def up_podman(self):
        self.need("podman", "podman", "conmon", "runc")
        folder = self.path / "podman"
        env = self.configure_podman("root", folder / "root", folder / "run", f'tmp_dir = "{folder}/tmp"', f'network_config_dir = "{folder}/net"')
        (folder / "net").mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        path = self.path / "podman.sock"
        full = {"PATH": PATH, "HOME": "/root", **env}
        process, log = self.spawn("podman", ["podman", "system", "service", "--time", "0", f"unix://{path}"], full, cwd=folder)
        self.remember("podman", process)
        wait_for_socket(path, process, log)
        run("podman", "import", "--change", 'CMD ["sh"]', str(self.root_file_system()), IMAGE, env=full)
        return {"socket": str(path), "env": env, "pid": process.pid}

    def open_tun(self):
        """slirp4netns opens it: rootless podman's, and that of the simulator of Apple's container."""
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            return
        mode = os.stat("/dev/net/tun").st_mode & 0o7777
        if mode != 0o666:
            os.chmod("/dev/net/tun", 0o666)  # its mode everywhere but on minimal machines
            self.made(f"tun {mode:o}")

    def up_rootless(self):
        self.need("rootless", "podman", "runc", "newuidmap", "slirp4netns")
        try:
            user = pwd.getpwnam(self.user)
        except KeyError:
            run("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", self.user)
            self.made("user")
            user = pwd.getpwnam(self.user)
        for name in ("/etc/subuid", "/etc/subgid"):
            with open(name, "a+", encoding="ascii") as file:
                file.seek(0)
                if not any(line.startswith(f"{self.user}:") for line in file):
                    file.write(f"{self.user}:310000:65536\n")
                    self.made(name)
        folder = self.path / "rootless"
        env = self.configure_podman("rootless", folder / "root", folder / "run")
        env.update({"XDG_RUNTIME_DIR": str(folder / "xdg"), "USER": self.user})  # podman looks up its id ranges by $USER
        (folder / "xdg").mkdir(exist_ok=True)
        for made in (folder, folder / "root", folder / "run", folder / "xdg"):
            os.chown(made, user.pw_uid, user.pw_gid)
        (folder / "xdg").chmod(0o700)
        full = {"PATH": PATH, "HOME": user.pw_dir, **env}
        run("podman", "import", "--change", 'CMD ["sh"]', str(self.root_file_system()), IMAGE, env=full, cwd="/",
            user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        # As systemd keeps one for a user who has enabled it; for whoever comes by ssh.
        path = folder / "podman.sock"
        process, log = self.spawn("rootless", ["podman", "system", "service", "--time", "0", f"unix://{path}"], full, cwd="/", user=user.pw_uid,
                                  group=user.pw_gid, extra_groups=[])
        self.remember("rootless", process)
        wait_for_socket(path, process, log)
        return {"user": self.user, "env": env, "socket": str(path)}

    def sshd(self):
        """The program and its environment: the installed one, or that of the package, unpacked for this."""
        installed = shutil.which("sshd", path=PATH)
        if installed:
            return installed, {"PATH": PATH}
        folder = self.path / "ssh" / "packages"
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        run("apt-get", "download", "openssh-server", "libwrap0", cwd=folder)
        for package in sorted(folder.glob("*.deb")):
            run("dpkg", "-x", str(package), str(folder / "root"))
        libraries = sorted({str(p.parent) for p in (folder / "root").rglob("lib*.so.*")})
        return str(folder / "root/usr/sbin/sshd"), {"PATH": PATH, "LD_LIBRARY_PATH": ":".join(libraries)}

    def up_ssh(self):
        """A way to this machine as if it were another: root and the ordinary user may log in, by one key."""
        self.need("ssh", "ssh", "ssh-keygen")
        folder = self.path / "ssh"
        folder.mkdir()
        program, env = self.sshd()
        if not os.path.isdir("/run/sshd"):
            os.mkdir("/run/sshd", 0o755)
            self.made("/run/sshd")
        try:
            pwd.getpwnam("sshd")
        except KeyError:
            run("useradd", "--system", "--no-create-home", "--home-dir", "/run/sshd", "--shell", "/usr/sbin/nologin", "sshd")
            self.made("sshd")
        for name in ("host", "key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kortex-test", "-f", str(folder / name))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # SHLVL: a shell that is not the outermost reads no .bashrc, which with some users takes seconds at every login.
        (folder / "sshd_config").write_text(f"""ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
PermitUserEnvironment no
SetEnv SHLVL=1
""")
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
        (folder / "config").write_text(f"IdentityFile {folder}/key\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known_hosts\nStrictHostKeyChecking yes\n")
        process, log = self.spawn("ssh", [program, "-D", "-e", "-f", str(folder / "sshd_config")], env)
        self.remember("ssh", process)
        self.wait_for_login(port, process, log)
        return {"port": port, "config": str(folder / "config")}

    def wait_for_login(self, port, process, log):
        handle, deadline = os.pidfd_open(process.pid), time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                done = subprocess.run(["ssh", "-F", str(self.path / "ssh/config"), "-o", "BatchMode=yes", "-p", str(port), "root@127.0.0.1", "true"],
                                      stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
                if done.returncode == 0:
                    return
                if select.select([handle], [], [], 0.05)[0]:
                    break
            raise Missing(f"nobody gets in: {done.stderr.decode().strip()[-300:]}; {log.read_text(errors='replace').strip()[-500:]}")
        finally:
            os.close(handle)

    def up_docker(self):
        self.need("docker", "dockerd", "docker", "containerd", "iptables")
        if not os.path.exists(f"/sys/class/net/{self.bridge}"):
            run("ip", "link", "add", self.bridge, "type", "bridge")
            run("ip", "address", "add", self.bridge_address, "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")
        process, path = self.start_docker()
        run("docker", "-H", f"unix://{path}", "import", "--change", 'CMD ["sh"]', str(self.root_file_system()), IMAGE)
        return {"socket": str(path), "env": {"DOCKER_HOST": f"unix://{path}"}, "pid": process.pid}

    def start_docker(self):
        folder, path = self.path / "docker", self.path / "docker.sock"
        # A killed daemon leaves these behind, and a new one believes them for as long as the dead are not reaped.
        for name in ("pid", "exec/containerd/containerd.pid"):
            with contextlib.suppress(OSError, ValueError):
                if started_at(int((folder / name).read_text())) is None:
                    (folder / name).unlink()
        folder.mkdir(exist_ok=True)
        process, log = self.spawn("docker", ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"), "--pidfile",
                                             str(folder / "pid"), "--host", f"unix://{path}", "--bridge", self.bridge], {"PATH": PATH, "HOME": "/root"})
        self.remember("docker", process)
        wait_for_socket(path, process, log)
        return process, path

    # What was changed outside of the directory, so that it can be undone.

    def made(self, what):
        with open(self.path / "made", "a", encoding="utf-8") as file:
            file.write(what + "\n")

    def unmake(self):
        file = self.path / "made"
        for what in reversed(file.read_text().splitlines()) if file.exists() else []:
            if what == "user":
                subprocess.run(["userdel", "--remove", self.user], check=False, stderr=subprocess.DEVNULL)
            elif what == "sshd":
                subprocess.run(["userdel", "sshd"], check=False, stderr=subprocess.DEVNULL)
            elif what == "/run/sshd":
                with contextlib.suppress(OSError):
                    os.rmdir(what)
            elif what.startswith("tun "):
                os.chmod("/dev/net/tun", int(what.split()[1], 8))
            else:
                lines = pathlib.Path(what).read_text(encoding="ascii").splitlines(keepends=True)
                pathlib.Path(what).write_text("".join(line for line in lines if not line.startswith(f"{self.user}:")), encoding="ascii")

    # Processes of ours.

    def remember(self, name, process):
        (self.path / f"{name}.pid").write_text(f"{process.pid} {started_at(process.pid)}")

    def end(self, name, *numbers):
        file = self.path / f"{name}.pid"
        if not file.exists():
            return
        pid, start = file.read_text().split()
        if str(started_at(int(pid))) == start:
            handle = os.pidfd_open(int(pid))
            for number, patience in [(number, 20) for number in numbers or (signal.SIGTERM, signal.SIGKILL)]:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], patience)[0]:
                    break
            os.close(handle)
        file.unlink()

    def end_strays(self):
        """What outlives a dockerd that was killed and not started again: its shims, and what runs in their containers."""
        mark, parents = f"{self.path}/docker/".encode(), {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError):
                command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
                parent = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
                parents[int(entry)] = (parent, mark in command and b"containerd" in command)
        shims = {pid for pid, (_, ours) in parents.items() if ours}
        for pid in [pid for pid, (parent, _) in parents.items() if parent in shims] + sorted(shims):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # The two commands.

    def up(self):
        self.down()
        for folder in (self.path, self.etc, self.log):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        self.open_tun()
        state, failed = {"image": IMAGE}, False
        for name in ("podman", "rootless", "docker", "ssh"):
            try:
                state[name] = getattr(self, f"up_{name}")()
            except Missing as why:
                state[name], failed = {"missing": str(why)}, True
                print(f"{name}: {why}", file=sys.stderr)
        self.state_file.write_text(json.dumps(state, indent=1))
        return 1 if failed and REQUIRED else 0

    def down(self):
        if not self.path.exists():
            return
        if not (self.etc.exists() or not any(self.path.iterdir())):
            sys.exit(f"{self.path} is not a fixture's directory")
        state = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        with contextlib.suppress(Missing, subprocess.TimeoutExpired):
            if "socket" in state.get("docker", {}):
                ids = run("docker", "-H", f"unix://{state['docker']['socket']}", "ps", "-aq").split()
                if ids:
                    run("docker", "-H", f"unix://{state['docker']['socket']}", "rm", "-f", *ids)
        with contextlib.suppress(Missing, subprocess.TimeoutExpired):
            if "env" in state.get("podman", {}):
                run("podman", "rm", "-af", "-t", "0", env={"PATH": PATH, "HOME": "/root", **state["podman"]["env"]})
        with contextlib.suppress(Missing, KeyError, subprocess.TimeoutExpired):
            if "env" in state.get("rootless", {}):
                user = pwd.getpwnam(self.user)
                run("podman", "rm", "-af", "-t", "0", env={"PATH": PATH, "HOME": user.pw_dir, **state["rootless"]["env"]}, cwd="/",
                    user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        pause = self.path / "rootless/xdg/libpod/tmp/pause.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(pause.read_text())
            if b"catatonit" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() or b"podman" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)
        for name in ("podman", "rootless", "docker", "ssh"):
            self.end(name)
        self.end_strays()
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            ours = sorted((line.split()[1] for line in mounts if line.split()[1].startswith(f"{self.path}/")), reverse=True)
        for mount in ours:
            subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)
        if os.path.exists(f"/sys/class/net/{self.bridge}"):
            subprocess.run(["ip", "link", "delete", self.bridge], check=False)
        self.end_all_of_the_user()
        self.unmake()
        shutil.rmtree(self.path, ignore_errors=True)

    def end_all_of_the_user(self):
        """A user who still runs something cannot be removed: podman's service ends by itself only after some seconds."""
        made = self.path / "made"
        if not made.exists() or "user" not in made.read_text().splitlines():
            return
        uid = pwd.getpwnam(self.user).pw_uid
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}").st_uid != uid:
                    continue
                handle = os.pidfd_open(int(entry))
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], 5)
                os.close(handle)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit(__doc__)
    fixture = Fixture(os.path.abspath(sys.argv[2]))
    if sys.argv[1] == "up":
        sys.exit(fixture.up())
    fixture.down()


if __name__ == "__main__":
    main()
