"""Each right in manifests/rbac is used by the program that has it, and no call of theirs is denied. What they do every day, and what
takes a rare situation, is made to happen here; what the API server's audit log then lacks is a right too many."""

import concurrent.futures
import contextlib
import http.client
import itertools
import json
import ssl
import threading
import time

import pytest

import cluster as control
from agents import HOST, NAMESPACE, PATH, api, create, is_ready, ready_count, running_agent, runtime, uid  # noqa: F401
from cluster import MANIFESTS, until
from fakes import BOOKS, HOSTS, LEASES, NODES, PROFILES, Host, make_node, pod, profile
from rights import acts_of, compare, read_audit

csi_driver = pytest.importorskip("csi_driver", reason="needs python3-grpcio and protoc: scripts/install-packages test")

CLAIMS = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
CONFIGS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"



def rules(plane):
    return [item for path in ("scheduler", "webhook", "node") for item in plane.manifest(f"rbac/{path}.yaml")]


class Log:
    """What the programs of FKS did from now on."""

    def __init__(self, plane):
        self.path = plane.audit_log
        self.before = len(read_audit(self.path))

    def events(self):
        return read_audit(self.path)[self.before:]

    def has(self, user, verb, resource):
        return any((act.verb, act.resource) == (verb, resource) for event in self.events()
                   if event["user"]["username"].startswith(f"system:fks:{user}") for act in acts_of(event))


def node_of(api, name):
    return api.get(f"{NODES}/{api.get(f'{PATH}/{name}')['spec']['nodeName']}")


def ask_kubelet(plane, api, node, path):
    """As a service account: the agent must find out who that is, and what they may. The status."""
    token = api.post(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], context=context,
                                             timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def everyday(api):
    """A pod that names one of everything that is read for it."""
    api.post(CONFIGS, {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    api.post(SECRETS, {"metadata": {"name": "key"}, "stringData": {"a": "1"}})
    api.post(CLASSES, {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "plain"}, "handler": "runc"})
    api.post(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "rights"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
        "nfs": {"server": "files.test", "path": "/"}, "claimRef": {"namespace": NAMESPACE, "name": "rights"}}})
    api.post(CLAIMS, {"metadata": {"name": "rights"}, "spec": {
        "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "rights", "resources": {"requests": {"storage": "1Gi"}}}})
    sources = [{"configMap": {"name": "settings"}}, {"secret": {"name": "key"}},
               {"clusterTrustBundle": {"name": "none", "optional": True, "path": "none.pem"}}]
    create(api, "everyday", volumes=[{"name": "v", "projected": {"sources": sources}}], runtimeClassName="plain",
           container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    # its share is on no server: the agent reads where that is, and goes on trying
    create(api, "sharing", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "rights"}}],
           container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})


def clean(api):
    for path in (f"{CONFIGS}/settings", f"{SECRETS}/key", f"{CLASSES}/plain"):
        api.delete(path)
    for path in (f"{CLAIMS}/rights", f"{VOLUMES}/rights"):
        api.patch(path, {"metadata": {"finalizers": None}})
        api.delete(path)


def taken_name(api):
    """The Node's name that the first pod would get is another's."""
    made = api.post(NODES, {"metadata": {"name": "fargate-ip-10-0-0-1.local.compute.internal"}})
    return f"{NODES}/{made['metadata']['name']}"


def lost_node(api, agent):
    """The Node is said to be lost, and the agent comes back."""
    name = node_of(api, "everyday")["metadata"]["name"]
    agent.kill()
    api.request("PATCH", f"{NODES}/{name}/status", {"status": {"conditions": [
        {"type": "Ready", "status": "Unknown", "reason": "Test", "lastHeartbeatTime": Host.time()[:19] + "Z",
         "lastTransitionTime": Host.time()[:19] + "Z"}]}}, "application/strategic-merge-patch+json")
    agent.start()

    def ready():
        return any(item["type"] == "Ready" and item["status"] == "True" for item in node_of(api, "everyday")["status"]["conditions"])

    until(ready, 60, "the agent says that the Node is well")


def drained_profile(api):
    """A profile goes while it has a pod."""
    api.post(PROFILES, profile("brief", {"namespace": "none"}))
    until(lambda: "fks.dev/drain" in api.get(f"{PROFILES}/brief")["metadata"].get("finalizers", []), 30)
    api.post(PATH, pod("evicted", {"cpu": "16"}, labels={"eks.amazonaws.com/fargate-profile": "brief"}, schedulerName="fargate-scheduler"))
    until(lambda: api.get(f"{PROFILES}/brief").get("status", {}).get("pods", {}).get("active"), 30, "the profile has a pod")
    api.request("DELETE", f"{PROFILES}/brief")
    until(lambda: api.find(f"{PROFILES}/brief") is None, 60, "the profile is drained")


