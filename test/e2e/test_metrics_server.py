"""metrics-server as anybody installs it: its own manifests, unchanged, so its pod is on a Fargate node, too; it verifies the
certificates of the nodes with the cluster's CA. scripts/assets/build-metrics-server makes its image."""

import re
import shutil
import subprocess

import pytest

import harness
from harness import container, eventually, pod

ASSETS = harness.assets_dir()


@pytest.fixture(scope="module")
def metrics_server(cluster):
    folder = ASSETS / "metrics-server"
    if not (folder / "image.tar").exists() and not shutil.which("go", path="/usr/local/go/bin:/usr/bin:/usr/local/bin"):
        pytest.skip("no metrics-server: scripts/assets/build-metrics-server builds it, and needs the Go toolchain")
    subprocess.run(["ctr", "-a", f"/run/fks/{cluster.number}/h1/containerd.sock", "-n", "k8s.io", "images", "import",
                    str(folder / "image.tar")], check=True, capture_output=True)
    release = folder / "manifests/overlays/release"
    cluster.fks.ok("apply", "-k", release)
    try:
        (item,) = cluster.ready("kube-system", 1, "k8s-app=metrics-server", seconds=150)
        yield item
    finally:
        cluster.fks.ok("delete", "-k", release, "--ignore-not-found")
        eventually(lambda: not cluster.pods("kube-system", "k8s-app=metrics-server"), 90)


def row(text, name):
    """The words of one line of a table, by the first of them."""
    return next((line.split() for line in text.splitlines() if line.split()[0] == name), None)


@pytest.mark.deadline(360)
def test_top(cluster, metrics_server):
    """Numbers of pods, containers and Nodes, from kubectl and from fks."""
    assert metrics_server["spec"]["nodeName"].startswith("fargate-ip-")
    assert "--kubelet-insecure-tls" not in metrics_server["spec"]["containers"][0]["args"]
    # a container that has ended is no reason to leave the pod out
    cluster.fks.apply(pod("busy", command="while true; do :; done", initContainers=[container("true", name="before")]))
    try:
        item = cluster.phase("default", "busy", "Running")
        node = item["spec"]["nodeName"]

        def used(tool, *words):
            """Of a pod that never rests: some CPU, and its memory."""
            text = tool.ok("top", *words)
            found = row(text, "busy")
            assert found and re.fullmatch(r"[1-9]\d*m", found[-2]) and re.fullmatch(r"\d+Mi", found[-1]), text
            return found

        eventually(lambda: used(cluster.kubectl, "pods"), 120)
        eventually(lambda: used(cluster.fks, "pod", "busy", "--containers")[:2] == ["busy", "main"], 60)

        def of_node(tool):
            text = tool.ok("top", "nodes")
            found = row(text, node)
            assert found and re.fullmatch(r"[1-9]\d*m", found[1]) and re.fullmatch(r"\d+%", found[2]), text
            return found

        eventually(lambda: of_node(cluster.kubectl), 60)
        eventually(lambda: of_node(cluster.fks), 60)
    finally:
        cluster.fks.ok("delete", "pod", "busy", "--grace-period=1")
