"""A disk as a power cut finds it. Calls are played on a model of the file system that remembers what has been synced; cut() is what
is there after the power has come back. What was synced is there, of the rest the worst that file systems may do."""
import os

# What of the directories' entries, and of the files' contents, survives without having been synced.
CUTS = {
    "what was synced alone": lambda path: False,
    "all names, but no contents": lambda path: True,
    "all names but those of workspaces, no contents": lambda path: path != "names",
    "the names of workspaces alone": lambda path: path == "names",
}


class File:
    def __init__(self, data=b"", synced=b""):
        self.data, self.synced = bytearray(data), bytes(synced)


class Link:
    def __init__(self, target):
        self.target = target


class Directory:
    def __init__(self):
        self.entries, self.synced = {}, {}


class Disk:
    def __init__(self, root):
        """As `root` is now, all of it durable; it may not exist."""
        self.path = str(root)
        self.top = self.top_synced = self._load(self.path) if os.path.isdir(self.path) else None

    def _load(self, path):
        made = Directory()
        for entry in os.scandir(path):
            if entry.is_symlink():
                made.entries[entry.name] = Link(os.readlink(entry.path))
            elif entry.is_dir():
                made.entries[entry.name] = self._load(entry.path)
            elif entry.is_file():
                with open(entry.path, "rb") as file:
                    data = file.read()
                made.entries[entry.name] = File(data, data)
        made.synced = dict(made.entries)
        return made

    def _find(self, path):
        at = self
        for name in self._parts(path):
            at = self.top if at is self else at.entries.get(name)
            if at is None:
                return None
        return at

    def _parts(self, path):
        """The root itself is the first part."""
        rest = os.path.normpath(path)[len(self.path):].strip("/")
        return [""] + (rest.split("/") if rest else [])

    def _put(self, path, node):
        if self._parts(path) == [""]:
            self.top = node
        else:
            self._find(os.path.dirname(path)).entries[os.path.basename(path)] = node

    def _take(self, path):
        return self._find(os.path.dirname(path)).entries.pop(os.path.basename(path))

    def has(self, path):
        return path == self.path or path.startswith(self.path + "/")

    def play(self, point):
        if point.call == "fsync" and point.result == 0 and self.path.startswith(point.path.rstrip("/") + "/") and \
                os.path.dirname(self.path) == point.path.rstrip("/"):
            self.top_synced = self.top
        if point.result != 0 or not self.has(point.path):
            return
        call, path = point.call, point.path
        if call in ("mkdir", "mkdirat", "mkdtemp"):
            self._put(path, Directory())
        elif call in ("open", "mkostemp"):
            if self._find(path) is None:
                self._put(path, File())
            elif point.detail == "truncate":
                self._find(path).data = bytearray()
        elif call in ("write", "pwrite"):
            offset, data = point.detail.split(":")
            file, data, offset = self._find(path), bytes.fromhex(data), int(offset)
            file.data[offset:offset + len(data)] = data
        elif call in ("ftruncate", "ftruncate64", "truncate"):
            self._find(path).data = bytearray()
        elif call in ("rename", "renameat", "renameat2"):
            self._put(point.detail, self._take(path))
        elif call in ("link", "linkat"):
            self._put(point.detail, self._find(path))
        elif call == "symlink":
            self._put(path, Link(point.detail))
        elif call in ("unlink", "unlinkat", "remove", "rmdir"):
            self._take(path)
        elif call in ("fsync", "fdatasync"):
            node = self._find(path)
            if isinstance(node, Directory):
                node.synced = dict(node.entries)
            else:
                node.synced = bytes(node.data)
        elif call not in ("chmod", "fchmod", "fchmodat", "flock", "fcntl", "utimensat", "futimens", "chown", "fchown", "lchown", "fchownat",
                          "bind", "listen", "connect"):
            raise AssertionError(f"what does a disk do at {point}?")

    def cut(self, survives):
        """{relative path: None for a directory, bytes of a file, text of a link's target}"""
        out = {}

        def walk(node, path):
            if isinstance(node, Link):
                out[path] = node.target
            elif isinstance(node, File):
                out[path] = node.synced
            else:
                out[path] = None
                for name, entry in sorted((node.entries if survives(path) else node.synced).items()):
                    walk(entry, f"{path}/{name}".lstrip("/"))

        top = self.top if survives("") else self.top_synced
        if top is not None:
            walk(top, "")
        return out


def write_out(tree, root):
    for path, what in tree.items():
        place = os.path.join(root, path) if path else str(root)
        if what is None:
            os.makedirs(place, mode=0o700, exist_ok=True)
        elif isinstance(what, str):
            os.symlink(what, place)
        else:
            with open(os.open(place, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(what)
