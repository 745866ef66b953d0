"""What the tool prints, by version. Each function says in SOURCE where its shape comes from:
    derived   from the sources and command references of the tagged versions, which we have read and not run
    reported  by somebody else who has run it, with the place
    recorded  from a real Mac, with kortex-runtime-check --record or record.sh: none yet"""
import datetime
import json

from flags import numbers

SOURCE = {
    "container": "derived: the structures of container and attachment; reported: apple/container#1611 and agent-of-empires#3239 for the change at 1.0",
    "dates": "derived: the default encoder's seconds since 2001 up to 0.12, ISO 8601 from 1.0; reported: apple/container#1533",
    "image": "derived: description of an image up to 0.12, the image resource from 1.0",
    "status text": "derived; reported: apple/container#1280 for the words when it is down",
    "status json": "derived: flat from 0.10; reported: container-ui#13 and #14 for the parts since 1.4.1",
    "no such container": "derived: an empty list up to 0.12, status 1 from 1.0; delete names all that are missing in an older and the one in a newer form, and "
                         "where one became the other is not known",
    "network none": "reported: ironcurtain#371: refused by 1.0.0, works in 1.1.0",
    "single files": "reported: container-compose#51: from 0.9.0; apple/container#301 for the words before",
    "socket in a shared folder": "reported: ironcurtain#371: cannot be connected to; the plugin does not need one",
    "labels": "derived: a value with '=' in it is refused",
    "exec": "derived: streams are pipes through the service; reported: killing the client leaves the program",
}
_2001 = 978307200


def dumps(value):
    """As Swift's encoder writes it: slashes are escaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/")


def date(version, seconds):
    if numbers(version) >= (1, 0, 0):
        return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return seconds - _2001


def attachment(version, name, number):
    ip = "ipv4Address" if numbers(version) >= (0, 8, 0) else "address"
    gateway = "ipv4Gateway" if numbers(version) >= (0, 8, 0) else "gateway"
    return {"network": "default", "hostname": name, ip: f"192.168.64.{number}/24", gateway: "192.168.64.1"}


def container(version, config, state, started, number):
    """`config` as create keeps it; `started`: Unix seconds or None."""
    configuration = {
        "id": config["id"],
        "image": {"reference": config["image"], "descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + "0" * 64, "size": 1000}},
        "mounts": [{"type": {mount["type"]: {}}, "source": mount["source"], "destination": mount["destination"], "options": mount["options"]} for mount in config["mounts"]],
        "publishedPorts": [{"hostAddress": port["host_address"], "hostPort": port["host_port"], "containerPort": port["container_port"], "proto": "tcp",
                            **({"count": 1} if numbers(version) >= (0, 7, 0) else {})} for port in config["ports"]],
        "publishedSockets": [], "labels": config["labels"], "sysctls": {},
        "networks": [{"network": "default", "options": {"hostname": config["id"]}}] if config["network"] else [],
        "rosetta": False,
        "initProcess": {"executable": config["argv"][0], "arguments": config["argv"][1:], "environment": config["env"], "workingDirectory": config["cwd"],
                        "terminal": False, "user": {"id": {"uid": config["uid"], "gid": config["gid"]}}, "supplementalGroups": [], "rlimits": []},
        "platform": {"os": "linux", "architecture": config["architecture"]},
        "resources": {"cpus": config["cpus"], "memoryInBytes": config["memory"]},
        "runtimeHandler": "container-runtime-linux", "virtualization": False, "ssh": False,
    }
    if numbers(version) >= (0, 10, 0):
        configuration["readOnly"] = False
    networks = [attachment(version, config["id"], number)] if state == "running" and config["network"] else []
    if numbers(version) >= (1, 0, 0):
        configuration["creationDate"] = date(version, config["created"])
        status = {"state": state, "networks": networks}
        if started is not None:
            status["startedDate"] = date(version, started)
        return {"id": config["id"], "configuration": configuration, "status": status}
    out = {"status": state, "networks": networks, "configuration": configuration}
    if started is not None and numbers(version) >= (0, 8, 0):
        out["startedDate"] = date(version, started)
    return out


def image(version, name):
    described = {"reference": name, "descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + "0" * 64, "size": 1000}}
    if numbers(version) < (1, 0, 0):
        return described
    return {"id": "0" * 64, "name": name, "creationDate": "1970-01-01T00:00:00Z", "labels": {}, "configuration": described, "variants": []}


def status(version, running):
    """Of `system status --format json`."""
    if numbers(version) >= (1, 4, 1):
        if not running:
            return {"status": "unregistered"}
        return {"status": "running", "client": {"appName": "container", "build": "release", "commit": "0000000", "version": version},
                "server": {"appName": "container-apiserver", "build": "release", "commit": "0000000", "version": version},
                "paths": {"appRoot": "/simulated", "installRoot": "/usr/local/"}}
    named = f"container-apiserver version {version} (build: release, commit: 0000000)" if running else ""
    return {"status": "running" if running else "unregistered", "appRoot": "/simulated" if running else "", "installRoot": "/usr/local/" if running else "",
            "apiServerVersion": named, "apiServerCommit": "0000000" if running else "", "apiServerBuild": "release" if running else "",
            "apiServerAppName": "container-apiserver" if running else ""}
