"""fks-node with the real API server and scheduler, and a runtime that runs nothing: what a real one cannot be told to do."""

import json
import os
import random
import re
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

import cluster as control
from cluster import until
from fakes import HOSTS, LEASES, NODES, PODS, PROFILES, pod, profile

runtime_module = pytest.importorskip("runtime", reason="needs python3-grpcio and protoc: scripts/install-packages test")

NAMESPACE = "agent"
PATH = PODS.format(NAMESPACE)
HOST = "host-a"
# how many pods the scale test runs; an hour of it with 1,000: FKS_TEST_PODS=1000 FKS_TEST_SECONDS=3600
PODS_AT_ONCE = int(os.environ.get("FKS_TEST_PODS", "60"))
STEADY_SECONDS = int(os.environ.get("FKS_TEST_SECONDS", "20"))


class Agent:
    def __init__(self, plane, path, folder, runtime):
        self.plane, self.folder, self.runtime = plane, folder, runtime
        self.port = control.free_port()
        self.cgroup = f"fks-test-{os.getpid()}/pods"
        pki = plane.pki.path
        self.argv = [path, "--kubeconfig", plane.kubeconfig("node"), "--host-name", HOST, "--zone", "z1", "--region", "local",
                     "--address", "127.0.0.1", "--container-runtime-endpoint", f"unix://{runtime.socket}",
                     "--state-dir", folder / "state", "--pod-log-dir", folder / "logs", "--cluster-dns", "10.96.0.10",
                     "--tls-cert", pki("apiserver.crt"), "--tls-key", pki("apiserver.key"), "--client-ca", pki("ca.crt"),
                     "--cgroup-root", self.cgroup, "--capacity-cpu", "4000", "--capacity-memory", "8000Gi",
                     "--capacity-pods", "2000", "--metrics-listen", f"127.0.0.1:{self.port}"]
        self.child = None

    def start(self):
        self.child = self.plane.processes.start("agent", self.argv)

    def kill(self):
        self.plane.processes.stop(self.child, signal.SIGKILL)

    def stop(self):
        if self.child is not None:
            self.plane.processes.stop(self.child)

    def status(self, name):
        """A number of /proc/PID/status, in KiB."""
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def remove_cgroups(name):
    for root in Path("/sys/fs/cgroup").iterdir():
        top = root / name.split("/")[0]
        if top.is_dir():
            for folder in sorted(top.rglob("*"), reverse=True):
                if folder.is_dir():
                    folder.rmdir()
            top.rmdir()


@pytest.fixture(scope="module")
def api(plane):
    plane.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    until(lambda: plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30)
    plane.admin.post(PROFILES, profile("agent", {"namespace": NAMESPACE}))
    yield plane.admin
    plane.admin.delete(f"{PROFILES}/agent")


@pytest.fixture
def runtime():
    folder = Path(tempfile.mkdtemp(prefix="fks-agent-"))
    runtime = runtime_module.Runtime(folder)
    runtime.start()
    yield runtime
    runtime.stop()
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[1].startswith(str(folder)):
            control.LIBC.umount2(line.split()[1].encode(), 2)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def scheduler(api, program):
    with program("fks-scheduler", "scheduler") as running:
        yield running


@pytest.fixture
def agent(plane, api, scheduler, binary, runtime):
    agent = Agent(plane, binary("fks-node"), runtime.socket.parent, runtime)
    agent.start()
    until(lambda: api.find(f"{HOSTS}/{HOST}"), 20, "the host announces itself")
    yield agent
    for item in api.get(PATH)["items"]:
        api.delete(f"{PATH}/{item['metadata']['name']}")
    until(lambda: not api.get(NODES)["items"], 60, "no Node is left")
    until(lambda: not runtime.sandboxes and not runtime.containers, 60, "nothing is left in the runtime")
    agent.stop()
    api.delete(f"{HOSTS}/{HOST}")
    for item in api.get(LEASES)["items"]:
        if item["metadata"]["name"] == HOST:
            api.delete(f"{LEASES}/{HOST}")
    remove_cgroups(agent.cgroup)


def create(api, name, **rest):
    """A pod as it is after admission."""
    rest.setdefault("terminationGracePeriodSeconds", 2)
    return api.post(PATH, pod(name, labels={"eks.amazonaws.com/fargate-profile": "agent"}, schedulerName="fargate-scheduler",
                              **rest))


def is_ready(item):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in item.get("status", {}).get("conditions", []))


def ready_count(api):
    return sum(is_ready(item) for item in api.get(PATH)["items"])


def uid(item):
    return item["metadata"]["uid"]


CALLS = ["ImageStatus", "RunPodSandbox", "PodSandboxStatus", "CreateContainer", "StartContainer", "ContainerStatus", "ListPodSandbox",
         "ListContainers", "StopContainer", "RemoveContainer", "StopPodSandbox", "RemovePodSandbox"]