def contested_book(plane, api, log):
    """Others write into a host's book all the time: now and then between the scheduler's look and its own writing."""
    ending = threading.Event()

    def touch(other):
        while not ending.is_set():
            with contextlib.suppress(control.ApiError):  # there is no book while the host has no pod
                other.patch(f"{BOOKS}/reservations-{HOST}", {"metadata": {"annotations": {"touched": str(time.monotonic_ns())}}})

    touchers = [threading.Thread(target=touch, args=[plane.as_user("admin")], daemon=True) for _ in range(4)]
    for toucher in touchers:
        toucher.start()
    try:
        end = time.monotonic() + 120
        for number in itertools.count():
            create(api, f"contested-{number}")
            until(lambda: api.get(f"{PATH}/contested-{number}")["metadata"]["labels"].get("fks.dev/host"), 60, "the pod has its host")
            api.delete(f"{PATH}/contested-{number}")
            if log.has("scheduler", "get", "configmaps"):
                return
            assert time.monotonic() < end, "the scheduler never met another's writing"
    finally:
        ending.set()
        for toucher in touchers:
            toucher.join()


def repeated_event(api):
    """A pod waits for a claim that comes, unbound, and goes again: it is told the same thing twice."""
    path = f"{PATH}/waiting"
    api.post(PATH, pod("waiting", labels={"eks.amazonaws.com/fargate-profile": "agent"}, schedulerName="fargate-scheduler",
                       volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "late"}}]))

    def said():
        conditions = api.get(path).get("status", {}).get("conditions", [])
        return next((item["message"] for item in conditions if item["type"] == "PodScheduled"), None)

    first = until(said, 60, "the pod waits")
    api.post(CLAIMS, {"metadata": {"name": "late"}, "spec": {
        "accessModes": ["ReadWriteMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}})
    until(lambda: said() != first, 180, "the pod waits for another reason")
    api.patch(f"{CLAIMS}/late", {"metadata": {"finalizers": None}})
    api.delete(f"{CLAIMS}/late")
    until(lambda: said() == first, 180, "the pod waits for the first reason again")
    api.delete(path)


def vanished_host(api):
    """A host goes with its FargateHost; its pod and Node stay, and are ended by the scheduler."""
    host = Host(api, "ghost")
    path, node = f"{PATH}/orphan", f"{NODES}/fargate-orphan"
    api.post(PATH, pod("orphan", labels={"eks.amazonaws.com/fargate-profile": "agent"}, schedulerName="fargate-scheduler",
                       nodeSelector={"fks.dev/host": "ghost"}, terminationGracePeriodSeconds=300))
    made = until(lambda: (item := api.get(path))["metadata"]["labels"].get("fks.dev/host") and item, 60, "the pod has its host")
    make_node(api, "fargate-orphan", made, "ghost")
    until(lambda: api.get(path)["spec"].get("nodeName"), 60, "the pod is bound")
    api.patch(node, {"metadata": {"annotations": {"fks.dev/pod": f"{NAMESPACE}/orphan"}}})
    host.remove()
    api.request("DELETE", path)
    until(lambda: api.find(path) is None, 120, "the pod of the lost host is ended")
    until(lambda: api.find(node) is None, 120, "the Node of the lost host goes")


def silent_host(api):
    """The condition of a host whose agent says nothing any more is written by the scheduler."""
    host = Host(api, "silent")
    api.patch(f"{HOSTS}/silent/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    until(lambda: api.get(f"{HOSTS}/silent")["status"]["conditions"][0]["status"] == "Unknown", 120, "the host is known to be silent")
    host.remove()


def test_every_right_is_used_and_no_call_denied(plane, api, runtime, binary, program):
    log, objects = Log(plane), rules(plane)
    webhook = plane.processes.start("fks-webhook", [
        binary("fks-webhook"), "--kubeconfig", plane.kubeconfig("webhook"), "--tls-cert", plane.pki.path("webhook.crt"), "--tls-key",
        plane.pki.path("webhook.key"), "--listen", f"127.0.0.1:{control.free_port()}"])
    taken = taken_name(api)
    for path in (f"{LEASES}/fks-scheduler", f"{LEASES}/{HOST}", f"{BOOKS}/reservations-{HOST}", f"{HOSTS}/{HOST}"):
        api.delete(path)  # another module's programs have made them; here they are made again
    with program("fks-scheduler", "scheduler"), running_agent(plane, api, binary, runtime) as agent:
        everyday(api)
        driver = csi_driver.Driver(agent.folder / "driver", agent.folder / "state/plugins_registry").start()
        with concurrent.futures.ThreadPoolExecutor() as threads:  # these wait most of the time
            slow = [threads.submit(happen, plane.as_user("admin")) for happen in (repeated_event, vanished_host, silent_host)]
            until(lambda: is_ready(api.get(f"{PATH}/everyday")), 90, "the pod is Ready")
            assert ask_kubelet(plane, api, node_of(api, "everyday"), "/pods") == 403
            lost_node(api, agent)
            drained_profile(api)
            contested_book(plane, api, log)
            for happened in slow:
                happened.result()
        driver.stop()
        for name in ("everyday", "sharing"):
            api.request("DELETE", f"{PATH}/{name}")
        until(lambda: not api.get(PATH)["items"], 120, "the pods are gone")
        clean(api)
        api.delete(taken)
        # the rest comes by itself: Leases are renewed
        until(lambda: not compare(objects, log.events())[0], 90, lambda: f"rights that nobody used: {compare(objects, log.events())[0]}",
              pause=1)
        # its finalizer is the scheduler's: the next module makes it again
        api.delete(f"{PROFILES}/agent")
        until(lambda: api.find(f"{PROFILES}/agent") is None, 60, "the profile goes")
    plane.processes.stop(webhook)
    assert compare(objects, log.events()) == ([], [])
