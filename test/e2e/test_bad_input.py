"""Whatever is wrong, a person gets one clear line, an exit code other than 0, and nothing half-made stays."""

import http.server
import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import BIN, Tool, eventually, left_over, machine, marks


numbers = itertools.count()


@pytest.fixture
def other(make_home):
    """An FKS_HOME of its own, without clusters."""
    return make_home(f"bad-{next(numbers)}")


def lines(result):
    """What was said, without the progress lines (they carry the time and a symbol) of what had been begun."""
    return [line for line in result.err.splitlines() if line.strip() and "[ℹ]" not in line and "[!]" not in line]


def one_clear_line(result, *parts):
    said = lines(result)
    assert len(said) == 1, result
    assert said[0].startswith(("error: ", "Error: ")), result
    for part in parts:
        assert part in said[0], f"'{part}' is not in: {said[0]}"


@pytest.fixture
def nothing_stays(other):
    """Compares the machine before and after the test."""
    before = machine(other)
    yield
    found = left_over(before, machine(other), marks(other))
    assert not {kind: lines for kind, lines in found.items() if kind != "home"}, found
    assert not [path for path in found.get("home", []) if "/clusters/" in path], found


@pytest.mark.parametrize("name", ["1st", "a_b", "-x", "a.b", "x" * 64, "ö", "a/b", "..", ""])
def test_bad_cluster_name(other, nothing_stays, name):
    result = other.fks.fails("create", "cluster", f"--name={name}", "--fargate")
    one_clear_line(result, "name")


@pytest.mark.parametrize("words,part", [
    (["create", "cluster", "demo", "--fargat"], "--fargat"),
    (["create", "cluster", "demo", "--hosts=many"], "many"),
    (["create", "cluster", "demo", "--hosts=0"], "--hosts"),
    (["create", "cluster", "demo", "--version=1.2"], "1.2"),
    (["create", "cluster", "demo", "--region=UP per"], "--region"),
    (["create", "cluster", "demo", "--api-port=70000"], "--api-port"),
    (["create", "cluster", "one", "two"], "only one argument"),
    (["create", "cluster", "one", "--name=two"], "cannot be used at the same time"),
    (["delete", "cluster"], "--name"),
    (["delete", "cluster", "absent"], "absent"),
    (["stop", "cluster", "absent"], "absent"),
    (["start", "cluster", "absent"], "absent"),
    (["get", "clusters", "-o", "xml"], "xml"),
    (["get", "pods", "--no-such-flag"], "no-such-flag"),
    (["frobnicate"], "frobnicate"),
])
def test_bad_words(other, nothing_stays, words, part):
    result = other.fks.fails(*words)
    assert part in result.err, result
    assert len(lines(result)) <= 3, result  # the reason, and where help is


@pytest.mark.parametrize("words,part", [
    (["--name", "UPPER", "--namespace", "x"], "UPPER"),
    (["--name", "p", "--namespace", ""], "namespace"),
    (["--name", "p", "--namespace", "x", "--labels", "novalue"], "novalue"),
    (["--name", "fp-default", "--namespace", "x"], "fp-default"),
])
def test_bad_profile(cluster, words, part):
    result = cluster.fks.fails("create", "fargateprofile", "--cluster", cluster.name, *words)
    assert part in result.err, result
    assert sorted(item["name"] for item in cluster.fks.json("get", "fargateprofile", "--cluster", cluster.name)) == ["fp-default"]


def test_second_cluster_of_the_same_name(cluster):
    before, config = cluster.processes(), cluster.home.kubeconfig.read_text()
    result = cluster.fks.fails("create", "cluster", cluster.name, "--fargate")
    one_clear_line(result, cluster.name, "exists already", "delete cluster")
    assert cluster.processes() == before
    assert [path.name for path in (cluster.home.fks_home / "clusters").iterdir()] == [cluster.name]
    assert cluster.home.kubeconfig.read_text() == config
    assert cluster.fks.ok("get", "namespace", "default", "-o", "name") == "namespace/default\n"


def test_taken_port(other, nothing_stays):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one_clear_line(other.fks.fails("create", "cluster", "demo", "--fargate", f"--api-port={port}"), str(port), "in use", "choose another")


