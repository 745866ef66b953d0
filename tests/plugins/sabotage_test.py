#!/usr/bin/env python3
"""Every test of kortex-runtime-check can fail: sabotage_test.py BUILD SABOTAGE_TABLE [PART_OF_A_NAME]

Each line of the table is a run of one test on a runtime that breaks just what the test is about; it must fail, with the
words of the table. The runtime without any sabotage passes all of them."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

build, table = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
wanted = sys.argv[3] if len(sys.argv) > 3 else ""
CHECK = build / "bin/kortex-runtime-check"
PLUGINS = build / "tests/plugins"
PLACE = tempfile.mkdtemp(prefix="kxs-")
os.chmod(PLACE, 0o755)


def check(plugin, sabotage, *options):
    env = {**os.environ, "KORTEX_SABOTAGE": sabotage, "TMPDIR": PLACE}
    return subprocess.run([CHECK, "--option", "sandbox=none", "--image", "localhost/none", *options, plugin], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)


def end_what_is_left():
    """A runtime whose remove() is sabotaged leaves processes behind: those whose program,
    directory or open file is of ours."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        folder = pathlib.Path("/proc", entry)
        try:
            links = [folder / "cwd", *(folder / "fd").iterdir()]
            named = f"{PLACE}/".encode() in (folder / "cmdline").read_bytes()
            if int(entry) != os.getpid() and (named or any(os.readlink(link).startswith(f"{PLACE}/") for link in links)):
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            continue
    shutil.rmtree(PLACE, ignore_errors=True)


def read_table():
    for line in table.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        test, fault, words = line.split(" ", 2)
        seconds = re.match(r"seconds=(\d+) ", words)
        yield test, fault, seconds.group(1) if seconds else "60", words[seconds.end():] if seconds else words


def attempt(entry):
    """What is wrong with the test's answer to the sabotage; None: nothing."""
    test, fault, seconds, words = entry
    named = re.fullmatch(r"\[(.*)\]", fault)
    plugin = PLUGINS / f"libkortex-runtime-{named.group(1) if named else 'sabotaged'}.so"
    done = check(plugin, "" if named else fault, "--only", test, "--timeout", seconds)
    verdicts = re.findall(r"(?m)^(ok|not ok) \d+ - (\S+)( # SKIP.*)?$", done.stdout)
    mine = [verdict for verdict in verdicts if verdict[1] == test]
    if done.returncode != 1 or [verdict[0] for verdict in mine] != ["not ok"] or words not in done.stdout:
        return f"{test} with {fault}: status {done.returncode}, expected a failure with '{words}'\n{done.stdout}"
    return None


entries = [entry for entry in read_table() if wanted in entry[0] or wanted in entry[1]]
failures = []
listed = {line.split("\t")[0] for line in subprocess.run([CHECK, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()}
if not wanted:
    tabled = {entry[0] for entry in entries}
    failures += [f"{name}: nothing shows that it can fail" for name in sorted(listed - tabled)]
    failures += [f"{name}: in the table, and not a test" for name in sorted(tabled - listed)]
    honest = check(PLUGINS / "libkortex-runtime-sabotaged.so", "concurrent", "--jobs", "2")
    if honest.returncode != 0:
        failures.append(f"without sabotage it must pass:\n{honest.stdout}")
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    failures += [failure for failure in pool.map(attempt, entries) if failure]
end_what_is_left()
print(*failures, sep="\n")
print(f"{len(entries)} sabotages, {len(failures)} failures")
sys.exit(1 if failures else 0)
