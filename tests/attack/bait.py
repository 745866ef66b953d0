"""What an agent must not get at, planted outside: files, sockets, processes, keys, memory. Everything holds one mark that is
nowhere else, so that an attempt can tell the bait from what happens to be there instead."""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import secrets
import select
import signal
import socket
import struct
import subprocess
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
SYS = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine)  # add_key, keyctl
USER_KEYRING, KEYCTL_UNLINK, IPC_CREAT, IPC_RMID = -4, 9, 0o1000, 0

def own_address():
    """This machine's address as others see it; None: it has none."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asked:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                up = struct.unpack_from("h", fcntl.ioctl(asked, 0x8913, struct.pack("256s", name.encode())), 16)[0] & 0x41 == 0x41
                address = socket.inet_ntoa(fcntl.ioctl(asked, 0x8915, struct.pack("256s", name.encode()))[20:24])
                if up and not address.startswith("127."):
                    return address
    return None


class Bait:
    def __init__(self, sandbox, attempt):
        self.mark = "bait-" + secrets.token_hex(8)
        self.name = f"kortex-attack-{secrets.token_hex(4)}"
        self.sandbox, self.closing = sandbox, contextlib.ExitStack()
        home = sandbox.home
        self.files = {
            "key": home / ".ssh/id_ed25519", "cloud": home / ".aws/credentials", "dotfile": home / ".netrc",
            "beside": sandbox.path / "beside/secret", "read_only": sandbox.path / "read-only/file", "read_write": sandbox.path / "read-write/file",
            "runtime_dir": sandbox.path / "run/token", "store_agents": sandbox.store / "agents/secret", "in_sources": sandbox.project / "known"}
        for file in self.files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.mark)
        sandbox.store.chmod(0o700)
        self.sockets = {"agent": home / ".ssh/agent.sock", "dbus": sandbox.path / "run/bus", "wayland": sandbox.path / "run/wayland-0",
                        "docker": sandbox.path / "run/docker.sock"}
        for path in self.sockets.values():
            self._serve_at(path)
        self._serve_x11()
        self.abstract = self._serve("\0" + self.name, socket.AF_UNIX)
        self.loopback = self._serve(("127.0.0.1", 0), socket.AF_INET)[1]
        self.loopback6 = None
        with contextlib.suppress(OSError):
            self.loopback6 = self._serve(("::1", 0), socket.AF_INET6)[1]
        self.address = own_address()
        self.address_port = self._serve((self.address, 0), socket.AF_INET)[1] if self.address else None
        self.memory_file = pathlib.Path("/dev/shm") / self.name
        self.memory_file.write_text(self.mark)
        self.closing.callback(lambda: self.memory_file.unlink(missing_ok=True))
        self._make_key()
        self._make_shared_memory()
        sandbox.env.update({"SSH_AUTH_SOCK": str(self.sockets["agent"]), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.sockets['dbus']}",
                            "WAYLAND_DISPLAY": "wayland-0", "DISPLAY": f":{self.display}", "KORTEX_BAIT": self.mark})
        self.victim = subprocess.Popen([attempt, "victim", self.mark], env={"BAIT": self.mark}, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        assert self.victim.stdout.readline() == "ready\n"
        self.boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    # Whoever connects is greeted with the mark.

    def _serve(self, address, family):
        listener = socket.socket(family, socket.SOCK_STREAM)
        self.closing.callback(listener.close)
        listener.bind(address)
        listener.listen(16)

        def greet():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.sendall(self.mark.encode())

        threading.Thread(target=greet, daemon=True).start()
        return listener.getsockname()

    def _serve_at(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
        try:
            self._serve(f"/proc/self/fd/{folder}/{path.name}", socket.AF_UNIX)
        finally:
            os.close(folder)

    def _serve_x11(self):
        """A display's sockets, by path and abstract, of a number that no display has."""
        folder = pathlib.Path("/tmp/.X11-unix")
        with contextlib.suppress(OSError):
            folder.mkdir()
            folder.chmod(0o1777)
            self.closing.callback(lambda: os.rmdir(folder))
        self.display = 9000 + secrets.randbelow(900)
        self.x11 = path = folder / f"X{self.display}"
        self.closing.callback(lambda: path.unlink(missing_ok=True))
        try:
            self._serve(str(self.x11), socket.AF_UNIX)
        except OSError:
            self.x11 = None
        self._serve(f"\0/tmp/.X11-unix/X{self.display}", socket.AF_UNIX)

    def _make_key(self):
        self.has_key = False
        if SYS is None:
            return
        payload = self.mark.encode()
        key = LIBC.syscall(SYS[0], b"user", self.name.encode(), payload, len(payload), USER_KEYRING)
        if key < 0:
            return
        # Keys are for the possessor first; this one is for whoever has the user id, as many are.
        LIBC.syscall(SYS[1], 5, key, 0x3f3f0000)
        self.has_key = True
        self.closing.callback(lambda: LIBC.syscall(SYS[1], KEYCTL_UNLINK, key, USER_KEYRING))

    def _make_shared_memory(self):
        self.shared_key = 0x4b000000 + secrets.randbelow(1 << 20)
        number = LIBC.shmget(self.shared_key, 4096, IPC_CREAT | 0o600)
        assert number >= 0, "no System V shared memory"
        LIBC.shmat.restype = ctypes.c_void_p
        at = LIBC.shmat(number, None, 0)
        ctypes.memmove(at, self.mark.encode() + b"\0", len(self.mark) + 1)
        LIBC.shmdt(ctypes.c_void_p(at))
        self.closing.callback(lambda: LIBC.shmctl(number, IPC_RMID, None))

    # What the host sees afterwards.

    def victim_was_signalled(self):
        """It answers in order: what came before the question is told before the answer."""
        self.victim.stdin.write("?\n")
        self.victim.stdin.flush()
        seen = b""
        while b"here\n" not in seen:
            # From the descriptor: of two lines at once a reader with a buffer would keep the second, and there would be nothing to wait for.
            ready, _, _ = select.select([self.victim.stdout], [], [], 30)
            more = os.read(self.victim.stdout.fileno(), 4096) if ready else b""
            assert more, "the victim is gone"
            seen += more
        return b"signalled" in seen

    def spoiled(self):
        """Bait that is not as it was planted, and what was put beside it; without the read-write mount and the sources."""
        found = [str(file) for name, file in self.files.items() if name not in ("read_write", "in_sources") and
                 (not file.exists() or file.read_text() != self.mark)]
        found += [str(path) for path in self.sandbox.path.rglob("planted*") if "read-write" not in path.parts and "project" not in path.parts and
                  "workspaces" not in path.parts]
        return found

    def close(self):
        self.victim.send_signal(signal.SIGKILL)
        self.victim.communicate()
        self.closing.close()
