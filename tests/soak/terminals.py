"""People in front of terminals who count: what comes back must be what was said, in order, once."""
import random

from fleet import box

# Says back what it is told, and nothing else: the terminal's own echo is off, so each byte that a viewer sees is accounted for.
AGENT = """stty -echo; echo ready
while read -r word number; do
  case $word in
    burst) seq -f "line %.0f of a burst, and some more of it to make it longer" 1 "$number" ;;
    size) stty size ;;
    quit) exit "$number" ;;
    *) echo "got:$word" ;;
  esac
done"""


def burst_of(lines):
    return b"".join(b"line %d of a burst, and some more of it to make it longer\r\n" % i for i in range(1, lines + 1))


class CountingTerminal(box.Pty):
    """Attached for as long as the soak lasts."""

    def __init__(self, fleet, workspace, number):
        super().__init__(fleet, box.BINARY, "terminal", workspace)
        self.workspace, self.count, self.exchanged = workspace, 0, 0
        self._random = random.Random(number)
        greeting = f"hello-{number}"
        self.send(f"{greeting}\r")
        self.expect(f"got:{greeting}\r\n")  # before it, what was on the screen
        self._forget()

    def _forget(self):
        surplus = self.seen[self._read_to:]
        if surplus:
            raise AssertionError(f"terminal of {self.workspace}: {surplus[:200]!r} that nobody asked for")
        self.seen, self._read_to = b"", 0

    def exchange(self, line, answer):
        """`answer`: the exact bytes."""
        self.send(line)
        deadline = box.time.monotonic() + box.SOON
        while len(self.seen) < len(answer) and self._more(deadline):
            pass
        if self.seen[:len(answer)] != answer:
            at = next((i for i, (a, b) in enumerate(zip(self.seen, answer)) if a != b), min(len(self.seen), len(answer)))
            raise AssertionError(f"terminal of {self.workspace}, after {self.exchanged} bytes: said {line[:60]!r}, "
                                 f"saw {self.seen[max(0, at - 80):at + 120]!r} where {answer[max(0, at - 80):at + 120]!r} was due (byte {at} of {len(answer)})")
        self._read_to = len(answer)
        self.exchanged += len(answer)
        self._forget()

    def round_trip(self):
        for _ in range(self._random.randint(1, 4)):
            self.count += 1
            self.exchange(b"%d\r" % self.count, b"got:%d\r\n" % self.count)
        what = self._random.random()
        if what < 0.15:  # several at once: they are answered in order
            first, self.count = self.count + 1, self.count + 20
            numbers = range(first, self.count + 1)
            self.exchange(b"".join(b"%d\r" % n for n in numbers), b"".join(b"got:%d\r\n" % n for n in numbers))
        elif what < 0.35:
            self.resize(self._random.randint(5, 60), self._random.randint(20, 200))  # and no waiting: the next lines must pass it unharmed
        elif what < 0.45:
            self.measured()
        elif what < 0.55:
            self.burst(self._random.randint(100, 1000))

    def measured(self):
        """The agent hears of the viewer's size."""
        rows, cols = self._random.randint(5, 60), self._random.randint(20, 200)
        self.resize(rows, cols)
        deadline = box.time.monotonic() + box.SOON
        while True:  # a size and a line go different ways to the client, so the first answer may be the size before
            self.send(b"size\r")
            seen = self.expect(r"(\d+) (\d+)\r\n")
            if self.seen[:seen.start()]:
                raise AssertionError(f"terminal of {self.workspace}: {self.seen!r} where a size was due")
            self._forget()
            if (int(seen[1]), int(seen[2])) == (rows, cols):
                return
            if box.time.monotonic() > deadline:
                raise AssertionError(f"terminal of {self.workspace}: {rows}x{cols} never arrived, it is {seen[0]!r}")

    def burst(self, lines):
        self.exchange(b"burst %d\r" % lines, burst_of(lines))

    def detach(self):
        self.send(b"\x10\x11")
        status = self.ended()
        if status != 0:
            raise AssertionError(f"terminal of {self.workspace}: status {status} after detaching, saw {self.seen[-500:]!r}")
