"""Where the attacks are made from: a runtime, and as whom. Import before tests/cli's sandbox: that one reads where the binary is.

    process      in bubblewrap, as whoever runs the tests          podman, docker   as tests/engines' fixture started them
    ordinary     the same, as an ordinary user                     rootless         podman, as the fixture's ordinary user
    bare         without a sandbox                                 microvm          emulated

The sandbox of a test lies in /srv or /var/tmp: /tmp is hidden from agents anyway, and that proves nothing of the rest."""
import atexit
import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = ("process", "ordinary", "bare", "podman", "rootless", "docker", "microvm")
ORDINARY = 54321
SKIPPED = 77

if len(sys.argv) < 2 or sys.argv[1] not in SETTINGS:
    sys.exit(f"usage: {sys.argv[0]} {{{'|'.join(SETTINGS)}}} [TEST...]")
SETTING = sys.argv[1]
RUNTIME = {"ordinary": "process", "bare": "process", "rootless": "podman"}.get(SETTING, SETTING)
CONTAINER = RUNTIME in ("podman", "docker")
ATTEMPT = pathlib.Path(os.environ["KORTEX_ATTEMPT"]).resolve()
sys.path[:0] = [str(HERE), str(HERE.parent / "cli"), str(HERE.parent / "engines")]


def place_for(uid):
    """A folder of our own, of that user, that everybody gets to."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="kortex-attack-", dir="/srv" if os.access("/srv", os.W_OK) else "/var/tmp"))
    place.chmod(0o755)
    shutil.copy2(ATTEMPT, place / "attempt")
    os.chown(place, uid, -1)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def become_ordinary(place):
    """On a copy of the binaries that everybody can reach."""
    build = pathlib.Path(os.environ.get("KORTEX_BUILD_DIR", "build/dev"))
    copy = place / "build"
    for part in ("bin/kortex-cli", "lib/kortex", "share/kortex"):
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (build / part).is_dir() else shutil.copy2)(build / part, copy / part)
    for folder, names, files in os.walk(place):
        for name in (*names, *files, "."):
            os.chown(os.path.join(folder, name), ORDINARY, ORDINARY)
    os.environ["KORTEX_BUILD_DIR"] = str(copy)
    import encodings.idna  # noqa: F401  the interpreter's own folder may be closed to that user
    import attacks, bait, sandbox, workspace  # noqa: F401, E401
    os.setgroups([])
    os.setgid(ORDINARY)
    os.setuid(ORDINARY)
    os.chdir("/")


if CONTAINER:
    sys.argv[1] = SETTING
    # It takes the engine's name from the arguments, and may make us another user.
    _before = os.geteuid()
    if SETTING == "rootless":
        import json
        import pwd
        _state = pathlib.Path(os.environ.get("KORTEX_ENGINES_DIR", "build/dev/engines")) / "state.json"
        _facts = json.loads(_state.read_text()).get("rootless", {}) if _state.exists() else {}
        PLACE = place_for(pwd.getpwnam(_facts["user"]).pw_uid if "user" in _facts else _before)
        import attacks, bait, workspace  # noqa: F401, E401  as in become_ordinary()
    else:
        PLACE = place_for(_before)
    import place
    FACTS, IMAGE = place.FACTS, place.IMAGE
else:
    sys.argv.pop(1)
    PLACE = place_for(ORDINARY if SETTING == "ordinary" and os.geteuid() == 0 else os.geteuid())
    if SETTING == "ordinary":
        if os.geteuid() != 0:
            print("only root can become somebody else, and whoever is not is one already", file=sys.stderr)
            sys.exit(SKIPPED)
        become_ordinary(PLACE)
ATTEMPT = PLACE / "attempt"
tempfile.tempdir = str(PLACE)
ROOT = os.geteuid() == 0
