"""What a virtual machine costs: `kortex-cli start` until the agent runs, against a bare boot of the same kernel on the same
machine type until an init that ends at once. Printed, never asserted.
    microvm.py PATH-OF-KORTEX-CLI [RUNS]"""
import json
import os
import pathlib
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CLI = sys.argv[1]
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
BUSYBOX = "/bin/busybox"


def archive(path, init):
    """An initramfs with one program."""
    def entry(name, mode, data):
        fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        head += b"\0" * (-len(head) % 4)
        return head + data + b"\0" * (-len(data) % 4)
    data = entry(b"dev", 0o040755, b"") + entry(b"true", 0o100755, init) + entry(b"TRAILER!!!", 0, b"")
    path.write_bytes(data + b"\0" * (-len(data) % 4096))


def bare_boot(qemu, initramfs):
    """The machine's own command line without its devices."""
    keep, words = [], iter(qemu)
    for word in words:
        if word in ("-chardev", "-device", "-mon", "-blockdev", "-netdev", "-pidfile", "-serial", "-initrd", "-add-fd"):
            next(words)
        elif word == "-append":
            # An init that ends is a panic, and a panic ends the machine.
            keep += [word, next(words) + " loglevel=0 rdinit=/true"]
        else:
            keep.append(word)
    begun = time.monotonic()
    # Not with a time limit of subprocess's: it looks every 50 ms.
    with subprocess.Popen([*keep, "-initrd", str(initramfs), "-serial", "none", "-monitor", "none"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as machine:
        ended = os.pidfd_open(machine.pid)
        in_time, _, _ = select.select([ended], [], [], 300)
        took = time.monotonic() - begun
        os.close(ended)
        if not in_time:
            machine.kill()
    assert machine.returncode == 0, machine.returncode
    return took


def main():
    for needed in (BUSYBOX, f"/usr/bin/qemu-system-{os.uname().machine}", "/usr/bin/bwrap"):
        if not os.path.exists(needed):
            print(f"microvm: not measured: there is no {needed}")
            return
    place = pathlib.Path(tempfile.mkdtemp(prefix="kortex-bench-"))
    env = {**os.environ, "KORTEX_CLI_STORAGE": str(place / "store"), "XDG_CACHE_HOME": str(place / "cache"), "KORTEX_CLI_INIT_AUTO_START": "0"}

    def cli(*words):
        return subprocess.run([CLI, *words], check=True, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, text=True).stdout

    try:
        (place / "src/.kortex").mkdir(parents=True)
        (place / "src/.kortex/workspace.json").write_text(json.dumps({"network": {"mode": "deny"}, "resources": {"memory": "512MiB", "cpus": 1}}))
        info = cli("runtime", "info", "microvm")
        accel = "kvm" if '"kvm":"works"' in info else "tcg"
        cli("init", str(place / "src"), "--name", "w", "--runtime", "microvm", "--agent", "shell", "--runtime-option", f"accel={accel}")
        archive(place / "initramfs", pathlib.Path(BUSYBOX).read_bytes())
        starts, bares, kernels, inits, memory, qemu = [], [], [], [], [], None
        for number in range(RUNS + 1):  # the first of each is thrown away
            begun = time.monotonic()
            cli("start", "w")
            starts.append(time.monotonic() - begun)
            shown = json.loads(cli("show", "w", "-o", "json"))
            [pidfile] = (place / "store").rglob("qemu.pid")
            pid = int(pidfile.read_text())
            qemu = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
            said = cli("exec", "w", "--", "dmesg")
            kernel = float(re.search(r"\[ *([0-9.]+)\] Run /init", said).group(1))
            root = float(re.search(r"\[ *([0-9.]+)\] EXT4-fs \(vd.\): mounted", said).group(1))
            kernels.append(kernel)
            inits.append(root - kernel)
            used = 0
            for process in (pid, *[int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*") if str(pidfile.parent) in cwd_of(p)]):
                used += sum(int(line.split()[1]) for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
            memory.append(used / 1024)
            assert shown["state"] == "running"
            cli("stop", "w", "--kill")
            bares.append(bare_boot(qemu, place / "initramfs"))
        cli("remove", "--force", "w")
        m = {name: statistics.median(values[1:]) for name, values in
             {"start": starts, "bare": bares, "kernel": kernels, "init": inits, "memory": memory}.items()}
        print(f"microvm, {accel}, {RUNS} runs, medians")
        print(f"  start to agent ready : bare boot to an init that ends   {m['start'] / m['bare']:6.2f} x   1.15   "
              f"{'met' if m['start'] <= 1.15 * m['bare'] else 'NOT met'}   ({m['start']:.2f} s : {m['bare']:.2f} s)")
        least = min(starts[1:]), min(bares[1:])
        pairs = statistics.median(start / bare for start, bare in zip(starts[1:], bares[1:]))
        print(f"  by the least of each {least[0] / least[1]:.2f} x ({least[0]:.2f} s : {least[1]:.2f} s), by pairs {pairs:.2f} x (median)")
        print(f"  of it: kernel until its init {m['kernel']:.2f} s, modules and disk {m['init']:.2f} s, "
              f"all else (preparing, QEMU, shares, session, agent) {m['start'] - m['kernel'] - m['init']:.2f} s")
        print(f"  memory of one machine of 512 MiB, idle: {m['memory']:.0f} MiB with all that serves it")
    finally:
        for name in ("w",):
            subprocess.run([CLI, "remove", "--force", name], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(place, ignore_errors=True)


def cwd_of(process):
    """Of the programs beside QEMU; QEMU itself is counted already."""
    try:
        if "qemu-system" in (process / "cmdline").read_text():
            return ""
        return os.readlink(process / "cwd") + os.readlink(process / "fd/3")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
