"""The attacks, and what becomes of each on each runtime: the one table that the tests, `show` and the README's threat model
are held to.

An attack is stopped unless the table says that it is reached, and then by which line of the exposure that `show` prints. The
test fails on both sides: for what is reached and not declared, and for a line of the exposure that nothing reaches."""
import dataclasses
import re
from typing import Callable, Optional

SANDBOXED = ("process", "ordinary", "podman", "rootless", "docker", "microvm")
PROCESS, CONTAINERS = ("process", "ordinary"), ("podman", "rootless", "docker")

# Lines of the exposure.
EVERYTHING = re.compile(r"^everything: the agent runs with all rights of your user")
SOURCES = re.compile(r"^the sources ('.*/project', read and write|in '.*/project', to read and to write)")
READ_ONLY = re.compile(r"/read-only'(, read only|, to read$)")
READ_WRITE = re.compile(r"/read-write'(, read and write|, to read and to write)")
PROGRAMS = re.compile(r"^the installed programs \(/usr, /opt\) and public files of /etc, read only$")
KERNEL = re.compile(r"^the( host's)? kernel$")
HOST_NETWORK = re.compile(r"^the host's network, its loopback and abstract unix sockets included$")
ENGINE_NETWORK = re.compile(r"^the network as (podman|docker) gives it, this machine's own loopback not included$")
GUEST_NETWORK = re.compile(r"^what this machine reaches by IPv4, its other addresses included; not its own loopback$")
PORT = re.compile(r"^port \d+ of the (host is the agent's|agent is forwarded to 127\.0\.0\.1 of this machine)$")
SERVERS = re.compile(r"^QEMU, virtiofsd(, passt)?: programs of this machine that serve the virtual one$")


@dataclasses.dataclass
class Attack:
    name: str
    question: Callable  # of the Target: (verb, argument…); None: there is nothing to attack on this machine
    reach: dict = dataclasses.field(default_factory=dict)   # setting: the line that declares it
    network: bool = False    # with network deny it is stopped, whatever `reach` says
    host: Optional[Callable] = None  # of the Target: whether it was reached, as the host sees it, whatever was said inside
    inside: tuple = ()       # settings in which what is reached is the agent's own kernel, and nothing of the host
    sandboxed: bool = False  # asked only in a sandbox: without one it would harm the machine, or there is nothing to get out of
    settings: tuple = ()     # only of these


def everywhere(line):
    return {setting: line for setting in SANDBOXED}


def on(settings, line):
    return {setting: line for setting in settings}


def reads(name, file, **more):
    return Attack(name, lambda t: ("read", t.bait.files[file], t.bait.mark), **more)


def connects(name, socket):
    return Attack(name, lambda t: ("unix", t.bait.sockets[socket], t.bait.mark))


def writes(name, place, **more):
    """Whether it was the host's file that was written only the host knows: a private home looks alike from inside."""
    return Attack(name, lambda t: ("write", place(t), t.planted), host=lambda t: t.has_planted(place(t)), **more)


NETWORKS = {**on(PROCESS, HOST_NETWORK), **on(CONTAINERS, ENGINE_NETWORK), "microvm": GUEST_NETWORK}

