#!/usr/bin/env python3
"""The contract's layout against sdk/abi-1.0.txt: a field that is there stays where it is.

abi_test.py OFFSETS_PROGRAM GOLDEN. With KORTEX_ACCEPT=1 the golden is written anew and the test skips.
"""
import os
import subprocess
import sys

program, golden = sys.argv[1:]
found = subprocess.run([program], check=True, capture_output=True, text=True).stdout
if os.environ.get("KORTEX_ACCEPT"):
    with open(golden, "w") as out:
        out.write(found)
    print(f"wrote {golden}")
    sys.exit(77)

if not found.startswith("abi 1 pointer 8\n"):
    print("the golden is of 64-bit machines")
    sys.exit(77)

with open(golden) as text:
    wanted = text.read()


def fields(text):
    return {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}


broken = [f"-{line}\n+{fields(found).get(name, '  (gone)')}" for name, line in fields(wanted).items() if fields(found).get(name) != line]
if broken:
    print("fields of ABI 1 have moved, changed or gone; plugins in the field would break:", *broken, sep="\n")
    sys.exit(1)
if found != wanted:
    print("fields or structs have been added: if they are at the end of their struct, accept them with KORTEX_ACCEPT=1 and "
          "raise KORTEX_ABI_MINOR once a release")
    print(*sorted(set(found.splitlines()) ^ set(wanted.splitlines())), sep="\n")
    sys.exit(1)
