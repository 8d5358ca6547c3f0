"""fks-scheduler against a real API server; the hosts are fakes that write what fks-node would."""

import signal
import threading
import time

import pytest

from cluster import until
from fakes import HOST_LABEL, HOSTS, LEASES, NODES, PODS, PROFILES, Agents, Host, make_node, pod, profile

NAMESPACE = "scheduling"
PATH = PODS.format(NAMESPACE)


@pytest.fixture(scope="module")
def api(plane):
    plane.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    until(lambda: plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30)
    return plane.admin


@pytest.fixture(scope="module")
def scheduler(plane, api, program):
    # a name of its own, so that a restart goes on at once
    with program("fks-scheduler", "scheduler", options=["--leader-identity", "one"]) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(api):
    yield
    for item in api.get(PATH)["items"]:
        api.delete(f"{PATH}/{item['metadata']['name']}")
    for path in (NODES, HOSTS, PROFILES):
        for item in api.get(path)["items"]:
            api.delete(f"{path}/{item['metadata']['name']}")
    for item in api.get(LEASES)["items"]:
        if item["metadata"]["name"] != "fks-scheduler":
            api.delete(f"{LEASES}/{item['metadata']['name']}")
    until(lambda: not api.get(PROFILES)["items"], 15)


def make_profile(api, name="fp", **spec):
    return api.post(PROFILES, profile(name, {"namespace": NAMESPACE}, **spec))


def create(api, name, requests=None, profile_name="fp", **rest):
    """A pod as it is after admission."""
    body = pod(name, requests, labels={"eks.amazonaws.com/fargate-profile": profile_name},
               schedulerName="fargate-scheduler", **rest)
    return api.post(PATH, body)


def get(api, name):
    return api.get(f"{PATH}/{name}")


def host_of(api, name):
    return get(api, name)["metadata"]["labels"].get(HOST_LABEL)


def condition(api, name):
    for item in get(api, name).get("status", {}).get("conditions", []):
        if item["type"] == "PodScheduled":
            return item
    return None


def events(api, name, reason):
    found = api.get(f"/api/v1/namespaces/{NAMESPACE}/events?fieldSelector=involvedObject.name={name},reason={reason}")
    return [item["message"] for item in found["items"]]


@pytest.mark.parametrize("requests,capacity", [
    ({}, "0.25vCPU 0.5GB"),
    ({"cpu": "250m", "memory": "1000Mi"}, "0.25vCPU 2GB"),
    ({"cpu": "255m", "memory": "1800Mi"}, "0.5vCPU 3GB"),
    ({"cpu": "1", "memory": "8Gi"}, "2vCPU 9GB"),
    ({"cpu": "16", "memory": "100Gi"}, "16vCPU 104GB"),
])
def test_reserves_fargates_sizes(api, scheduler, requests, capacity):
    make_profile(api)
    Host(api, "big", cpu="64", memory="512Gi")
    create(api, "sized", requests)
    until(lambda: host_of(api, "sized") == "big")
    annotations = get(api, "sized")["metadata"]["annotations"]
    assert annotations["CapacityProvisioned"] == capacity
    assert annotations["Logging"] == "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND"
    until(lambda: events(api, "sized", "LoggingDisabled"))


def test_exact_sizing(api, scheduler):
    make_profile(api, sizing="Exact")
    Host(api, "a")
    create(api, "exact", {"cpu": "100m", "memory": "256Mi"})
    until(lambda: host_of(api, "exact") == "a")
    assert get(api, "exact")["metadata"]["annotations"]["CapacityProvisioned"] == "0.1vCPU 0.5GB"


def test_binds_to_the_node_of_the_pod_only(api, scheduler):
    make_profile(api)
    Host(api, "a")
    one = create(api, "one")
    until(lambda: host_of(api, "one") == "a")
    make_node(api, "fargate-other-pod", one, "a", uid="00000000-0000-0000-0000-000000000000")
    make_node(api, "fargate-other-host", one, "b")
    make_node(api, "fargate-not-ready", one, "a", ready=False)
    time.sleep(1)
    assert "nodeName" not in get(api, "one")["spec"]
    api.delete(f"{NODES}/fargate-not-ready")
    make_node(api, "fargate-right", one, "a")
    until(lambda: get(api, "one")["spec"].get("nodeName") == "fargate-right")
    assert condition(api, "one")["status"] == "True"
    until(lambda: events(api, "one", "Scheduled") == [f"Successfully assigned {NAMESPACE}/one to fargate-right"])


