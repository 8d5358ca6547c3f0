"""What fks-scheduler does for pods beyond placing them: quotas, claims, spreading, drains, dead hosts, early pods."""

import time

import pytest

from cluster import until
from fakes import HOST_LABEL, HOSTS, NODES, PROFILES, Heart, Host, Space, make_node, pod

NAMESPACE = "care"
PDBS = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets"
CLAIMS = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"


@pytest.fixture(scope="module")
def api(plane):
    return Space(plane, NAMESPACE)


@pytest.fixture(scope="module")
def scheduler(plane, api, program):
    with program("fks-scheduler", "scheduler", options=["--leader-identity", "one"]) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(api):
    yield
    api.clean(PDBS)
    for path in (CLAIMS, VOLUMES):
        for item in api.get(path)["items"]:
            api.patch(f"{path}/{item['metadata']['name']}", {"metadata": {"finalizers": None}})
            api.delete(f"{path}/{item['metadata']['name']}")


def test_limits_above_the_size_are_refused(api, scheduler):
    api.make_profile()
    Host(api, "a")
    api.create("greedy", container={"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}})
    until(lambda: "the cpu limit 1 of container 'main' is above the 0.25vCPU 0.5GB" in api.message("greedy"))
    until(lambda: api.status().get("pods", {}).get("refused") == 1)
    assert api.status()["lastError"]["pod"] == f"{NAMESPACE}/greedy"
    assert api.status()["lastError"]["reason"] == "POD_UNSUPPORTED_ON_FARGATE"


def test_limits_above_the_size_are_cut_if_the_profile_says_so(api, scheduler):
    api.make_profile(limits="Clamp")
    Host(api, "a")
    api.create("greedy", container={"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}})
    until(lambda: api.host_of("greedy") == "a")


def test_quota_holds_back_and_shows_in_the_status(api, scheduler):
    api.make_profile(quota={"cpu": 1, "pods": 2})
    Host(api, "a")
    api.create("first", {"cpu": "500m"})
    until(lambda: api.host_of("first"))
    api.create("second", {"cpu": "1"})
    until(lambda: "its quota of vCPU is used up: 500m of 1 in use, 1 needed" in api.message("second"))
    api.create("third")
    until(lambda: api.host_of("third"))
    until(lambda: api.status().get("used") == {"cpu": "750m", "memory": "1536Mi", "pods": 2})
    assert api.status()["hard"] == {"cpu": "1", "pods": 2}
    api.create("fourth")
    until(lambda: "its quota of pods is used up: 2 of 2 in use" in api.message("fourth"))
    # a larger quota is used at once, a removed one as well
    api.patch(f"{PROFILES}/fp", {"spec": {"quota": {"cpu": 1, "pods": 3}}})
    until(lambda: api.host_of("fourth"), 5)
    api.patch(f"{PROFILES}/fp", {"spec": {"quota": None}})
    until(lambda: api.host_of("second"), 5)
    until(lambda: api.status().get("hard") == {})


def test_claims_are_waited_for(api, scheduler):
    api.make_profile()
    Host(api, "a")
    volume = [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]
    api.create("reader", volumes=volume)
    until(lambda: 'data not supported because: persistentvolumeclaim "shared" not found' in api.message("reader"))
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    api.post(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"}, "spec": spec})
    until(lambda: "PVC shared not bound" in api.message("reader"), 30)
    api.post(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "nfs"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
        "claimRef": {"namespace": NAMESPACE, "name": "shared"}, "nfs": {"server": "nfs.example.com", "path": "/"}}})
    until(lambda: api.host_of("reader") == "a", 60)


def test_disks_of_one_machine_are_refused(api, scheduler):
    api.make_profile()
    Host(api, "a")
    api.post(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
        "claimRef": {"namespace": NAMESPACE, "name": "ebs"}, "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "v"}}})
    api.post(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "ebs"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}})
    api.create("writer", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "ebs"}}])
    until(lambda: api.message("writer") == "Pod not supported on Fargate: volumes not supported: data not supported "
          "because: PVC ebs bound to invalid PV disk with CSI Driver: ebs.csi.aws.com", 60)


def test_spread_constraints_choose_the_zone(api, scheduler):
    api.make_profile()
    for name, zone in (("a1", "z1"), ("a2", "z1"), ("b1", "z2")):
        Host(api, name, zone=zone)
    Host(api, "b2", zone="z2", cpu="64", memory="128Gi")  # by fullness alone everything would go here
    constraint = {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
                  "labelSelector": {"matchLabels": {"app": "even"}}}
    for i in range(6):
        api.create(f"even-{i}", labels={"app": "even"}, topologySpreadConstraints=[constraint])
    until(lambda: all(api.host_of(f"even-{i}") for i in range(6)))
    zones = [api.host_of(f"even-{i}")[0] for i in range(6)]
    assert sorted(zones) == ["a", "a", "a", "b", "b", "b"]
    for name in ("b1", "b2"):
        api.patch(f"{HOSTS}/{name}", {"spec": {"unschedulable": True, "zone": "z2", "capacity": {"cpu": "0", "memory": "0"}}})


