#!/usr/bin/env python3
"""What is shipped is built so that a mistake is a crash and not a way in: read off the built files.

    hardening_test.py BUILD_DIRECTORY [release]

Position-independent, nothing both writable and executable, no executable stack, all relocations done and read-only before main(),
stack protectors; in a release build also the checked functions of the C library. An agent or another process may feed any of these
files: the host, its plugins, the session holder, the checker."""
import pathlib
import re
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1])
RELEASE = "release" in sys.argv[2:]


def readelf(what, file):
    return subprocess.run(["readelf", "--wide", *what, str(file)], check=True, stdout=subprocess.PIPE, text=True).stdout


def complaints(file):
    header, segments, dynamic, symbols = (readelf([what], file) for what in ("--file-header", "--program-headers", "--dynamic", "--symbols"))
    if file.name == "kortex-session" and "INTERP" in segments:
        yield "needs a dynamic loader, which is not where it runs"
    if not re.search(r"Type:\s+DYN", header):
        yield "is at the same address at every start"
    stack = re.search(r"GNU_STACK\s.*\s([RWE ]+)\s+0x", segments)
    if not stack or "E" in stack.group(1):
        yield "has an executable stack"
    for flags in re.findall(r"^\s+LOAD\s.*?0x\w+ 0x\w+ ([RWE ]{3}) 0x", segments, re.MULTILINE):
        if "W" in flags and "E" in flags:
            yield "has a segment that is both writable and executable"
    if "GNU_RELRO" not in segments:
        yield "leaves its relocated tables writable"
    static = "INTERP" not in segments and file.suffix != ".so"
    if not static and not re.search(r"BIND_NOW|Flags: .*NOW", dynamic):
        yield "looks functions up late, in tables that stay writable"
    if "TEXTREL" in dynamic:
        yield "has relocations in its code"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "has a search path of its own"
    stripped = not re.search(r"Symbol table '\.symtab'", symbols)
    if "__stack_chk_fail" not in symbols and not (static and stripped):
        yield "has no stack protector"
    if RELEASE and not static and not re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")):
        yield "uses none of the C library's checked functions"


def main():
    files = [BUILD / "bin/kortex-cli", *sorted((BUILD / "lib/kortex/runtimes").glob("*.so")), BUILD / "lib/kortex/kortex-session", BUILD / "bin/kortex-runtime-check"]
    failed = False
    for file in files:
        found = list(complaints(file))
        print(f"{file.relative_to(BUILD)}: {'; '.join(found) or 'hardened'}")
        failed = failed or bool(found)
    # What is wrong on purpose is seen.
    for name, words in (("executable-stack", "executable stack"), ("lazy", "late"), ("no-relro", "relocated tables")):
        file = BUILD / f"tests/plugins/libkortex-runtime-{name}.so"
        if not any(words in complaint for complaint in complaints(file)):
            sys.exit(f"{file}: is '{name}', and this test does not see it")
    if len(files) < 5:
        sys.exit("too few files: nothing was built")
    sys.exit(1 if failed else 0)


main()