@pytest.mark.parametrize("trouble", ["fails", "is slow"])
def test_every_call_that_goes_wrong_is_tried_again(api, runtime, agent, trouble):
    for method in CALLS:
        if trouble == "fails":
            runtime.fail(method, 2)
        else:
            runtime.delay(method, 1.5, 2)
    made = create(api, f"patient-{trouble.replace(' ', '-')}")
    name = made["metadata"]["name"]
    until(lambda: is_ready(api.get(f"{PATH}/{name}")), 120, "the pod is Ready in the end")
    started = runtime.starts[(uid(made), "main")]
    # a start that fails leaves a container that never ran: the next one is another
    assert started == 1
    assert (uid(made), "main") not in runtime.killed
    api.delete(f"{PATH}/{name}", grace=1)
    until(lambda: api.find(f"{PATH}/{name}") is None, 60, "the pod goes")
    # on its way out a call that failed must not leave anything: the fixture checks


def test_agent_killed_at_random_moments(api, runtime, agent):
    """20 pods live and die while the agent is killed again and again: nothing runs twice, nothing is killed, nothing is left."""
    dice = random.Random(20)
    names = [f"victim-{number}" for number in range(20)]
    made = {}
    for name in names:
        made[name] = create(api, name)
        if dice.random() < 0.5:
            time.sleep(dice.random() * 0.3)
            agent.kill()
            agent.start()
    until(lambda: ready_count(api) == 20, 90, "all pods are Ready")
    for name in names:
        assert runtime.starts.get((uid(made[name]), "main")) == 1, name
        assert (uid(made[name]), "main") not in runtime.killed, name
    for name in names:
        api.request("DELETE", f"{PATH}/{name}", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})
        if dice.random() < 0.5:
            time.sleep(dice.random() * 0.2)
            agent.kill()
            agent.start()
    until(lambda: not api.get(PATH)["items"], 90, "all pods are gone")


def test_api_server_away(plane, api, runtime, agent):
    """Containers go on while nobody answers; what ended meanwhile is told afterwards."""
    made = [create(api, f"lonely-{number}", restartPolicy="Never") for number in range(3)]
    until(lambda: ready_count(api) == 3, 60, "all pods are Ready")
    server = next(child for child in plane.processes.children if child.name == "apiserver")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ended = next(item["status"].id for item in runtime.containers.values() if item["uid"] == uid(made[0]))
        runtime.exit(ended, 3, "Error")
        lists = runtime.calls["ListContainers"]
        until(lambda: runtime.calls["ListContainers"] > lists + 8, 60, "the agent goes on looking")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until(lambda: api.get(f"{PATH}/lonely-0")["status"]["phase"] == "Failed", 60, "the end is told")
    assert ready_count(api) == 2
    for item in made:
        assert runtime.starts[(uid(item), "main")] == 1
        assert (uid(item), "main") not in runtime.killed


def writes(plane):
    """Requests by verb and resource that the API server has answered."""
    text = plane.admin.get("/metrics")
    found = {}
    for labels, count in re.findall(r"^apiserver_request_total\{(.*?)\} (\S+)$", text, re.M):
        verb = re.search(r'verb="(\w+)"', labels).group(1)
        resource = re.search(r'resource="(\w*)"', labels).group(1)
        if verb in ("POST", "PUT", "PATCH", "DELETE", "APPLY"):
            found[verb, resource] = found.get((verb, resource), 0) + float(count)
    return found


def test_many_pods_on_one_agent(plane, api, runtime, agent, record_property):
    """Memory, CPU and API writes by the plan: 15 MB + 100 KB a pod, 5 % of a core, a Lease renewal per Node every 10 s at most."""
    threads = [threading.Thread(target=lambda first=first: [create(plane.as_user("admin"), f"many-{n}")
                                                            for n in range(first, PODS_AT_ONCE, 4)]) for first in range(4)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: ready_count(api) == PODS_AT_ONCE, 60 + PODS_AT_ONCE, "all pods are Ready", 1)
    took = time.monotonic() - begun
    before, cpu = writes(plane), agent.cpu_seconds()
    since = time.monotonic()
    end = since + STEADY_SECONDS
    while time.monotonic() < end:
        time.sleep(5)
        assert ready_count(api) == PODS_AT_ONCE
    seconds = time.monotonic() - since
    share = (agent.cpu_seconds() - cpu) / seconds
    after = writes(plane)
    leases = sum(after[key] - before.get(key, 0) for key in after if key[1] == "leases") / PODS_AT_ONCE / seconds
    others = {f"{verb} {resource}": after[verb, resource] - before.get((verb, resource), 0) for verb, resource in after
              if resource in ("pods", "nodes") and after[verb, resource] > before.get((verb, resource), 0)}
    memory, most = agent.status("VmRSS"), agent.status("VmHWM")
    record_property("figures", json.dumps({"pods": PODS_AT_ONCE, "ready_s": round(took, 1), "memory_kib": memory, "most_memory_kib": most,
                                           "cpu_share": round(share, 4), "lease_writes_per_node_s": round(leases, 4), "others": others}))
    print(f"{PODS_AT_ONCE} pods Ready in {took:.1f} s, memory {memory} KiB (most: {most}), steady {share:.2%} of a core, "
          f"{leases:.3f} Lease writes per Node and second, others {others}")
    assert leases <= 0.2
    assert sum(others.values()) <= PODS_AT_ONCE * (1.2 + seconds / 60)  # one by the node controller, soon after Ready
    if "san" not in control.PROGRAMS.parts:  # a sanitizer's memory is not ours
        assert memory <= (15 << 10) + 100 * PODS_AT_ONCE
        assert share < 0.05
