"""Stand-ins for hosts: what fks-node would write, without running anything."""

import threading
import time
from datetime import datetime, timedelta, timezone

from cluster import ApiError, until

PODS = "/api/v1/namespaces/{}/pods"
PROFILES = "/apis/fks.dev/v1/fargateprofiles"
HOSTS = "/apis/fks.dev/v1/fargatehosts"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/fks-system/leases"
NODES = "/api/v1/nodes"
BOOKS = "/api/v1/namespaces/fks-system/configmaps"
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


class Space:
    """A namespace as tests of fks-scheduler use it: an API client that also makes profiles and pods, and looks at them."""

    def __init__(self, plane, namespace):
        self.plane, self.admin, self.namespace, self.path = plane, plane.admin, namespace, PODS.format(namespace)
        self.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        until(lambda: self.admin.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"), 30)

    def __getattr__(self, name):
        return getattr(self.admin, name)

    def again(self):
        """The same for another thread: a connection serves one."""
        twin = object.__new__(Space)
        twin.__dict__.update(self.__dict__, admin=self.plane.as_user("admin"))
        return twin

    def clean(self, *more):
        """Deletes what tests made: all pods of the namespace, profiles, hosts and Nodes, and what lies under more."""
        for path in (*more, self.path, NODES, HOSTS, PROFILES):
            for item in self.get(path)["items"]:
                self.delete(f"{path}/{item['metadata']['name']}")
        for item in self.get(LEASES)["items"]:
            if item["metadata"]["name"] != "fks-scheduler":
                self.delete(f"{LEASES}/{item['metadata']['name']}")
        until(lambda: not self.get(PROFILES)["items"], 15)

    def make_profile(self, name="fp", **spec):
        return self.post(PROFILES, profile(name, {"namespace": self.namespace}, **spec))

    def create(self, name, requests=None, profile_name="fp", labels=None, schedulerName="fargate-scheduler", **rest):
        """A pod as it is after admission."""
        labels = {"eks.amazonaws.com/fargate-profile": profile_name, **(labels or {})}
        return self.post(self.path, pod(name, requests, labels=labels, schedulerName=schedulerName, **rest))

    def pod(self, name):
        return self.get(f"{self.path}/{name}")

    def host_of(self, name):
        return self.pod(name)["metadata"]["labels"].get(HOST_LABEL)

    def condition(self, name):
        for item in self.pod(name).get("status", {}).get("conditions", []):
            if item["type"] == "PodScheduled":
                return item
        return None

    def message(self, name):
        """Why it waits."""
        found = self.condition(name)
        return found["message"] if found and found["status"] == "False" else ""

    def events(self, name, reason):
        selector = f"fieldSelector=involvedObject.name={name},reason={reason}"
        return [item["message"] for item in self.get(f"/api/v1/namespaces/{self.namespace}/events?{selector}")["items"]]

    def bind(self, name, host):
        """Waits for the reservation, makes the Node and waits for the binding."""
        until(lambda: self.host_of(name) == host)
        make_node(self, f"fargate-{name}", self.pod(name), host)
        until(lambda: self.pod(name)["spec"].get("nodeName"))

    def status(self, name="fp"):
        """Of a profile."""
        return self.get(f"{PROFILES}/{name}").get("status", {})


class Host:
    """FargateHost and Lease of one host; beat() renews the Lease, as does a Heart."""

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


class Heart(threading.Thread):
    """with Heart(api, *hosts): renews their Leases until the end; without, a host is dead after 40 s."""

    def __init__(self, api, *hosts):
        super().__init__(daemon=True)
        self.api, self.names, self.ending = api.again(), [host.name for host in hosts], threading.Event()

    def run(self):
        while not self.ending.wait(5):
            for name in self.names:
                self.api.patch(f"{LEASES}/{name}", {"spec": {"renewTime": Host.time()}})

    def __enter__(self):
        self.start()

    def __exit__(self, *error):
        self.ending.set()
        self.join()


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


def books(admin):
    """host → uids of the pods that have room there, as the schedulers wrote it down; empty books left out."""
    found = {}
    for item in admin.get(f"{BOOKS}?labelSelector={HOST_LABEL}")["items"]:
        uids = {line.split()[0] for line in item["data"]["pods"].splitlines()}
        if uids:
            found[item["metadata"]["labels"][HOST_LABEL]] = uids
    return found


def held(admin, path):
    """The same, as the labels of the pods say."""
    found = {}
    for item in admin.get(f"{path}?labelSelector={HOST_LABEL}")["items"]:
        found.setdefault(item["metadata"]["labels"][HOST_LABEL], set()).add(item["metadata"]["uid"])
    return found


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
