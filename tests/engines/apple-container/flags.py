"""Which flags Apple's `container` takes, by version, as far as they are needed here. Our own table of facts, from the
command references of the tagged versions and, where these leave the options out (0.5, 0.6) or wrap their lines, from the
declarations in the sources.

A row: long name, short name or "", what kind, first version, last version or None. Kinds: flag, one (a value), many (a value,
repeatable)."""

PROCESS = (
    ("cwd", "w", "one", "0.1", None), ("workdir", "", "one", "0.1", None), ("env", "e", "many", "0.1", None), ("env-file", "", "many", "0.1", None),
    ("gid", "", "one", "0.1", None), ("uid", "", "one", "0.1", None), ("user", "u", "one", "0.1", None),
    ("interactive", "i", "flag", "0.1", None), ("tty", "t", "flag", "0.1", None), ("ulimit", "", "many", "1.0", None),
)
CREATE = PROCESS + (
    ("arch", "a", "one", "0.1", None), ("cap-add", "", "many", "0.12", None), ("cap-drop", "", "many", "0.12", None), ("cidfile", "", "one", "0.1", None),
    ("cpus", "c", "one", "0.1", None), ("memory", "m", "one", "0.1", None), ("detach", "d", "flag", "0.1", None), ("dns", "", "many", "0.1", None),
    ("dns-domain", "", "one", "0.1", None), ("dns-option", "", "many", "0.1", None), ("dns-search", "", "many", "0.1", None),
    ("entrypoint", "", "one", "0.1", None), ("init", "", "flag", "0.10", None), ("init-image", "", "one", "0.10", None), ("kernel", "k", "one", "0.1", None),
    ("label", "l", "many", "0.1", None), ("masked-path", "", "many", "1.2.1", None), ("max-concurrent-downloads", "", "one", "1.0", None),
    ("mount", "", "many", "0.1", None), ("name", "", "one", "0.1", None), ("network", "", "many", "0.2", None), ("no-dns", "", "flag", "0.1", None),
    ("os", "", "one", "0.1", None), ("platform", "", "one", "0.4", None), ("publish", "p", "many", "0.3", None), ("publish-socket", "", "many", "0.2", None),
    ("read-only", "", "flag", "0.10", None), ("read-only-path", "", "many", "1.2.1", None), ("remove", "", "flag", "0.1", None), ("rm", "", "flag", "0.1", None),
    ("rosetta", "", "flag", "0.10", None), ("runtime", "", "one", "0.10", None), ("scheme", "", "one", "0.1", None), ("shm-size", "", "one", "1.0", None),
    ("ssh", "", "flag", "0.4", None), ("tmpfs", "", "many", "0.1", None), ("virtualization", "", "flag", "0.4", None), ("volume", "v", "many", "0.1", None),
)
EVERYWHERE = (("debug", "", "flag", "0.1", None), ("version", "", "flag", "0.1", None), ("help", "h", "flag", "0.1", None))
FORMAT = ("format", "", "one", "0.1", None)

# How what is no flag is taken: none, one, some, or "rest": one, and then everything as it is.
COMMANDS = {
    ("create",): ("rest", CREATE),
    ("delete",): ("some", (("all", "a", "flag", "0.1", None), ("force", "f", "flag", "0.1", None))),
    ("exec",): ("rest", PROCESS + (("detach", "d", "flag", "0.7", None),)),
    ("image", "list"): ("none", (("format", "", "one", "0.5", None), ("quiet", "q", "flag", "0.5", None), ("verbose", "v", "flag", "0.5", None))),
    ("inspect",): ("some", ()),
    ("kill",): ("some", (("all", "a", "flag", "0.1", None), ("signal", "s", "one", "0.1", None))),
    ("list",): ("none", (("all", "a", "flag", "0.1", None), FORMAT, ("quiet", "q", "flag", "0.1", None))),
    ("logs",): ("one", (("boot", "", "flag", "0.1", None), ("follow", "f", "flag", "0.1", None), ("", "n", "one", "0.1", None))),
    ("start",): ("one", (("attach", "a", "flag", "0.1", None), ("interactive", "i", "flag", "0.1", None))),
    ("stop",): ("some", (("all", "a", "flag", "0.1", None), ("signal", "s", "one", "0.1", None), ("time", "t", "one", "0.1", None))),
    ("system", "start"): ("none", (("app-root", "a", "one", "0.5", None), ("enable-kernel-install", "", "flag", "0.5", None), ("timeout", "", "one", "1.0", None))),
    ("system", "status"): ("none", (("format", "", "one", "0.10", None), ("prefix", "p", "one", "0.1", None))),
    ("system", "stop"): ("none", (("prefix", "p", "one", "0.1", None),)),
}
ALIASES = {("rm",): ("delete",), ("ls",): ("list",), ("image", "ls"): ("image", "list"), ("images", "list"): ("image", "list"),
           ("images", "ls"): ("image", "list"), ("i", "ls"): ("image", "list")}


def numbers(version):
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


class Usage(Exception):
    """What the argument parser refuses: status 64."""


def _known(rows, version):
    for long, short, kind, first, last in rows + EVERYWHERE:
        if numbers(first) <= numbers(version) and (last is None or numbers(version) <= numbers(last)):
            if long:
                yield f"--{long}", (long, kind)
            if short:
                yield f"-{short}", (long or short, kind)


def parse(arguments, version):
    """The command, its options and what is left. Options come before the first word that is none, where the rest is passed
    through."""
    if not arguments:
        raise Usage("Missing expected argument '<subcommand>'")
    for length in (2, 1):
        command = tuple(arguments[:length])
        command = ALIASES.get(command, command)
        if len(arguments) >= length and command in COMMANDS:
            break
    else:
        word = arguments[0]
        raise Usage(f"Unknown option '{word}'" if word.startswith("-") else f"Unexpected argument '{word}'")
    takes, rows = COMMANDS[command]
    known = dict(_known(rows, version))
    options, words = {}, []
    rest = list(arguments[length:])
    while rest:
        word = rest.pop(0)
        if takes == "rest" and words:
            words += [word, *rest]
            break
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2:  # -it
            letters = [f"-{letter}" for letter in name[1:]]
            if not all(known.get(letter, ("", ""))[1] == "flag" for letter in letters):
                raise Usage(f"Unknown option '{name}'")
            for letter in letters:
                options[known[letter][0]] = True
            continue
        if name not in known:
            raise Usage(f"Unknown option '{name}'")
        long, kind = known[name]
        if kind == "flag":
            if equals:
                raise Usage(f"The option '{name}' does not take any value")
            options[long] = True
            continue
        if not equals:
            if not rest:
                raise Usage(f"Missing value for '{name} <{long}>'")
            value = rest.pop(0)
        if kind == "many":
            options.setdefault(long, []).append(value)
        else:
            options[long] = value
    if takes == "none" and words:
        raise Usage(f"Unexpected argument '{words[0]}'")
    if takes in ("one", "rest") and not words:
        raise Usage("Missing expected argument '<container-id>'" if command != ("create",) else "Missing expected argument '<image>'")
    if takes == "one" and len(words) > 1:
        raise Usage(f"Unexpected argument '{words[1]}'")
    if takes == "some" and not words and command == ("inspect",):
        raise Usage("Missing expected argument '<container-ids> ...'")
    return command, options, words
