"""fks-webhook beside an independent reference (admission_reference.py): generated profiles and pods, and what the real API server
makes of the patch. FKS_TEST_SEED chooses other ones, FKS_TEST_PODS how many of them the API server gets (default 120).
"""

import base64
import http.client
import json
import os
import random
import ssl
import tempfile
from pathlib import Path

import pytest

import cluster as control
from admission_reference import COMPUTE_TYPE, PROFILE_LABEL, admitted, apply_patch
from cluster import free_port, until
from fakes import PODS, PROFILES
from test_webhook import Webhook, comparable

SEED = int(os.environ.get("FKS_TEST_SEED", "1"))
ROUNDS, PODS_A_ROUND = 30, 80
STORED = int(os.environ.get("FKS_TEST_PODS", "120"))
ALONE = "fks-system"  # where the API server does not ask the webhook
NAMESPACES = ["default", "dev", "dev-1", "prod", "prod-eu", "team-a", "team-b", "x"]
NAMESPACE_PATTERNS = NAMESPACES + ["*", "dev*", "*-?", "prod-??", "?", "*e*", "team-*", "no-*"]
KEYS = ["app", "tier", "example.com/role", "a_b.c", "x.io/y"]
KEY_PATTERNS = KEYS + ["*", "*/role", "a??", "example.com/*"]
VALUES = ["web", "db", "w", "", "web-1"]
VALUE_PATTERNS = VALUES + ["*", "w*", "?", "w?b", "*-?"]


def some(dice, items, most):
    return dice.sample(items, dice.randint(0, most))


def make_selector(dice):
    selector = {"namespace": dice.choice(NAMESPACE_PATTERNS)}
    labels = {key: dice.choice(VALUE_PATTERNS) for key in some(dice, KEY_PATTERNS, 2)}
    return {**selector, "labels": labels} if labels or dice.random() < 0.1 else selector


def make_profile(dice, name):
    selectors = []
    for _ in range(dice.randint(1, 3)):
        selector = make_selector(dice)
        if not any(selector["namespace"] == other["namespace"] and selector.get("labels", {}) == other.get("labels", {}) for other in selectors):
            selectors.append(selector)
    spec = {"selectors": selectors}
    if dice.random() < 0.4:
        spec["priority"] = dice.choice([-5, 0, 1, 1, 100])
    if dice.random() < 0.2:
        spec["runtimeClassName"] = "kata"
    if dice.random() < 0.2:
        spec["schedulerName"] = dice.choice(["default-scheduler", "other-back-end"])
    if dice.random() < 0.3:
        spec["nodeSelector"] = {"type": "virtual-kubelet", **({"example.com/zone": "a"} if dice.random() < 0.5 else {})}
    if dice.random() < 0.3:
        spec["tolerations"] = [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}, {"key": "k", "value": "v"}][:dice.randint(1, 2)]
    return {"apiVersion": "fks.dev/v1", "kind": "FargateProfile", "metadata": {"name": name}, "spec": spec}


def make_pod(dice, names, priority=True):
    metadata, spec = {"name": "p"}, {"containers": [{"name": "c", "image": "example.com/none:1"}]}
    labels = {key: dice.choice(VALUES) for key in some(dice, KEYS, 3)}
    if dice.random() < 0.15:
        labels[PROFILE_LABEL] = dice.choice(names + ["nobody"])
    if labels or dice.random() < 0.2:
        metadata["labels"] = labels
    annotations = {}
    if dice.random() < 0.08:
        annotations[COMPUTE_TYPE] = dice.choice(["ec2", "fargate"])
    if dice.random() < 0.03:
        annotations["kubernetes.io/config.mirror"] = "abc"
    if annotations or dice.random() < 0.1:
        metadata["annotations"] = annotations
    if dice.random() < 0.3:
        kind, version = dice.choice([("DaemonSet", "apps/v1"), ("ReplicaSet", "apps/v1"), ("DaemonSet", "example.com/v1"), ("Job", "batch/v1")])
        metadata["ownerReferences"] = [{"apiVersion": version, "kind": kind, "name": "o", "uid": "u"}]
    if dice.random() < 0.5:
        spec["schedulerName"] = dice.choice(["default-scheduler"] * 4 + ["", "fargate-scheduler", "mine"])
    if dice.random() < 0.05:
        spec["nodeName"] = dice.choice(["", "node-1"])
    if dice.random() < 0.6 and priority:
        spec["priority"] = dice.choice([0, 0, 7, 2000001000])
        spec["preemptionPolicy"] = dice.choice(["PreemptLowerPriority", "Never"])
    if dice.random() < 0.3:
        spec["nodeSelector"] = dice.choice([{}, {"disk": "ssd"}, {"type": "mine", "disk": "ssd"}])
    if dice.random() < 0.3:
        spec["tolerations"] = dice.choice([[], [{"key": "k", "value": "v"}], [{"operator": "Exists"}]])
    if dice.random() < 0.1:
        spec["runtimeClassName"] = "gvisor"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