@pytest.mark.parametrize("name,spec,text", [
    ("host-network", {"hostNetwork": True}, "HostNetwork"),
    ("privileged", {"container": {"securityContext": {"privileged": True}}}, "Privileged"),
    ("host-port", {"container": {"ports": [{"containerPort": 80, "hostPort": 8080}]}}, "HostPort"),
    ("host-path", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "v is of an unsupported volume Type"),
])
def test_unsupported_pods_wait_with_a_reason(api, scheduler, name, spec, text):
    make_profile(api)
    Host(api, "a")
    create(api, name, **spec)
    found = until(lambda: condition(api, name))
    assert (found["status"], found["reason"]) == ("False", "POD_UNSUPPORTED_ON_FARGATE")
    assert found["message"].startswith("Pod not supported on Fargate: ") and text in found["message"]
    until(lambda: events(api, name, "FailedScheduling") == [found["message"]])
    assert host_of(api, name) is None


def test_too_large_pods_wait_with_a_reason(api, scheduler):
    make_profile(api)
    Host(api, "a", cpu="64", memory="512Gi")
    create(api, "large", {"cpu": "17"})
    found = until(lambda: condition(api, "large"))
    assert (found["status"], found["reason"]) == ("False", "POD_CPU_MEM_EXCEEDS_MAX_FARGATE_SIZE")
    assert found["message"].startswith("Your pod's cpu/memory requirements exceed the max Fargate configuration")


def test_no_capacity_says_what_to_change_and_ends_with_a_new_host(api, scheduler):
    make_profile(api)
    Host(api, "small", cpu="1", memory="1Gi")
    create(api, "wanting", {"cpu": "2"})
    found = until(lambda: condition(api, "wanting"))
    assert found["reason"] == "Unschedulable"
    assert found["message"].startswith("Fargate capacity is unavailable at this time. Please try again later or in a "
                                       "different availability zone")
    assert "1 is smaller than the pod" in found["message"]
    start = time.monotonic()
    Host(api, "large")
    until(lambda: host_of(api, "wanting") == "large", 5)
    assert time.monotonic() - start < 1  # woken, not found by the next retry


def test_missing_profile_is_named(api, scheduler):
    Host(api, "a")
    create(api, "orphan", profile_name="nowhere")
    found = until(lambda: condition(api, "orphan"))
    assert "fargate profile nowhere does not exist" in found["message"]
    make_profile(api, "nowhere")
    until(lambda: host_of(api, "orphan") == "a", 5)


def test_zones_and_selectors_choose_the_host(api, scheduler):
    make_profile(api)
    make_profile(api, "fp-z3", zones=["z3"])
    for zone in ("z1", "z2", "z3"):
        Host(api, f"in-{zone}", zone=zone)
    create(api, "by-selector", nodeSelector={"topology.kubernetes.io/zone": "z2"})
    create(api, "by-profile", profile_name="fp-z3")
    until(lambda: host_of(api, "by-selector") == "in-z2")
    until(lambda: host_of(api, "by-profile") == "in-z3")


def test_runtime_class_needs_its_handler(api, scheduler):
    make_profile(api)
    Host(api, "plain")
    api.post("/apis/node.k8s.io/v1/runtimeclasses",
             {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"},
              "handler": "kata-qemu"})
    create(api, "isolated", runtimeClassName="kata")
    assert "lacks the runtime handler" in until(lambda: condition(api, "isolated"))["message"]
    Host(api, "with-kata", runtimeHandlers=["kata-qemu"])
    until(lambda: host_of(api, "isolated") == "with-kata", 5)
    api.delete("/apis/node.k8s.io/v1/runtimeclasses/kata")


def test_scheduling_gates_hold_a_pod_back(api, scheduler):
    make_profile(api)
    Host(api, "a")
    create(api, "gated", schedulingGates=[{"name": "example.com/wait"}])
    time.sleep(1)
    assert host_of(api, "gated") is None
    api.patch(f"{PATH}/gated", {"spec": {"schedulingGates": []}})
    until(lambda: host_of(api, "gated") == "a", 5)


