"""kortex-runtime-check on the microvm runtime and real, emulated machines. What only a machine can be
wrong in, and what the guarantees are about; with
KORTEX_CHECK=all the rest as well, which microvm_test.py tries in its own way."""
import os
import pathlib
import subprocess
import sys

SKIPPED = 77
build = pathlib.Path(os.environ["KORTEX_BUILD_DIR"])
parts = ["core.starts-and-stops", "core.runs-the-agent", "exec.passes-on-exit", "detach.can-be-left", "host-loopback", "isolation", "mounts", "ro-mounts", "network-allow", "network-deny", "ports", "memory"]
only = [] if os.environ.get("KORTEX_CHECK") == "all" else [word for part in parts for word in ("--only", part)]
env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
done = subprocess.run([build / "bin/kortex-runtime-check", "--jobs", "2", "--timeout", "240", *only, "--option", "accel=tcg", "--session-program",
                       build / "lib/kortex/kortex-session", build / "lib/kortex/runtimes/libkortex-runtime-microvm.so"],
                      env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
print(done.stdout)
if done.returncode == 0 and "\n# core " not in done.stdout:
    sys.exit("no closing line")
if done.returncode == SKIPPED and os.environ.get("KORTEX_TEST_ENGINES") == "required":
    sys.exit(1)
sys.exit(done.returncode)