class Reviews:
    """POSTs AdmissionReviews over one connection."""

    def __init__(self, port, context):
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)

    def patch(self, namespace, pod):
        review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": namespace, "operation": "CREATE", "object": pod}}
        self.connection.request("POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())["response"]
        assert answer["allowed"], answer
        return json.loads(base64.b64decode(answer["patch"])) if "patch" in answer else []


def test_match_and_patch_equal_the_reference(plane, binary):
    dice = random.Random(SEED)
    folder = Path(tempfile.mkdtemp(prefix="reference-", dir=plane.folder))
    context = ssl.create_default_context(cafile=str(plane.pki.path("ca.crt")))
    taken = untouched = 0
    for number in range(ROUNDS):
        names = [f"p{n}" for n in dice.sample(range(100), dice.randint(0, 12))]
        profiles = [make_profile(dice, name) for name in names]
        file = folder / f"{number}.yaml"
        file.write_text("\n---\n".join(map(json.dumps, profiles)))
        port = free_port()
        child = plane.processes.start("fks-webhook-reference", [
            binary("fks-webhook"), f"--listen=127.0.0.1:{port}", f"--profiles={file}", "--workers=1",
            f"--tls-cert={plane.pki.path('webhook.crt')}", f"--tls-key={plane.pki.path('webhook.key')}"])
        try:
            reviews = Reviews(port, context)
            until(lambda: child.poll() is None and answers(reviews), 10, "fks-webhook answers")
            for _ in range(PODS_A_ROUND):
                namespace, pod = dice.choice(NAMESPACES), make_pod(dice, names)
                name, wanted = admitted(profiles, namespace, pod)
                got = apply_patch(pod, reviews.patch(namespace, pod))
                assert got == wanted, json.dumps([profiles, namespace, pod])
                assert reviews.patch(namespace, got) == [] or name is None, (profiles, namespace, got)
                taken, untouched = taken + (name is not None), untouched + (name is None)
        finally:
            assert plane.processes.stop(child) == 0
    assert taken + untouched == ROUNDS * PODS_A_ROUND >= 2000
    assert min(taken, untouched) > 500, (taken, untouched)  # the dice throw both


def answers(reviews):
    try:
        return reviews.patch("nowhere-at-all", {"metadata": {}, "spec": {}}) is not None
    except OSError:
        reviews.connection.close()
        return False


@pytest.fixture
def registered(plane, binary):
    webhook = Webhook(plane, binary("fks-webhook"))
    webhook.start()
    try:
        until(lambda: webhook.status("/readyz") == 200, 30, "fks-webhook is ready")
        webhook.register()
        yield plane.admin
    finally:
        webhook.unregister()
        webhook.stop()
        for item in plane.admin.get(PROFILES)["items"]:
            plane.admin.delete(f"{PROFILES}/{item['metadata']['name']}")


def test_what_the_api_server_makes_of_the_patch(plane, registered):
    """A pod that the webhook patches ends up, in every field, as the one that the reference says, written so by hand where no
    webhook is asked."""
    dice = random.Random(SEED + 1)
    api = registered
    for name in ("kata", "gvisor"):
        api.post("/apis/node.k8s.io/v1/runtimeclasses", {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name})
    for namespace in ("dev-1", "prod-eu"):
        api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        until(lambda: api.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"), 30)
    names = [f"r{n}" for n in range(8)]
    profiles = [make_profile(dice, name) for name in names]
    profiles.append({"apiVersion": "fks.dev/v1", "kind": "FargateProfile", "metadata": {"name": "probe"},
                     "spec": {"selectors": [{"namespace": "*", "labels": {"probe": "yes"}}], "priority": 1000}})
    for item in profiles:
        api.post(PROFILES, item)
    made = lambda namespace, pod: comparable(api.post(PODS.format(namespace) + "?dryRun=All", pod))
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {"probe": "yes"}},
             "spec": {"containers": [{"name": "c", "image": "example.com/none:1"}]}}
    until(lambda: made("dev-1", probe)["metadata"]["labels"].get(PROFILE_LABEL) == "probe", 30, "the webhook is asked")
    until(lambda: api.find(f"/api/v1/namespaces/{ALONE}/serviceaccounts/default"), 30)
    assert made(ALONE, probe)["spec"]["schedulerName"] == "default-scheduler"
    taken = 0
    for _ in range(STORED):
        namespace, pod = dice.choice(["dev-1", "prod-eu"]), make_pod(dice, names, priority=False)
        pod["metadata"].pop("ownerReferences", None)
        pod["metadata"].get("annotations", {}).pop("kubernetes.io/config.mirror", None)
        pod["spec"]["automountServiceAccountToken"] = False
        name, wanted = admitted(profiles, namespace, pod)
        taken += name is not None
        by_webhook = made(namespace, pod)
        by_hand = made(ALONE, wanted)
        assert by_webhook == by_hand, (profiles, namespace, pod)
        assert by_webhook["metadata"].get("labels", {}).get(PROFILE_LABEL) == wanted["metadata"].get("labels", {}).get(PROFILE_LABEL)
        for field in ("schedulerName", "priorityClassName", "runtimeClassName", "nodeSelector"):
            if wanted["spec"].get(field):
                assert by_webhook["spec"].get(field) == wanted["spec"][field], (field, pod)
    assert STORED / 6 < taken < STORED * 11 / 12, taken
    for name in ("kata", "gvisor"):
        api.delete(f"/apis/node.k8s.io/v1/runtimeclasses/{name}")
