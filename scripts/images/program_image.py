#!/usr/bin/env python3
"""Writes the image of one of our programs as an OCI archive, without a container engine or a registry.

usage: program_image.py OUT.tar NAME:TAG PROGRAM --version VERSION --description TEXT [--with LIBRARY]... [--and PROGRAM]...
                        [--authorities]

The root filesystem holds the program, the dynamic loader, exactly the shared libraries that it needs (as ldd says; --with adds one
that it opens at run time, and what that needs), user 65532 and an SPDX 2.3 bill of materials, which also goes beside the archive as
OUT.spdx.json. --and adds another program of this machine under its own path, with its libraries. --authorities adds the certificate authorities of this machine, for a program that calls others than its cluster.

The same program and libraries give the same bytes: entries are sorted, every time is SOURCE_DATE_EPOCH (0 without it), and gzip
says neither name nor time. Symbols are stripped, unless the program was built with sanitizers, whose reports need them.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from write_image import ARCHITECTURES, layer_of  # noqa: E402

USER = 65532
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
OCI = "application/vnd.oci.image."


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def libraries(path):
    """{path that the loader asks for: file} of what a program or library needs, the loader included."""
    found = {}
    for line in output("ldd", path).splitlines():
        match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x", line)
        if match:
            found[match.group(1)] = os.path.realpath(match.group(1))
        elif "not found" in line:
            sys.exit(f"program_image: {path} needs a library that is not here: {line.strip()}")
    return found


def library_named(name):
    for line in output("/sbin/ldconfig", "-p").splitlines():
        match = re.match(rf"\s*{re.escape(name)} \(.*\) => (\S+)", line)
        if match:
            return match.group(1)
    sys.exit(f"program_image: the library {name} is not on this machine")


def program_named(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        sys.exit(f"program_image: the program {name} is not on this machine")
    return os.path.realpath(path)


def packages_of(paths):
    """{path: (package, source, version, architecture)} of the files that Debian packages brought."""
    # dpkg knows a file by the name in its package: with or without /usr, whatever the links say today
    names = {}
    for path in paths:
        real = os.path.realpath(path)
        for candidate in (path, real, real.removeprefix("/usr"), "/usr" + real):
            names.setdefault(candidate, path)
    found = {}
    listing = subprocess.run(["dpkg-query", "-S", *names], capture_output=True, text=True).stdout  # complains of the other names
    for line in listing.splitlines():
        package, _, name = line.rpartition(": ")
        if name in names:
            found.setdefault(names[name], package.split(",")[0])
    if not found:
        return {}
    facts = {}
    form = "${Package}\t${source:Package}\t${Version}\t${Architecture}\n"
    for line in output("dpkg-query", "-W", "-f", form, *sorted(set(found.values()))).splitlines():
        facts[line.split("\t")[0]] = tuple(line.split("\t"))
    return {path: facts[package.split(":")[0]] for path, package in found.items()}


def bill(name, version, program_sum, files, epoch):
    """The SPDX document: a package for the program, one for each Debian package behind a file, each with its files."""
    packages, known = {}, packages_of(files)
    for path, data in files.items():
        if path not in known:
            continue
        binary, source, number, architecture = known[path]
        entry = packages.setdefault(binary, {
            "SPDXID": "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", binary), "name": binary, "versionInfo": number,
            "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
            "sourceInfo": f"built from Debian source package {source}; files in this image:",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{binary}@{number}?arch={architecture}"}]})
        entry["sourceInfo"] += f" {path} sha256:{sha256(data)}"
    ours = {"SPDXID": "SPDXRef-Package-" + name, "name": name, "versionInfo": version, "supplier": "Organization: FKS",
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
            "checksums": [{"algorithm": "SHA256", "checksumValue": program_sum}]}
    others = [packages[key] for key in sorted(packages)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", ours["SPDXID"])] + [(ours["SPDXID"], "DEPENDS_ON", item["SPDXID"]) for item in others]
    return json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
        "documentNamespace": f"https://fks.dev/spdx/{name}-{version}-{program_sum}",
        "creationInfo": {"created": stamp(epoch), "creators": ["Tool: program_image"]},
        "packages": [ours, *others],
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations],
    }, indent=1).encode() + b"\n"


def stamp(epoch):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def stripped(program, folder):
    """The program without symbols and build id, which differ with the folder it was built in."""
    copy = folder / program.name
    subprocess.run(["strip", "--strip-all", "--remove-section=.note.gnu.build-id", "-o", copy, program], check=True)
    return copy


def root_of(args, folder, epoch):
    """Entries of the layer, and the bill of materials."""
    program = Path(args.program)
    needed = libraries(args.program)
    for name in args.library:
        path = library_named(name)
        needed |= {path: os.path.realpath(path), **libraries(path)}
    for name in args.others:
        path = program_named(name)
        needed |= {path: path, **libraries(path)}
    sanitized = any("libasan" in path for path in needed)
    content = program if sanitized else stripped(program, folder)
    entries = {path.strip("/"): ("file", real, 0o755) for path, real in needed.items()}
    entries["usr/bin/" + program.name] = ("file", str(content), 0o755)
    entries["etc/passwd"] = ("text", f"root:x:0:0:root:/:/sbin/nologin\nfks:x:{USER}:{USER}:fks:/:/sbin/nologin\n", 0o644)
    entries["etc/group"] = ("text", f"root:x:0:\nfks:x:{USER}:\n", 0o644)
    entries["etc/nsswitch.conf"] = ("text", "hosts: files dns\n", 0o644)
    files = {path: Path(real).read_bytes() for path, real in sorted(needed.items())}
    if args.authorities:
        entries[AUTHORITIES.strip("/")] = ("file", AUTHORITIES, 0o644)
    # containers mount these; with a read-only root they must be there already
    for empty in ("dev", "mnt", "proc", "run", "sys", "tmp"):
        entries.setdefault(empty, ("dir", None, 0o1777 if empty == "tmp" else 0o755))
    document = bill(program.name, args.version, sha256(Path(content).read_bytes()), files, epoch)
    entries[f"usr/share/sbom/{program.name}.spdx.json"] = ("text", document.decode(), 0o644)
    return entries, document


def write_archive(out, blobs, index, epoch):
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    files |= {"blobs/sha256/" + sha256(data): data for data in blobs}
    partial = Path(str(out) + ".partial")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(info)
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(files[name]), epoch
            tar.addfile(info, io.BytesIO(files[name]))
    partial.rename(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.add_argument("program")
    parser.add_argument("--version", required=True)
    parser.add_argument("--description", required=True)
    parser.add_argument("--with", dest="library", action="append", default=[])
    parser.add_argument("--and", dest="others", action="append", default=[])
    parser.add_argument("--authorities", action="store_true")
    args = parser.parse_args()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    program = Path(args.program).name
    with tempfile.TemporaryDirectory() as folder:
        entries, document = root_of(args, Path(folder), epoch)
        layer = layer_of(entries, epoch)
    packed = gzip.compress(layer, 6, mtime=0)
    labels = {"org.opencontainers.image.title": program, "org.opencontainers.image.description": args.description,
              "org.opencontainers.image.version": args.version, "org.opencontainers.image.created": stamp(epoch),
              "org.opencontainers.image.vendor": "FKS", "org.opencontainers.image.ref.name": args.name}
    platform = {"architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine), "os": "linux"}
    config = json.dumps({
        **platform, "created": stamp(epoch),
        "config": {"User": f"{USER}:{USER}", "Entrypoint": ["/usr/bin/" + program], "Labels": labels, "WorkingDir": "/",
                   "Env": ["PATH=/usr/bin"]},
        "history": [{"created": stamp(epoch), "created_by": program}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer)]}}, sort_keys=True).encode()

    def descriptor(kind, data, **more):
        return {"mediaType": OCI + kind, "digest": "sha256:" + sha256(data), "size": len(data), **more}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": descriptor("config.v1+json", config),
        "layers": [descriptor("layer.v1.tar+gzip", packed)], "annotations": labels}, sort_keys=True).encode()
    # the first annotation is what ctr and containerd's importers call the image by
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [descriptor(
        "manifest.v1+json", manifest, platform=platform,
        annotations={"io.containerd.image.name": args.name, "org.opencontainers.image.ref.name": args.name.rpartition(":")[2]})]},
        sort_keys=True).encode()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_archive(args.out, [config, packed, manifest], index, epoch)
    args.out.with_suffix(".spdx.json").write_bytes(document)
    print(f"{args.name}: {args.out.stat().st_size >> 10} KiB, {len(layer) >> 10} KiB unpacked", file=sys.stderr)


if __name__ == "__main__":
    main()
