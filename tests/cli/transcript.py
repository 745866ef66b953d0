#!/usr/bin/env python3
"""Runs a transcript: commands and what they must print, as a person would see them.

    $ kortex-cli start nobody          a command; `> ` lines continue it
    a line of stdout                   lines in order; `\\` in front of one that begins with a marker
    ! a line of stderr
    ? 3                                the exit status, when it is not zero
    # a remark, at the start of a line, ends the block before it

All commands of a file run in one shell (so `cd`, variables and pipes work), in a sandbox of the file's own. What differs from run to run
is replaced before comparing: see normalize(). KORTEX_ACCEPT=1 rewrites the file with what was printed and skips.

With a Markdown file, its ```console blocks are the transcript: both streams together, where a line `…` stands for
any number of lines. An HTML comment just before a block changes how it is run:
    <!-- test: setup COMMAND -->       a command to run first, unseen
    <!-- test: needs PROGRAM -->       not run where that program is not installed
    <!-- test: any output -->          only the statuses count
"""
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

import sandbox as box

MARKERS = ("$ ", "> ", "! ", "? ", "# ", "\\")


class Block:
    def __init__(self, line):
        self.line, self.command, self.stdout, self.stderr, self.status = line, "", [], [], 0
        self.remarks, self.any_output, self.unseen = [], False, False


def parse(text):
    blocks, remarks = [], []
    block = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            block = Block(number)
            block.command, block.remarks, remarks = line[2:], remarks, []
            blocks.append(block)
        elif line.startswith("#"):
            block = None
            remarks.append(line)
        elif block is None:
            remarks.append(line)
        elif line.startswith("> "):
            block.command += "\n" + line[2:]
        elif line == "!" or line.startswith("! "):
            block.stderr.append(line[2:])
        elif re.fullmatch(r"\? \d+", line):
            block.status = int(line[2:])
        else:
            block.stdout.append(line[1:] if line.startswith("\\") else line)
    for block in blocks:
        strip_end(block.stdout)
    return blocks, remarks


def strip_end(lines):
    while lines and lines[-1] == "":
        lines.pop()


def render(blocks, remarks):
    lines = []
    for block in blocks:
        if lines and block.remarks[:1] != [""]:
            lines.append("")
        lines += block.remarks
        first, *rest = block.command.split("\n")
        lines += [f"$ {first}"] + [f"> {line}" for line in rest]
        lines += ["\\" + line if line.startswith(MARKERS) or line in ("#", "!") or line.startswith("#") else line for line in block.stdout]
        lines += [f"! {line}".rstrip(" ") for line in block.stderr]
        if block.status:
            lines.append(f"? {block.status}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines + remarks)).strip("\n") + "\n"


def read_markdown(text):
    blocks, before, lines = [], [], text.splitlines()
    index = 0
    while index < len(lines):
        line = lines[index]
        note = re.fullmatch(r"<!-- test: (.*) -->", line)
        if note:
            before.append(note.group(1))
        elif line == "```console":
            inside, start = [], index + 2
            while lines[index + 1] != "```":
                index += 1
                inside.append(lines[index])
            needs = [n[6:] for n in before if n.startswith("needs ")]
            if all(shutil.which(program) for program in needs):
                for note in before:
                    if note.startswith("setup "):
                        hidden = Block(start)
                        hidden.command, hidden.any_output, hidden.unseen = note[6:], True, True
                        blocks.append(hidden)
                shown, _ = parse("\n".join(inside))
                for block in shown:
                    block.line += start - 1
                    block.any_output = "any output" in before
                blocks += shown
            before = []
        index += 1
    return blocks


class Shell:
    """One shell for all commands of a file; it reports each command's status on a pipe of its own."""

    def __init__(self, sandbox, merge):
        self.merge = merge
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kortex-transcript-"))
        self.report, theirs = os.pipe()
        self.process = sandbox.popen("/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(theirs,),
                                     start_new_session=True)
        self.theirs = theirs
        os.close(theirs)

    def run(self, command):
        script, out, err = self.folder / "command", self.folder / "out", self.folder / "err"
        script.write_text(command + "\n")
        err.write_bytes(b"")
        streams = f">{out} 2>&1" if self.merge else f">{out} 2>{err}"
        self.process.stdin.write(f". {script} {streams} {self.theirs}>&- </dev/null; echo $? >&{self.theirs}\n".encode())
        self.process.stdin.flush()
        text, deadline = b"", time.monotonic() + box.SOON
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.report], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.report, 64) if ready else b""
            if not data:
                raise SystemExit(f"the shell {'ended' if ready else 'did not come back'} in: {command}")
            text += data
        return int(text), out.read_text(errors="backslashreplace"), err.read_text(errors="backslashreplace")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        os.close(self.report)
        shutil.rmtree(self.folder)


