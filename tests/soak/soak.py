#!/usr/bin/env python3
"""Leaves agents running while people come, go and type commands, and counts what piles up.

    soak.py --minutes 60 --running 200 --terminals 50 --registered 10000

Registers, starts, attaches; after a warm-up takes a census of descriptors, memory, threads, processes, zombies and files;
and at every interval and at the end another one, with the commands at rest. Growth beyond what figures.py allows, a command
that ends or answers wrongly, a terminal that loses, doubles or reorders a byte: status 1, with the figures. Whatever way it
ends, nothing is left behind.
"""
import argparse
import pathlib
import resource
import signal
import statistics
import sys
import time

from churn import Churn
from figures import PROCESSOR_RATIO, Census
from fleet import Fleet, box
from registered import register_many
from terminals import AGENT, CountingTerminal

WARM_LINES = 18000  # more than what a holder keeps for late viewers: afterwards it has all the memory it will ever have
GIVE_UP = 100  # failures, after which there is nothing to be learnt from more


class Interrupted(BaseException):
    pass


def interrupt(number, _):
    raise Interrupted(signal.Signals(number).name)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Soak:
    def __init__(self, given):
        self.given, self.fleet = given, Fleet()
        self.terminals, self.people, self.wrong, self.told = [], [], [], set()
        self.trips = 0
        self.elsewhere = pathlib.Path(f"/tmp/kortex-cli-{box.os.geteuid()}")

    # The course of it

    def prepare(self):
        given, fleet = self.given, self.fleet
        fleet.agent("counting", "/bin/sh", "-c", AGENT)
        self.options = box.process_options()
        before = time.monotonic()
        register_many(fleet, max(0, given.registered - given.running), self.options)
        say(f"{max(0, given.registered - given.running)} registered in {time.monotonic() - before:.0f} s")
        before = time.monotonic()
        self.names = [f"agent-{i}" for i in range(given.running)]
        for name in self.names:
            self.ok("init", fleet.project, "--runtime", "process", "--agent", "counting", "--name", name, *self.options, "--start")
        say(f"{given.running} running after {time.monotonic() - before:.0f} s")
        self.terminals = [CountingTerminal(fleet, name, i) for i, name in enumerate(self.names[:given.terminals])]
        for terminal in self.terminals:
            terminal.burst(WARM_LINES)
        say(f"{len(self.terminals)} terminals attached, {sum(t.exchanged for t in self.terminals) >> 20} MiB read from them")
        attached, free = self.names[:given.terminals], self.names[given.terminals:]
        rows = (len(self.names) + max(0, given.registered - given.running), len(self.names) + max(0, given.registered - given.running) + given.people)
        self.people = [Churn(fleet, i, free[i::given.people], attached, given.people / given.rate, rows) for i in range(given.people)]

    def ok(self, *arguments):
        done = self.fleet.run(box.BINARY, *arguments)
        if done.status != 0:
            raise AssertionError(str(done))
        return done

    def rest(self):
        """The commands that are under way end; the terminals stay."""
        for person in self.people:
            person.resting.clear()
            person.rest.set()
        for person in self.people:
            if person.is_alive() and not person.resting.wait(10 * box.SOON):
                raise AssertionError("a command did not end")

    def work(self, seconds):
        """Lines go to and fro between people and agents until then."""
        for person in self.people:
            person.rest.clear()
        end, turn = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            before = time.monotonic()
            if self.terminals:
                terminal = self.terminals[turn % len(self.terminals)]
                turn += 1
                try:
                    terminal.round_trip()
                    self.trips += 1
                except Exception as error:
                    self.wrong.append(str(error))
                    self.terminals.remove(terminal)
            time.sleep(max(0.0, min(end, before + 1 / self.given.trips) - time.monotonic()))

    def census(self, expected=None):
        """When what was ending has ended; what does not end is in the figures."""
        self.rest()
        deadline = time.monotonic() + 15
        while True:
            taken = Census(self.fleet, self.elsewhere)
            settled = not taken.zombies and (expected is None or taken.roles == expected.roles)
            if (settled and expected is not None) or time.monotonic() > deadline:
                return taken
            if expected is None and settled:
                again = Census(self.fleet, self.elsewhere)
                if again.holdings.keys() == taken.holdings.keys():
                    return again
            time.sleep(0.3)

    def latency(self):
        """median seconds by clock and of processors, for each"""
        found = {}
        for name, arguments in (("list", ("list", "-o", "json")), ("exec", ("exec", self.names[0], "--", "true")), ("show", ("show", self.names[0]))):
            costs = [self.fleet.cost(box.BINARY, *arguments) for _ in range(11)]
            found[name] = tuple(statistics.median(column) for column in zip(*costs))
        return found

    def run(self):
        given = self.given
        self.prepare()
        for person in self.people:
            person.start()
        seconds = given.minutes * 60
        self.work(min(seconds / 4, given.warm_up * 60))
        first = self.census()
        start = self.latency()
        say(f"baseline: {first.line()}")
        begun, interval = time.monotonic(), max(10.0, seconds / 12)
        last = first
        while (left := begun + seconds - time.monotonic()) > 0 and len(self.wrong) + self.failures() < GIVE_UP:
            self.work(min(interval, left))
            last = self.census(first)
            operations = sum(sum(person.done.values()) for person in self.people)
            _, largest = last.grown_since(first)
            for sentence in self.new_failures():
                say(f"WRONG: {sentence[:1000]} … {sentence[-1000:]}" if len(sentence) > 2000 else f"WRONG: {sentence}")
            say(f"{(time.monotonic() - begun) / 60:5.1f} min: {last.line()} | commands {operations} trips {self.trips} wrong {len(self.wrong) + self.failures()} | "
                f"largest growth of one, KiB: {largest}")
        end = self.latency()
        self.judge(first, last, start, end)

    def new_failures(self):
        found = list(self.wrong) + [sentence for person in self.people for sentence in list(person.failures)]
        new = [sentence for sentence in found if sentence not in self.told]
        self.told.update(new)
        return new

    def failures(self):
        return sum(len(person.failures) for person in self.people)

    def judge(self, first, last, start, end):
        wrong = list(self.wrong)
        for person in self.people:
            wrong += person.failures
        grown, largest = last.grown_since(first)
        wrong += grown
        print(last.table(first))
        print("largest growth of one process, pss KiB:", largest)
        for name in start:
            clock, processor = (end[name][i] / max(start[name][i], 1e-4) for i in (0, 1))
            print(f"{name}: {start[name][0] * 1e3:.1f} ms > {end[name][0] * 1e3:.1f} ms by the clock (x{clock:.2f}), "
                  f"{start[name][1] * 1e3:.1f} ms > {end[name][1] * 1e3:.1f} ms of processors (x{processor:.2f})")
            if processor > PROCESSOR_RATIO and end[name][1] - start[name][1] > 0.01:
                wrong.append(f"{name} takes {processor:.2f} times as long as at the start")
        done = sum((person.done for person in self.people), type(self.people[0].done)()) if self.people else {}
        print("turns:", dict(sorted(done.items())))
        print(f"terminals: {len(self.terminals)} still attached, {self.trips} round trips, {sum(t.exchanged for t in self.terminals)} bytes compared")
        for person in self.people:
            missing = {turn.__name__ for turn in person._turns} - set(person.done)
            if missing and self.given.minutes >= 5:
                wrong.append(f"never done: {sorted(missing)}")
        self.wrong = wrong

    def finish(self):
        """The ordinary way out: everybody leaves, everything is removed by commands, and nothing may be left."""
        self.rest()
        self.stop_people()
        for terminal in self.terminals:
            try:
                terminal.detach()
            except AssertionError as error:
                self.wrong.append(str(error))
            terminal.close()
        self.terminals = []
        say("everybody has left")
        for name in self.names:
            done = self.fleet.run(box.BINARY, "remove", "--force", name)
            if done.status != 0 or done.stderr:
                self.wrong.append(str(done))
        deadline = time.monotonic() + 10
        while (left := self.fleet.descendants()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.wrong += [f"left running: {process.name} {process.pid}" for process in left.values()]
        used = [sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        say(f"removed; of processors {used[0]:.0f} s for this program, {used[1]:.0f} s for the commands")

    def stop_people(self):
        for person in self.people:
            person.end.set()
        for person in self.people:
            if person.is_alive():
                person.join(box.SOON)

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for person in self.people:
            person.end.set()
        while any(person.is_alive() for person in self.people):  # what they wait for is killed, and what they then begin as well
            self.fleet.kill_all()
            self.people[0].join(0.1)
            self.people = [person for person in self.people if person.is_alive()]
        self.fleet.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="between the first census and the last")
    parser.add_argument("--warm-up", type=float, default=5, help="minutes before the first census; at most a quarter of --minutes")
    parser.add_argument("--running", type=int, default=200, help="workspaces that run at once")
    parser.add_argument("--terminals", type=int, default=50, help="of those, how many have a terminal attached all the time")
    parser.add_argument("--registered", type=int, default=10000, help="workspaces in the store, with those that run")
    parser.add_argument("--people", type=int, default=2, help="who type commands at once")
    parser.add_argument("--rate", type=float, default=3, help="things they do in a second, together")
    parser.add_argument("--trips", type=float, default=10, help="terminals that are spoken to in a second")
    given = parser.parse_args()
    if given.terminals + given.people > given.running:
        parser.error("more terminals and people than running workspaces")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    soak = Soak(given)
    try:
        say(f"{given.registered} registered, {given.running} running, {given.terminals} terminals, {given.minutes:g} minutes, in {soak.fleet.path}")
        soak.run()
        soak.finish()
    except Interrupted as signalled:
        print(f"interrupted by {signalled}", file=sys.stderr)
        return 130
    finally:
        soak.close()
    for sentence in soak.wrong[:50]:
        print(f"WRONG: {sentence[:1000]}{' … ' + sentence[-1000:] if len(sentence) > 2000 else sentence[1000:]}")
    print(f"verdict: {f'{len(soak.wrong)} wrong' if soak.wrong else 'nothing grew, nothing went wrong'}")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
