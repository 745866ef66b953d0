"""Whatever an agent fills up, the limits hold, the host goes on, and the workspace is stopped and removed like any other:
bombs_test.py SETTING [Test.name...]"""
import sys
import unittest

import setting
from sandbox import SOON
from workspace import BOOT, AttackTest, missing

SETTING = setting.SETTING
MICROVM = SETTING == "microvm"
LIMITS = {"memory": "256MiB" if MICROVM else "96MiB", "processes": 60}
if MICROVM:
    LIMITS = {"memory": "256MiB", "cpus": 1}


class Bombs(AttackTest):
    def limited(self, agent=("sh",), **more):
        """A workspace with limits; where the runtime cannot enforce them here, the refusal is what is tested."""
        # Of a virtual machine they are what it is made with.
        enforced = LIMITS if MICROVM else self.ok("runtime", "info", setting.RUNTIME, "-o", "json").json()["guarantees"]["enforces"]
        if set(LIMITS) <= set(enforced):
            return self.create(agent=agent, configuration={"resources": {**LIMITS, **more}})
        with self.assertRaisesRegex(AssertionError, "does not enforce what is asked for"):
            self.create(agent=agent, configuration={"resources": {**LIMITS, **more}})
        self.assertEqual(self.ok("list", "-o", "json").json()["items"], [])
        self.skipTest("limits that cannot be enforced here are refused")

    def assert_host_goes_on(self):
        """The machine answers, and so does kortex-cli about all it has."""
        self.assertEqual(self.sandbox.run("sh", "-c", "echo here", timeout=SOON).stdout, "here\n")
        self.ok("list", timeout=SOON)

    def assert_can_be_ended(self):
        self.ok("stop", "w", "--grace", "1s", timeout=BOOT)
        self.assertEqual(self.show()["state"], "stopped")
        self.ok("remove", "w", timeout=BOOT)
        self.assert_nothing_left()

    @unittest.skipIf(MICROVM, "its processes are its own kernel's")
    def test_a_fork_bomb_stops_at_the_limit(self):
        self.limited()
        reached, why = self.attempt("fork-bomb", "400", timeout=BOOT)
        self.assertFalse(reached, why)
        self.assertLessEqual(int(why.split()[0]), LIMITS["processes"])
        self.assert_host_goes_on()
        self.assertEqual(self.show()["state"], "running")
        self.assertEqual(self.ok("exec", "w", "--", "echo", "works").stdout, "works\n")
        self.assert_can_be_ended()

    @unittest.skipIf(MICROVM, "its processes are its own kernel's")
    def test_a_fork_storm_of_the_agent_keeps_nobody(self):
        # The kernel frees what failed forks took a while later: with little memory it ends the session for that first.
        self.limited(agent=(str(self.sandbox.project / "attempt"), "fork-storm"), memory="1GiB")
        self.assert_host_goes_on()
        # A program beside it may have no room; then that is said.
        done = self.run_cli("exec", "w", "--", "true", timeout=SOON)
        self.assertIn(done.status, (0, 125, 126), str(done))
        if done.status:
            self.assertRegex(done.stderr, "resource temporarily unavailable|[Cc]annot")
        self.assertEqual(self.show()["state"], "running")
        self.assert_can_be_ended()

    def test_a_memory_bomb_beside_the_agent_ends_itself(self):
        self.limited()
        done = self.run_cli("exec", "w", "--", self.sandbox.project / "attempt", "memory-bomb", "600", timeout=BOOT)
        self.assertNotEqual(done.status, 0, str(done))
        self.assertNotIn("reached", done.stdout)
        self.assert_host_goes_on()
        # The kernel chooses whom it ends, the largest first; the others are none of it.
        self.assertEqual(done.status, 137, str(done))
        self.assertEqual(self.show()["state"], "running")
        self.assertEqual(self.ok("exec", "w", "--", "echo", "works", timeout=BOOT).stdout, "works\n")
        self.assert_can_be_ended()

    def test_a_memory_bomb_of_the_agent_is_told_as_its_end(self):
        self.limited(agent=(str(self.sandbox.project / "attempt"), "memory-bomb", "600"))
        self.ok("wait", "w", timeout=BOOT)
        shown = self.show()
        self.assertEqual((shown["state"], shown["exit_code"]), ("stopped", 137), shown)
        self.assert_host_goes_on()
        self.ok("remove", "w", timeout=BOOT)
        self.assert_nothing_left()


if __name__ == "__main__":
    reason = missing()
    if reason:
        print(f"cannot be attacked here: {reason}", file=sys.stderr)
        sys.exit(setting.SKIPPED)
    unittest.main(verbosity=2)
