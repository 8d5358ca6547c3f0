"""The mixed data plane: a pod that no profile matches is left alone, and runs on an ordinary node when there is one."""

import json
import re

import pytest

from harness import IMAGE, deployment, eventually, namespace, pod, service

WEBHOOKS = ["mutatingwebhookconfiguration/0500-fks-fargate-mutation.fks.dev", "validatingwebhookconfiguration/fks-fargate-validation.fks.dev"]


@pytest.fixture(scope="module")
def plain(cluster):
    """A namespace that no profile matches."""
    cluster.fks.apply(namespace("plain"))
    eventually(lambda: cluster.fks.run("get", "serviceaccount", "default", "-n", "plain").code == 0)
    yield "plain"
    cluster.fks.ok("delete", "namespace", "plain", seconds=120)


def admitted(cluster, made_pod, tmp_path):
    """The bytes that the API server would store, without what differs from one request to the next."""
    path = tmp_path / "pod.json"
    path.write_text(json.dumps(made_pod))
    text = cluster.kubectl.ok("create", "--raw", f"/api/v1/namespaces/{made_pod['metadata']['namespace']}/pods?dryRun=All", "-f", path)
    text = re.sub(r'"uid":"[0-9a-f-]+"', '"uid":""', text)
    text = re.sub(r'"(creationTimestamp|time)":"[^"]+"', r'"\1":""', text)
    return re.sub(r"kube-api-access-[a-z0-9]{5}", "kube-api-access-x", text)


def test_unmatched_pod_is_untouched(cluster, plain, tmp_path):
    unmatched = pod("unmatched", plain, labels={"app": "unmatched", "compute": "serverless"})
    matched = pod("matched", "default")
    with_webhook = admitted(cluster, unmatched, tmp_path)
    assert "fargate-scheduler" in admitted(cluster, matched, tmp_path)
    saved = []
    for name in WEBHOOKS:
        item = cluster.kubectl.json("get", name)
        for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
            item["metadata"].pop(key, None)
        saved.append(item)
    try:
        cluster.kubectl.ok("delete", *WEBHOOKS)
        eventually(lambda: "fargate-scheduler" not in admitted(cluster, matched, tmp_path), 30, "the API server asks the webhook no more")
        without_webhook = admitted(cluster, unmatched, tmp_path)
    finally:
        for item in saved:
            cluster.kubectl.ok("create", "-f", "-", stdin=json.dumps(item))
        eventually(lambda: "fargate-scheduler" in admitted(cluster, matched, tmp_path), 30, "the API server asks the webhook again")
    assert with_webhook == without_webhook


def test_unmatched_pod_waits_for_an_ordinary_node(cluster, plain):
    cluster.fks.apply(pod("waiting", plain))

    def unschedulable():
        item = cluster.fks.json("get", "pod", "waiting", "-n", plain)
        conditions = {entry["type"]: entry for entry in item["status"].get("conditions", [])}
        return item if conditions["PodScheduled"]["reason"] == "Unschedulable" else None

    item = eventually(unschedulable)
    assert item["spec"]["schedulerName"] == "default-scheduler"
    assert item["status"]["phase"] == "Pending" and "nodeName" not in item["spec"]
    assert "eks.amazonaws.com/fargate-profile" not in item["metadata"]["labels"]
    text = cluster.fks.ok("describe", "pod", "waiting", "-n", plain)
    # the default scheduler's own reason: either there is no node at all, or the Fargate nodes' taint keeps the pod away
    assert re.search(r"Warning +FailedScheduling .*default-scheduler +(no nodes available|\d+/\d+ nodes are available: .*taint)", text), text
    cluster.fks.ok("delete", "pod", "waiting", "-n", plain)


def test_labels_must_match_too(cluster):
    """Namespace AND labels: a pod in a selected namespace without the labels is left alone."""
    cluster.fks.ok("create", "fargateprofile", "--cluster", cluster.name, "--name", "half", "--namespace", "half", "--labels", "env=dev,team=b*")
    cluster.fks.apply(namespace("half"))
    eventually(lambda: cluster.fks.run("get", "serviceaccount", "default", "-n", "half").code == 0)
    wanted = {"with": ({"env": "dev", "team": "blue"}, "fargate-scheduler"), "one": ({"env": "dev"}, "default-scheduler"),
              "other": ({"env": "dev", "team": "red"}, "default-scheduler")}
    for name, (labels, _) in wanted.items():
        cluster.fks.apply(pod(name, "half", labels=labels))
    found = {item["metadata"]["name"]: item["spec"]["schedulerName"] for item in cluster.pods("half")}
    assert found == {name: scheduler for name, (_, scheduler) in wanted.items()}
    cluster.fks.ok("delete", "namespace", "half", seconds=120)
    cluster.fks.ok("delete", "fargateprofile", "--cluster", cluster.name, "--name", "half")


