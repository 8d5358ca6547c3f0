#!/usr/bin/env python3
"""Writes a container image of one layer as a docker-archive tarball, the format that `ctr images import` reads.

usage: write_image.py OUT.tar NAME:TAG [--file SOURCE:PATH:MODE]... [--program SOURCE:PATH]...
                      [--link TARGET:PATH]... [--busybox PROGRAM] [--user UID:GID] [--entrypoint WORD]... [--command WORD...]

The same inputs give the same bytes: times are zero and entries sorted. --busybox makes a small root filesystem with a
shell and a link for each of busybox's programs. --program adds one that is linked with shared libraries, and these.
"""
import argparse
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def parents(path):
    parts = path.strip("/").split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def add_busybox(entries, program):
    for name in ("bin", "etc", "home", "proc", "root", "run", "sys", "usr/bin", "var/log", "var/run"):
        entries.setdefault(name, ("dir", None, 0o755))
    entries["tmp"] = ("dir", None, 0o1777)
    entries["bin/busybox"] = ("file", program, 0o755)
    for applet in subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split():
        if applet != "busybox":
            entries[f"bin/{applet}"] = ("link", "busybox", 0o777)
    entries["etc/passwd"] = ("text", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)
    entries["etc/group"] = ("text", "root:x:0:\nnobody:x:65534:\n", 0o644)


def add_program(entries, source, path):
    entries[path.strip("/")] = ("file", source, 0o755)
    for line in subprocess.run(["ldd", source], check=True, capture_output=True, text=True).stdout.splitlines():
        match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if "not found" in line:
            sys.exit(f"write_image.py: {source}: {line.strip()}")
        if match:  # the loader under its own path, libraries where it looks for them
            place = f"usr/lib/{os.path.basename(match[2])}" if match[1] else match[2].strip("/")
            entries[place] = ("file", os.path.realpath(match[2]), 0o755)


def layer_of(entries, time=0):
    for path in list(entries):
        for parent in parents(path):
            entries.setdefault(parent, ("dir", None, 0o755))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path in sorted(entries):
            kind, what, mode = entries[path]
            info = tarfile.TarInfo(path)
            info.mode = mode
            info.mtime = time
            if kind == "dir":
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, what
                tar.addfile(info)
            else:
                content = what.encode() if kind == "text" else open(what, "rb").read()
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--link", action="append", default=[])
    parser.add_argument("--busybox")
    parser.add_argument("--user")
    parser.add_argument("--entrypoint", action="append")
    # everything after --command belongs to the image
    words, command = sys.argv[1:], None
    if "--command" in words:
        at = words.index("--command")
        command, words = words[at + 1:], words[:at]
    args = parser.parse_args(words)

    entries = {}
    if args.busybox:
        add_busybox(entries, args.busybox)
    for item in args.file:
        source, path, mode = item.rsplit(":", 2)
        entries[path.strip("/")] = ("file", source, int(mode, 8))
    for item in args.link:
        target, path = item.rsplit(":", 1)
        entries[path.strip("/")] = ("link", target, 0o777)
    for item in args.program:
        add_program(entries, *item.rsplit(":", 1))
    layer = layer_of(entries)
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    if args.entrypoint:
        config["Entrypoint"] = args.entrypoint
    if command:
        config["Cmd"] = command
    if args.user:
        config["User"] = args.user
    image = json.dumps({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux", "config": config,
        "created": "1970-01-01T00:00:00Z", "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "fks"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_digest]}}, sort_keys=True).encode()
    image_name = hashlib.sha256(image).hexdigest() + ".json"
    manifest = json.dumps([{"Config": image_name, "RepoTags": [args.name], "Layers": [layer_digest + "/layer.tar"]}]).encode()
    partial = args.out + ".partial"
    with tarfile.open(partial, "w") as tar:
        for name, data in ((image_name, image), (layer_digest + "/layer.tar", layer), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    os.rename(partial, args.out)
    print(f"{args.name}: {os.path.getsize(args.out) >> 10} KiB", file=sys.stderr)


if __name__ == "__main__":
    main()
