"""fks-scheduler against a real API server; the hosts are fakes that write what fks-node would."""

import signal
import threading
import time

import pytest

from cluster import until
from fakes import HOST_LABEL, HOSTS, NODES, PROFILES, Agents, Host, Space, make_node, pod

NAMESPACE = "scheduling"


@pytest.fixture(scope="module")
def api(plane):
    return Space(plane, NAMESPACE)


@pytest.fixture(scope="module")
def scheduler(plane, api, program):
    # a name of its own, so that a restart goes on at once
    with program("fks-scheduler", "scheduler", options=["--leader-identity", "one"]) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(api):
    yield
    api.clean()


@pytest.mark.parametrize("requests,capacity", [
    ({}, "0.25vCPU 0.5GB"),
    ({"cpu": "250m", "memory": "1000Mi"}, "0.25vCPU 2GB"),
    ({"cpu": "255m", "memory": "1800Mi"}, "0.5vCPU 3GB"),
    ({"cpu": "1", "memory": "8Gi"}, "2vCPU 9GB"),
    ({"cpu": "16", "memory": "100Gi"}, "16vCPU 104GB"),
])
def test_reserves_fargates_sizes(api, scheduler, requests, capacity):
    api.make_profile()
    Host(api, "big", cpu="64", memory="512Gi")
    api.create("sized", requests)
    until(lambda: api.host_of("sized") == "big")
    annotations = api.pod("sized")["metadata"]["annotations"]
    assert annotations["CapacityProvisioned"] == capacity
    assert annotations["Logging"] == "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND"
    until(lambda: api.events("sized", "LoggingDisabled"))


def test_exact_sizing(api, scheduler):
    api.make_profile(sizing="Exact")
    Host(api, "a")
    api.create("exact", {"cpu": "100m", "memory": "256Mi"})
    until(lambda: api.host_of("exact") == "a")
    assert api.pod("exact")["metadata"]["annotations"]["CapacityProvisioned"] == "0.1vCPU 0.5GB"


def test_binds_to_the_node_of_the_pod_only(api, scheduler):
    api.make_profile()
    Host(api, "a")
    one = api.create("one")
    until(lambda: api.host_of("one") == "a")
    make_node(api, "fargate-other-pod", one, "a", uid="00000000-0000-0000-0000-000000000000")
    make_node(api, "fargate-other-host", one, "b")
    make_node(api, "fargate-not-ready", one, "a", ready=False)
    time.sleep(1)
    assert "nodeName" not in api.pod("one")["spec"]
    api.delete(f"{NODES}/fargate-not-ready")
    make_node(api, "fargate-right", one, "a")
    until(lambda: api.pod("one")["spec"].get("nodeName") == "fargate-right")
    assert api.condition("one")["status"] == "True"
    until(lambda: api.events("one", "Scheduled") == [f"Successfully assigned {NAMESPACE}/one to fargate-right"])


@pytest.mark.parametrize("name,spec,text", [
    ("host-network", {"hostNetwork": True}, "HostNetwork"),
    ("privileged", {"container": {"securityContext": {"privileged": True}}}, "Privileged"),
    ("host-port", {"container": {"ports": [{"containerPort": 80, "hostPort": 8080}]}}, "HostPort"),
    ("host-path", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "v is of an unsupported volume Type"),
])
def test_unsupported_pods_wait_with_a_reason(api, scheduler, name, spec, text):
    api.make_profile()
    Host(api, "a")
    api.create(name, **spec)
    found = until(lambda: api.condition(name))
    assert (found["status"], found["reason"]) == ("False", "POD_UNSUPPORTED_ON_FARGATE")
    assert found["message"].startswith("Pod not supported on Fargate: ") and text in found["message"]
    until(lambda: api.events(name, "FailedScheduling") == [found["message"]])
    assert api.host_of(name) is None


def test_too_large_pods_wait_with_a_reason(api, scheduler):
    api.make_profile()
    Host(api, "a", cpu="64", memory="512Gi")
    api.create("large", {"cpu": "17"})
    found = until(lambda: api.condition("large"))
    assert (found["status"], found["reason"]) == ("False", "POD_CPU_MEM_EXCEEDS_MAX_FARGATE_SIZE")
    assert found["message"].startswith("Your pod's cpu/memory requirements exceed the max Fargate configuration")


def test_no_capacity_says_what_to_change_and_ends_with_a_new_host(api, scheduler):
    api.make_profile()
    Host(api, "small", cpu="1", memory="1Gi")
    api.create("wanting", {"cpu": "2"})
    found = until(lambda: api.condition("wanting"))
    assert found["reason"] == "Unschedulable"
    assert found["message"].startswith("Fargate capacity is unavailable at this time. Please try again later or in a "
                                       "different availability zone")
    assert "1 is smaller than the pod" in found["message"]
    Host(api, "large")
    until(lambda: api.host_of("wanting") == "large")


def test_missing_profile_is_named(api, scheduler):
    Host(api, "a")
    api.create("orphan", profile_name="nowhere")
    found = until(lambda: api.condition("orphan"))
    assert "fargate profile nowhere does not exist" in found["message"]
    api.make_profile("nowhere")
    until(lambda: api.host_of("orphan") == "a", 5)


