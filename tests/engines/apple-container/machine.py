"""A container's virtual machine, simulated: bubblewrap with this machine's /usr as the image's userland, processes, mounts
and a network of its own. What is in it runs for real. A supervisor keeps a lock for as long as it lives."""
import contextlib
import fcntl
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time
import uuid

ROOT_USER = os.geteuid() == 0


class Machine:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.alive_file = self.folder / "alive"
        self.facts_file = self.folder / "machine.json"

    def running(self):
        try:
            file = os.open(self.alive_file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return self.facts_file.exists()
        finally:
            os.close(file)

    def state(self):
        if not self.running():
            return "stopped"
        return "stopping" if (self.folder / "stopping").exists() else "running"

    def facts(self):
        try:
            return json.loads(self.facts_file.read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def await_end(self):
        with contextlib.suppress(FileNotFoundError):
            file = os.open(self.alive_file, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(file, fcntl.LOCK_SH)
            os.close(file)

    def start(self, config):
        """Returns "" or why it could not be started."""
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.close(read)
            if os.fork() != 0:
                os._exit(0)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            write = os.dup2(write, 30)
            os.closerange(31, 1024)  # the lock of who starts us, above all
            os.closerange(3, 30)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                self._supervise(config, write)
            except BaseException as error:  # noqa: BLE001: whatever it is, the one who waits is told
                with contextlib.suppress(OSError):
                    os.write(write, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.wait()
        os.close(write)
        said = b""
        while piece := os.read(read, 4096):
            said += piece
        os.close(read)
        return "" if said == b"ready" else said.decode(errors="replace") or "the supervisor ended"

    def _arguments(self, config):
        root = self.folder / "rootfs"
        for name in ("etc", "root", "home", "var", "run", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\nuser:x:{config['uid']}:{config['gid']}:user:/:/bin/sh\n")
        (root / "etc/group").write_text(f"root:x:0:\nuser:x:{config['gid']}:\n")
        boot = self.folder / "boot_id"
        boot.unlink(missing_ok=True)
        boot.write_text(f"{uuid.uuid4()}\n")  # a kernel of its own
        boot.chmod(0o444)
        out = ["bwrap", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--hostname", "container", "--die-with-parent",
               "--clearenv", "--bind", str(root), "/", "--ro-bind", "/usr", "/usr"]
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                (root / name).unlink(missing_ok=True)
                (root / name).symlink_to(os.readlink(f"/{name}"))
            elif os.path.isdir(f"/{name}"):
                out += ["--ro-bind", f"/{name}", f"/{name}"]
        if ROOT_USER:
            out += ["--cap-drop", "ALL"]
            if config["uid"] != 0:
                out += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            out += ["--unshare-user", "--uid", str(config["uid"]), "--gid", str(config["gid"])]
        out += ["--proc", "/proc", "--ro-bind", str(boot), "/proc/sys/kernel/random/boot_id"]
        # With a /dev of its own, an ordinary user's machine would be in a user namespace inside the one that its network belongs to, and
        # neither the network nor exec could be brought in.
        out += ["--dev", "/dev"] if ROOT_USER else ["--dev-bind", "/dev", "/dev", "--tmpfs", "/dev/shm"]
        for mount in config["mounts"]:
            if mount["type"] == "tmpfs":
                out += ["--perms", "1777", "--tmpfs", mount["destination"]]
            else:
                out += ["--ro-bind" if "ro" in mount["options"] else "--bind", mount["source"], mount["destination"]]
        for pair in config["env"]:
            out += ["--setenv", *pair.split("=", 1)]
        return out + ["--chdir", config["cwd"]]

    def _supervise(self, config, tell):
        alive = os.open(self.alive_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(alive, fcntl.LOCK_EX)
        for name in ("stopping", "machine.json"):
            (self.folder / name).unlink(missing_ok=True)
        info_read, info_write = high_pipe()
        ready_read, ready_write = high_pipe()
        go_read, go_write = high_pipe()
        os.dup2(ready_write, 8)
        os.dup2(go_read, 9)
        program = list(config["argv"])
        if ROOT_USER and config["uid"] != 0:
            program = ["/usr/bin/setpriv", "--reuid", str(config["uid"]), "--regid", str(config["gid"]), "--clear-groups", "--inh-caps=-all", "--", *program]
        # The network is made once bubblewrap has made its own part of it.
        program = ["/bin/sh", "-c", 'echo >&8; read go <&9 || exit; exec 8>&- 9<&-; exec "$@"', "sh", *program]
        log = os.open(self.folder / "stdio.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        process = subprocess.Popen([*self._arguments(config), "--info-fd", str(info_write), "--", *program],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(info_write, 8, 9))
        for fd in (info_write, ready_write, go_read, 8, 9):
            os.close(fd)
        said = b""
        while b"}" not in said:
            piece = os.read(info_read, 4096)
            if not piece:
                process.wait()
                raise RuntimeError("bubblewrap: " + (self.folder / "stdio.log").read_text().strip())
            said += piece
        pid = json.loads(said)["child-pid"]
        if not os.read(ready_read, 1):
            process.wait()
            raise RuntimeError("bubblewrap: " + (self.folder / "stdio.log").read_text().strip())
        network = Network(self.folder, pid, config) if config["network"] else None
        fresh = self.folder / "machine.json.new"
        fresh.write_text(json.dumps({"pid": pid, "started": time.time(), "supervisor": os.getpid()}))
        fresh.rename(self.facts_file)
        os.write(go_write, b"\n")
        os.close(go_write)
        with contextlib.suppress(BrokenPipeError):  # who asked for it may be gone; it is started all the same
            os.write(tell, b"ready")
        os.close(tell)
        process.wait()
        if network:
            network.close()
        for name in ("stopping", "machine.json"):
            (self.folder / name).unlink(missing_ok=True)

    def signal(self, number):
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.kill(self.facts()["pid"], number)

    def stop(self, seconds):
        pid = self.facts().get("pid")
        if pid is None:
            return
        (self.folder / "stopping").touch()
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self.await_end()
            return
        with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not select.select([handle], [], [], seconds)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        self.await_end()

    def entering(self, config, env, cwd, argv):
        """The command that runs another program in it."""
        pid = self.facts()["pid"]
        enter = ["nsenter", "--target", str(pid), "--mount", "--pid", "--net", "--uts", "--ipc"]
        if not ROOT_USER:
            enter += ["--user", "--preserve-credentials"]
        become = []
        if ROOT_USER:  # with no more rights than the main process has
            become = ["/usr/bin/setpriv", "--reuid", str(config["uid"]), "--regid", str(config["gid"]), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"]
        return [*enter, "--", "/usr/bin/env", "-i", f"--chdir={cwd}", *env, *become, *argv]


def high_pipe():
    """Away from the numbers that a shell has words for."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 40) for end in ends)
    for end in ends:
        os.close(end)
    return high


class Network:
    """slirp4netns: out to everywhere but this machine's loopback, in by the ports that are published."""

    def __init__(self, folder, pid, config):
        read, write = os.pipe()
        end, self.alive = os.pipe()  # it ends when nobody has the other end any more, however that comes about
        self.socket = f"/tmp/container-sim-{os.getpid()}.sock"
        log = open(folder / "network.log", "wb")
        self.process = subprocess.Popen(["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={write}", f"--exit-fd={end}",
                                         "--api-socket", self.socket, str(pid), "tap0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(write, end))
        os.close(write)
        os.close(end)
        if os.read(read, 1) != b"1":
            raise RuntimeError("slirp4netns: " + (folder / "network.log").read_text().strip())
        os.close(read)
        for port in config["ports"]:
            self._ask({"execute": "add_hostfwd", "arguments": {"proto": "tcp", "host_addr": port["host_address"], "host_port": port["host_port"],
                                                               "guest_port": port["container_port"]}})

    def _ask(self, request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = json.loads(connection.makefile().read())
            if "error" in answer:
                raise RuntimeError(f"slirp4netns: {answer['error']}")

    def close(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)


def missing():
    """What this machine lacks to simulate one."""
    for program in ("bwrap", "slirp4netns", "nsenter", "setpriv"):
        if not any(os.access(os.path.join(place, program), os.X_OK) for place in os.environ.get("PATH", "").split(":") + ["/usr/bin", "/usr/sbin"]):
            return f"{program} is not installed"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun cannot be opened"
    return ""


if __name__ == "__main__":
    sys.exit(missing())