def test_a_deleted_profile_drains_its_pods_and_budgets_are_kept(api, scheduler):
    api.make_profile()
    Host(api, "a")
    until(lambda: "fks.dev/drain" in api.get(f"{PROFILES}/fp")["metadata"].get("finalizers", []))
    for name in ("kept", "goes", "waits"):
        api.create(name, labels={"app": name}, container={"resources": {"requests": {
            "cpu": "16" if name == "waits" else "250m"}}})
    for name in ("kept", "goes"):
        api.bind(name, "a")
        api.patch(f"{api.path}/{name}/status", {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}]}})
    api.post(PDBS, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "kept"},
                    "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "kept"}}}})
    until(lambda: api.get(f"{PDBS}/kept").get("status", {}).get("observedGeneration"), 30)
    api.request("DELETE", f"{PROFILES}/fp")
    until(lambda: api.status().get("state") == "DELETING")
    until(lambda: api.find(f"{api.path}/waits") is None)
    until(lambda: (api.find(f"{api.path}/goes") or {"metadata": {"deletionTimestamp": 1}})["metadata"].get(
        "deletionTimestamp"))
    api.delete(f"{api.path}/goes")
    time.sleep(2)
    assert "deletionTimestamp" not in api.pod("kept")["metadata"]
    assert api.find(f"{PROFILES}/fp")
    api.delete(f"{PDBS}/kept")
    until(lambda: "deletionTimestamp" in (api.find(f"{api.path}/kept") or {"metadata": {"deletionTimestamp": 1}})["metadata"],
          20)
    api.delete(f"{api.path}/kept")
    until(lambda: api.find(f"{PROFILES}/fp") is None, 10)


def test_profiles_that_go_while_their_pods_are_given_a_place(api, scheduler):
    """The eviction is under way when the host's book says yes: whichever is first, profile and pod go, and the scheduler stays."""
    Host(api, "a", cpu="1000", memory="1000Gi")
    names = [f"brief-{number}" for number in range(16)]
    for name in names:
        api.make_profile(name)
    until(lambda: all("fks.dev/drain" in item["metadata"].get("finalizers", []) for item in api.get(PROFILES)["items"]), 60)
    for number, name in enumerate(names):
        api.create(name, profile_name=name)
        time.sleep(number * 0.002)
        api.request("DELETE", f"{PROFILES}/{name}")
    until(lambda: not api.get(PROFILES)["items"], 60, lambda: f"profiles are left: {[api.get(PROFILES)['items'], scheduler.log()[-2000:]]}")
    assert not api.get(api.path)["items"] and scheduler.child.poll() is None


def test_pods_that_came_too_early_are_replaced(api, scheduler):
    api.post(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets", {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "example.com/none:1"}]}}}})
    api.post(api.path, pod("bare", labels={"app": "bare"}))
    try:
        def replicas():
            return {item["metadata"]["uid"] for item in api.get(api.path + "?labelSelector=app=web")["items"]
                    if "deletionTimestamp" not in item["metadata"]}

        until(lambda: len(replicas()) == 2)
        before = replicas()
        api.make_profile()
        time.sleep(3)
        assert replicas() == before  # the profile does not ask for it
        api.patch(f"{PROFILES}/fp", {"spec": {"reconcilePendingPods": True}})

        def replaced():
            now = replicas()
            return now if len(now) == 2 and not now & before else None

        # there is no webhook here, so the new ones miss their profile too: they are left in peace for a while
        after = until(replaced, 40)
        time.sleep(4)
        assert replicas() == after
        assert api.pod("bare")  # nobody would replace it
    finally:
        api.delete(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/web")


def test_pods_of_a_dead_host_are_replaced_elsewhere_and_nodes_go(api, scheduler):
    api.make_profile()
    dead = Host(api, "dead")
    api.patch(f"{HOSTS}/dead/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    alive = Host(api, "alive", cpu="0.25", memory="512Mi")
    api.create("lost", {"cpu": "500m"})
    api.bind("lost", "dead")
    orphan = make_node(api, "fargate-orphan", {"metadata": {"uid": "00000000-0000-0000-0000-000000000001"}}, "dead")
    api.patch(f"{NODES}/fargate-orphan", {"metadata": {"annotations": {"fks.dev/pod": f"{NAMESPACE}/never"}}})
    api.patch(f"{NODES}/fargate-lost", {"metadata": {"annotations": {"fks.dev/pod": f"{NAMESPACE}/lost"}}})
    assert orphan
    with Heart(api, alive):
        start = time.monotonic()
        until(lambda: api.find(f"{NODES}/fargate-orphan") is None, 60)
        assert 15 < time.monotonic() - start
        until(lambda: api.find(f"{api.path}/lost") is None, 60)
        assert 30 < time.monotonic() - start
        until(lambda: api.find(f"{NODES}/fargate-lost") is None, 5)
        found = api.get(f"/api/v1/namespaces/{NAMESPACE}/events?fieldSelector=reason=HostLost")["items"]
        assert "Host dead has no heartbeat any more" in found[0]["message"]
        told = until(lambda: (said := api.get(f"{HOSTS}/dead")["status"]["conditions"][0])["status"] == "Unknown" and said, 10)
        assert told["reason"] == "HostSilent" and "stopped renewing its Lease fks-system/dead; the last time was 2" in told["message"]
    dead.remove()


def test_metrics(api, scheduler):
    api.make_profile()
    Host(api, "a")
    api.create("large", {"cpu": "17"})
    api.create("fits")
    api.bind("fits", "a")
    until(lambda: api.message("large"))
    code, text = scheduler.get("/metrics")
    assert code == 200
    for line in ('fks_scheduler_used{host="a",zone="z1",resource="cpu"} 0.25',
                 'fks_scheduler_capacity{host="a",zone="z1",resource="memory"} 8589934592',
                 'fks_scheduler_hosts{state="open"} 1', "fks_scheduler_leading 1"):
        assert line in text
    for name in ("fks_scheduler_queue_length", 'fks_scheduler_refusals_total{reason="too_large"}',
                 'fks_scheduler_pod_seconds_count{stage="queue"}', 'fks_scheduler_pod_seconds_count{stage="node"}',
                 'fks_scheduler_pod_seconds_count{stage="bind"}', 'fks_scheduler_pod_seconds_count{stage="all"}'):
        assert name in text
