"""Which engine is tested, as whom, and with which environment. Import before tests/cli's sandbox: that one reads where
the binary is. The rootless engine's tests run as its ordinary user, on a copy of the binaries he can reach."""
import atexit
import json
import os
import pathlib
import pwd
import shutil
import sys
import tempfile

ENGINES = ("podman", "rootless", "docker", "podman-ssh", "docker-ssh")
SKIPPED = 77

if len(sys.argv) < 2 or sys.argv[1] not in ENGINES:
    sys.exit(f"usage: {sys.argv[0]} {{{'|'.join(ENGINES)}}} [TEST...]")
ENGINE = sys.argv.pop(1)
REMOTE = ENGINE.endswith("-ssh")
RUNTIME = ENGINE[: -len("-ssh")] if REMOTE else "docker" if ENGINE == "docker" else "podman"
DIRECTORY = pathlib.Path(os.environ.get("KORTEX_ENGINES_DIR", "build/dev/engines"))

# Before we may become somebody who cannot read where these are.
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "cli")]

state_file = DIRECTORY / "state.json"
STATE = json.loads(state_file.read_text()) if state_file.exists() else {}
NEEDED = (RUNTIME, "ssh") if REMOTE else (ENGINE,)
for needed in NEEDED:
    missing = STATE.get(needed, {"missing": f"no fixture in {DIRECTORY}: fixture.py up {DIRECTORY}"}).get("missing")
    if missing:
        print(f"{needed}: {missing}", file=sys.stderr)
        sys.exit(1 if os.environ.get("KORTEX_TEST_ENGINES") == "required" else SKIPPED)
FACTS = STATE[NEEDED[0]]
SSH = STATE.get("ssh", {})
# The same engine, as if it were on another machine.
ADDRESS = f"ssh://root@127.0.0.1:{SSH['port']}{FACTS['socket']}" if REMOTE else ""
IMAGE = STATE["image"]

if ENGINE == "rootless":
    user = pwd.getpwnam(FACTS["user"])
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev"))
    copy = pathlib.Path(tempfile.mkdtemp(prefix="kortex-rootless-"))
    copy.chmod(0o755)
    for part in ("bin/kortex-cli", "bin/kortex-runtime-check", "lib/kortex", "share/kortex"):
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (build / part).is_dir() else shutil.copy2)(build / part, copy / part)
    for folder, names, files in os.walk(copy):
        for name in (*names, *files, "."):
            os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid)
    os.environ["KORTEX_BUILD_DIR"] = str(copy)
    # Whatever is needed of Python is loaded now: the interpreter's own folder may be closed to that user.
    import encodings.idna  # noqa: F401
    import fixture  # noqa: F401
    import sandbox  # noqa: F401
    import secrecy  # noqa: F401
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.chdir("/")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