def test_not_root(other, nothing_stays, tmp_path):
    runner = shutil.which("setpriv")
    # the program where anybody may read it
    program = other.folder / "fks-for-all"
    shutil.copy(BIN / "fks", program)
    program.chmod(0o755)
    other.folder.chmod(0o755)
    nobody = Tool(runner, {**other.env, "FKS_HOME": str(other.folder / "nobody"), "ASAN_OPTIONS": "detect_leaks=0"})
    result = nobody.fails("--reuid=65534", "--regid=65534", "--clear-groups", program, "create", "cluster", "demo", "--fargate")
    one_clear_line(result, "root", "sudo")


def test_missing_containerd(other, nothing_stays, tmp_path):
    """A PATH with everything but containerd."""
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for entry in os.scandir(folder):
            if not entry.name.startswith("containerd") and not (tmp_path / entry.name).exists():
                (tmp_path / entry.name).symlink_to(entry.path)
    result = other.fks.fails("create", "cluster", "demo", "--fargate", env={"PATH": str(tmp_path)})
    one_clear_line(result, "containerd", "apt-get install containerd")


@pytest.fixture
def full(other):
    """FKS_HOME on a file system of its own, too small for a cluster."""
    other.fks_home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", other.fks_home], check=True)
    yield other.fks_home
    subprocess.run(["umount", other.fks_home], check=True)


def test_full_home(other, full, nothing_stays):
    one_clear_line(other.fks.fails("create", "cluster", "demo", "--fargate"), "no space left on device", str(full), "256 MiB")


def test_home_that_fills_up(other, full, nothing_stays):
    """Enough room to begin, not to go on."""
    subprocess.run(["mount", "-o", "remount,size=1g", full], check=True)
    with other.fks.spawn("create", "cluster", "demo", "--fargate", "--timeout=15s") as create:
        create.expect("creating cluster", 120)

        def filled():
            found = os.statvfs(full)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            return subprocess.run(["mount", "-o", f"remount,size={used + 4096}", full], capture_output=True).returncode == 0

        eventually(filled, 60, "no room is left")
        assert create.wait(120) != 0
    shutil.rmtree(full / "failed", ignore_errors=True)


def test_read_only_home(other, full, nothing_stays):
    subprocess.run(["mount", "-o", "remount,ro", full], check=True)
    one_clear_line(other.fks.fails("create", "cluster", "demo", "--fargate"), str(full), "read-only file system")


def copy_of_assets(other):
    """A folder of links to the real programs."""
    folder = other.folder / "assets"
    shutil.copytree(other.assets, folder, symlinks=True, ignore=lambda where, names: [
        name for name in names if Path(where) == Path(other.assets) and (Path(where) / name).stat().st_size > (1 << 20)])
    for path in Path(other.assets).iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    (folder / ".verified.json").unlink(missing_ok=True)
    return folder


def test_corrupt_asset(other, nothing_stays):
    folder = copy_of_assets(other)
    (folder / "etcd").unlink()
    data = bytearray((Path(other.assets) / "etcd").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "etcd").write_bytes(data)
    (folder / "etcd").chmod(0o755)
    result = other.fks.fails("create", "cluster", "demo", "--fargate", f"--assets-dir={folder}")
    one_clear_line(result, f"{folder}/etcd", "corrupt", "make assets")


def test_missing_asset(other, nothing_stays):
    folder = copy_of_assets(other)
    (folder / "kube-apiserver").unlink()
    one_clear_line(other.fks.fails("create", "cluster", "demo", "--fargate", f"--assets-dir={folder}"), "kube-apiserver", "make assets")
    one_clear_line(other.fks.fails("create", "cluster", "demo", "--fargate", f"--assets-dir={folder}/nowhere"), "nowhere")


