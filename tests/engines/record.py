"""Records what a container engine answers to kortex-cli, for tests/unit/engine/recordings_test.cpp.

    KORTEX_BUILD_DIR=build/dev record.py docker|podman SOCKET FILE

stands between kortex-cli and the engine that listens at SOCKET, lets kortex-cli do one of everything, then asks itself
for what kortex-cli meets only when something is wrong, and writes FILE: JSON lines, the first about the recording, then
one exchange each. The engine must see $TMPDIR at the same path, and the build tree too.

Of exchanges are kept: method, target and body; status, headers and body, as JSON where it is JSON. Left out: headers of
date, caching and framing; the streams behind a 101; and what is long and kortex-cli does not read ("cut"): most of /info,
HostConfig and the like of containers and images. Paths of the sandbox and the names of machine and kernel are replaced.

An engine newer than the machine's runs in a root of its own, out of debootstrap: Debian 13's and Debian unstable's
podman and docker.io served for what is there. In private mount and network namespaces, entered by pivot_root - in a
chroot a program that is exec'd into a container lands in the machine's own root -, both on vfs and runc, with nftables
for podman's bridge; and without a container, for those would be recorded too.
"""
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import socketserver
import sys
import threading
from urllib.parse import quote

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "cli")]
import fixture  # noqa: E402
from sandbox import Sandbox  # noqa: E402

NEEDED_OF_INFO = {"SecurityOptions", "MemoryLimit", "CpuCfsQuota", "PidsLimit", "Driver", "CgroupVersion", "CgroupDriver", "ServerVersion", "OSType"}
NOT_NEEDED = {"Components", "HostConfig", "GraphDriver", "RootFS", "LogPath", "ResolvConfPath", "HostnamePath", "HostsPath", "AppArmorProfile", "MountLabel",
              "ProcessLabel"}
FRAMING = {"date", "content-length", "transfer-encoding", "connection", "cache-control", "pragma"}


def connection_to(path):
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(120)
    connection.sock.connect(path)
    return connection


def as_json(body):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


class Recorder:
    def __init__(self, engine):
        self.engine, self.scene, self.by, self.exchanges, self.lock = engine, None, "", [], threading.Lock()
        self.silent = None  # a thread that asks for what is not to be kept

    def exchange(self, method, target, body=b"", headers=None):
        """Asks the engine; a body behind a 101 is nobody's."""
        with contextlib.closing(connection_to(self.engine)) as connection:
            connection.request(method, target, body or None, {k: v for k, v in (headers or {}).items() if k.lower() != "host"})
            answer = connection.getresponse()
            hijacked = answer.status == 101 or (target.endswith("/start") and "/exec/" in target and answer.status < 300)
            said = b"" if answer.status == 101 else answer.read()
            if answer.status == 101:
                while connection.sock and connection.sock.recv(65536):
                    pass
        self.keep(method, target, body, answer, b"" if hijacked else said)
        return answer, said

    def keep(self, method, target, body, answer, said):
        with self.lock:
            if self.scene is None or threading.current_thread() is self.silent:
                return
            exchange = {"scene": self.scene, "by": self.by, "method": method, "target": target}
            if body:
                exchange["body"] = as_json(body)
            exchange["status"] = answer.status
            exchange["headers"] = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in FRAMING}
            if said:
                exchange["answer"] = as_json(said)
                is_info = re.fullmatch(r"/v[0-9.]+/info", target)
                if answer.status == 200 and (is_info or target == "/version" or re.fullmatch(r"/v[0-9.]+/(containers|images)/.*/json", target)):
                    exchange["answer"] = {k: v for k, v in exchange["answer"].items() if (k in NEEDED_OF_INFO if is_info else k not in NOT_NEEDED)}
                    exchange["cut"] = True
            self.exchanges.append(exchange)

    def ask(self, method, target, body=None, headers=None):
        """As kortex-cli would."""
        return self.exchange(method, target, json.dumps(body).encode() if body is not None else b"",
                             {"User-Agent": "kortex", **({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})})

    @contextlib.contextmanager
    def during(self, scene, by):
        self.scene, self.by = scene, by
        try:
            yield
        finally:
            self.scene = None


