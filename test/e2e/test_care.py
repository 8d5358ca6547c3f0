"""What people do when pods are not where they should be: explain, reconcile, drain a host, delete a profile."""

import os
import signal

import pytest

from harness import deployment, eventually, namespace, pod


@pytest.fixture(scope="module")
def other(cluster):
    """A namespace without a profile."""
    cluster.fks.apply(namespace("care"))
    eventually(lambda: cluster.fks.run("get", "serviceaccount", "default", "-n", "care").code == 0)
    yield "care"
    cluster.fks.run("delete", "fargateprofile", "care", "--wait")
    cluster.fks.ok("delete", "namespace", "care", seconds=120)


def running(cluster, where, label, count):
    items = cluster.fks.json("get", "pods", "-n", where, "-l", label)["items"]
    ready = [item for item in items if item["status"]["phase"] == "Running" and not item["metadata"].get("deletionTimestamp")]
    return items if len(items) == len(ready) == count else None


def test_explain_tells_a_running_pods_story(cluster):
    cluster.fks.apply(pod("told", "default"))
    eventually(lambda: cluster.fks.json("get", "pod", "told")["status"].get("phase") == "Running")
    text = cluster.fks.ok("explain", "pod", "told")
    for part in ("Pod default/told: Running", "fp-default took the pod: selector 1 matches",
                 "rounded up to a size of Fargate: 0.25vCPU 0.5GB, disk 20Gi", "has the pod", "it is bound to Node fargate-ip-"):
        assert part in text
    cluster.fks.ok("delete", "pod", "told", "--wait")


def test_explain_tells_why_a_pod_waits(cluster):
    large = pod("large", "default")
    large["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "3"}}
    cluster.fks.apply(large)
    eventually(lambda: "is smaller than the pod (ask for less, or add a larger host)" in cluster.fks.ok("explain", "pod", "large"))
    assert "it waits, and is tried again" in cluster.fks.ok("explain", "pod", "large")
    cluster.fks.ok("delete", "pod", "large", "--wait")
    missing = cluster.fks.run("explain", "pod", "nobody")
    assert missing.code == 1 and 'pods "nobody" not found' in missing.err


def test_early_pods_are_reconciled_and_leave_with_their_profile(cluster, other):
    cluster.fks.apply(deployment("early", 2, other))
    eventually(lambda: len(cluster.fks.json("get", "pods", "-n", other)["items"]) == 2)
    name = cluster.fks.json("get", "pods", "-n", other)["items"][0]["metadata"]["name"]
    assert "namespace 'care' is not 'default'" in cluster.fks.ok("explain", "pod", name, "-n", other)
    cluster.fks.apply({"apiVersion": "fks.dev/v1", "kind": "FargateProfile", "metadata": {"name": "care"},
                       "spec": {"selectors": [{"namespace": other}]}})
    eventually(lambda: "'fks reconcile fargateprofile care' has it replaced" in cluster.fks.ok("explain", "pod", name, "-n", other))
    assert "evicted (dry run)" in cluster.fks.ok("reconcile", "fargateprofile", "care", "--dry-run")
    assert cluster.fks.ok("reconcile", "fargateprofile", "care").count("evicted") == 2
    eventually(lambda: running(cluster, other, "app=early", 2))
    assert "no pod waits that profile care would take" in cluster.fks.ok("reconcile", "fargateprofile", "care")
    cluster.fks.ok("delete", "fargateprofile", "care", "--wait")
    assert cluster.fks.run("get", "fargateprofile", "care").code == 1
    items = cluster.fks.json("get", "pods", "-n", other)["items"]
    assert all(item["spec"]["schedulerName"] == "default-scheduler" for item in items)
    unknown = cluster.fks.run("reconcile", "fargateprofile", "nobody")
    assert unknown.code == 1 and "No Fargate Profile found with name: nobody." in unknown.err


def test_system_pods_made_without_the_webhook_are_replaced(cluster):
    """kube-system does without the webhook while that is away, so CoreDNS misses its profile then, and no other node would take it."""
    dns = ["kube-system", "k8s-app=kube-dns"]

    def missed():
        return any(item["spec"]["schedulerName"] == "default-scheduler" for item in cluster.pods(*dns))

    count = len(cluster.pods(*dns))
    pid = cluster.pid("fks-webhook")
    os.kill(pid, signal.SIGSTOP)
    try:
        cluster.fks.ok("delete", "pod", "-n", *dns[:1], "-l", *dns[1:], "--wait=false")
        eventually(missed, 60, "a pod that missed its profile")
    finally:
        os.kill(pid, signal.SIGCONT)
    pods = cluster.ready(dns[0], count, dns[1], seconds=120)
    assert {item["spec"]["schedulerName"] for item in pods} == {"fargate-scheduler"}


def test_a_drained_host_gets_its_pods_back(cluster):
    cluster.fks.apply(deployment("moving", 2), pod("bare", "default"))
    eventually(lambda: running(cluster, "default", "app=moving", 2))
    eventually(lambda: cluster.fks.json("get", "pod", "bare")["status"].get("phase") == "Running")
    host = cluster.fks.json("get", "fargatehosts")["items"][0]["metadata"]["name"]
    refused = cluster.fks.run("drain", "host", host, "--delete-emptydir-data")
    assert refused.code == 1
    assert "cannot delete Pods that declare no controller (use --force to override): default/bare" in refused.err
    cluster.fks.ok("delete", "pod", "bare", "--wait")
    out = cluster.fks.ok("drain", "host", host, "--delete-emptydir-data", "--timeout", "60s")
    assert f"fargatehost.fks.dev/{host} already cordoned" in out and f"fargatehost.fks.dev/{host} drained" in out
    eventually(lambda: not cluster.fks.json("get", "nodes", "-l", "eks.amazonaws.com/compute-type=fargate")["items"])
    assert f"fargatehost.fks.dev/{host} uncordoned" in cluster.fks.ok("uncordon", "host", host)
    eventually(lambda: running(cluster, "default", "app=moving", 2))
    cluster.fks.ok("delete", "deployment", "moving")
    eventually(lambda: running(cluster, "kube-system", "k8s-app=kube-dns", 1))
