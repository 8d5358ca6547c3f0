"""Two replicas of fks-scheduler while their leader is killed or frozen every few seconds and the API server restarts.

FKS_CHAOS_PODS sets how many pods come and go; 2000 takes about five minutes.
"""

import http.client
import json
import os
import queue
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

import cluster as control
from cluster import ApiError, until
from fakes import HOST_LABEL, LEASES, NODES, PODS, PROFILES, Host, books, held, make_node, pod, profile

NAMESPACE = "chaos"
PATH = PODS.format(NAMESPACE)
COUNT = int(os.environ.get("FKS_CHAOS_PODS", "150"))
PAUSE = 0.12  # between creations
ALIVE = 60  # pods at a time, about; the hosts below hold 80 of them
HOST_NAMES = [f"host-{i}" for i in range(5)]
CAPACITY = {"cpu": 4000, "memory": 8 << 30}
SIZE = {"cpu": 250, "memory": 512 << 20}


@pytest.fixture(scope="module")
def plane(folder):
    """A control plane of its own: its API server is killed. No controllers: nobody else binds, fails or deletes."""
    programs = control.assets()
    if programs is None:
        pytest.skip("no control plane programs: set FKS_ASSETS, or run scripts/assets/build.sh")
    plane = control.ControlPlane(Path(tempfile.mkdtemp(prefix="chaos-", dir=folder)), programs)
    try:
        plane.start(controllers=False)
        plane.install()
        plane.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        plane.admin.post(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
                         {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        yield plane
    finally:
        plane.stop()


def insist(call, *args):
    """Tries until the API server has answered; what is done already, or gone already, is well."""
    while True:
        try:
            return call(*args)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            if error.status < 429:
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)


class Fleet:
    """The agents of all hosts, and the pods' owner: makes Nodes, ends pods some time after they were bound."""

    def __init__(self, plane):
        self.plane = plane
        self.ending = threading.Event()
        self.work = queue.Queue()
        self.lock = threading.Lock()
        self.pods = {}      # uid → what is known of it
        self.bound = {}     # uid → set of Nodes
        self.made = set()   # uids with a Node
        self.over = []      # bound pods above a host's capacity
        self.keep = False   # bound pods stay
        self.threads = [threading.Thread(target=self.watch, daemon=True), threading.Thread(target=self.beat, daemon=True)]
        self.threads += [threading.Thread(target=self.serve, daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(10)

    def beat(self):
        admin = self.plane.as_user("admin")
        while not self.ending.wait(4):
            for name in HOST_NAMES:
                insist(admin.patch, f"{LEASES}/{name}", {"spec": {"renewTime": Host.time()}})

    def serve(self):
        admin = self.plane.as_user("admin")
        while not self.ending.is_set():
            try:
                due, action, item = self.work.get(timeout=0.2)
            except queue.Empty:
                continue
            if time.monotonic() < due:
                self.work.put((due, action, item))
                time.sleep(0.01)
                continue
            name = item["metadata"]["name"]
            if action == "make":
                insist(make_node, admin, f"fargate-{name}", item, item["metadata"]["labels"][HOST_LABEL])
            elif action == "end":
                insist(admin.delete, f"{PATH}/{name}")
            else:
                insist(admin.delete, f"{NODES}/fargate-{name}")

    def see(self, kind, item):
        uid, spec = item["metadata"]["uid"], item["spec"]
        host, node = item["metadata"].get("labels", {}).get(HOST_LABEL), spec.get("nodeName")
        with self.lock:
            if kind == "DELETED":
                if self.pods.pop(uid, None):
                    self.work.put((0, "forget", item))
                return
            self.pods[uid] = (host, node)
            if host and uid not in self.made:
                self.made.add(uid)
                self.work.put((0, "make", item))
            if not node:
                return
            if uid not in self.bound and not self.keep:
                self.work.put((time.monotonic() + random.uniform(0.3, 3), "end", item))
            self.bound.setdefault(uid, set()).add(node)
            on_host = sum(1 for other, bound_to in self.pods.values() if other == host and bound_to)
            if on_host * SIZE["cpu"] > CAPACITY["cpu"]:
                self.over.append((host, on_host))

    def watch(self):
        admin = self.plane.as_user("admin")
        while not self.ending.is_set():
            listed = insist(admin.get, PATH)
            seen = {item["metadata"]["uid"] for item in listed["items"]}
            with self.lock:
                gone = [uid for uid in self.pods if uid not in seen]
                for uid in gone:
                    del self.pods[uid]
            for item in listed["items"]:
                self.see("ADDED", item)
            try:
                self.follow(admin.context, listed["metadata"]["resourceVersion"])
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.1)

    def follow(self, context, version):
        connection = http.client.HTTPSConnection("127.0.0.1", self.plane.port, timeout=5, context=context)
        try:
            connection.request("GET", f"{PATH}?watch=1&resourceVersion={version}")
            answer = connection.getresponse()
            while not self.ending.is_set():
                line = answer.readline()
                if not line:
                    return
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                self.see(event["type"], event["object"])
        finally:
            connection.close()

    def alive(self):
        with self.lock:
            return len(self.pods)


class Trouble:
    """Kills or freezes whoever leads, every few seconds, and the API server now and then.

    In the main thread: what a thread starts dies with that thread (PR_SET_PDEATHSIG).
    """

    def __init__(self, plane, replicas):
        self.plane, self.replicas = plane, replicas
        self.done = {"killed": 0, "frozen": 0, "api": 0, "takeovers": 0}
        self.slowest = 0

    def leader(self):
        try:
            holder = self.plane.admin.get(f"{LEASES}/fks-scheduler")["spec"]["holderIdentity"]
        except (ApiError, OSError, http.client.HTTPException):
            return None
        return next((replica for replica in self.replicas if replica.name == holder), None)

    def wait_for_other(self, before):
        start = time.monotonic()
        until(lambda: self.leader() not in (None, before), 30)
        self.done["takeovers"] += 1
        self.slowest = max(self.slowest, time.monotonic() - start)

    def turn(self, number):
        leader = until(self.leader, 30)
        if number % 4 == 3:
            self.plane.restart_api_server()
            self.done["api"] += 1
        elif number % 4 == 2:
            leader.child.send_signal(signal.SIGSTOP)
            self.wait_for_other(leader)
            leader.child.send_signal(signal.SIGCONT)  # it still believes that it leads
            self.done["frozen"] += 1
        else:
            self.plane.processes.stop(leader.child, signal.SIGKILL)
            if number % 4 == 1:
                self.wait_for_other(leader)
            leader.start()
            self.done["killed"] += 1


def create_pods(plane, fleet):
    admin = plane.as_user("admin")
    for i in range(COUNT):
        time.sleep(PAUSE)
        while fleet.alive() > ALIVE:
            time.sleep(0.02)
        insist(admin.post, PATH, pod(f"pod-{i:04}", labels={"eks.amazonaws.com/fargate-profile": "fp"},
                                     schedulerName="fargate-scheduler"))


def used_by_metrics(replica):
    used = {}
    for line in replica.get("/metrics")[1].splitlines():
        if line.startswith("fks_scheduler_used{"):
            labels = dict(part.split("=") for part in line[line.index("{") + 1:line.index("}")].split(","))
            used[labels["host"].strip('"'), labels["resource"].strip('"')] = float(line.rsplit(" ", 1)[1])
    return used


def used_by_pods(plane):
    used = {(host, resource): 0.0 for host in HOST_NAMES for resource in ("cpu", "memory", "pods")}
    for item in plane.admin.get(PATH)["items"]:
        host = item["metadata"].get("labels", {}).get(HOST_LABEL)
        if host:
            used[host, "cpu"] += SIZE["cpu"] / 1000
            used[host, "memory"] += SIZE["memory"]
            used[host, "pods"] += 1
    return used


def differences(plane, replica):
    """What a replica counts otherwise than the pods say."""
    counted, true = used_by_metrics(replica), used_by_pods(plane)
    return {key: (counted.get(key), true.get(key)) for key in counted.keys() | true.keys()
            if counted.get(key) != true.get(key)}


def test_each_pod_is_bound_once_whatever_happens(plane, binary):
    from conftest import Running

    plane.admin.post(PROFILES, profile("fp", {"namespace": NAMESPACE}))
    for i, name in enumerate(HOST_NAMES):
        Host(plane.admin, name, cpu="4", memory="8Gi", zone=f"z{i % 2}")
    replicas = [Running(plane, binary("fks-scheduler"), "scheduler", name, ["--leader-identity", name])
                for name in ("one", "two")]
    for replica in replicas:
        replica.start()
    until(lambda: all(replica.get("/readyz")[0] == 200 for replica in replicas), 30)
    fleet, trouble = Fleet(plane), Trouble(plane, replicas)
    try:
        until(trouble.leader, 20)
        creator = threading.Thread(target=create_pods, args=(plane, fleet), daemon=True)
        creator.start()
        for number in range(10**6):
            time.sleep(2)
            if not creator.is_alive() and all(trouble.done.values()):
                break
            trouble.turn(number)
        until(lambda: len(fleet.bound) == COUNT, 60, lambda: f"{len(fleet.bound)} of {COUNT} bound")
        print(f"{COUNT} pods; {trouble.done}; slowest take-over {trouble.slowest:.1f} s")
        assert trouble.slowest < 15
        assert all(len(nodes) == 1 for nodes in fleet.bound.values())
        assert len({node for nodes in fleet.bound.values() for node in nodes}) == COUNT
        assert not fleet.over
        # what is there at the end is what the scheduler counts, to the byte
        fleet.keep = True
        for i in range(30):
            insist(plane.admin.post, PATH, pod(f"last-{i}", labels={"eks.amazonaws.com/fargate-profile": "fp"},
                                               schedulerName="fargate-scheduler"))
        until(lambda: len(fleet.bound) == COUNT + 30 and fleet.alive() == 30, 60)
        for replica in replicas:
            until(lambda: not differences(plane, replica), 10, lambda: differences(plane, replica))
        until(lambda: books(plane.admin) == held(plane.admin, PATH), 20)
        for item in plane.admin.get(PATH)["items"]:
            plane.admin.delete(f"{PATH}/{item['metadata']['name']}")
        for replica in replicas:
            until(lambda: not any(used_by_metrics(replica).values()), 10)
        until(lambda: not books(plane.admin), 20, lambda: books(plane.admin))
        assert any(name.startswith("host-") for name, _ in used_by_metrics(replicas[0]))
    finally:
        fleet.stop()
        for replica in replicas:
            replica.stop()
