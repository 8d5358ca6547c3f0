"""fks-webhook behind a real API server, set up by our own manifests."""

import base64
import json
import signal
import ssl
import urllib.error
import urllib.request

import pytest

from cluster import ApiError, free_port, until
from fakes import HOST_LABEL, HOSTS, LEASES, PODS, PROFILES, Host, pod, profile

PROFILE_LABEL = "eks.amazonaws.com/fargate-profile"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"
NAMESPACES = ("plain", "team-a", "team-b", "team-42")


class Webhook:
    def __init__(self, plane, program):
        self.plane, self.program = plane, program
        self.port = free_port()
        self.child = None

    def start(self, kubeconfig=None):
        pki = self.plane.pki.path
        self.child = self.plane.processes.start("fks-webhook", [
            self.program, "--kubeconfig", kubeconfig or self.plane.kubeconfig("webhook"), "--tls-cert",
            pki("webhook.crt"), "--tls-key", pki("webhook.key"), "--listen", f"127.0.0.1:{self.port}"])

    def stop(self, number=signal.SIGTERM):
        return self.plane.processes.stop(self.child, number)

    def status(self, path):
        """HTTP status of a GET, 0 when nobody answers."""
        context = ssl.create_default_context(cafile=str(self.plane.pki.path("ca.crt")))
        try:
            return urllib.request.urlopen(f"https://127.0.0.1:{self.port}{path}", context=context, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def configurations(self):
        """Our manifest with the two fields set that `fks create cluster` sets."""
        bundle = base64.b64encode(self.plane.pki.path("ca.crt").read_bytes()).decode()
        for item in self.plane.manifest("webhook/webhook.yaml"):
            for entry in item["webhooks"]:
                path = entry["clientConfig"]["url"].rsplit("/", 1)[1]
                entry["clientConfig"] = {"url": f"https://127.0.0.1:{self.port}/{path}", "caBundle": bundle}
            yield item

    def register(self):
        for item in self.configurations():
            kind = "mutating" if item["kind"].startswith("Mutating") else "validating"
            self.plane.admin.post(CONFIGURATIONS.format(kind), item)

    def unregister(self):
        for kind in ("mutating", "validating"):
            for item in self.plane.admin.get(CONFIGURATIONS.format(kind))["items"]:
                self.plane.admin.delete(f"{CONFIGURATIONS.format(kind)}/{item['metadata']['name']}")


@pytest.fixture(scope="module")
def api(plane):
    admin = plane.admin
    for name in NAMESPACES:
        admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name in NAMESPACES:
        until(lambda: admin.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), 30)
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "developers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}]})
    return admin


@pytest.fixture(scope="module")
def plain_pod(api):
    """What the API server makes of an ordinary pod while no webhook is registered."""
    return settled(api, "plain")


@pytest.fixture(scope="module")
def webhook(plane, api, plain_pod, binary):
    webhook = Webhook(plane, binary("fks-webhook"))
    webhook.start()
    try:
        until(lambda: webhook.status("/readyz") == 200, 30, "fks-webhook is ready")
        webhook.register()
        # the API server reads its configuration with a delay
        api.post(PROFILES, profile("probe", {"namespace": "team-a"}))
        until(lambda: PROFILE_LABEL in dry_run(api, "team-a")["metadata"].get("labels", {}), 30)
        until(lambda: refused(api, PROFILES, profile("eks-probe", {"namespace": "a"})), 30)
        api.delete(f"{PROFILES}/probe")
        yield webhook
    finally:
        webhook.unregister()
        webhook.stop()


@pytest.fixture(autouse=True)
def clean(api):
    yield
    for namespace in NAMESPACES:
        for item in api.get(PODS.format(namespace))["items"]:
            api.delete(f"{PODS.format(namespace)}/{item['metadata']['name']}")
    for path in (PROFILES, HOSTS, LEASES):
        for item in api.get(path)["items"]:
            api.delete(f"{path}/{item['metadata']['name']}")


def example(name="web", **rest):
    """A pod with little of everything; without the service account token, whose volume has a random name."""
    return pod(name, {"cpu": "100m"}, automountServiceAccountToken=False, nodeSelector={"disk": "ssd"}, **rest)


def settled(api, namespace, **rest):
    """Creates the example, takes it away again, and gives it without what differs from pod to pod."""
    made = api.post(PODS.format(namespace), example(**rest))
    api.delete(f"{PODS.format(namespace)}/web")
    return comparable(made)


