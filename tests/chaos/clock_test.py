#!/usr/bin/env python3
"""The wall clock jumps between commands, a day back, thirty years on, to 1970: nothing depends on it but what is shown."""
import time

import chaos
from chaos import SETTING, Chaos

DAY, LONG = 24 * 3600, 30 * 365 * 24 * 3600
EPOCH = -int(time.time()) + 60  # of a machine whose clock has no battery
SHIFTS = (-DAY, LONG, EPOCH)


class Clock(Chaos):
    def at(self, shift, *words):
        done = self.record(*words, KORTEX_CHAOS_CLOCK=str(shift)).done
        self.assertEqual(done.status, 0, f"{shift:+} s: {done}")
        return done

    def created(self, done):
        """The column of `list`."""
        head, row = done.stdout.splitlines()
        begin, end = head.index("CREATED"), head.index("SOURCES")
        return row[begin:end].strip()

    def test_a_life_under_a_clock_that_jumps(self):
        for first in (0, *SHIFTS):
            for then in (0, *SHIFTS):
                with self.subTest(created_at=first, used_at=then):
                    self.clear()
                    self.agents()
                    self.at(first, *self.init_words("--start"))
                    listed = self.at(then, "list")
                    self.assertRegex(self.created(listed), r"^(now|\d+ (second|minute|hour|day|week|month|year)s? ago)$", str(listed))
                    if then < first:
                        self.assertEqual(self.created(listed), "now", "what is yet to come was made now")
                    item = self.at(then, "list", "-o", "json")
                    self.assertEqual(item.json()["items"][0]["state"], "running")
                    self.at(then, "show", "w")
                    self.at(0, "exec", "w", "--", "true")
                    self.at(then, "logs", "w")
                    self.at(then, "stop", "w")
                    self.at(first, "start", "w")
                    self.at(then, "remove", "--force", "w")
                    self.assertEqual(self.instances(), [])
                    self.assert_nothing_left()

    def test_deadlines_are_not_kept_by_the_wall_clock(self):
        self.ok(*self.init_words("--start"))
        for shift in SHIFTS:
            with self.subTest(shift=shift):
                begun = time.monotonic()
                done = self.record("wait", "w", "--timeout", "300ms", KORTEX_CHAOS_CLOCK=str(shift)).done
                self.assertEqual(done.status, 6, str(done))
                self.assertGreaterEqual(time.monotonic() - begun, 0.3)

    def test_what_was_made_in_the_future_comes_last(self):
        for name, shift in (("w", LONG), ("v", 0), ("u", -DAY)):
            self.at(shift, *self.init_words(name=name))
        names = [item["name"] for item in self.ok("list", "-o", "json").json()["items"]]
        self.assertEqual(names, ["u", "v", "w"])
        for name in names:
            self.ok("remove", name)


if __name__ == "__main__":
    chaos.main()
