"""FKS in a cluster that it did not make: real control plane, real kubelet, the programs as pods from their images."""

import base64
import json
import re
import shutil
import subprocess
import time

import pytest

from foreign import ADDRESS, Foreign, Load, compare, documents_of, pod, read_audit
from harness import BIN, IMAGE, ROOT, eventually

MUTATING = "mutatingwebhookconfiguration/0500-fks-fargate-mutation.fks.dev"
VALIDATING = "validatingwebhookconfiguration/fks-fargate-validation.fks.dev"
VERSION = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
CHART = ROOT / "manifests"
pytestmark = pytest.mark.deadline(400)


@pytest.fixture(scope="module")
def foreign(folder, make_home):
    assets = make_home("assets-of-foreign").assets
    run = subprocess.run([ROOT / "scripts/images/make-program-images", BIN, folder / "images", VERSION, "fks", "fks-webhook", "fks-scheduler"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    cluster = Foreign(folder / "foreign", assets)
    try:
        cluster.start_control_plane()
        cluster.start_node()
        for name in ("fks", "fks-webhook", "fks-scheduler"):
            cluster.load(folder / f"images/{name}.tar")
        cluster.kubectl.ok("create", "namespace", "dev")
        cluster.kubectl.ok("create", "namespace", "other")
        cluster.kubectl.ok("create", "rolebinding", "jane", "-n", "dev", "--clusterrole=edit", "--user=jane")
        yield cluster
    finally:
        cluster.end()


def ours_of(cluster):
    """What there is of FKS in the cluster."""
    kinds = "crd,clusterrole,clusterrolebinding,namespace,mutatingwebhookconfiguration,validatingwebhookconfiguration,priorityclass"
    return [name for name in cluster.kubectl.ok("get", kinds, "-o", "name").split() if "fks" in name]


RESTRICTED = {"runAsNonRoot": True, "runAsUser": 65532, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
              "seccompProfile": {"type": "RuntimeDefault"}}


def scheduler_of(cluster, where):
    probe = pod("probe", where)
    probe["spec"]["containers"][0]["securityContext"] = RESTRICTED  # so that fks-system takes it, too
    made = cluster.kubectl.ok("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(probe))
    return json.loads(made)["spec"]["schedulerName"]


@pytest.mark.parametrize("made,options", [("install", []), ("install-eks", ["--preset", "eks"])])
def test_dry_run_needs_no_cluster_and_is_install_yaml(foreign, made, options):
    text = foreign.fks.ok("register", "cluster", "--name", "far", "--dry-run", *options, env={"KUBECONFIG": "/nonexistent"})
    manifest = (CHART / f"{made}.yaml").read_text()
    for pattern in (r"^kind: (\S+)$", r"^ +schedulerName: (\S+)$", r"^ +- (--[a-z-]+=\S+)$"):
        assert re.findall(pattern, text, re.M) == re.findall(pattern, manifest, re.M)
    assert "registry.example/fks/fks-webhook:9" in foreign.fks.ok("register", "cluster", "--name", "far", "--dry-run", "--image-registry",
                                                                  "registry.example/fks", "--image-tag", "9")


def test_who_may_not_is_told_what_is_missing(foreign):
    result = foreign.fks.fails("register", "cluster", "--name", "far", "--kubeconfig", foreign.write_kubeconfig("jane"))
    assert "your user may not: " in result.err and "patch clusterroles" in result.err
    assert not ours_of(foreign) and foreign.fks.ok("get", "clusters") == "No clusters found\n"


def test_register_use_deregister(foreign):
    with Load(foreign, "other") as load:
        result = foreign.fks.run("register", "cluster", "--name", "far", seconds=200)
        assert result.code == 0, f"{result}\n{foreign.kubectl.run('describe', 'pods', '-n', 'fks-system')}"
        assert re.search(r"^far\t+False$", foreign.fks.ok("get", "clusters"), re.M)
        assert "REGISTERED" in foreign.fks.ok("get", "cluster", "far")
        foreign.fks.ok("register", "cluster", "--name", "far", seconds=200)  # again changes nothing
        foreign.fks.ok("create", "fargateprofile", "--cluster", "far", "--name", "dev", "--namespace", "dev")
        assert scheduler_of(foreign, "dev") == "fargate-scheduler"  # it has waited
        foreign.kubectl.ok("create", "deployment", "web", f"--image={IMAGE}", "-n", "dev")
        waiting = eventually(lambda: foreign.kubectl.json("get", "pods", "-n", "dev")["items"], 30)[0]
        assert waiting["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"] == "dev"
        assert scheduler_of(foreign, "other") == "default-scheduler"
        # only those who may: people cannot place pods by hand
        assert "fks.dev/" in foreign.kubectl.fails("label", "pod", "-n", "dev", waiting["metadata"]["name"], "fks.dev/host=mine",
                                                      "--as=jane").err
        # without the webhook only the profile's namespaces are held up, and only until it is back; its own pods need it least
        foreign.kubectl.ok("scale", "deployment/fks-webhook", "--replicas=0", "-n", "fks-system")
        text = json.dumps(pod("probe", "dev"))
        refused = eventually(lambda: (result := foreign.kubectl.run("create", "--dry-run=server", "-f", "-", stdin=text)).code and result, 90,
                             "a pod of the profile's namespace is refused")
        assert 'failed calling webhook "0500-fks-fargate-mutation.fks.dev"' in refused.err and "fks-webhook.fks-system.svc" in refused.err
        assert {scheduler_of(foreign, where) for where in ("other", "default", "kube-system", "fks-system")} == {"default-scheduler"}
        foreign.kubectl.ok("scale", "deployment/web", "--replicas=2", "-n", "dev")
        said = eventually(lambda: [item["message"] for item in foreign.kubectl.json("get", "events", "-n", "dev")["items"]
                                   if item["reason"] == "FailedCreate"], 60, "its controller says why a pod is not made")
        assert "fks-webhook.fks-system.svc" in said[0]
        foreign.kubectl.ok("scale", "deployment/fks-webhook", "--replicas=2", "-n", "fks-system")
        eventually(lambda: scheduler_of(foreign, "dev") == "fargate-scheduler", 90, "the webhook is back")
        pods = eventually(lambda: (items := foreign.kubectl.json("get", "pods", "-n", "dev")["items"]) and len(items) == 2 and items, 120,
                          "the controller has tried again")
        assert {item["spec"]["schedulerName"] for item in pods} == {"fargate-scheduler"}
        # the scheduler withdraws the registrations with their ConfigMap, whoever deletes it
        foreign.kubectl.ok("delete", "configmap", "fks-webhook-registration", "-n", "fks-system")
        eventually(lambda: foreign.kubectl.run("get", MUTATING).code and foreign.kubectl.run("get", VALIDATING).code, 60, "it is withdrawn")
        result = foreign.fks.run("deregister", "cluster", "--name", "far", seconds=300)
        assert result.code == 0, result
        assert not ours_of(foreign)
    assert not load.refused and set(load.schedulers) == {"default-scheduler"}
    # the Deployment is its user's, and runs on the ordinary node now
    foreign.kubectl.ok("wait", "--for=condition=Available", "deployment/web", "-n", "dev", "--timeout=60s")
    foreign.kubectl.ok("delete", "deployment", "web", "-n", "dev")
    assert foreign.fks.ok("get", "clusters") == "No clusters found\n"


def helm(cluster, *words, **settings):
    values = [f"--set-json={key}={json.dumps(value)}" for key, value in settings.items()]
    result = cluster.helm.run(*words, *values, "--namespace=fks-system", seconds=300)
    assert result.code == 0, f"{result}\n{cluster.kubectl.run('get', 'pods,events', '-n', 'fks-system').out}"
    return result.out


def settled(cluster):
    """The registration has its final form."""
    def check():
        item = cluster.kubectl.json("get", MUTATING)
        assert "fks.dev/settling" not in item["metadata"].get("annotations", {})
        cluster.kubectl.ok("get", VALIDATING)
        return item

    return eventually(check, 90, "the registration is in force")


PROFILES = [{"name": "dev", "spec": {"selectors": [{"namespace": "dev"}]}}]
NEW_FIELD = "reconcilePendingPods"  # which the chart before did not have


def older_chart(folder):
    """A version before this one: its type of profiles lacks a field."""
    shutil.copytree(CHART, folder)
    path = folder / "crd/fargateprofiles.yaml"
    text, found = re.subn(rf"^( +){NEW_FIELD}:\n(?:\1 +.*\n)+", "", path.read_text(), flags=re.M)
    assert found == 1
    path.write_text(text)
    path = folder / "Chart.yaml"
    path.write_text(re.sub(r"^version: .*$", "version: 0.0.9", path.read_text(), flags=re.M))
    return folder


def has_new_field(cluster):
    crd = cluster.kubectl.json("get", "crd", "fargateprofiles.fks.dev")
    return NEW_FIELD in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


@pytest.fixture(scope="module")
def others(foreign):
    """Helm's release, of a chart before this one, while pods that are none of its business are created all the time."""
    with Load(foreign, "other") as load:
        helm(foreign, "install", "fks", older_chart(foreign.folder / "older"), "--create-namespace", "--wait", "--timeout=3m", profiles=PROFILES)
        settled(foreign)
        eventually(lambda: scheduler_of(foreign, "dev") == "fargate-scheduler", 30, "the profile is in force")
        yield load


def test_helm_upgrade_and_rollback_go_unnoticed(foreign, others):
    helm(foreign, "test", "fks", "--timeout=2m")
    # it is one to a cluster; the second is told whose the first is, and changes nothing
    second = foreign.helm.fails("install", "second", CHART, "--namespace=fks-system", seconds=120)
    assert "fks-system" in second.err and "release-name" in second.err and '"fks"' in second.err, second
    assert not has_new_field(foreign)
    with Load(foreign, "dev") as load:
        helm(foreign, "upgrade", "fks", CHART, "--wait", "--timeout=3m", profiles=PROFILES,
             webhook={"podValidation": "Enforce", "timeoutSeconds": 4})
        eventually(lambda: {item["timeoutSeconds"] for item in settled(foreign)["webhooks"]} == {4}, 60, "the new registration")
        assert has_new_field(foreign)  # the types are upgraded with the rest
        helm(foreign, "rollback", "fks", "1", "--wait", "--timeout=3m")
        eventually(lambda: {item["timeoutSeconds"] for item in settled(foreign)["webhooks"]} == {5}, 60, "the old registration")
    assert not load.refused and set(load.schedulers) == {"fargate-scheduler"}, load.refused
    assert "helm upgrade fks" in foreign.fks.fails("register", "cluster", "--name", "far").err


def test_a_certificate_that_ends_soon_is_renewed_unnoticed(foreign, others, tmp_path):
    before = foreign.kubectl.json("get", "secret", "fks-webhook-tls", "-n", "fks-system")["data"]
    # one of ten days' life, of an authority that is known nowhere yet
    pki = foreign.pki
    pki.issue("short", "fks-webhook", names="DNS:fks-webhook.fks-system.svc")
    foreign.kubectl.ok("scale", "deployment/fks-scheduler", "--replicas=0", "-n", "fks-system")
    eventually(lambda: not foreign.kubectl.json("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-scheduler")["items"], 60)
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(pki.path("ca.crt").read_bytes() + base64.b64decode(before["ca.crt"]))
    data = {"ca.crt": bundle, "tls.crt": pki.path("short.crt"), "tls.key": pki.path("short.key")}
    patch = {"data": {key: base64.b64encode(path.read_bytes()).decode() for key, path in data.items()}}
    text = json.loads(foreign.kubectl.ok("get", MUTATING, "-o", "json"))
    for item in text["webhooks"]:
        item["clientConfig"]["caBundle"] = patch["data"]["ca.crt"]

    def have_read(times):
        return (read := read_again(foreign)) and all(number >= times for number in read.values())

    with Load(foreign, "dev") as load:
        foreign.kubectl.ok("replace", "-f", "-", stdin=json.dumps(text))
        time.sleep(2)  # until the API server trusts both, as a scheduler would wait
        foreign.kubectl.ok("patch", "secret", "fks-webhook-tls", "-n", "fks-system", "--type=merge", "-p", json.dumps(patch))
        # a renewal keeps the authority of the certificate before it, no older one: nobody may still serve an older one
        eventually(lambda: have_read(1), 180, "the webhook pods serve what is in the Secret")
        foreign.kubectl.ok("scale", "deployment/fks-scheduler", "--replicas=2", "-n", "fks-system")

        def renewed():
            now = foreign.kubectl.json("get", "secret", "fks-webhook-tls", "-n", "fks-system")["data"]
            assert set(now) == {"ca.crt", "tls.crt", "tls.key"}, set(now)
            return now["tls.crt"] not in (before["tls.crt"], patch["data"]["tls.crt"]) and now

        now = eventually(renewed, 90, "the certificate is another one")
        assert settled(foreign)["webhooks"][0]["clientConfig"]["caBundle"] == now["ca.crt"]
        eventually(lambda: have_read(2), 180, "the webhook pods serve it")
    assert not load.refused and set(load.schedulers) == {"fargate-scheduler"}, load.refused


def read_again(cluster):
    """So often has each running webhook pod taken another certificate: {pod: times}."""
    pods = cluster.kubectl.ok("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-webhook",
                              "--field-selector=status.phase=Running", "-o", "name").split()
    return {name: cluster.kubectl.ok("logs", "-n", "fks-system", name).count("certificate read again") for name in pods}


def test_a_certificate_that_is_lost_is_replaced_unnoticed(foreign, others):
    before = foreign.kubectl.json("get", "secret", "fks-webhook-tls", "-n", "fks-system")["data"]
    times = read_again(foreign)
    with Load(foreign, "dev") as load:
        foreign.kubectl.ok("delete", "secret", "fks-webhook-tls", "-n", "fks-system")
        now = eventually(lambda: foreign.kubectl.json("get", "secret", "fks-webhook-tls", "-n", "fks-system")["data"], 90, "there is another")
        assert now["tls.crt"] != before["tls.crt"]
        # the old one is trusted for as long as somebody may serve it
        bundle = base64.b64decode(now["ca.crt"])
        assert base64.b64decode(before["ca.crt"]).partition(b"-----END")[0] in bundle and bundle.count(b"BEGIN CERTIFICATE") >= 2
        eventually(lambda: (after := read_again(foreign)) and all(after[name] > times.get(name, 0) for name in after), 180,
                   "the webhook pods serve it")
        assert settled(foreign)["webhooks"][0]["clientConfig"]["caBundle"] == now["ca.crt"]
    assert not load.refused and set(load.schedulers) == {"fargate-scheduler"}, load.refused


VIRTUAL_NODE = {
    "apiVersion": "v1", "kind": "Node", "metadata": {"name": "virtual-node", "labels": {"type": "virtual-kubelet"}},
    "spec": {"taints": [{"key": "virtual-kubelet.io/provider", "value": "azure", "effect": "NoSchedule"}]},
    "status": {"capacity": {"cpu": "100", "memory": "100Gi", "pods": "100"}, "allocatable": {"cpu": "100", "memory": "100Gi", "pods": "100"},
               "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]}}


def test_other_back_ends(foreign, others):
    """The examples: pods are handed to a virtual node, to a RuntimeClass on ordinary nodes, to another scheduler. No agent is here."""
    kubectl = foreign.kubectl
    foreign.start_scheduler("volcano")
    kubectl.ok("label", "node", "node-1", "sandbox=kata")
    examples = [CHART / f"examples/back-ends/{name}.yaml" for name in ("virtual-node", "runtime-class", "other-scheduler")]
    made = {}
    for path, where in zip(examples, ("burst", "untrusted", "batch")):
        kubectl.ok("apply", "-f", path)
        dry = ["create", "--dry-run=server", "-o", "json", "-f", "-"]
        eventually(lambda: "eks.amazonaws.com/fargate-profile" in json.loads(kubectl.ok(*dry, stdin=json.dumps(pod("probe", where))))
                   ["metadata"]["labels"], 60, f"the profile {where} is in force")
        made[where] = pod("main", where)
    # made as late as possible: without a kubelet it is taken for dead after a while
    kubectl.ok("create", "-f", "-", stdin=json.dumps(VIRTUAL_NODE))
    kubectl.apply(*made.values())

    def placed(where):
        return eventually(lambda: (item := kubectl.json("get", "pod", "main", "-n", where)) and item["spec"].get("nodeName") and item, 60,
                          f"the pod in {where} has a node")

    virtual, sandboxed, other = (placed(where) for where in made)
    assert virtual["spec"]["nodeName"] == "virtual-node" and virtual["spec"]["schedulerName"] == "default-scheduler"
    assert sandboxed["spec"]["nodeName"] == "node-1" and sandboxed["spec"]["runtimeClassName"] == "kata"
    assert other["spec"]["nodeName"] == "node-1" and other["spec"]["schedulerName"] == "volcano"
    for item in (virtual, sandboxed, other):  # the priority and the size of Fargate are not for them
        assert "priorityClassName" not in item["spec"] and "CapacityProvisioned" not in item["metadata"].get("annotations", {})
    for where in ("untrusted", "batch"):
        kubectl.ok("wait", "--for=condition=Ready", "pod/main", "-n", where, "--timeout=90s")
    assert (foreign.nodes[0].folder / "kata").exists()  # where that handler keeps what it runs
    # they are another's to look after: when their profile goes, they stay
    kubectl.ok("delete", "fargateprofile", "untrusted", "--timeout=90s")
    assert "deletionTimestamp" not in kubectl.json("get", "pod", "main", "-n", "untrusted")["metadata"]
    kubectl.ok("delete", "pod", "main", "-n", "burst", "--grace-period=0", "--force")
    kubectl.ok("delete", "node", "virtual-node")
    for path in examples:
        kubectl.ok("delete", "-f", path, "--ignore-not-found", "--timeout=90s")


def test_helm_uninstall_refuses_nobody_and_leaves_nothing(foreign, others):
    with Load(foreign, "dev") as load:
        helm(foreign, "uninstall", "fks", "--wait", "--timeout=5m")
    assert not load.refused, load.refused
    assert not others.refused and set(others.schedulers) == {"default-scheduler"}, others.refused
    assert ours_of(foreign) == ["namespace/fks-system"]  # which Helm made, and leaves
    eventually(lambda: foreign.kubectl.ok("get", "all,secret,lease,configmap,role,rolebinding,networkpolicy,pdb", "-n", "fks-system", "-o",
                                          "name").split() == ["configmap/kube-root-ca.crt"], 120, "nothing of ours is left")


AWS_PROFILE = """
apiVersion: fks.dev/v1
kind: FargateProfile
metadata: {name: of-aws}
spec: {selectors: [{namespace: of-aws}, {namespace: both}]}
"""


def start_aws(cluster):
    """What a real EKS has: AWS's webhook, by the name and with the rules that it has there. Ours, with AWS's names, stands in for it."""
    pki = cluster.pki.path
    profiles = cluster.folder / "aws.yaml"
    profiles.write_text(AWS_PROFILE)
    cluster.machine.start("aws-webhook", BIN / "fks-webhook", f"--listen={ADDRESS}:23445", f"--tls-cert={pki('apiserver.crt')}",
                          f"--tls-key={pki('apiserver.key')}", f"--profiles={profiles}")
    cluster.kubectl.apply({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "0500-amazon-eks-fargate-mutation.amazonaws.com"}, "webhooks": [{
            "name": "0500-amazon-eks-fargate-mutation.amazonaws.com", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "reinvocationPolicy": "Never", "sideEffects": "None", "timeoutSeconds": 5,
            "clientConfig": {"url": f"https://{ADDRESS}:23445/mutate", "caBundle": base64.b64encode(pki("ca.crt").read_bytes()).decode()},
            "rules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["pods"]}]}]},
        # its scheduler binds pods to Nodes of its own
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "aws"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kube-scheduler"},
         "subjects": [{"kind": "User", "name": "eks:fargate-scheduler"}]})


def test_beside_aws_fargate(foreign):
    """On a real EKS: each webhook takes the pods of its own profiles, and neither touches the other's."""
    kubectl = foreign.kubectl
    start_aws(foreign)
    for name in ("of-aws", "both"):
        kubectl.ok("create", "namespace", name)
    eventually(lambda: scheduler_of(foreign, "of-aws") == "fargate-scheduler", 30, "AWS's webhook answers")
    assert "fks register cluster --preset eks" in foreign.fks.fails("register", "cluster", "--name", "far").err
    profiles = [*PROFILES, {"name": "both", "spec": {"selectors": [{"namespace": "both"}]}}]
    helm(foreign, "install", "fks", CHART, "-f", CHART / "values-eks.yaml", "--wait", "--timeout=3m", profiles=profiles)
    settled(foreign)
    eventually(lambda: scheduler_of(foreign, "dev") == "fks-scheduler", 30, "the profile is in force")
    assert {where: scheduler_of(foreign, where) for where in ("of-aws", "both", "other")} == {
        "of-aws": "fargate-scheduler", "both": "fargate-scheduler", "other": "default-scheduler"}
    kubectl.apply(pod("ours", "dev"), pod("theirs", "of-aws"))
    ours, theirs = (kubectl.json("get", "pod", name, "-n", where) for name, where in (("ours", "dev"), ("theirs", "of-aws")))
    assert {key: value for key, value in ours["metadata"]["labels"].items() if "profile" in key} == {"fargate.fks.dev/fargate-profile": "dev"}
    assert {key: value for key, value in theirs["metadata"]["labels"].items() if "profile" in key} == {
        "eks.amazonaws.com/fargate-profile": "of-aws"}
    # our scheduler takes its own pods, and says so; theirs binds theirs to a Node of its kind
    eventually(lambda: [item for item in kubectl.json("get", "pod", "ours", "-n", "dev")["status"].get("conditions", [])
                        if item["type"] == "PodScheduled" and "host" in item.get("message", "")], 60, "our scheduler looks for a host")
    assert "  dev took the pod: selector 1 matches\n" in foreign.fks.ok("explain", "pod", "ours", "-n", "dev")
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "theirs"},
               "target": {"kind": "Node", "name": "fargate-ip-10-1-2-3.eu-west-1.compute.internal"}}
    kubectl.ok("create", "--raw", "/api/v1/namespaces/of-aws/pods/theirs/binding", "-f", "-", "--as=eks:fargate-scheduler",
               stdin=json.dumps(binding))
    assert "conditions" not in kubectl.json("get", "pod", "theirs", "-n", "of-aws")["status"] or "fks" not in json.dumps(
        kubectl.json("get", "pod", "theirs", "-n", "of-aws")["status"])
    # gone as it came, also when no scheduler of ours is left to help: the pod is deleted first, nobody would drain it
    kubectl.ok("delete", "pod", "ours", "-n", "dev", "--grace-period=0", "--force")
    kubectl.ok("scale", "deployment/fks-scheduler", "--replicas=0", "-n", "fks-system")
    eventually(lambda: not kubectl.json("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-scheduler")["items"], 60)
    helm(foreign, "uninstall", "fks", "--wait", "--timeout=5m")
    assert ours_of(foreign) == ["namespace/fks-system"]
    assert scheduler_of(foreign, "of-aws") == "fargate-scheduler" and scheduler_of(foreign, "dev") == "default-scheduler"


# what only comes with hosts, of which test_least_privilege.py shows that each is used; and what helm test needs when it comes before
# the programs are up
ELSEWHERE = ("ClusterRole/fks-scheduler: ", "Role/fks-scheduler: ", "Role/fks-test: list deployments ",
             "Role/fks-test: watch deployments ")


def test_every_right_was_used_and_no_call_denied(foreign):
    """Of the identities of FKS over all of the above."""
    rendered = foreign.folder / "rendered.yaml"
    rendered.write_text(helm(foreign, "template", "fks", CHART, profiles=PROFILES))
    objects = documents_of(foreign.kubectl.ok("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", rendered))
    rules = [item for item in objects if "Role" in item["kind"]]
    assert {item["metadata"]["name"] for item in rules} >= {"fks-webhook", "fks-scheduler", "fks-registration", "fks-uninstall",
                                                            "fks-profiles", "fks-test"}
    unused, denied = compare(rules, read_audit(foreign.folder / "audit.log"))
    assert not [line for line in unused if not line.startswith(ELSEWHERE)], "\n".join(unused)
    # the webhook's pods end ten seconds after their role went, and meanwhile try to watch on
    assert not [line for line in denied if not re.search(r":fks-webhook: (list|watch) fargateprofiles$", line)]
