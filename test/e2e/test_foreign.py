"""FKS in a cluster that it did not make: real control plane, real kubelet, the programs as pods from their images."""

import base64
import json
import re
import subprocess
import threading
import time

import pytest

from foreign import Foreign
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


def ours(cluster):
    """What there is of FKS in the cluster."""
    kinds = "crd,clusterrole,clusterrolebinding,namespace,mutatingwebhookconfiguration,validatingwebhookconfiguration,priorityclass"
    return [name for name in cluster.kubectl.ok("get", kinds, "-o", "name").split() if "fks" in name]


def pod(name, where):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": where, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": IMAGE}]}}


class Load(threading.Thread):
    """Creates pods without end (as dry runs: what admission says of them is the same), and keeps what became of them."""

    def __init__(self, cluster, where):
        super().__init__(daemon=True)
        self.cluster, self.where, self.stopping = cluster, where, threading.Event()
        self.refused, self.schedulers = [], []

    def run(self):
        text = json.dumps(pod("load", self.where))
        while not self.stopping.is_set():
            result = self.cluster.kubectl.run("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
            if result.code != 0:
                self.refused.append(result.err)
            else:
                self.schedulers.append(json.loads(result.out)["spec"]["schedulerName"])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def scheduler_of(cluster, where):
    made = cluster.kubectl.ok("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod("probe", where)))
    return json.loads(made)["spec"]["schedulerName"]


def test_dry_run_needs_no_cluster_and_is_install_yaml(foreign):
    text = foreign.fks.ok("register", "cluster", "--name", "far", "--dry-run", env={"KUBECONFIG": "/nonexistent"})
    kinds = re.findall(r"^kind: (\S+)$", text, re.M)
    assert kinds == re.findall(r"^kind: (\S+)$", (CHART / "install.yaml").read_text(), re.M)
    assert "registry.example/fks/fks-webhook:9" in foreign.fks.ok("register", "cluster", "--name", "far", "--dry-run", "--image-registry",
                                                                  "registry.example/fks", "--image-tag", "9")


def test_who_may_not_is_told_what_is_missing(foreign):
    result = foreign.fks.fails("register", "cluster", "--name", "far", "--kubeconfig", foreign.write_kubeconfig("jane"))
    assert "your user may not: " in result.err and "patch clusterroles" in result.err
    assert not ours(foreign) and foreign.fks.ok("get", "clusters") == "No clusters found\n"


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
        # without the webhook only the profile's namespaces are held up, and only until it is back
        foreign.kubectl.ok("scale", "deployment/fks-webhook", "--replicas=0", "-n", "fks-system")
        text = json.dumps(pod("probe", "dev"))
        refused = eventually(lambda: (result := foreign.kubectl.run("create", "--dry-run=server", "-f", "-", stdin=text)).code and result, 90,
                             "a pod of the profile's namespace is refused")
        assert "fks-webhook.fks-system.svc" in refused.err
        assert scheduler_of(foreign, "other") == scheduler_of(foreign, "kube-system") == "default-scheduler"
        foreign.kubectl.ok("scale", "deployment/fks-webhook", "--replicas=2", "-n", "fks-system")
        eventually(lambda: scheduler_of(foreign, "dev") == "fargate-scheduler", 90, "the webhook is back")
        result = foreign.fks.run("deregister", "cluster", "--name", "far", seconds=300)
        assert result.code == 0, result
        assert not ours(foreign)
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


@pytest.fixture(scope="module")
def others(foreign):
    """Helm's release, while pods that are none of its business are created all the time."""
    with Load(foreign, "other") as load:
        helm(foreign, "install", "fks", CHART, "--create-namespace", "--wait", "--timeout=3m", profiles=PROFILES)
        settled(foreign)
        eventually(lambda: scheduler_of(foreign, "dev") == "fargate-scheduler", 30, "the profile is in force")
        yield load


def test_helm_upgrade_and_rollback_go_unnoticed(foreign, others):
    helm(foreign, "test", "fks", "--timeout=2m")
    with Load(foreign, "dev") as load:
        helm(foreign, "upgrade", "fks", CHART, "--wait", "--timeout=3m", profiles=PROFILES,
             webhook={"podValidation": "Enforce", "timeoutSeconds": 4})
        eventually(lambda: {item["timeoutSeconds"] for item in settled(foreign)["webhooks"]} == {4}, 60, "the new registration")
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

    def read_again(times):
        """So often has each webhook pod taken another certificate."""
        pods = foreign.kubectl.ok("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-webhook",
                                  "--field-selector=status.phase=Running", "-o", "name").split()
        return pods and all(foreign.kubectl.ok("logs", "-n", "fks-system", name).count("certificate read again") >= times for name in pods)

    with Load(foreign, "dev") as load:
        foreign.kubectl.ok("replace", "-f", "-", stdin=json.dumps(text))
        time.sleep(2)  # until the API server trusts both, as a scheduler would wait
        foreign.kubectl.ok("patch", "secret", "fks-webhook-tls", "-n", "fks-system", "--type=merge", "-p", json.dumps(patch))
        # a renewal keeps the authority of the certificate before it, no older one: nobody may still serve an older one
        eventually(lambda: read_again(1), 180, "the webhook pods serve what is in the Secret")
        foreign.kubectl.ok("scale", "deployment/fks-scheduler", "--replicas=2", "-n", "fks-system")

        def renewed():
            now = foreign.kubectl.json("get", "secret", "fks-webhook-tls", "-n", "fks-system")["data"]
            assert set(now) == {"ca.crt", "tls.crt", "tls.key"}, set(now)
            return now["tls.crt"] not in (before["tls.crt"], patch["data"]["tls.crt"]) and now

        now = eventually(renewed, 90, "the certificate is another one")
        assert settled(foreign)["webhooks"][0]["clientConfig"]["caBundle"] == now["ca.crt"]
        eventually(lambda: read_again(2), 180, "the webhook pods serve it")
    assert not load.refused and set(load.schedulers) == {"fargate-scheduler"}, load.refused


def test_helm_uninstall_refuses_nobody_and_leaves_nothing(foreign, others):
    with Load(foreign, "dev") as load:
        helm(foreign, "uninstall", "fks", "--wait", "--timeout=5m")
    assert not load.refused, load.refused
    assert not others.refused and set(others.schedulers) == {"default-scheduler"}, others.refused
    assert ours(foreign) == ["namespace/fks-system"]  # which Helm made, and leaves
    eventually(lambda: foreign.kubectl.ok("get", "all,secret,lease,configmap,role,rolebinding,networkpolicy,pdb", "-n", "fks-system", "-o",
                                          "name").split() == ["configmap/kube-root-ca.crt"], 120, "nothing of ours is left")


def test_no_call_was_denied(foreign):
    """Of the identities of FKS over all of the above."""
    denied, used = [], set()
    for line in (foreign.folder / "audit.log").read_text().splitlines():
        event = json.loads(line)
        user = event["user"]["username"].rpartition(":")[2]
        reference = event.get("objectRef", {})
        what = (user, event["verb"], "/".join(filter(None, [reference.get("resource"), reference.get("subresource")])))
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            # the webhook's pods end ten seconds after their role went, and meanwhile try to watch on
            if what != ("fks-webhook", "watch", "fargateprofiles") and what != ("fks-webhook", "list", "fargateprofiles"):
                denied.append((*what, reference.get("name"), event["requestURI"]))
        else:
            used.add(what)
    assert not denied
    for user, verb, resource in (("fks-webhook", "watch", "fargateprofiles"), ("fks-scheduler", "patch", "secrets"),
                                 ("fks-scheduler", "patch", "mutatingwebhookconfigurations"), ("fks-uninstall", "delete", "fargateprofiles")):
        assert (user, verb, resource) in used
