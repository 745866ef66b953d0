#!/usr/bin/env python3
"""Completion in the shells themselves, on a terminal, as it is typed. A shell that is not installed is skipped."""
import shutil
import unittest

import sandbox as box

NAMES = ("shop", "two words", "it's", "a:b")
# What is typed in front of TAB, and the words that the shell then has.
TYPED = {
    "kortex-cli sta": ["kortex-cli", "start"],
    "kortex-cli start sh": ["kortex-cli", "start", "shop"],
    "kortex-cli start two": ["kortex-cli", "start", "two words"],
    "kortex-cli start two\\ w": ["kortex-cli", "start", "two words"],
    "kortex-cli start it": ["kortex-cli", "start", "it's"],
    "kortex-cli start a:": ["kortex-cli", "start", "a:b"],
    "kortex-cli init --runtime f": ["kortex-cli", "init", "--runtime", "fake"],
    "kortex-cli init --runtime=f": ["kortex-cli", "init", "--runtime=fake"],
    "kortex-cli init --runtime fake --runtime-option iso": ["kortex-cli", "init", "--runtime", "fake", "--runtime-option", "isolation="],
    "kortex-cli init --runtime fake --runtime-option isolation=cont": ["kortex-cli", "init", "--runtime", "fake", "--runtime-option", "isolation=container"],
    "kortex-cli init --runtime=fake --runtime-option=at=af": ["kortex-cli", "init", "--runtime=fake", "--runtime-option=at=after"],
    "kortex-cli init --dr": ["kortex-cli", "init", "--dry-run"],
    "kortex-cli init a\\ fo": ["kortex-cli", "init", "a folder"],
    "kortex-cli init --workspace-configuration=a\\ fo": ["kortex-cli", "init", "--workspace-configuration=a folder"],
    "kortex-cli -o json wait sh": ["kortex-cli", "-o", "json", "wait", "shop"],
    "kortex-cli exec shop -- sh": ["kortex-cli", "exec", "shop", "--", "sh"],
}
# The same in two steps: behind a key nothing is put that would end the word.
CONTINUED = {"kortex-cli init --runtime fake --runtime-option iso\tcont": ["kortex-cli", "init", "--runtime", "fake", "--runtime-option", "isolation=container"]}
WORDS = 'words() { for word in "$@"; do echo "<$word>"; done; echo D""ONE; }; PS1="> "; PS2=; echo RE""ADY\n'


def installed(shell):
    return unittest.skipUnless(shutil.which(shell), f"{shell} is not installed")


class Completion(box.TestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.install("fake")
        self.folder = self.sandbox.path / "cwd"
        (self.folder / "a folder").mkdir(parents=True)
        self.sandbox.env["HISTFILE"] = "/dev/null"
        for name in NAMES:
            self.ok("init", self.sandbox.project, "--runtime", "fake", "--name", name)

    def complete(self, shell, arguments, setup):
        terminal = box.Pty(self.sandbox, shell, *arguments, rows=50, cols=200)
        self._terminals.append(terminal)
        terminal.send(f"cd '{self.folder}'; {setup}; {WORDS}")
        terminal.expect(r"READY\r")
        for typed, words in {**TYPED, **CONTINUED}.items():
            with self.subTest(shell=shell, typed=typed):
                # TAB, then to the start of the line, where a command is put in front that shows the words.
                terminal.send(f"{typed}\t\x01words \x05\n")
                seen = terminal.expect(r"((?:^<[^\n]*>\r\n)+)DONE\r").group(1).decode()
                self.assertEqual([line[1:-1].rstrip("/") for line in seen.splitlines()], words)

    @installed("bash")
    def test_in_bash(self):
        self.complete("bash", ["--norc", "--noprofile", "-i"],
                      "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; eval \"$(kortex-cli completion bash)\"")

    @installed("zsh")
    def test_in_zsh(self):
        self.complete("zsh", ["-f", "-i"],
                      "unset zle_bracketed_paste; unsetopt prompt_sp beep; autoload -U compinit && compinit -u -D; source <(kortex-cli completion zsh)")

    @installed("zsh")
    def test_in_zsh_from_a_file_of_the_function_path(self):
        (self.folder / "_kortex-cli").write_text(self.ok("completion", "zsh").stdout)
        self.complete("zsh", ["-f", "-i"], "unset zle_bracketed_paste; unsetopt prompt_sp beep; fpath=($PWD $fpath); autoload -U compinit && compinit -u -D")

    @installed("fish")
    def test_in_fish(self):
        # Fish tells without a terminal what it would offer: whole words.
        script = "kortex-cli completion fish | source\n"
        for typed in TYPED:
            script += f"echo TYPED; complete -C{self.quoted(typed)}\n"
        done = self.sandbox.run("fish", "--no-config", "-c", script, cwd=self.folder)
        self.assertEqual((done.status, done.stderr), (0, ""), str(done))
        answers = [part.strip("\n").split("\n") for part in done.stdout.split("TYPED\n")[1:]]
        for (typed, words), offered in zip(TYPED.items(), answers):
            with self.subTest(typed=typed):
                # Behind `--` is a program of the instance: nothing is known of it.
                wanted = "" if words[-1] == "sh" else words[-1]
                self.assertEqual([line.split("\t")[0].rstrip("/") for line in offered], [wanted])

    @staticmethod
    def quoted(text):
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    box.main()