def test_ended_pods_free_their_room(api, scheduler):
    make_profile(api)
    Host(api, "single", pods=1)
    first = create(api, "first")
    until(lambda: host_of(api, "first") == "single")
    make_node(api, "fargate-first", first, "single")
    until(lambda: get(api, "first")["spec"].get("nodeName"))
    create(api, "second")
    assert "runs as many pods as it may" in until(lambda: condition(api, "second"))["message"]
    api.patch(f"{PATH}/first/status", {"status": {"phase": "Succeeded"}})
    until(lambda: host_of(api, "second") == "single", 5)


def test_dead_hosts_lose_their_unbound_pods(api, scheduler):
    make_profile(api)
    Host(api, "dying", age=35)  # five seconds left
    create(api, "moving")
    bound = create(api, "staying")
    until(lambda: host_of(api, "moving") == "dying" and host_of(api, "staying") == "dying")
    make_node(api, "fargate-staying", bound, "dying")
    until(lambda: get(api, "staying")["spec"].get("nodeName"))
    Host(api, "alive", cpu="0.25", memory="512Mi")
    until(lambda: host_of(api, "moving") == "alive", 15)
    assert host_of(api, "staying") == "dying"


def test_profile_status_counts_pods(api, scheduler):
    make_profile(api)
    path = f"{PROFILES}/fp"
    status = until(lambda: api.get(path).get("status"), 5)
    assert status["state"] == "ACTIVE" and status["namespaces"] == NAMESPACE
    assert status["conditions"][0]["type"] == "Ready" and status["conditions"][0]["status"] == "True"
    Host(api, "a")
    first = create(api, "first")
    create(api, "second")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 2, "pending": 2, "running": 0, "refused": 0}, 5)
    make_node(api, "fargate-first", first, "a")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 2, "pending": 1, "running": 1, "refused": 0}, 5)
    api.delete(f"{PATH}/second")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 1, "pending": 0, "running": 1, "refused": 0}, 5)
    version = api.get(path)["metadata"]["resourceVersion"]
    time.sleep(2.5)
    assert api.get(path)["metadata"]["resourceVersion"] == version  # nothing new, nothing written


def test_two_schedulers_reserve_each_pod_once(api, plane, scheduler, program):
    make_profile(api)
    for name in ("a", "b"):
        Host(api, name, cpu="64", memory="128Gi")
    agents = Agents(plane.as_user("admin"), NAMESPACE)
    agents.start()
    try:
        with program("fks-scheduler", "scheduler", name="fks-scheduler-2", options=["--leader-elect=false"]):
            for i in range(20):
                create(api, f"pair-{i}")
            until(lambda: all(item["spec"].get("nodeName") for item in api.get(PATH)["items"]), 30)
    finally:
        agents.stop()
    assert all(len(hosts) == 1 for hosts in agents.hosts.values())


def test_killed_every_300_ms_binds_each_pod_exactly_once(api, plane, scheduler):
    """No handover, no farewell: SIGKILL while reservations and bindings are under way."""
    make_profile(api)
    names = ("a", "b", "c")
    for name in names:
        Host(api, name, cpu="8", memory="16Gi", pods=20)
    plane.processes.stop(scheduler.child, signal.SIGKILL)
    agents = Agents(plane.as_user("admin"), NAMESPACE)
    agents.capacity = {name: 20 for name in names}
    users = plane.as_user("admin")

    def create_slowly():
        for i in range(60):
            create(users, f"pod-{i:02}")
            time.sleep(0.08)

    creator = threading.Thread(target=create_slowly, daemon=True)
    agents.start()
    creator.start()
    kills = 0
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            child = scheduler.start()
            time.sleep(0.3)
            items = api.get(PATH)["items"]
            if len(items) == 60 and all(item["spec"].get("nodeName") for item in items):
                break
            plane.processes.stop(child, signal.SIGKILL)
            kills += 1
    finally:
        creator.join()
        agents.stop()
    assert all(item["spec"].get("nodeName") for item in items), f"not all bound after {kills} kills"
    assert len(items) == 60 and kills >= 10
    for item in items:
        uid = item["metadata"]["uid"]
        assert agents.hosts[uid] == {item["metadata"]["labels"][HOST_LABEL]}  # never moved
        assert item["spec"]["nodeName"] == agents.nodes[uid]
    assert len({item["spec"]["nodeName"] for item in items}) == 60
    assert not agents.over
