"""Stand-ins for hosts: what fks-node would write, without running anything."""

import threading
import time
from datetime import datetime, timedelta, timezone

from cluster import ApiError

PODS = "/api/v1/namespaces/{}/pods"
PROFILES = "/apis/fks.dev/v1/fargateprofiles"
HOSTS = "/apis/fks.dev/v1/fargatehosts"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/fks-system/leases"
NODES = "/api/v1/nodes"
HOST_LABEL = "fks.dev/host"


def profile(name, *selectors, **spec):
    return {"apiVersion": "fks.dev/v1", "kind": "FargateProfile", "metadata": {"name": name},
            "spec": {"selectors": list(selectors), **spec}}


def pod(name, requests=None, labels=None, annotations=None, **spec):
    """A pod of one container; extra keywords go to its spec."""
    container = {"name": "main", "image": "example.com/none:1", "resources": {"requests": requests or {}}}
    container.update(spec.pop("container", {}))
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec}}


class Host:
    """FargateHost and Lease of one host; beat() renews the Lease, as may a Heart."""

    def __init__(self, admin, name, cpu="4", memory="8Gi", pods=100, zone="z1", age=0, **spec):
        self.admin, self.name = admin, name
        admin.post(HOSTS, {"apiVersion": "fks.dev/v1", "kind": "FargateHost", "metadata": {"name": name}, "spec": {
            "zone": zone, "region": "local", "addresses": ["127.0.0.1"],
            "capacity": {"cpu": cpu, "memory": memory, "pods": pods}, **spec}})
        admin.post(LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
                            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": self.time(age)}})

    @staticmethod
    def time(age=0):
        return (datetime.now(timezone.utc) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def beat(self):
        self.admin.patch(f"{LEASES}/{self.name}", {"spec": {"renewTime": self.time()}})

    def remove(self):
        self.admin.delete(f"{HOSTS}/{self.name}")
        self.admin.delete(f"{LEASES}/{self.name}")


def make_node(admin, name, pod_object, host, ready=True, uid=None):
    """The Node that an agent makes for a pod."""
    return admin.post(NODES, {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name,
                     "labels": {"eks.amazonaws.com/compute-type": "fargate", HOST_LABEL: host},
                     "annotations": {"fks.dev/pod-uid": uid or pod_object["metadata"]["uid"]}},
        "spec": {"taints": [{"key": "eks.amazonaws.com/compute-type", "value": "fargate", "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False", "reason": "Test",
                                   "lastHeartbeatTime": Host.time()[:19] + "Z",
                                   "lastTransitionTime": Host.time()[:19] + "Z"}]}})


class Agents(threading.Thread):
    """Makes a Node for every pod of a namespace that has a host, and remembers which hosts each pod was given."""

    def __init__(self, api, namespace):
        super().__init__(daemon=True)
        self.api, self.namespace = api, namespace
        self.hosts = {}  # uid → set of hosts
        self.nodes = {}  # uid → node name
        self.over = []   # moments at which more was reserved than there is
        self.capacity = {}  # host → most pods
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            used = {}
            for item in self.api.get(PODS.format(self.namespace) + f"?labelSelector={HOST_LABEL}")["items"]:
                uid, host = item["metadata"]["uid"], item["metadata"]["labels"][HOST_LABEL]
                used[host] = used.get(host, 0) + 1
                self.hosts.setdefault(uid, set()).add(host)
                if uid not in self.nodes:
                    name = f"fargate-{item['metadata']['name']}.local.compute.internal"
                    try:
                        make_node(self.api, name, item, host)
                    except ApiError as error:
                        if error.status != 409:
                            raise
                    self.nodes[uid] = name
            self.over += [(host, n) for host, n in used.items() if n > self.capacity.get(host, n)]
            time.sleep(0.02)

    def stop(self):
        self.ending.set()
        self.join()