def debug_with_terminal(tool, name, where, container):
    """A container put into a running pod, with a terminal: it sees the other one's processes, and ends as it says."""
    words = ["debug", "-it", name, "-n", where, "--image", IMAGE, "--target=main", f"--container={container}", "--", "sh"]
    with tool.spawn(*words, terminal=True) as session:
        def answers():
            session.type("echo he''re $((6 * 7))\n")
            return session.expect("here 42", 2)

        eventually(answers, 90, "the shell in the new container answers")
        session.type("test -t 0 && ps | grep -q '[s]leep 3600' && echo se''en\n")
        session.expect("seen")
        session.type("exit 3\n")
        code = session.wait(60)

    def ended():
        status = tool.json("get", "pod", name, "-n", where)["status"]
        return {entry["name"]: entry["state"].get("terminated", {}).get("exitCode") for entry in status["ephemeralContainerStatuses"]}[container] == 3

    eventually(ended, 60)
    return code


@pytest.mark.deadline(500)
def test_ordinary_node(cluster, plain):
    """A node group is a real kubelet: what no profile matches runs there, and both sides reach each other's Services."""
    created = cluster.fks.run("create", "nodegroup", "--cluster", cluster.name, "--name", "ng", "--nodes", "1", "--timeout", "2m", seconds=180)
    assert created.code == 0, created
    try:
        assert re.search(rf"{cluster.name}\s+ng\s+ACTIVE\s+1", cluster.fks.ok("get", "nodegroup", "--cluster", cluster.name))
        cluster.fks.apply(deployment("ordinary", 1, plain), service("ordinary", plain), pod("ordinary-client", plain, command="sleep 3600"),
                          deployment("serverless", 1, "default"), service("serverless", "default"), pod("serverless-client", command="sleep 3600"))
        (ordinary,) = cluster.ready(plain, 1, "app=ordinary")
        (serverless,) = cluster.ready("default", 1, "app=serverless")
        cluster.phase(plain, "ordinary-client", "Running")
        cluster.phase("default", "serverless-client", "Running")
        assert ordinary["spec"]["nodeName"].startswith("ng-")
        assert serverless["spec"]["nodeName"].startswith("fargate-ip-")
        for client, where, server in (("serverless-client", "default", f"ordinary.{plain}"), ("ordinary-client", plain, "serverless.default")):
            page = eventually(lambda: cluster.fks.ok("exec", client, "-n", where, "--", "timeout", "3", "wget", "-q", "-O", "-", f"http://{server}/"), 30)
            assert "This page comes from" in page
        assert cluster.fks.ok("logs", "ordinary-client", "-n", plain) == ""
        for name, where in (("ordinary-client", plain), ("serverless-client", "default")):
            codes = [debug_with_terminal(tool, name, where, container) for tool, container in ((cluster.fks, "ours"), (cluster.kubectl, "theirs"))]
            assert codes[0] == codes[1]
        # a Fargate pod never lands on the ordinary node, nor the other way round
        nodes = cluster.fks.json("get", "nodes")["items"]
        assert sum(item["metadata"]["name"].startswith("ng-") for item in nodes) == 1
    finally:
        cluster.fks.run("delete", "deployment/ordinary", "service/ordinary", "pod/ordinary-client", "-n", plain, "--ignore-not-found")
        cluster.fks.run("delete", "deployment/serverless", "service/serverless", "pod/serverless-client", "--ignore-not-found")
        deleted = cluster.fks.run("delete", "nodegroup", "--cluster", cluster.name, "--name", "ng", seconds=120)
    assert deleted.code == 0, deleted
    assert not [name for name in cluster.fks.ok("get", "nodes", "-o", "name").split() if name.startswith("node/ng-")]
    assert "No nodegroups found" in cluster.fks.ok("get", "nodegroup", "--cluster", cluster.name)
    assert not any("-kubelet" in name for name in cluster.processes())
    cluster.ready("default", 0, "app=serverless")
    cluster.settled()