def test_zones_and_selectors_choose_the_host(api, scheduler):
    api.make_profile()
    api.make_profile("fp-z3", zones=["z3"])
    for zone in ("z1", "z2", "z3"):
        Host(api, f"in-{zone}", zone=zone)
    api.create("by-selector", nodeSelector={"topology.kubernetes.io/zone": "z2"})
    api.create("by-profile", profile_name="fp-z3")
    until(lambda: api.host_of("by-selector") == "in-z2")
    until(lambda: api.host_of("by-profile") == "in-z3")


def test_runtime_class_needs_its_handler(api, scheduler):
    api.make_profile()
    Host(api, "plain")
    api.post("/apis/node.k8s.io/v1/runtimeclasses",
             {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"},
              "handler": "kata-qemu"})
    api.create("isolated", runtimeClassName="kata")
    assert "lacks the runtime handler" in until(lambda: api.condition("isolated"))["message"]
    Host(api, "with-kata", runtimeHandlers=["kata-qemu"])
    until(lambda: api.host_of("isolated") == "with-kata", 5)
    api.delete("/apis/node.k8s.io/v1/runtimeclasses/kata")


def test_scheduling_gates_hold_a_pod_back(api, scheduler):
    api.make_profile()
    Host(api, "a")
    api.create("gated", schedulingGates=[{"name": "example.com/wait"}])
    time.sleep(1)
    assert api.host_of("gated") is None
    api.patch(f"{api.path}/gated", {"spec": {"schedulingGates": []}})
    until(lambda: api.host_of("gated") == "a", 5)


def test_ended_pods_free_their_room(api, scheduler):
    api.make_profile()
    Host(api, "single", pods=1)
    first = api.create("first")
    until(lambda: api.host_of("first") == "single")
    make_node(api, "fargate-first", first, "single")
    until(lambda: api.pod("first")["spec"].get("nodeName"))
    api.create("second")
    assert "runs as many pods as it may" in until(lambda: api.condition("second"))["message"]
    api.patch(f"{api.path}/first/status", {"status": {"phase": "Succeeded"}})
    until(lambda: api.host_of("second") == "single", 5)


def test_dead_hosts_lose_their_unbound_pods(api, scheduler):
    api.make_profile()
    Host(api, "dying", age=35)  # five seconds left
    api.create("moving")
    bound = api.create("staying")
    until(lambda: api.host_of("moving") == "dying" and api.host_of("staying") == "dying")
    make_node(api, "fargate-staying", bound, "dying")
    until(lambda: api.pod("staying")["spec"].get("nodeName"))
    Host(api, "alive", cpu="0.25", memory="512Mi")
    until(lambda: api.host_of("moving") == "alive", 15)
    assert api.host_of("staying") == "dying"


def test_profile_status_counts_pods(api, scheduler):
    api.make_profile()
    path = f"{PROFILES}/fp"
    status = until(lambda: api.get(path).get("status"), 5)
    assert status["state"] == "ACTIVE" and status["namespaces"] == NAMESPACE
    assert status["conditions"][0]["type"] == "Ready" and status["conditions"][0]["status"] == "True"
    Host(api, "a")
    first = api.create("first")
    api.create("second")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 2, "pending": 2, "running": 0, "refused": 0}, 5)
    make_node(api, "fargate-first", first, "a")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 2, "pending": 1, "running": 1, "refused": 0}, 5)
    api.delete(f"{api.path}/second")
    until(lambda: api.get(path)["status"]["pods"] == {"active": 1, "pending": 0, "running": 1, "refused": 0}, 5)
    version = api.get(path)["metadata"]["resourceVersion"]
    time.sleep(2.5)
    assert api.get(path)["metadata"]["resourceVersion"] == version  # nothing new, nothing written


def test_two_schedulers_reserve_each_pod_once(api, plane, scheduler, program):
    api.make_profile()
    for name in ("a", "b"):
        Host(api, name, cpu="64", memory="128Gi")
    agents = Agents(plane.as_user("admin"), NAMESPACE)
    agents.start()
    try:
        with program("fks-scheduler", "scheduler", name="fks-scheduler-2", options=["--leader-elect=false"]):
            for i in range(20):
                api.create(f"pair-{i}")
            until(lambda: all(item["spec"].get("nodeName") for item in api.get(api.path)["items"]), 30)
    finally:
        agents.stop()
    assert all(len(hosts) == 1 for hosts in agents.hosts.values())


def test_killed_every_300_ms_binds_each_pod_exactly_once(api, plane, scheduler):
    """No handover, no farewell: SIGKILL while reservations and bindings are under way."""
    api.make_profile()
    names = ("a", "b", "c")
    for name in names:
        Host(api, name, cpu="8", memory="16Gi", pods=20)
    plane.processes.stop(scheduler.child, signal.SIGKILL)
    agents = Agents(plane.as_user("admin"), NAMESPACE)
    agents.capacity = {name: 20 for name in names}
    users = api.again()

    def create_slowly():
        for i in range(60):
            users.create(f"pod-{i:02}")
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
            items = api.get(api.path)["items"]
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
