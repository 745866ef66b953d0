#!/usr/bin/env python3
"""The session holder for linux/arm64, which the apple-container runtime carries: built by a cross compiler, run here by qemu's
emulation of one program. The agent is this machine's own shell. arm64_test.py HOLDER PLUGIN"""
import os
import pathlib
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HOLDER, PLUGIN = (pathlib.Path(word) for word in sys.argv[1:3])
QEMU = [] if os.uname().machine == "aarch64" else [shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")]
SKIPPED = 77
HELLO, START, ATTACH, STDIN, OK, STDOUT, END = 1, 16, 17, 19, 48, 50, 52


def frame(kind, payload=b""):
    return struct.pack("<BBHI", kind, 0, 0, len(payload)) + payload


class Relay:
    """A client of the holder, through its own relay."""

    def __init__(self, socket):
        self.process = subprocess.Popen([*QEMU, HOLDER, "relay", socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.send(HELLO, struct.pack("<IHH", 0x4E53584B, 1, 0))

    def send(self, kind, payload=b""):
        self.process.stdin.write(frame(kind, payload))

    def next(self):
        head = b""
        while len(head) < 8:
            assert select.select([self.process.stdout], [], [], 60)[0], "no answer for a minute"
            piece = self.process.stdout.read(8 - len(head))
            assert piece, "the relay has ended"
            head += piece
        kind, _, _, size = struct.unpack("<BBHI", head)
        payload = b""
        while len(payload) < size:
            payload += self.process.stdout.read(size - len(payload))
        return kind, payload

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Arm64(unittest.TestCase):
    def test_is_a_static_program_for_arm64(self):
        elf = HOLDER.read_bytes()
        self.assertEqual(elf[:6], b"\x7fELF\x02\x01")
        self.assertEqual(struct.unpack_from("<H", elf, 18)[0], 183)
        offset, size, count = *struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54)
        kinds = [struct.unpack_from("<I", elf, offset + i * size)[0] for i in range(count)]
        self.assertNotIn(3, kinds, "it has an interpreter")

    def test_is_carried_by_the_plugin(self):
        self.assertIn(HOLDER.read_bytes(), PLUGIN.read_bytes())

    def test_says_its_version(self):
        said = subprocess.run([*QEMU, HOLDER, "--version"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
        self.assertRegex(said, r"\Akortex-session \d+\.\d+\.\d+ \(protocol 1\.\d+\)\n\Z")

    def test_holds_a_session(self):
        with tempfile.TemporaryDirectory(prefix="kortex-arm64-") as folder:
            state, socket = pathlib.Path(folder, "state"), pathlib.Path(folder, "socket")
            state.mkdir(mode=0o700)
            ready, tell = os.pipe()
            holder = subprocess.Popen([*QEMU, HOLDER, "serve", "--dir", state, "--socket", socket, "--ready-fd", str(tell)], pass_fds=(tell,))
            os.close(tell)
            self.assertTrue(select.select([ready], [], [], 60)[0])
            self.assertEqual(os.read(ready, 1), b"\0")
            os.close(ready)
            starter = Relay(socket)
            self.assertEqual(starter.next()[0], HELLO)
            strings = [b"/bin/sh", b"-c", b"stty size; read line; echo \"<$line>\"; exit 7", b"PATH=/usr/bin:/bin", b"/"]
            starter.send(START, struct.pack("<IHHII", 1, 31, 101, 3, 1) + b"".join(text + b"\0" for text in strings))
            self.assertEqual(starter.next(), (OK, b""))
            starter.close()
            viewer = Relay(socket)
            self.assertEqual(viewer.next()[0], HELLO)
            viewer.send(ATTACH, struct.pack("<IHH", 0, 31, 101))
            viewer.send(STDIN, b"hello\r")
            seen, end = b"", None
            while end is None:
                kind, payload = viewer.next()
                seen += payload if kind == STDOUT else b""
                end = payload if kind == END else None
            self.assertIn(b"31 101", seen)
            self.assertIn(b"<hello>", seen)
            self.assertEqual(struct.unpack("<II", end), (0, 7))
            viewer.close()
            self.assertEqual(holder.wait(60), 7)
            self.assertRegex((state / "status").read_text(), r"serving \d+\nstarted \d+ \d+\nended 7 \d+\n\Z")


if __name__ == "__main__":
    if None in QEMU:
        print("qemu-aarch64 is not installed", file=sys.stderr)
        sys.exit(1 if os.environ.get("KORTEX_TEST_ENGINES") == "required" else SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
