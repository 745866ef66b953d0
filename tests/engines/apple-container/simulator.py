"""Apple's `container` program, simulated: `simulator.py ROOT ARGUMENT...`. It proves that the plugin conforms to our reading
of Apple's contract, not to Apple's binary. See README.md."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import flags  # noqa: E402
import shapes  # noqa: E402
from machine import Machine  # noqa: E402

MEBIBYTE = 1 << 20
IMAGE_ENV = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "IMAGE_SAYS=hello"]


class Refused(Exception):
    """What the tool itself refuses: status 1, the words on stderr."""


class Simulator:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.version = (self.root / "version").read_text().strip()
        self.containers = self.root / "containers"

    def at_least(self, version):
        return flags.numbers(self.version) >= flags.numbers(version)

    def services_run(self):
        return (self.root / "services").read_text().strip() == "running"

    def need_services(self):
        if not self.services_run():
            raise Refused('interrupted: "XPC connection error: Connection invalid"\nEnsure container system service has been started with `container system start`.')

    @contextlib.contextmanager
    def locked(self):
        with open(self.root / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def fault_of(self, command):
        """A line "COMMAND KIND" of the file `faults`, or of CONTAINER_SIM_FAULTS with commas between."""
        lines = os.environ.get("CONTAINER_SIM_FAULTS", "").split(",")
        with contextlib.suppress(FileNotFoundError):
            lines += (self.root / "faults").read_text().splitlines()
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[0] in (command, "*"):
                return words[1]
        return ""

    def names(self):
        return sorted(path.parent.name for path in self.containers.glob("*/config.json"))

    def config(self, name):
        try:
            return json.loads((self.containers / name / "config.json").read_text())
        except FileNotFoundError:
            return None

    def need(self, name):
        config = self.config(name) if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name) else None
        if config is None:
            raise Refused(f'notFound: "get failed: container {name} not found"')
        return config, Machine(self.containers / name)

    def shown(self, name):
        config, machine = self.need(name)
        facts = machine.facts() if machine.running() else {}
        started = facts.get("started", config.get("started"))
        return shapes.container(self.version, config, machine.state(), started, 2 + self.names().index(name))

    # the commands

    def run(self, arguments):
        with open(self.root / "calls.log", "a") as log:
            log.write(json.dumps(arguments) + "\n")
        if arguments in (["--version"], ["--version", "--debug"]):
            fault = self.fault_of("--version")
            if fault == "hang":
                hang()
            print(f"container CLI version {self.version} (build: release, commit: 0000000)")
            return 0
        command, options, words = flags.parse(arguments, self.version)
        fault = self.fault_of("-".join(command))
        if fault == "hang":
            hang()
        if fault == "xpc":
            raise Refused('interrupted: "XPC connection error: Connection interrupted"')
        if fault == "plugin":
            raise Refused(f"plugin 'container-{command[0]}' not found")
        self.half = fault == "half-json"
        self.other = fault == "other-shape"
        if command[0] != "system":
            self.need_services()
        return getattr(self, "do_" + "_".join(command))(options, words) or 0

    def say(self, text):
        if self.half:
            sys.stdout.write(text[: len(text) // 2])
            sys.stdout.flush()
            return
        print(text)

    def do_system_status(self, options, _):
        running = self.services_run()
        if options.get("format") == "json":
            self.say(shapes.dumps(shapes.status(self.version, running)))
        else:
            print("apiserver is running" if running else "apiserver is not running and not registered with launchd")
        return 0 if running else 1

    def do_system_start(self, *_):
        (self.root / "services").write_text("running")

    def do_system_stop(self, *_):
        for name in self.names():
            Machine(self.containers / name).stop(5)
        (self.root / "services").write_text("down")

    def do_image_list(self, options, _):
        images = (self.root / "images").read_text().split()
        if options.get("format") == "json":
            self.say(shapes.dumps([shapes.image(self.version, name) for name in images]))
        else:
            print("\n".join(images))

    def do_list(self, options, _):
        everything = []
        for name in self.names():
            with contextlib.suppress(Refused, ValueError, FileNotFoundError):  # deleted meanwhile: the real service looks at all of them at once
                everything.append(self.shown(name))
        if options.get("format") != "json":
            print("\n".join(["ID"] + [name for name in self.names() if options.get("all") or Machine(self.containers / name).running()]))
            return
        state = (lambda shown: shown["status"]["state"]) if self.at_least("1.0") else (lambda shown: shown["status"])
        if self.at_least("1.0") and not options.get("all"):
            everything = [shown for shown in everything if state(shown) == "running"]
        if self.other:
            everything = [{**shown, "status": ["running"]} for shown in everything]
        self.say(shapes.dumps(everything))

    def do_inspect(self, _, words):
        found = []
        for name in words:
            if self.config(name) is None:
                if self.at_least("1.0"):
                    raise Refused(f"container not found: {name}")
                continue
            found.append(self.shown(name))
        if self.other:
            found = [{**shown, "status": ["running"]} for shown in found]
        self.say(shapes.dumps(found))

    def do_create(self, options, words):
        name = options.get("name") or f"sim-{os.getpid()}"
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name) or not 2 <= len(name) <= 63:
            raise Refused(f'invalidArgument: "container ID {name} is not a valid container ID"')
        image = full_name(words[0])
        config = self.planned(name, image, options, words[1:])
        with self.locked():
            images = (self.root / "images").read_text().split()
            if image not in images:
                if image not in (self.root / "registry").read_text().split():
                    raise Refused(f'notFound: "failed to fetch image {image}: manifest unknown"')
                (self.root / "images").write_text("\n".join([*images, image]) + "\n")
            if self.config(name) is not None:
                raise Refused(f'exists: "container with id {name} already exists"')
            folder = self.containers / name
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
            fresh = folder / "config.json.new"
            fresh.write_text(json.dumps(config))
            fresh.rename(folder / "config.json")
        print(name)

    def planned(self, name, image, options, argv):
        labels = {}
        for label in options.get("label", []):
            parts = label.split("=", 2)
            if len(parts) > 2 or not parts[0]:
                raise Refused(f'invalidArgument: "invalid label format {label}"')
            labels[parts[0]] = parts[1] if len(parts) == 2 else ""
        memory = bytes_of(options.get("memory", "1024M"))
        if memory < 200 * MEBIBYTE:
            raise Refused(f'invalidArgument: "minimum memory amount allowed is 200 MiB (got {memory} bytes)"')
        network = True
        for given in options.get("network", []):
            if given == "none" and self.at_least("1.1"):
                network = False
            elif given != "default":
                raise Refused(f'notFound: "network {given} not found"')
        entry = [options["entrypoint"]] if options.get("entrypoint") else []
        argv = entry + argv if entry or argv else ["/bin/sh"]
        mounts = [{"type": "tmpfs", "source": "tmpfs", "destination": path, "options": []} for path in dict.fromkeys(options.get("tmpfs", []))]
        mounts += [volume(text) for text in options.get("volume", [])] + [mount(text) for text in dict.fromkeys(options.get("mount", []))]
        ports = [port(text) for text in options.get("publish", [])]
        if len({(one["host_address"], one["host_port"]) for one in ports}) != len(ports):
            raise Refused('invalidArgument: "host ports for different publish port specs may not overlap"')
        return {"id": name, "image": image, "argv": argv, "env": IMAGE_ENV + [pair for pair in options.get("env", []) if "=" in pair],
                "cwd": options.get("cwd") or options.get("workdir") or "/", "uid": number(options.get("uid", "0")), "gid": number(options.get("gid", "0")),
                "labels": labels, "mounts": mounts, "ports": ports, "network": network, "cpus": number(options.get("cpus", "4")), "memory": memory,
                "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "created": time.time()}

    def do_start(self, options, words):
        config, machine = self.need(words[0])
        if machine.state() == "stopping":
            machine.await_end()
        with self.locked():
            if machine.running():
                if options.get("attach") or options.get("interactive"):
                    raise Refused('invalidArgument: "attach is currently unsupported on already running containers"')
                print(words[0])
                return
            if not self.at_least("0.9") and any(one["type"] == "virtiofs" and not os.path.isdir(one["source"]) for one in config["mounts"]):
                raise Refused('unknown: "Error Domain=VZErrorDomain Code=2 "A directory sharing device configuration is invalid.""')
            why = machine.start(config)
            if why:
                raise Refused(f'internalError: "failed to bootstrap container {words[0]}" (cause: "{why}")')
            config["started"] = machine.facts().get("started", time.time())
            (self.containers / words[0] / "config.json").write_text(json.dumps(config))
        print(words[0])

    def chosen(self, options, words):
        if not words and not options.get("all"):
            raise flags.Usage("no containers specified and --all not supplied")
        return self.names() if options.get("all") else words

    def do_stop(self, options, words):
        for name in self.chosen(options, words):
            _, machine = self.need(name)
            machine.stop(number(options.get("time", "5")))
            print(name)

    def do_kill(self, options, words):
        for name in self.chosen(options, words):
            _, machine = self.need(name)
            machine.signal(getattr(signal, "SIG" + options.get("signal", "KILL").upper().removeprefix("SIG")))
            print(name)

    def do_delete(self, options, words):
        for name in self.chosen(options, words):
            if self.config(name) is None and not self.at_least("1.0"):
                raise Refused(f'notFound: "failed to delete one or more containers: ["{name}"]"')
            _, machine = self.need(name)
            if machine.running():
                if not options.get("force"):
                    raise Refused(f'invalidState: "container {name} is running and can not be deleted"')
                machine.stop(0)
            with self.locked():
                folder = self.containers / name
                (folder / "config.json").unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
            print(name)

    def do_logs(self, options, words):
        self.need(words[0])
        with contextlib.suppress(FileNotFoundError):
            lines = (self.containers / words[0] / "stdio.log").read_text(errors="replace").splitlines()
            print("\n".join(lines[-int(options["n"]):] if "n" in options else lines))

    def do_exec(self, options, words):
        config, machine = self.need(words[0])
        if machine.state() != "running":
            raise Refused(f'invalidState: "container {words[0]} is not running"')
        if len(words) < 2:
            raise flags.Usage("Missing expected argument '<arguments> ...'")
        env = config["env"] + [pair for pair in options.get("env", []) if "=" in pair]
        argv = machine.entering(config, env, options.get("cwd") or options.get("workdir") or config["cwd"], words[1:])
        import pump
        if options.get("tty"):
            return pump.on_a_terminal(argv, bool(options.get("interactive")))
        return pump.on_pipes(argv, bool(options.get("interactive")))


def hang():
    while True:
        signal.pause()


def number(text):
    if not re.fullmatch(r"\d+", text):
        raise flags.Usage(f"The value '{text}' is invalid")
    return int(text)


def bytes_of(text):
    found = re.fullmatch(r"(\d+)([kKmMgGtT]?)[iI]?[bB]?", text)
    if not found:
        raise Refused(f'invalidArgument: "invalid size {text}"')
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[found[2].lower()]


def full_name(name):
    first, slash, _ = name.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        name = ("docker.io/" if slash else "docker.io/library/") + name
    return name if ":" in name.rpartition("/")[2] else name + ":latest"


def volume(text):
    parts = [part for part in text.split(":") if part]
    if len(parts) not in (2, 3):
        raise Refused(f'invalidArgument: "invalid volume format {text}"')
    if "/" not in parts[0]:
        raise Refused(f'unsupported: "no volumes here: {text}"')
    if not os.path.exists(parts[0]):
        raise Refused(f"invalidArgument: \"path '{parts[0]}' does not exist\"")
    return {"type": "virtiofs", "source": parts[0], "destination": parts[1], "options": parts[2].split(",") if len(parts) == 3 else []}


def mount(text):
    out = {"type": "virtiofs", "source": "", "destination": "", "options": []}
    for part in text.split(","):
        key, *value = part.split("=", 2)
        if key in ("readonly", "ro"):
            out["options"].append("ro")
        elif len(value) != 1:
            raise Refused(f'invalidArgument: "invalid directive format missing value {part} in {text}"')
        elif key == "type":
            out["type"] = {"bind": "virtiofs"}.get(value[0], value[0])
        elif key in ("source", "src"):
            out["source"] = value[0]
        elif key in ("destination", "dst", "target"):
            out["destination"] = value[0]
        else:
            raise Refused(f'invalidArgument: "unknown directive {key} when parsing mount {text}"')
    if out["type"] == "tmpfs":
        if out["source"]:
            raise Refused('invalidArgument: "cannot specify source for tmpfs mount"')
        return {**out, "source": "tmpfs"}
    if out["type"] != "virtiofs":
        raise Refused(f'invalidArgument: "unsupported mount type {out["type"]}"')
    if not os.path.isdir(out["source"]):
        raise Refused(f"invalidArgument: \"path '{out['source']}' is not a directory\"")
    return out


def port(text):
    found = re.fullmatch(r"(?:(\d+\.\d+\.\d+\.\d+):)?(\d+):(\d+)(?:/tcp)?", text)
    if not found or not all(1 < int(found[i]) < 65536 for i in (2, 3)):
        raise Refused(f'invalidArgument: "invalid publish value: {text}"')
    return {"host_address": found[1] or "0.0.0.0", "host_port": int(found[2]), "container_port": int(found[3])}


def main(root, arguments):
    try:
        return Simulator(root).run(arguments)
    except flags.Usage as error:
        print(f"Error: {error}\nUsage: container <subcommand>\n  See 'container --help' for more information.", file=sys.stderr)
        return 64
    except Refused as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
