#!/usr/bin/env python3
"""The scripts' package step, with a dpkg and an apt-get of the test's own: missing ones only, never an upgrade, never a removal."""
import sandbox as box

LIST = "# remarks\nbuild g++\nbuild cmake\ntest python3\nrun bubblewrap\n"
DPKG = """#!/bin/sh
for last; do :; done
case " $INSTALLED " in *" $last "*) printf installed ;; *) exit 1 ;; esac
"""
APT = """#!/bin/sh
echo "$*" >> "$LOG"
[ ! -e "$KORTEX_POLICY_FILE" ] || echo "daemons: $("$KORTEX_POLICY_FILE"; echo $?)" >> "$LOG"
case " $* " in *' -s '*) printf '%s\\n' "$PLAN"; [ -z "$NO_PLAN" ] ;; *) exit "${APT_STATUS:-0}" ;; esac
"""


class Packages(box.TestCase):
    def install(self, *parts, programs=("dpkg-query", "apt-get", "sudo"), **env):
        folder = self.sandbox.path / "bin"
        folder.mkdir(exist_ok=True)
        texts = {"dpkg-query": DPKG, "apt-get": APT, "sudo": '#!/bin/sh\necho "sudo" >> "$LOG"\nexec "$@"\n', "id": "#!/bin/sh\necho ${WHO:-0}\n"}
        for name in (*programs, "id"):
            (folder / name).write_text(texts[name])
            (folder / name).chmod(0o755)
        for name in ("sed", "tr", "basename", "head", "env", "sh", "cat", "chmod", "rm"):
            if not (folder / name).exists():
                (folder / name).symlink_to(f"/usr/bin/{name}")
        (self.sandbox.path / "list").write_text(LIST)
        self.policy = self.sandbox.path / "policy-rc.d"
        self.log = self.sandbox.path / "log"
        self.log.write_text("")
        script = f". {box.SOURCE}/cmake/debian_packages.sh; install_missing list {' '.join(parts)}"
        done = self.sandbox.run("/bin/sh", "-c", script, "tests/run.sh",
                                env={"PATH": str(folder), "LOG": str(self.log), "KORTEX_POLICY_FILE": str(self.policy), "INSTALLED": "", "PLAN": "", "NO_PLAN": "", **env})
        return done, self.log.read_text().splitlines()

    def test_nothing_is_done_when_nothing_is_missing(self):
        done, calls = self.install("build", "test", INSTALLED="g++ cmake python3")
        self.assert_ended(done, 0)
        self.assertEqual(calls, [])

    def test_only_what_is_missing_is_installed_and_nothing_else_changed(self):
        done, calls = self.install("build", INSTALLED="g++", PLAN="Inst cmake (3.25 Debian:12 [amd64])\nConf cmake (3.25)")
        self.assert_ended(done, 0, stderr="^installing: cmake$")
        self.assertEqual(calls.pop(), "daemons: 101", "an installation must not start daemons")
        self.assertFalse(self.policy.exists(), "what keeps daemons from starting must not stay")
        self.assertEqual(len(calls), 2, calls)
        for call in calls:
            self.assertTrue(call.endswith("--no-upgrade --no-remove --no-install-recommends cmake"), call)

    def test_a_plan_that_upgrades_something_is_refused(self):
        done, calls = self.install("build", INSTALLED="g++", PLAN="Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\nInst cmake (3.25 Debian:12 [amd64])")
        self.assert_ended(done, 1, stderr="(?s)error: cannot install cmake: that would upgrade or remove libc6.*hint: apt-get install cmake")
        self.assertEqual(len(calls), 1, calls)

    def test_a_plan_that_removes_something_is_refused(self):
        done, calls = self.install("run", PLAN="Remv flatpak [1.14]\nInst bubblewrap (0.8)")
        self.assert_ended(done, 1, stderr="would upgrade or remove flatpak")
        self.assertEqual(len(calls), 1, calls)

    def test_an_ordinary_user_asks_sudo(self):
        done, calls = self.install("run", WHO="1000", PLAN="Inst bubblewrap (0.8)")
        self.assertEqual(done.status, 0, str(done))
        self.assertEqual(calls[1], "sudo")

    def test_an_ordinary_user_without_sudo_is_told_what_to_type(self):
        done, calls = self.install("run", programs=("dpkg-query", "apt-get"), WHO="1000", PLAN="Inst bubblewrap (0.8)")
        self.assert_ended(done, 1, stderr="(?s)neither|not root.*hint: .*bubblewrap")
        self.assertEqual(len(calls), 1, calls)

    def test_a_package_that_does_not_exist_is_told_after_an_update(self):
        done, calls = self.install("run", PLAN="E: Unable to locate package bubblewrap", NO_PLAN="1")
        self.assert_ended(done, 1, stderr="error: cannot install bubblewrap: Unable to locate package bubblewrap")
        self.assertEqual(calls[1], "-q update")

    def test_without_apt_the_packages_are_named_and_the_build_goes_on(self):
        done, calls = self.install("build", programs=())
        self.assert_ended(done, 0, stderr=r"no apt-get .* g\+\+ cmake")


if __name__ == "__main__":
    box.main()