class Proxy(socketserver.StreamRequestHandler):
    """One connection of kortex-cli's."""

    def handle(self):
        while True:
            line = self.rfile.readline().split()
            if len(line) < 2:
                return
            headers = http.client.parse_headers(self.rfile)
            body = self.rfile.read(int(headers.get("Content-Length", 0)))
            if "chunked" in headers.get("Transfer-Encoding", "") or "Upgrade" in headers:
                raise RuntimeError(f"not recorded: {line}")
            answer, said = self.server.recorder.exchange(line[0].decode(), line[1].decode(), body, dict(headers.items()))
            head = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{k}: {v}" for k, v in answer.getheaders() if k.lower() not in FRAMING)]
            if answer.status not in (204, 304):
                head.append(f"Content-Length: {len(said)}")
            self.wfile.write(("\r\n".join(head) + "\r\n\r\n").encode() + said)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def import_image(recorder, archive):
    name, tag = fixture.IMAGE.rsplit(":", 1)
    answer, said = recorder.exchange("POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}", archive.read_bytes(), {"Content-Type": "application/x-tar"})
    if answer.status != 200 or b'"error"' in said:
        sys.exit(f"cannot import the image: {answer.status} {said[-300:]}")


def let_kortex_do_everything(recorder, sandbox, runtime):
    def cli(scene, *arguments, status=0):
        with recorder.during(scene, f"kortex-cli {arguments[0]}") if scene else contextlib.nullcontext():
            done = sandbox.run("kortex-cli", *arguments)
        if done.status != status:
            raise RuntimeError(str(done))
        return done

    def init(scene, name, *agent, ports=()):
        folder = sandbox.path / name
        (folder / ".kortex").mkdir(parents=True)
        (folder / ".kortex/workspace.json").write_text(json.dumps({"ports": list(ports)} if ports else {}))
        sandbox.agent(name, *agent)
        cli(scene, "init", folder, "--runtime", runtime, "--name", name, "--agent", name, "--runtime-option", f"image={fixture.IMAGE}")

    def container(name):
        return cli(None, "show", name, "-o", "json").json()["runtime"]["instance_id"]

    cli("look", "runtime", "info", runtime)
    init("init", "shop", "sh", ports=[8080])
    cli("start", "start", "shop")
    init(None, "till", "sh", "-c", "exit 5")
    cli(None, "start", "till")
    cli(None, "wait", "till", status=0)
    # The engine may learn of the end a moment after the session holder has told of it.
    recorder.ask("POST", f"/containers/{container('till')}/wait")
    cli("show-ended", "show", "till", "-o", "json")
    cli("list", "list", "-o", "json")
    cli("stop", "stop", "shop")
    recorder.ask("DELETE", f"/containers/{container('till')}?force=1&v=1")
    cli("show-gone", "show", "till", "-o", "json")
    cli(None, "start", "shop")
    cli("remove", "remove", "shop", "--force")
    cli(None, "remove", "till", "--force")


