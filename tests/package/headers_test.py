#!/usr/bin/env python3
"""Every SDK header compiles alone, in every language and with every compiler that authors may use.

headers_test.py INCLUDE_DIRECTORY C_COMPILER CXX_COMPILER
"""
import pathlib
import shutil
import subprocess
import sys

include = pathlib.Path(sys.argv[1])
C = ("c11", "c17")
CXX = ("c++17", "c++20")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
failed = 0


def compile_alone(compiler, language, standard, header):
    global failed
    command = [compiler, f"-std={standard}", *WARNINGS, f"-I{include}", "-x", language, "-fsyntax-only", "-"]
    done = subprocess.run(command, input=f"#include <kortex/{header.name}>\n#include <kortex/{header.name}>\n", capture_output=True, text=True)
    if done.returncode != 0:
        failed += 1
        print(f"FAILED {header.name} as {standard} with {compiler}\n{done.stderr}")


headers = sorted((include / "kortex").glob("*.h*"))
assert any(header.name == "runtime.h" for header in headers), f"no headers in {include}"
for compiler, standards, language, wanted in ((sys.argv[2], C, "c", ".h"), ("clang", C, "c", ".h"),
                                              (sys.argv[3], CXX, "c++", ""), ("clang++", CXX, "c++", "")):
    if shutil.which(compiler) is None:
        print(f"SKIPPED with {compiler}: not installed")
        continue
    for header in headers:
        for standard in standards:
            if not wanted or header.suffix == wanted:
                compile_alone(compiler, language, standard, header)
print(f"{len(headers)} headers, {failed} failures")
sys.exit(1 if failed else 0)
