"""kortex-runtime-check on a runtime and its real engine: check_test.py podman|rootless|docker|podman-ssh|docker-ssh"""
import os
import pathlib
import subprocess
import sys
import tempfile

from place import ADDRESS, FACTS, IMAGE, REMOTE, RUNTIME, SSH  # first: it decides who we are and where the binary is

build = pathlib.Path(os.environ["KORTEX_BUILD_DIR"])
env = {**os.environ, **FACTS["env"], "PATH": os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"}
if REMOTE:
    env = {**os.environ, "DOCKER_HOST": ADDRESS, "CONTAINER_HOST": ADDRESS}
    folder = tempfile.TemporaryDirectory(prefix="kortex-check-")
    program = pathlib.Path(folder.name, "ssh")
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {SSH["config"]} "$@"\n')
    program.chmod(0o755)
    env["PATH"] = f"{folder.name}:{os.environ['PATH']}"
if "user" in FACTS:
    env["HOME"] = os.path.expanduser("~" + FACTS["user"])
done = subprocess.run([build / "bin/kortex-runtime-check", *sys.argv[1:], "--jobs", "1", "--image", IMAGE, "--session-program", build / "lib/kortex/kortex-session",
                       build / f"lib/kortex/runtimes/libkortex-runtime-{RUNTIME}.so"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
print(done.stdout)
# Here the engine is known to be up: one that is not usable is a failure.
if done.returncode == 0 and "\n# core " not in done.stdout:
    sys.exit("no closing line")
sys.exit(1 if done.returncode == 77 else done.returncode)