ATTACKS = [
    # Your files.
    reads("reads a key of your home", "key"),
    reads("reads cloud credentials", "cloud"),
    reads("reads a dot file", "dotfile"),
    Attack("lists your home", lambda t: ("list", t.sandbox.home, ".aws")),
    reads("reads a file beside the sources", "beside"),
    Attack("reads it by way of ..", lambda t: ("read", f"{t.sandbox.project}/../beside/secret", t.bait.mark)),
    Attack("reads it through /proc/1/root", lambda t: ("read", f"/proc/1/root{t.bait.files['beside']}", t.bait.mark), sandboxed=True),
    Attack("reads it through the holder's directory", lambda t: ("read", f"/proc/1/cwd/../../../../../..{t.bait.files['beside']}", t.bait.mark), sandboxed=True),
    reads("reads the runtime directory", "runtime_dir"),
    Attack("reads a file of /dev/shm", lambda t: ("read", t.bait.memory_file, t.bait.mark)),
    Attack("reads the password file", lambda t: t.shadow and ("read", "/etc/shadow", t.shadow)),
    Attack("reads the password file through its link", lambda t: t.shadow and ("read", t.links / "shadow", t.shadow)),
    reads("reads the sources", "in_sources", reach=everywhere(SOURCES)),
    reads("reads the read-only mount", "read_only", reach=everywhere(READ_ONLY)),
    Attack("reads the installed programs", lambda t: ("read", "/usr/lib/os-release", t.release), on((*PROCESS, "microvm"), PROGRAMS)),
    # Other workspaces, and the store.
    reads("reads the store", "store_agents"),
    Attack("lists the store", lambda t: ("list", t.sandbox.store, "workspaces")),
    Attack("reads a record", lambda t: ("read", t.other_record, '"id"')),
    Attack("reads another workspace's sources", lambda t: ("read", t.other_sources / "secret", t.bait.mark)),
    Attack("reads another agent's home", lambda t: ("read", t.other_home / "secret", t.bait.mark)),
    Attack("connects to another workspace's session", lambda t: t.other_socket and ("unix", t.other_socket)),
    Attack("connects to its own session from its place on the host", lambda t: t.own_socket and ("unix", t.own_socket)),
    # Writing.
    writes("writes to the sources", lambda t: t.sandbox.project / "planted", reach=everywhere(SOURCES)),
    writes("leaves a git hook", lambda t: t.sandbox.project / ".git/hooks/post-checkout", reach=everywhere(SOURCES)),
    writes("writes to the read-write mount", lambda t: t.bait.files["read_write"].parent / "planted", reach=everywhere(READ_WRITE)),
    writes("writes to the read-only mount", lambda t: t.bait.files["read_only"].parent / "planted"),
    writes("changes a file of the read-only mount", lambda t: t.bait.files["read_only"]),
    writes("writes to your home", lambda t: t.sandbox.home / "planted"),
    writes("writes a start-up file", lambda t: t.sandbox.home / ".bashrc"),
    writes("writes beside the sources", lambda t: t.sandbox.path / "planted"),
    writes("writes another workspace's sources", lambda t: t.other_sources / "planted"),
    writes("writes an agent into the store", lambda t: t.sandbox.store / "agents/planted"),
    writes("writes to /etc", lambda t: f"/etc/{t.bait.name}", sandboxed=True),
    writes("writes to /usr", lambda t: f"/usr/local/bin/{t.bait.name}", sandboxed=True),
    writes("writes to /dev/shm", lambda t: t.bait.memory_file.with_suffix(".planted")),
    # Mounts.
    Attack("makes the read-only mount writable", lambda t: ("remount", t.bait.files["read_only"].parent, t.bait.files["read_only"].parent / "planted-2", t.planted),
           host=lambda t: t.has_planted(t.bait.files["read_only"].parent / "planted-2"), sandboxed=True),
    Attack("uncovers what a mount hides", lambda t: ("uncover", t.sandbox.home), sandboxed=True, inside=("microvm",)),
    Attack("mounts over the sources", lambda t: ("mount", t.sandbox.project / "src"), sandboxed=True, inside=("microvm",)),
    Attack("opens the machine's disk", lambda t: ("device", t.sandbox.project / "disk", *t.disk), sandboxed=True),
    Attack("makes a namespace in which it is root", lambda t: ("namespace",), sandboxed=True, inside=("microvm",)),
    Attack("makes one by a 32-bit call", lambda t: ("namespace32",) if t.has_32 else None, sandboxed=True, inside=("microvm",)),
    # The kernel's files that reach beyond any sandbox.
    *(Attack(f"writes {path}", lambda t, path=path: ("open-for-writing", path), sandboxed=True, inside=("microvm",))
      for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/dev/mem",
                   "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cgroup.procs")),
    Attack("is on the host's kernel", lambda t: ("kernel", t.bait.boot_id), reach=on((*PROCESS, *CONTAINERS), KERNEL)),
    # Processes.
    Attack("sees another process's environment", lambda t: ("processes", t.bait.mark)),
    Attack("traces another process", lambda t: ("trace", t.bait.victim.pid, t.bait.mark) if t.may_trace else None),
    Attack("signals another process", lambda t: ("signal", t.bait.victim.pid), host=lambda t: t.bait.victim_was_signalled()),
    Attack("commands its own session holder", lambda t: ("holder",), sandboxed=True, inside=("microvm",)),
    Attack("has a descriptor of the host", lambda t: ("descriptors",), sandboxed=True),
    Attack("reads your keyring", lambda t: ("keyring", t.bait.name, t.bait.mark) if t.bait.has_key else None),
    Attack("reads it by a 32-bit call", lambda t: ("keyring32", t.bait.name, t.bait.mark) if t.bait.has_key and t.has_32 else None),
    Attack("reads System V shared memory", lambda t: ("shared-memory", t.bait.shared_key, t.bait.mark)),
    # Sockets by path.
    connects("uses your ssh agent", "agent"),
    connects("uses the session's dbus", "dbus"),
    connects("uses the Wayland display", "wayland"),
    connects("uses an engine's socket", "docker"),
    Attack("uses the X display by path", lambda t: t.bait.x11 and ("unix", t.bait.x11, t.bait.mark)),
    # The network.
    Attack("uses the X display by name", lambda t: ("abstract", f"/tmp/.X11-unix/X{t.bait.display}", t.bait.mark), on(PROCESS, HOST_NETWORK), True),
    Attack("connects to an abstract socket", lambda t: ("abstract", t.bait.name, t.bait.mark), on(PROCESS, HOST_NETWORK), True),
    Attack("connects to the host's loopback", lambda t: ("tcp", "127.0.0.1", t.bait.loopback, t.bait.mark), on(PROCESS, HOST_NETWORK), True),
    Attack("connects to the host's loopback by IPv6", lambda t: t.bait.loopback6 and ("tcp6", "::1", t.bait.loopback6, t.bait.mark),
           on(PROCESS, HOST_NETWORK), True),
    Attack("connects to the host's loopback by the gateway", lambda t: ("gateway", t.bait.loopback, t.bait.mark), network=True,
           settings=(*CONTAINERS, "microvm")),  # elsewhere it is a machine of others
    Attack("connects to the host's other address", lambda t: t.bait.address and ("tcp", t.bait.address, t.bait.address_port, t.bait.mark), NETWORKS, True),
    Attack("makes a socket to whoever runs the machine", lambda t: ("vsock",) if t.has_vsock else None, inside=("microvm",)),
    Attack("makes one by a 32-bit call, too", lambda t: ("vsock32",) if t.has_vsock and t.has_32 else None, inside=("microvm",)),
    # Your terminal.
    Attack("writes to your terminal", lambda t: ("write", t.terminal.name, t.bait.mark), host=lambda t: t.terminal.showed(t.bait.mark)),
    Attack("types into your terminal", lambda t: ("type", t.terminal.name, "x") if t.may_type else None, host=lambda t: t.terminal.was_typed_into()),
    # What works for it outside.
    Attack("has an emulator work for it", lambda t: ("read", "/proc/version", "Linux"), {"microvm": SERVERS}, settings=("microvm",),
           host=lambda t: any("qemu-system" in command for command in t.sandbox.processes().values())),
]
