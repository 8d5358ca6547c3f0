"""The images of our programs, as `make images` makes them: no engine or registry is asked, and the same programs give the same bytes."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from cluster import PROGRAMS, ROOT

NAMES = ["fks", "fks-node", "fks-scheduler", "fks-webhook"]
SANITIZED = PROGRAMS.resolve().parent.name == "san"


def make(folder, *names):
    run = subprocess.run([ROOT / "scripts/images/make-program-images", PROGRAMS, folder, "1.2.3", *names], capture_output=True, text=True,
                         env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make(tmp_path_factory.mktemp("images"))


class Archive:
    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.files = {item.name: tar.extractfile(item).read() for item in tar if item.isfile()}
        self.index = json.loads(self.files["index.json"])
        self.manifest = json.loads(self.blob(self.index["manifests"][0]))
        self.config = json.loads(self.blob(self.manifest["config"]))

    def blob(self, descriptor):
        data = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(data) == descriptor["size"] and "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        return data

    def layer(self):
        data = gzip.decompress(self.blob(self.manifest["layers"][0]))
        assert "sha256:" + hashlib.sha256(data).hexdigest() == self.config["rootfs"]["diff_ids"][0]
        return tarfile.open(fileobj=io.BytesIO(data))


def test_built_twice_they_are_the_same(images, tmp_path):
    again = make(tmp_path / "again", "fks-webhook")  # one says it for all, in a quarter of the time
    assert {path.name for path in again.iterdir()} == {"fks-webhook.tar", "fks-webhook.spdx.json"}
    for path in again.iterdir():
        assert path.read_bytes() == (images / path.name).read_bytes(), path.name
    assert {path.name for path in images.iterdir()} == {name + end for name in NAMES for end in (".tar", ".spdx.json")}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_small_and_says_what_it_is(images, name):
    archive = Archive(images / f"{name}.tar")
    assert json.loads(archive.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert archive.index["manifests"][0]["annotations"]["io.containerd.image.name"] == f"fks.dev/{name}:1.2.3"
    labels = archive.config["config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == name and labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.created"] == archive.config["created"] == "2023-11-14T22:13:20Z"
    assert archive.config["config"]["User"] == "65532:65532"
    if not SANITIZED:
        # with a containerd inside, the agent's is larger
        assert (images / f"{name}.tar").stat().st_size < (40 if name == "fks-node" else 20) << 20


@pytest.mark.parametrize("name", NAMES)
def test_every_library_is_in_the_bill_of_materials(images, name):
    document = json.loads((images / f"{name}.spdx.json").read_text())
    assert document["spdxVersion"] == "SPDX-2.3" and document["packages"][0]["name"] == name
    with Archive(images / f"{name}.tar").layer() as layer:
        inside = layer.extractfile(f"usr/share/sbom/{name}.spdx.json").read()
        libraries = {item.name: hashlib.sha256(layer.extractfile(item).read()).hexdigest() for item in layer if item.isfile() and ".so" in item.name}
    assert inside == (images / f"{name}.spdx.json").read_bytes()
    for path, digest in libraries.items():
        assert any(f"/{path} sha256:{digest}" in package.get("sourceInfo", "") for package in document["packages"]), path
    assert {package["name"] for package in document["packages"]} >= {"libc6", "libssl3"}
    related = {entry["relatedSpdxElement"] for entry in document["relationships"]}
    assert related == {package["SPDXID"] for package in document["packages"]}


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_its_own_files_alone(images, tmp_path, name):
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    with Archive(images / f"{name}.tar").layer() as layer:
        for item in layer:
            assert not item.mode & 0o6000 and (item.uid, item.gid) == (0, 0), item.name
        layer.extractall(tmp_path)
    tmp_path.chmod(0o755)
    words = ["version", "--client"] if name == "fks" else ["--version"]
    # sanitizers read their options from /proc
    inside = 'mount -t proc proc "$1/proc" && exec chroot --userspec=65532:65532 "$@"'
    run = subprocess.run(["unshare", "--mount", "sh", "-c", inside, "sh", tmp_path, f"/usr/bin/{name}", *words], capture_output=True,
                         text=True, env={"PATH": os.environ["PATH"], "HOME": "/", "ASAN_OPTIONS": "detect_leaks=0"}, cwd="/")
    assert run.returncode == 0 and run.stdout.strip(), run.stderr
    leftovers = [path for path in Path(tmp_path).iterdir() if path.name not in
                 {"dev", "etc", "lib", "lib64", "mnt", "proc", "run", "sys", "tmp", "usr"}]
    assert not leftovers