def comparable(made):
    made = json.loads(json.dumps(made))
    for key in ("uid", "creationTimestamp", "resourceVersion", "managedFields", "namespace"):
        made["metadata"].pop(key, None)
    return made


def dry_run(api, namespace, body=None):
    return api.post(PODS.format(namespace) + "?dryRun=All", body or example())


def refused(api, path, body):
    """Whether a dry run is refused by the webhook."""
    try:
        api.post(path + "?dryRun=All", body)
    except ApiError as error:
        return "admission webhook" in error.message
    return False


def make_profile(api, name, *selectors, **spec):
    """A profile that the webhook knows: every change is waited for."""
    made = api.post(PROFILES, profile(name, *selectors, **spec))
    return made


def taken_by(api, namespace, labels=None, annotations=None):
    made = dry_run(api, namespace, example(labels=labels, annotations=annotations))
    return made["metadata"].get("labels", {}).get(PROFILE_LABEL)


def differences(before, after, path=""):
    """Paths whose values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted(before.keys() | after.keys()):
            found += differences(before.get(key), after.get(key), f"{path}/{key}")
        return found
    return [] if before == after else [(path, before, after)]


def test_matched_pod_gets_exactly_these_fields(api, webhook, plain_pod):
    make_profile(api, "fp", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "fp")
    made = settled(api, "team-a")
    assert differences(plain_pod, made) == [
        ("/metadata/labels", None, {PROFILE_LABEL: "fp"}),
        ("/spec/priority", 0, 2000001000),
        ("/spec/priorityClassName", None, "system-node-critical"),
        ("/spec/schedulerName", "default-scheduler", "fargate-scheduler"),
    ]


def test_unmatched_pod_is_the_same_with_and_without_the_webhook(api, webhook, plain_pod):
    make_profile(api, "fp", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "fp")
    assert json.dumps(settled(api, "plain"), sort_keys=True) == json.dumps(plain_pod, sort_keys=True)


@pytest.mark.parametrize("pattern,namespaces", [
    ("team-*", {"team-a", "team-b", "team-42"}),
    ("team-?", {"team-a", "team-b"}),
    ("*-4?", {"team-42"}),
    ("*", set(NAMESPACES)),
    ("team", set()),
])
def test_wildcards_in_namespaces(api, webhook, pattern, namespaces):
    # a second profile that always matches tells when the webhook has both
    make_profile(api, "aa", {"namespace": pattern, "labels": {"app": "w?b*"}})
    make_profile(api, "zz", {"namespace": "*", "labels": {"probe": "yes"}})
    until(lambda: taken_by(api, "plain", {"probe": "yes"}) == "zz")
    assert {name for name in NAMESPACES if taken_by(api, name, {"app": "web-1"}) == "aa"} == namespaces
    assert taken_by(api, "team-a", {"app": "wb"}) is None


def test_label_and_priority_choose_among_profiles(api, webhook):
    make_profile(api, "first", {"namespace": "team-a"})
    make_profile(api, "second", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "first" and taken_by(api, "team-a", {PROFILE_LABEL: "second"}) == "second")
    make_profile(api, "third", {"namespace": "team-a"}, priority=10)
    until(lambda: taken_by(api, "team-a") == "third")
    # edited in place
    api.patch(f"{PROFILES}/third", {"spec": {"priority": -10}})
    until(lambda: taken_by(api, "team-a") == "first")


def test_annotation_opts_out(api, webhook):
    make_profile(api, "fp", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "fp")
    assert taken_by(api, "team-a", annotations={"eks.amazonaws.com/compute-type": "ec2"}) is None


def test_invalid_profile_is_refused_with_all_reasons(api, webhook):
    bad = profile("eks-mine", {"namespace": "Not_A_Namespace"}, {"namespace": "a", "labels": {"-key": "v"}},
                  {"namespace": "b"}, {"namespace": "b"})
    with pytest.raises(ApiError) as error:
        api.post(PROFILES, bad)
    assert "profiles.fks.dev" in error.value.message
    for word in ("eks-", "Not_A_Namespace", "-key"):
        assert word in error.value.message
    # an update is checked as well
    make_profile(api, "good", {"namespace": "team-a"})
    with pytest.raises(ApiError) as error:
        api.patch(f"{PROFILES}/good", {"spec": {"selectors": [{"namespace": "UPPER"}]}})
    assert "UPPER" in error.value.message


def test_only_fks_may_set_its_keys_on_pods(plane, api, webhook):
    jane, scheduler = plane.as_user("user"), plane.as_user("scheduler")
    path = PODS.format("plain")
    for where in ("labels", "annotations"):
        with pytest.raises(ApiError) as error:
            jane.post(path, example(**{where: {"fks.dev/host": "a"}}))
        assert "pods.fks.dev" in error.value.message and "fks.dev/host" in error.value.message
    jane.post(path, example())
    with pytest.raises(ApiError):
        jane.patch(f"{path}/web", {"metadata": {"labels": {HOST_LABEL: "a"}}})
    scheduler.patch(f"{path}/web", {"metadata": {"labels": {HOST_LABEL: "a"}}})
    for value in ("b", None):
        with pytest.raises(ApiError) as error:
            jane.patch(f"{path}/web", {"metadata": {"labels": {HOST_LABEL: value}}})
        assert "pods.fks.dev" in error.value.message
    # what leaves our keys alone is nobody's business
    jane.patch(f"{path}/web", {"metadata": {"labels": {"mine": "yes"}, "annotations": {"note": "x"}}})


def test_status_updates_and_bindings_may_not_carry_our_keys(plane, api, webhook):
    rights = "/apis/rbac.authorization.k8s.io/v1/clusterrole"
    api.post(rights + "s", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "binder"}, "rules": [
        {"apiGroups": [""], "resources": ["pods/binding", "pods/status"], "verbs": ["create", "update", "patch"]}]})
    api.post(rights + "bindings", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "binder"},
                                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "binder"},
                                   "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}]})
    jane, path = plane.as_user("user"), PODS.format("plain") + "/web"
    jane.post(PODS.format("plain"), example())
    until(lambda: allowed(lambda: jane.patch(f"{path}/status", {"status": {"message": "x"}})), 10, "the rights are known")
    with pytest.raises(ApiError) as error:
        jane.patch(f"{path}/status", {"metadata": {"labels": {HOST_LABEL: "a"}}})
    assert "pods.fks.dev" in error.value.message

    def bind(user, node, **metadata):
        user.post(f"{path}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", **metadata},
                                      "target": {"apiVersion": "v1", "kind": "Node", "name": node}})

    for node, metadata in (("fargate-ip-10-0-0-1.local.compute.internal", {}), ("node-1", {"annotations": {"fks.dev/x": "y"}})):
        with pytest.raises(ApiError) as error:
            bind(jane, node, **metadata)
        assert "pods.fks.dev" in error.value.message
    with pytest.raises(ApiError) as error:
        jane.post(PODS.format("plain"), {**example("placed"), "spec": {**example()["spec"], "nodeName": "fargate-ip-10-0-0-1.x"}})
    assert "exists for one Fargate pod" in error.value.message
    bind(jane, "node-1")


def allowed(act):
    try:
        act()
        return True
    except ApiError as error:
        assert error.status == 403, error
        return False


def test_daemonsets_keep_off(api, webhook):
    def made(**spec):
        return api.post("/apis/apps/v1/namespaces/plain/daemonsets?dryRun=All", {
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{"name": "c", "image": "example.com/none:1"}], **spec}}}})["spec"]["template"]["spec"].get("affinity")

    terms = {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]}]}]}
    assert made(tolerations=[{"operator": "Exists"}]) == {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert made() is None
    assert made(tolerations=[{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]) is None


def test_unsupported_pods_warn_or_are_refused(api, webhook):
    make_profile(api, "fp", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "fp")
    bad = example(hostNetwork=True)
    bad["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "20"}}
    assert dry_run(api, "team-a", bad)["spec"]["schedulerName"] == "fargate-scheduler"
    assert api.warnings == ["Pod not supported on Fargate: fields not supported: HostNetwork, Your pod's cpu/memory requirements "
                            "exceed the max Fargate configuration"]
    api.patch(f"{PROFILES}/fp", {"spec": {"podValidation": "Enforce"}})

    def refusal():
        try:
            dry_run(api, "team-a", bad)
        except ApiError as error:
            return error.message

    text = until(refusal, 10, "the webhook knows")
    for part in ("0500-fks-fargate-mutation.fks.dev", "HostNetwork", "exceed the max", "FargateProfile 'fp'", "compute-type: ec2"):
        assert part in text
    assert taken_by(api, "team-a") == "fp"  # what is supported goes on
    # an annotation takes the pod out of the profile's hands
    bad["metadata"]["annotations"] = {"eks.amazonaws.com/compute-type": "ec2"}
    assert dry_run(api, "team-a", bad)["spec"]["schedulerName"] == "default-scheduler"


def test_overlapping_profiles_are_named(api, webhook):
    make_profile(api, "fp", {"namespace": "team-*"})
    until(lambda: taken_by(api, "team-a") == "fp")
    make_profile(api, "other", {"namespace": "*-a", "labels": {"app": "x"}})
    assert api.warnings == ["spec.selectors[0] overlaps with FargateProfile 'fp': pods that match both go to 'fp', which has the "
                            "alphabetically first name"]
    make_profile(api, "third", {"namespace": "plain"})
    assert api.warnings == []


def test_status_on_a_fargate_node_is_for_fks(plane, api, webhook):
    """Phase, addresses and the kubelet's conditions; others may add conditions, and the cluster's controllers end pods."""
    rules = [{"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch", "update"]}]
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "status"}, "rules": rules})
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "status"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "status"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}]})
    jane, node = plane.as_user("user"), plane.as_user("node")
    path = PODS.format("plain")
    # bound by hand: system:masters may
    api.post(path, example(nodeName="fargate-ip-10-0-0-9.local.compute.internal"))
    status = f"{path}/web/status"
    until(lambda: refused_patch(jane, status, {"status": {"phase": "Succeeded"}}, "403"), 20)
    with pytest.raises(ApiError) as error:
        jane.patch(status, {"status": {"podIP": "10.9.9.9"}})
    assert "pods.fks.dev" in error.value.message and "is reported by FKS" in error.value.message
    gate = [{"type": "example.com/target", "status": "True"}]
    made = jane.patch(status, {"status": {"conditions": gate}}, "application/strategic-merge-patch+json")
    assert "example.com/target" in [each["type"] for each in made["status"]["conditions"]]
    node.patch(status, {"status": {"phase": "Running"}})
    assert api.get(f"{path}/web")["status"]["phase"] == "Running"
    # on an ordinary node it is RBAC's matter alone
    api.delete(f"{path}/web")
    api.post(path, example(nodeName="ordinary"))
    jane.patch(status, {"status": {"phase": "Succeeded"}})


def refused_patch(user, path, body, status):
    """Whether a dry run is refused with this status; the API server learns of a role with a delay."""
    try:
        user.patch(path + "?dryRun=All", body)
    except ApiError as error:
        return str(error.status) == status and "admission webhook" in error.message
    return False


def test_not_ready_before_the_first_list(plane, webhook):
    other = Webhook(plane, webhook.program)
    config = json.loads(plane.kubeconfig("webhook").read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    path = plane.folder / "nowhere.kubeconfig"
    path.write_text(json.dumps(config))
    other.start(path)
    try:
        until(lambda: other.status("/healthz") == 200, 10, "fks-webhook answers")
        assert other.status("/readyz") == 503
    finally:
        assert other.stop() == 0


def test_restart_refuses_pods_and_then_goes_on(api, webhook):
    make_profile(api, "fp", {"namespace": "team-a"})
    until(lambda: taken_by(api, "team-a") == "fp")
    webhook.stop(signal.SIGKILL)
    # refused, not let through without its profile
    with pytest.raises(ApiError) as error:
        dry_run(api, "team-a")
    assert "failed calling webhook" in error.value.message
    # but not those that it would not be asked about, nor the cluster's own
    assert dry_run(api, "team-a", example(annotations={"eks.amazonaws.com/compute-type": "ec2"}))
    assert dry_run(api, "team-a", example(schedulerName="mine"))
    assert dry_run(api, "kube-system") and dry_run(api, "fks-system")
    webhook.start()

    def again():
        try:
            return taken_by(api, "team-a")
        except ApiError as failed:
            assert "failed calling webhook" in failed.message
            return None

    assert until(again, 20) == "fp"


def test_from_a_persons_pod_to_a_reserved_host(plane, api, webhook, program):
    """Admission, sizing and reservation together, each program with its own rights."""
    make_profile(api, "fp", {"namespace": "team-*", "labels": {"app": "web"}})
    Host(api, "a")
    with program("fks-scheduler", "scheduler"):
        until(lambda: taken_by(api, "team-b", {"app": "web"}) == "fp")
        plane.as_user("user").post(PODS.format("team-b"), pod("web", {"cpu": "1"}, {"app": "web"}))
        found = until(lambda: (lambda item: HOST_LABEL in item["metadata"]["labels"] and item)(
            api.get(PODS.format("team-b") + "/web")))
    assert found["metadata"]["annotations"]["CapacityProvisioned"] == "1vCPU 2GB"
