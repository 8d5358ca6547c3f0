"""An agent with the real API server and scheduler, and a runtime that runs nothing (runtime.py): what its tests share."""

import contextlib
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

import cluster as control
from cluster import until
from fakes import HOSTS, LEASES, NODES, PODS, PROFILES, pod, profile
from reaper import cgroups_removed, unmount

runtime_module = pytest.importorskip("runtime", reason="needs python3-grpcio and protoc: scripts/install-packages test")

NAMESPACE = "agent"
PATH = PODS.format(NAMESPACE)
HOST = "host-a"


class Agent:
    def __init__(self, plane, path, folder, runtime, env=None, options=()):
        self.plane, self.folder, self.runtime, self.env = plane, folder, runtime, env
        self.port = control.free_port()
        self.cgroup = f"fks-test-{os.getpid()}"
        pki = plane.pki.path
        self.argv = [path, "--kubeconfig", plane.kubeconfig("node"), "--host-name", HOST, "--zone", "z1", "--region", "local",
                     "--address", "127.0.0.1", "--container-runtime-endpoint", f"unix://{runtime.socket}",
                     "--state-dir", folder / "state", "--pod-log-dir", folder / "logs", "--cluster-dns", "10.96.0.10",
                     "--tls-cert", pki("apiserver.crt"), "--tls-key", pki("apiserver.key"), "--client-ca", pki("ca.crt"),
                     "--cgroup-root", f"{self.cgroup}/pods", "--capacity-cpu", "4000", "--capacity-memory", "8000Gi",
                     "--capacity-pods", "2000", "--metrics-listen", f"127.0.0.1:{self.port}", *options]
        self.child = None

    def start(self):
        self.child = self.plane.processes.start("agent", self.argv, self.env)

    def kill(self):
        self.plane.processes.stop(self.child, signal.SIGKILL)

    def stop(self):
        """Its exit code."""
        return self.plane.processes.stop(self.child) if self.child is not None else None

    def log(self):
        return self.plane.processes.log("agent")

    def status(self, name):
        """A number of /proc/PID/status, in KiB."""
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def api(plane):
    if plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}") is None:
        plane.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    until(lambda: plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30)
    plane.admin.post(PROFILES, profile("agent", {"namespace": NAMESPACE}))
    return plane.admin


@pytest.fixture
def runtime(folder):
    folder = Path(tempfile.mkdtemp(prefix="agent-", dir=folder))
    runtime = runtime_module.Runtime(folder)
    runtime.start()
    yield runtime
    runtime.stop()
    unmount(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def scheduler(api, program):
    with program("fks-scheduler", "scheduler") as running:
        yield running
        # profiles have a finalizer, which is the scheduler's: the next module makes this one again
        api.delete(f"{PROFILES}/agent")
        until(lambda: api.find(f"{PROFILES}/agent") is None, 30)


@contextlib.contextmanager
def running_agent(plane, api, binary, runtime, env=None, options=()):
    """An agent, its host known; at the end its pods are deleted and nothing may be left of them."""
    agent = Agent(plane, binary("fks-node"), runtime.socket.parent, runtime, env, options)
    agent.start()
    try:
        until(lambda: api.find(f"{HOSTS}/{HOST}"), 20, "the host announces itself")
        yield agent
        for item in api.get(PATH)["items"]:
            api.delete(f"{PATH}/{item['metadata']['name']}")
        until(lambda: not api.get(NODES)["items"], 60 + len(runtime.sandboxes), "no Node is left")
        until(lambda: not runtime.sandboxes and not runtime.containers, 60 + len(runtime.sandboxes), "nothing is left in the runtime")
        # an agent that ran no pod has made no folder for them
        until(lambda: not list((agent.folder / "state").glob("pods/*")) and not list((agent.folder / "logs").iterdir()), 30,
              "nothing is left on disk")
    finally:
        agent.stop()  # the next test's has the same name
        until(lambda: cgroups_removed(agent.cgroup), 30, "its cgroups are empty")
    api.delete(f"{HOSTS}/{HOST}")
    for item in api.get(LEASES)["items"]:
        if item["metadata"]["name"] == HOST:
            api.delete(f"{LEASES}/{HOST}")


@pytest.fixture
def agent(plane, api, scheduler, binary, runtime):
    with running_agent(plane, api, binary, runtime) as agent:
        yield agent


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