def ask_for_trouble(recorder, runtime, api):
    """What kortex-cli meets when somebody else was at work, by the same requests; and programs beside the main one,
    which it runs only on engines of other machines."""
    def create(name, image, *command):
        if runtime == "podman":
            return recorder.ask("POST", f"{api['libpod']}/libpod/containers/create", {"name": name, "image": image, "command": list(command)})
        return recorder.ask("POST", f"{api['path']}/containers/create?name={name}", {"Image": image, "Cmd": list(command)})

    path, by = api["path"], "record.py"
    with recorder.during("missing", by):
        for method, rest in (("GET", "nobody/json"), ("POST", "nobody/start"), ("POST", "nobody/stop?t=1"), ("POST", "nobody/kill"), ("DELETE", "nobody?force=1&v=1")):
            recorder.ask(method, f"{path}/containers/{rest}")
        recorder.ask("POST", f"{path}/containers/nobody/exec", {"Cmd": ["true"], "AttachStdout": True})
        recorder.ask("GET", f"{path}/images/{quote('localhost/nothing:1', safe='/:')}/json")
        create("lonely", "localhost/nothing:1", "true")
    with recorder.during("twice", by):
        create("busy", fixture.IMAGE, "sleep", "1000")
        create("busy", fixture.IMAGE, "sleep", "1000")
        recorder.ask("POST", f"{path}/containers/busy/kill")
        recorder.ask("POST", f"{path}/containers/busy/stop?t=1")
        recorder.ask("POST", f"{path}/containers/busy/start")
        recorder.ask("POST", f"{path}/containers/busy/start")
    with recorder.during("exec", by):
        for command in (["sh", "-c", "exit 3"], ["/nothing"]):
            said = recorder.ask("POST", f"{path}/containers/busy/exec",
                                {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": command})[1]
            program = json.loads(said)["Id"]
            recorder.ask("POST", f"{path}/exec/{program}/start", {"Detach": False, "Tty": False}, {"Connection": "Upgrade", "Upgrade": "tcp"})
            recorder.ask("GET", f"{path}/exec/{program}/json")
    with recorder.during("paused", by):
        recorder.ask("POST", f"{path}/containers/busy/pause")
        recorder.ask("GET", f"{path}/containers/busy/json")
        recorder.ask("POST", f"{path}/containers/busy/start")
        recorder.ask("POST", f"{path}/containers/busy/unpause")
    with recorder.during("ended", by):
        recorder.ask("POST", f"{path}/containers/busy/stop?t=1")
        recorder.ask("POST", f"{path}/containers/busy/stop?t=1")
        recorder.ask("POST", f"{path}/containers/busy/exec", {"Cmd": ["true"], "AttachStdout": True})
        recorder.ask("DELETE", f"{path}/containers/busy?force=1&v=1")
    watch_the_end(recorder, create, path, by)
    create("broken", fixture.IMAGE, "/nothing")
    with recorder.during("broken", by):
        recorder.ask("POST", f"{path}/containers/broken/start")
    recorder.ask("DELETE", f"{path}/containers/broken?force=1&v=1")
    with recorder.during("versions", by):
        recorder.ask("GET", "/version")
        for version in ("1.10", "1.99"):
            recorder.ask("GET", f"/v{version}/containers/json?all=1")


def watch_the_end(recorder, create, path, by):
    """Of a container whose program must be killed: the first answer with each of the states it goes through."""
    for scene, order in (("ending", "stop?t=1"), ("dying", "kill")):
        create(scene, fixture.IMAGE, "sleep", "1000")
        recorder.ask("POST", f"{path}/containers/{scene}/start")
        ordering = threading.Thread(target=recorder.ask, args=("POST", f"{path}/containers/{scene}/{order}"))
        recorder.silent = ordering
        ordering.start()
        begin, seen = len(recorder.exchanges), []
        with recorder.during(scene, by):
            while "exited" not in seen:
                seen.append(json.loads(recorder.ask("GET", f"{path}/containers/{scene}/json")[1])["State"]["Status"])
        ordering.join()
        recorder.exchanges[begin:] = [e for e, before, now in zip(recorder.exchanges[begin:], [None, *seen], seen) if before != now]
        for exchange in recorder.exchanges[begin:]:
            exchange["answer"] = {key: exchange["answer"][key] for key in ("Id", "Created", "State")}
        recorder.ask("DELETE", f"{path}/containers/{scene}?force=1&v=1")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("docker", "podman"):
        sys.exit(__doc__)
    runtime, engine, output = sys.argv[1:]
    recorder, sandbox = Recorder(engine), Sandbox()
    (sandbox.path / "image").mkdir()
    import_image(recorder, fixture.Fixture(str(sandbox.path / "image")).root_file_system())
    about = json.loads(recorder.ask("GET", "/version")[1])
    if json.loads(recorder.ask("GET", "/containers/json?all=1")[1]):
        sys.exit("the engine has containers already: they would be recorded too")
    ping = recorder.ask("GET", "/_ping")[0]
    spoken = min((about["ApiVersion"], "1.44"), key=lambda text: [int(part) for part in text.split(".")])
    api = {"path": f"/v{spoken}", "libpod": f"/v{ping.getheader('Libpod-Api-Version', '')}"}
    with Server(str(sandbox.path / "s"), Proxy) as server:
        server.recorder = recorder
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sandbox.env.update({"DOCKER_HOST": f"unix://{sandbox.path}/s", "CONTAINER_HOST": f"unix://{sandbox.path}/s"})
        let_kortex_do_everything(recorder, sandbox, runtime)
        ask_for_trouble(recorder, runtime, api)
        server.shutdown()
    header = {"engine": runtime, "version": about["Version"], "api": about["ApiVersion"], "oldest_api": about["MinAPIVersion"], "how": "recorded",
              "date": datetime.date.today().isoformat(), "by": "tests/engines/record.py"}
    build = os.environ.get("KORTEX_BUILD_DIR", "build/dev")
    with open(output, "w", encoding="utf-8") as out:
        for line in (header, *recorder.exchanges):
            text = json.dumps(line, separators=(",", ":"))
            for old, new in ((str(sandbox.path), "/home/kit"), (str(pathlib.Path(build).resolve()), "/usr"), (platform.release(), "6.12.0"), (f'"{socket.gethostname()}"', '"machine"')):
                text = text.replace(old, new)
            out.write(text + "\n")
    print(f"{output}: {len(recorder.exchanges)} exchanges, {os.path.getsize(output)} bytes")
    shutil.rmtree(sandbox.path)


if __name__ == "__main__":
    main()
