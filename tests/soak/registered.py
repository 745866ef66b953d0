"""A store of thousands: one workspace made by `init`, the others copies of what it left, as init would have left them."""
import json
import os
import shutil

from fleet import box


def register_many(fleet, count, options):
    if count < 1:
        return []
    seed = "registered-0"
    done = fleet.run(box.BINARY, "init", fleet.project, "--runtime", "process", "--name", seed, *options, "-o", "json")
    if done.status != 0:
        raise AssertionError(str(done))
    identity = done.json()["id"]
    folder = fleet.store / "workspaces" / identity
    record = (folder / "workspace.json").read_text()
    key = json.loads(record)["key"]
    names = [seed]
    for number in range(1, count):
        copy = fleet.store / "workspaces" / (f"{number:08x}" + identity[8:])
        shutil.copytree(folder, copy, symlinks=True)
        os.chmod(copy, 0o700)
        name = f"registered-{number}"
        changed = record.replace(identity, copy.name).replace(key, key[:-12] + copy.name[:12]).replace(f'"{seed}"', f'"{name}"')
        (copy / "workspace.json").write_text(changed)
        os.symlink(f"../workspaces/{copy.name}", fleet.store / "names" / name)
        names.append(name)
    # one of the copies is a workspace like any other, or none of this would show anything
    known = fleet.run(box.BINARY, "show", names[-1], "-o", "json").json()
    if (known.get("name"), known.get("state")) != (names[-1], "stopped"):
        raise AssertionError(f"a copied workspace: {known}")
    return names