def test_broken_control_plane(other, nothing_stays):
    """A program that does not do its work: create gives up, says where to look, and takes away what it made."""
    folder = copy_of_assets(other)
    (folder / "SHA256SUMS").unlink()
    (folder / "etcd").unlink()
    (folder / "etcd").write_text("#!/bin/sh\necho broken on purpose >&2\nexit 1\n")
    (folder / "etcd").chmod(0o755)
    result = other.fks.fails("create", "cluster", "demo", "--fargate", f"--assets-dir={folder}", "--timeout=5s")
    one_clear_line(result, "timed out", "the API server")
    assert "logs were kept in" in result.err
    assert "broken on purpose" in (other.fks_home / "failed/demo/etcd.log").read_text()
    shutil.rmtree(other.fks_home / "failed")


def test_unreachable_api_server(other):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        server = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                  "clusters": [{"name": "x", "cluster": {"server": server}}], "users": [{"name": "x", "user": {"token": "t"}}]}
        other.kubeconfig.write_text(json.dumps(config))
        result = other.fks.fails("get", "pods", seconds=60)
    assert server.removeprefix("https://") in result.err and "refused" in result.err, result
    assert len(lines(result)) == 1, result


@pytest.mark.parametrize("text", ["apiVersion: [v1\nkind: Config", "clusters: {", "\t- x: y", "just words", "a: b: c"])
def test_kubeconfig_with_a_syntax_error(other, text):
    other.kubeconfig.write_text(text)
    result = other.fks.fails("get", "pods")
    assert len(lines(result)) == 1, result
    assert str(other.kubeconfig) in result.err, result
    other.kubeconfig.unlink()


def test_no_kubeconfig(other):
    result = other.fks.fails("get", "pods")
    assert len(lines(result)) <= 2, result


@pytest.mark.parametrize("text,part", [
    ("kind: Pod\n", "apiVersion"),
    ("apiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n", "Nonsense"),
    ("{{{", "YAML"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\nspec: {containers: [{name: x, image: x}]}\n", "Bad_Name"),
])
def test_bad_manifest(cluster, text, part):
    result = cluster.fks.fails("apply", "-f", "-", stdin=text)
    assert part in result.err, result
    assert "error" in result.err.lower() or "invalid" in result.err, result


def test_our_keys_are_ours(cluster):
    """Nobody places a pod by hand, past the scheduler: fks.dev/* is refused from ordinary users."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine", "namespace": "default", "labels": {"fks.dev/host": "host-1"}},
           "spec": {"containers": [{"name": "main", "image": "fks.dev/demo:1"}]}}
    cluster.fks.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "jane"},
                       "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                       "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]})

    def refused():
        result = cluster.fks.fails("apply", "--as=jane", "-f", "-", stdin=json.dumps(pod))
        return "'fks.dev/host' of a pod is managed by FKS" in result.err

    eventually(refused, 20)  # the role takes a moment to be known
    assert cluster.fks.run("get", "pod", "mine").code != 0
    cluster.fks.ok("delete", "clusterrolebinding", "jane")


class Old(http.server.BaseHTTPRequestHandler):
    """An API server of which only the version is known."""

    def do_GET(self):
        body = json.dumps({"major": "1", "minor": "29", "gitVersion": "v1.29.4"} if self.path == "/version" else {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
        self.send_response(200 if self.path == "/version" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("context,part", [
    ("old", "error: the cluster has Kubernetes v1.29.4; FKS needs v1.30 or newer"),
    ("away", "was refused - did you specify the right host or port?"),
    ("nowhere", "nowhere"),
])
def test_register_says_why_not(other, nothing_stays, context, part):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old) as old, socket.socket() as nobody:
        threading.Thread(target=old.serve_forever, daemon=True).start()
        nobody.bind(("127.0.0.1", 0))
        servers = {"old": f"http://127.0.0.1:{old.server_port}", "away": f"https://127.0.0.1:{nobody.getsockname()[1]}"}
        other.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "users": [{"name": "x", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "x"}} for name in servers],
            "clusters": [{"name": name, "cluster": {"server": server}} for name, server in servers.items()]}))
        result = other.fks.fails("register", "cluster", "--name", "far", "--context", context)
        old.shutdown()
    assert len(lines(result)) == 1 and part in lines(result)[0], result
    assert context != "away" or servers["away"].removeprefix("https://") in result.err
    assert other.fks.ok("get", "clusters") == "No clusters found\n"
