"""kortex-runtime-check on the apple-container runtime and the simulator: check_test.py VERSION"""
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import Mac
from machine import missing

SKIPPED = 77
if why := missing():
    print(f"no simulator here: {why}", file=sys.stderr)
    sys.exit(1 if os.environ.get("KORTEX_TEST_ENGINES") == "required" else SKIPPED)
build = pathlib.Path(os.environ["KORTEX_BUILD_DIR"])
with tempfile.TemporaryDirectory(prefix="kortex-mac-") as folder:
    os.chmod(folder, 0o755)
    mac = Mac(folder, sys.argv[1])
    try:
        done = subprocess.run([build / "bin/kortex-runtime-check", "--jobs", "2", "--timeout", "120", *sys.argv[2:], "--option", f"program={mac.program}", "--session-program",
                               build / "lib/kortex/kortex-session", build / "lib/kortex/runtimes/libkortex-runtime-apple-container.so"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    finally:
        left = mac.names()
        mac.close()
print(done.stdout)
if done.returncode == 0 and "\n# core " not in done.stdout:
    sys.exit("no closing line")
if left:
    sys.exit(f"containers were left behind: {left}")
# The simulator is known to work: a backend that is not usable is a failure.
sys.exit(1 if done.returncode == SKIPPED else done.returncode)
