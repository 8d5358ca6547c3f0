"""Two clusters side by side; stop and start; delete, and a create that is cut off, leave nothing on the machine."""

import re
import signal
from pathlib import Path

import pytest

from harness import deployment, eventually, left_over, machine, marks, pod, service


def page(cluster):
    return cluster.fks.ok("exec", "client", "--context", f"admin@{cluster.name}.local.fks.dev", "--", "timeout", "3", "wget", "-q", "-O", "-", "http://web/")


@pytest.mark.deadline(600)
def test_two_clusters_stop_start_delete(cluster, make_home):
    home = make_home("second")
    before = machine(home)
    second = home.create("second", "--fargate")
    assert second.number != cluster.number
    try:
        for which in (cluster, second):
            which.fks.apply(deployment("web", 1), service("web"), pod("client", command="sleep 3600"))
        uids = {}
        for which in (cluster, second):
            which.ready("default", 1, "app=web")
            uids[which.name] = which.phase("default", "client", "Running")["metadata"]["uid"]
        for which in (cluster, second):
            assert "This page comes from" in eventually(lambda: page(which), 30)
            assert sorted(item["metadata"]["labels"]["app"] for item in which.pods("default")) == ["client", "web"]

        ours = marks(home)

        # stop: no process, mount, interface or rule; the state stays
        home.fks.ok("stop", "cluster", "second", seconds=120)
        stopped = left_over(before, machine(home), ours)
        stopped.pop("home", None)
        assert not stopped, stopped
        assert "STOPPED" in home.fks.ok("get", "cluster", "second")
        assert "This page comes from" in page(cluster)

        # its addresses are somebody else's meanwhile
        taken = Path(f"/run/fks/{second.number}")
        taken.mkdir()
        (taken / "owner").write_text("/elsewhere/clusters/other")
        assert "those of the cluster in '/elsewhere/clusters/other' now" in home.fks.fails("start", "cluster", "second").err
        (taken / "owner").unlink()
        taken.rmdir()

        # start: the same objects, the pods run again
        home.fks.ok("start", "cluster", "second", seconds=240)
        assert second.fks.json("get", "pod", "client")["metadata"]["uid"] == uids["second"]
        second.ready("default", 1, "app=web")
        second.phase("default", "client", "Running")
        assert "This page comes from" in eventually(lambda: page(second), 60)
        second.settled()
        ours = re.compile(ours.pattern + "|" + marks(home).pattern)
    finally:
        second.end()
    left = left_over(before, machine(home), ours)
    assert not left, left
    assert "second" not in home.kubeconfig.read_text()

    assert "This page comes from" in page(cluster)
    cluster.fks.ok("delete", "deployment/web", "service/web", "pod/client")
    cluster.ready("default", 0)
    cluster.settled()


@pytest.mark.parametrize("moment,number", [("creating cluster", signal.SIGINT), ("starting etcd", signal.SIGINT),
                                           ("the control plane answers", signal.SIGTERM), ("fks-webhook is ready", signal.SIGINT),
                                           ("waiting for CoreDNS", signal.SIGINT)])
def test_create_cut_off(cluster, make_home, moment, number):
    home = make_home(f"cut-{number}-{moment.replace(' ', '-')}")
    before = machine(home)
    with home.fks.spawn("create", "cluster", "cut", "--fargate") as create:
        create.expect(moment, 120)
        ours = marks(home)
        create.signal(number)
        create.wait(60)
    left = left_over(before, machine(home), ours)
    assert not left, left
    assert home.fks.ok("get", "clusters") == "No clusters found\n"
    assert not home.kubeconfig.exists() or "cut" not in home.kubeconfig.read_text()


def test_create_killed(cluster, make_home):
    """kill -9 of create leaves a cluster that can be deleted, but not started, and is then gone."""
    home = make_home("killed")
    before = machine(home)
    with home.fks.spawn("create", "cluster", "cut", "--fargate") as create:
        create.expect("the control plane answers", 120)
        create.child.kill()
        create.wait(60)
    ours = marks(home)
    assert "FAILED" in home.fks.ok("get", "cluster", "cut")
    assert "creating cluster 'cut' was cut off" in home.fks.fails("start", "cluster", "cut").err
    home.fks.ok("delete", "cluster", "cut")
    left = left_over(before, machine(home), ours)
    assert not left, left