def normalize(text, sandbox):
    """All that may differ between two good runs."""
    text = text.replace(str(sandbox.path), "<sandbox>")
    text = re.sub(r"\b[a-z0-9_]+-linux-gnu\b", "<triplet>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r'("(?:created|started|stopped|created_ms|started_ms|stopped_ms)": ?)[1-9]\d{12}\b', r"\1<ms>", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<short-id>", text)
    # A column of times is as wide as they happen to be.
    text = re.sub(r"\bCREATED +", "CREATED  ", text)
    text = re.sub(r"\b(?:now|\d+ (?:second|minute)s? ago)  +", "<ago>  ", text)
    text = re.sub(r"(?m)((?:created|started|stopped): +)(?:now|\d+ (?:second|minute)s? ago)$", r"\1<ago>", text)
    text = re.sub(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?Z?)?", "<time>", text)
    text = re.sub(r"\bpid \d+", "pid <n>", text)
    return text


def matches(expected, actual):
    """`…` alone on a line stands for any lines, within a line for any text."""
    if not expected:
        return not actual
    if expected[0].strip() == "…":
        return any(matches(expected[1:], actual[skipped:]) for skipped in range(len(actual) + 1))
    line = ".*".join(re.escape(part) for part in expected[0].split("…"))
    return bool(actual) and re.fullmatch(line, actual[0]) is not None and matches(expected[1:], actual[1:])


def difference(block, status, stdout, stderr):
    shown = [f"$ {block.command}"]
    for name, want, got in (("stdout", block.stdout, stdout), ("stderr", block.stderr, stderr)):
        if want != got:
            shown += [f"  {name} expected:"] + [f"    |{line}" for line in want] + [f"  {name} printed:"] + [f"    |{line}" for line in got]
    if status != block.status:
        shown.append(f"  status expected {block.status}, was {status}")
        if stdout == block.stdout:
            shown += [f"    |{line}" for line in stdout]
        if stderr == block.stderr:
            shown += [f"    !{line}" for line in stderr]
    return "\n".join(shown)


def main(path):
    path = pathlib.Path(path)
    markdown = path.suffix == ".md"
    if markdown:
        blocks, tail = read_markdown(path.read_text()), []
    else:
        blocks, tail = parse(path.read_text())
    if not blocks:
        sys.exit(f"{path}: no commands in it")
    sandbox = box.Sandbox()
    sandbox.install("fake", "process")  # what is printed must not depend on how many others there are
    sandbox.env["SANDBOX"] = str(sandbox.path)
    shell = Shell(sandbox, merge=markdown)
    wrong = 0
    for block in blocks:
        status, stdout, stderr = shell.run(block.command)
        stdout, stderr = (normalize(text, sandbox).splitlines() for text in (stdout, stderr))
        strip_end(stdout)
        if os.environ.get("KORTEX_ACCEPT") and not markdown:
            block.status, block.stdout, block.stderr = status, stdout, stderr
            continue
        want = [normalize(line, sandbox) for line in block.stdout]
        if block.any_output:
            stdout = want = block.stdout
        elif markdown and matches(want, stdout):
            status, stdout = block.status, want  # a page shows no statuses
        if (status, stdout, stderr) != (block.status, want, block.stderr):
            wrong += 1
            print(f"{path}:{block.line}: {difference(block, status, stdout, stderr)}\n", file=sys.stderr)
    shell.close()
    sandbox.close(keep=wrong > 0)
    if os.environ.get("KORTEX_ACCEPT") and not markdown:
        path.write_text(render(blocks, tail))
        print(f"{path}: rewritten; look at the difference before committing it")
        sys.exit(box.SKIPPED)
    if wrong:
        sys.exit(f"{path}: {wrong} of {len(blocks)} commands printed something else")
    print(f"{path.name}: {len(blocks)} commands")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FILE")
    main(sys.argv[1])
