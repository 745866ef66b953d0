"""kortex-runtime-check on a runtime and its real engine: check_test.py podman|rootless|docker"""
import os
import pathlib
import subprocess
import sys

from place import FACTS, IMAGE, RUNTIME  # first: it decides who we are and where the binary is

build = pathlib.Path(os.environ["KORTEX_BUILD_DIR"])
env = {**os.environ, **FACTS["env"], "PATH": os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"}
if "user" in FACTS:
    env["HOME"] = os.path.expanduser("~" + FACTS["user"])
done = subprocess.run([build / "bin/kortex-runtime-check", "--jobs", "2", "--image", IMAGE, "--session-program", build / "lib/kortex/kortex-session",
                       build / f"lib/kortex/runtimes/libkortex-runtime-{RUNTIME}.so"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
print(done.stdout)
# Here the engine is known to be up: one that is not usable is a failure.
if done.returncode == 0 and "\n# core " not in done.stdout:
    sys.exit("no closing line")
sys.exit(1 if done.returncode == 77 else done.returncode)
