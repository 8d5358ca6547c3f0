"""kill -9 of each part while a Deployment is scaled 0 -> 6 -> 0: everything comes back, every pod ends as asked, and no container is
started twice. Each container tells a collector on the host's bridge that it starts, by its pod's uid; a second start, also one
whose container is gone by now, is seen there."""

import collections
import http.server
import json
import threading

import pytest

from harness import deployment, eventually, kill_hard

VICTIMS = ["fks-webhook", "fks-scheduler", "host-1-fks-node", "kube-apiserver", "etcd", "host-1-containerd"]
REPLICAS = 6


class Collector(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address):
        self.starts = collections.Counter()
        self.lock = threading.Lock()
        super().__init__((address, 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.lock:
            self.server.starts[self.path.strip("/")] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector(cluster):
    server = Collector(f"10.201.{cluster.number}.1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def kill_one(cluster, victim):
    """Kills and waits until the supervisor has a new one running."""
    before = cluster.processes()[victim]
    kill_hard(before["pid"])

    def back():
        now = cluster.processes()[victim]
        return now["restarts"] > before["restarts"] and now["pid"] not in (0, before["pid"])

    return lambda: eventually(back, 30, f"{victim} runs again")


def scale(cluster, made, count):
    made["spec"]["replicas"] = count

    def accepted():  # the API server may be the one that is down
        return cluster.fks.run("apply", "-f", "-", stdin=json.dumps(made)).code == 0

    eventually(accepted, 60, "scaling is accepted")


def count(cluster, check):
    """How many pods of ours there are that check holds for; an API server that is down is asked again."""
    return sum(map(check, cluster.pods("default", "app=victims")))


@pytest.mark.parametrize("moment", ["at-once", "in-between"])
@pytest.mark.parametrize("victim", VICTIMS)
def test_kill(cluster, collector, victim, moment):
    host, port = collector.server_address
    command = f"timeout 20 wget -q -O /dev/null http://{host}:{port}/$UID_OF_POD; exec sleep 3600"
    env = [{"name": "UID_OF_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]
    cluster.ready("default", 0, "app=victims")
    made = deployment("victims", 0, command=command, env=env)
    cluster.fks.apply(made)
    try:
        scale(cluster, made, REPLICAS)
        if moment == "in-between":
            eventually(lambda: count(cluster, lambda item: "nodeName" in item["spec"]) >= 1, 60, "the first pod is bound")
        kill_one(cluster, victim)()
        pods = cluster.ready("default", REPLICAS, "app=victims", seconds=120)
        uids = {item["metadata"]["uid"] for item in pods}
        assert {item["spec"]["schedulerName"] for item in pods} == {"fargate-scheduler"}
        assert len({item["spec"]["nodeName"] for item in pods}) == REPLICAS
        # a start that the kill cut off before the container's program ran is tried again; one that ran is not
        for state in (state for item in pods for state in item["status"]["containerStatuses"]):
            assert state["restartCount"] == 0 or state["lastState"]["terminated"]["reason"] == "StartError", state
        eventually(lambda: uids <= set(collector.starts), 20, "every container has told its start")

        scale(cluster, made, 0)
        if moment == "in-between":
            eventually(lambda: count(cluster, lambda item: "deletionTimestamp" not in item["metadata"]) < REPLICAS, 60, "the first pod goes")
        kill_one(cluster, victim)()
        cluster.ready("default", 0, "app=victims", seconds=120)
        cluster.settled()
        twice = {uid: times for uid, times in collector.starts.items() if times > 1}
        assert not twice, f"containers started more than once: {twice}"
    finally:
        eventually(lambda: cluster.fks.run("delete", "deployment", "victims", "--ignore-not-found").code == 0, 60)
