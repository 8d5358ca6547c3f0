"""Two schedulers that both act, whatever the Lease says: neither ever promises room that the other has promised already."""

import http.client
import json
import random
import signal
import threading
import time

import pytest

from cluster import until
from fakes import BOOKS, HOST_LABEL, LEASES, PROFILES, Heart, Host, Space, books, held


@pytest.fixture(scope="module")
def api(plane):
    return Space(plane, "fence")


@pytest.fixture(autouse=True)
def clean(api):
    yield
    api.patch(f"{PROFILES}/fp", {"metadata": {"finalizers": None}})  # no scheduler is left to drain it
    api.clean()
    for item in api.get(BOOKS + f"?labelSelector={HOST_LABEL}")["items"]:
        api.delete(f"{BOOKS}/{item['metadata']['name']}")


def promised(api):
    """host → number of pods that have its label."""
    return {host: len(uids) for host, uids in held(api, api.path).items()}


def conflicts(*replicas):
    lines = "".join(replica.get("/metrics")[1] for replica in replicas).splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("fks_scheduler_ledger_conflicts_total"))


def test_schedulers_that_do_not_see_each_others_pods_share_hosts(api, program):
    """Each lists only the pods that name it, so all that it knows of the other's is what the books say."""
    api.make_profile()
    hosts = [Host(api, name, cpu="2", memory="16Gi") for name in ("a", "b")]
    with Heart(api, *hosts), \
            program("fks-scheduler", "scheduler", name="one", options=["--leader-elect=false"]) as one, \
            program("fks-scheduler", "scheduler", name="two",
                    options=["--leader-elect=false", "--scheduler-name=other-scheduler"]) as two:
        for i in range(12):
            api.create(f"mine-{i:02}")
            api.create(f"theirs-{i:02}", schedulerName="other-scheduler")
        until(lambda: promised(api) == {"a": 8, "b": 8}, 60, lambda: promised(api))
        time.sleep(3)  # eight pods are left over, and each scheduler holds room for more by its own pods alone
        assert promised(api) == {"a": 8, "b": 8}
        until(lambda: books(api) == held(api, api.path), 10, lambda: books(api))
        print(f"{conflicts(one, two):.0f} conflicts")
        # what ends makes room for whoever comes first
        for item in api.get(api.path)["items"]:
            if item["metadata"]["labels"].get(HOST_LABEL) == "a":
                api.delete(f"{api.path}/{item['metadata']['name']}")
        until(lambda: promised(api) == {"a": 8, "b": 8}, 90, lambda: promised(api))
        until(lambda: books(api) == held(api, api.path), 10, lambda: books(api))


class Witness(threading.Thread):
    """Follows the pods in the order of their changes, and remembers each moment at which more was promised than there is."""

    def __init__(self, api, most):
        super().__init__(daemon=True)
        self.api, self.most, self.over, self.moves = api, most, [], []
        self.version = api.get(api.path)["metadata"]["resourceVersion"]
        self.ending = threading.Event()
        self.hosts = {}  # name → host

    def run(self):
        while not self.ending.is_set():
            connection = http.client.HTTPSConnection("127.0.0.1", self.api.plane.port, timeout=20, context=self.api.context)
            try:
                connection.request("GET", f"{self.api.path}?watch=1&timeoutSeconds=3&resourceVersion={self.version}")
                for line in connection.getresponse():
                    event = json.loads(line)
                    assert event["type"] != "ERROR", event
                    self.see(event["type"], event["object"]["metadata"])
            finally:
                connection.close()

    def see(self, kind, metadata):
        self.version = metadata["resourceVersion"]
        name, host = metadata["name"], metadata["labels"].get(HOST_LABEL) if kind != "DELETED" else None
        before = self.hosts.get(name)
        self.hosts[name] = host
        if before and host and before != host:
            self.moves.append((name, before, host))
        if host and sum(1 for other in self.hosts.values() if other == host) > self.most:
            self.over.append((name, host))

    def stop(self):
        self.ending.set()
        self.join(20)
        assert not self.is_alive()


def test_replicas_that_both_believe_they_lead(api, program):
    """Without a Lease, and frozen in turn, so that each acts on what was true a while ago."""
    api.make_profile()
    names = ("a", "b", "c")
    hosts = [Host(api, name, cpu="4", memory="32Gi") for name in names]
    witness = Witness(api.again(), 16)
    witness.start()
    dice = random.Random(7)
    try:
        with Heart(api, *hosts), \
                program("fks-scheduler", "scheduler", name="one", options=["--leader-elect=false"]) as one, \
                program("fks-scheduler", "scheduler", name="two", options=["--leader-elect=false"]) as two:
            made = 0
            for turn in range(8):
                frozen = (one, two)[turn % 2]
                frozen.child.send_signal(signal.SIGSTOP)
                for item in api.get(api.path)["items"]:
                    if dice.random() < 0.6:
                        api.delete(f"{api.path}/{item['metadata']['name']}")
                for _ in range(40):
                    api.create(f"pod-{made:03}")
                    made += 1
                time.sleep(dice.uniform(0, 0.6))
                frozen.child.send_signal(signal.SIGCONT)
                time.sleep(dice.uniform(0, 0.6))
            until(lambda: sum(promised(api).values()) == min(48, len(api.get(api.path)["items"])), 90, lambda: promised(api))
            print(f"{conflicts(one, two):.0f} conflicts; promised too much {len(witness.over)} times")
            assert not witness.over and not witness.moves
            until(lambda: books(api) == held(api, api.path), 20, lambda: books(api))
    finally:
        witness.stop()
    assert not witness.over and not witness.moves


def test_a_book_is_believed_before_its_pods_are_seen(api, program):
    """Lines of pods that are gone are asked after and struck out; a line that cannot be read, at once; hosts that go lose theirs."""
    api.make_profile()
    host = Host(api, "a", cpu="0.5", memory="16Gi")
    gone = "11111111-2222-3333-4444-555555555555"
    api.post(BOOKS, {"apiVersion": "v1", "kind": "ConfigMap",
                     "metadata": {"name": "reservations-a", "labels": {HOST_LABEL: "a"}},
                     "data": {"pods": f"{gone} fence/never-was 17 0.5vCPU 1GB 20Gi\nno reservation at all\n"}})
    with Heart(api, host), program("fks-scheduler", "scheduler", name="one", options=["--leader-elect=false"]):
        api.create("waits")
        until(lambda: "not enough vCPU free" in api.message("waits") or api.host_of("waits"), 10)
        assert api.host_of("waits") is None  # the room may be another's
        until(lambda: api.host_of("waits") == "a", 30)
        until(lambda: books(api) == held(api, api.path), 10, lambda: books(api))
        api.delete(f"{api.path}/waits")
        api.delete("/apis/fks.dev/v1/fargatehosts/a")
    with program("fks-scheduler", "scheduler", name="two", options=["--leader-elect=false"]):
        api.delete(f"{LEASES}/a")
        until(lambda: not api.get(f"{BOOKS}?labelSelector={HOST_LABEL}")["items"], 60)
