"""Volumes of a CSI driver with real containers: the driver of the integration tests runs beside the host's agent."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT, container, eventually, pod
from reaper import unmount

NAME = "e2e.test"
STAGES = "plugins/kubernetes.io/csi"
MOUNT = [{"name": "v", "mountPath": "/v"}]


@pytest.fixture
def driver(cluster, tmp_path):
    """Folder of the driver's data; the driver and its objects go at the end."""
    if subprocess.run([sys.executable, "-c", "import grpc"], capture_output=True).returncode != 0:
        pytest.skip("needs python3-grpcio and protoc: scripts/install-packages test")
    state = cluster.folder / "hosts" / "host-1" / "state"
    program = ROOT / "test" / "integration" / "csi_driver.py"
    child = subprocess.Popen([sys.executable, program, tmp_path, state / "plugins_registry", NAME], cwd="/",
                             preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()))
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    cluster.fks.apply(
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": NAME},
         "spec": {"attachRequired": False, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent", "Ephemeral"]}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "folder"},
         "spec": {**common, "capacity": {"storage": "1Gi"}, "csi": {"driver": NAME, "volumeHandle": "folder"}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "folder", "namespace": "default"},
         "spec": {**common, "volumeName": "folder", "resources": {"requests": {"storage": "1Gi"}}}})
    try:
        eventually(lambda: NAME in cluster.fks.json("get", "fargatehost", "host-1")["spec"]["csiDrivers"], 60, "the host offers the driver")
        yield state
    finally:
        cluster.fks.run("delete", "pvc/folder", "pv/folder", f"csidriver/{NAME}")
        child.terminate()
        child.wait()
        unmount(tmp_path)


def test_claim_and_volume_of_the_pod(cluster, driver):
    """A user who is not root writes to a claim and to a volume of the pod; another pod reads the claim. An agent that is killed changes
    nothing for either. When the pods are gone, nothing is mounted or staged."""
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "folder"}}
    security = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    cluster.fks.apply(
        pod("writer", securityContext=security, volumes=[claim, {"name": "w", "csi": {"driver": NAME}}],
            containers=[container("echo kept > /v/file && echo own > /w/file && cat /v/file /w/file && sleep 3600",
                                  volumeMounts=[*MOUNT, {"name": "w", "mountPath": "/w"}])]))
    try:
        cluster.phase("default", "writer", "Running")
        eventually(lambda: cluster.fks.ok("logs", "writer") == "kept\nown\n", 60)
        cluster.fks.apply(
            pod("reader", securityContext=security, volumes=[claim],
                containers=[container("sleep 3600", volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "file", "readOnly": True}])]))
        cluster.phase("default", "reader", "Running")
        eventually(lambda: cluster.fks.ok("exec", "reader", "--", "cat", "/a") == "kept\n", 60)
        before = cluster.processes()["host-1-fks-node"]
        os.kill(before["pid"], signal.SIGKILL)
        eventually(lambda: cluster.processes()["host-1-fks-node"]["restarts"] > before["restarts"], 60)
        eventually(lambda: cluster.fks.ok("exec", "writer", "--", "cat", "/v/file") == "kept\n", 60, "the agent serves again")
        assert cluster.fks.ok("exec", "writer", "--", "sh", "-c", "echo more >> /v/file; cat /v/file") == "kept\nmore\n"
        eventually(lambda: cluster.fks.ok("exec", "reader", "--", "cat", "/a") == "kept\nmore\n", 60)
        for name in ("writer", "reader"):
            (status,) = cluster.fks.json("get", "pod", name)["status"]["containerStatuses"]
            assert status["restartCount"] == 0
    finally:
        cluster.fks.ok("delete", "pod", "writer", "reader", "--ignore-not-found", "--grace-period=1", seconds=120)
    eventually(lambda: not list((driver / STAGES).iterdir()), 60, "nothing is staged")
    mounts = Path("/proc/mounts").read_text()
    assert f"{driver}/{STAGES}" not in mounts and not [line for line in mounts.splitlines() if str(driver) in line and "/volumes/v" in line], mounts


def test_pod_that_ends(cluster, driver):
    """A pod that is through gives its volume back, though its object stays."""
    cluster.fks.apply(pod("once", restartPolicy="Never", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "folder"}}],
                          containers=[container("echo through > /v/once", volumeMounts=MOUNT)]))
    try:
        item = cluster.phase("default", "once", "Succeeded")
        target = f"{driver}/pods/{item['metadata']['uid']}/volumes/v "
        eventually(lambda: target not in Path("/proc/mounts").read_text() and not list((driver / STAGES).iterdir()), 60, "it is given back")
        assert cluster.fks.json("get", "pod", "once")["status"]["phase"] == "Succeeded"
    finally:
        cluster.fks.ok("delete", "pod", "once", "--ignore-not-found", "--grace-period=1")


def test_no_driver(cluster):
    """Without the driver no host takes the pod, and it says why, with what to do."""
    cluster.fks.apply(pod("driverless", volumes=[{"name": "v", "csi": {"driver": "nobody.test"}}],
                          containers=[container("sleep 3600", volumeMounts=MOUNT)]))
    try:
        eventually(lambda: "lacks a CSI driver of its volumes" in json.dumps(cluster.fks.json("get", "pod", "driverless")["status"]), 60)
        assert "lacks a CSI driver of its volumes (run the driver on a host;" in cluster.fks.ok("explain", "pod", "driverless")
    finally:
        cluster.fks.ok("delete", "pod", "driverless", "--grace-period=1")
