"""Whatever fails around the agent, or the agent itself: no pod is lost, none runs twice, no healthy container is killed."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import container, deployment, eventually, is_ready, kill_hard, pod
from reaper import unmount


DISK_BYTES, DISK_FILES = 1 << 30, 30000
# how long the API server is away; a Lease lives for 40 s. The long form: FKS_AWAY_SECONDS=180
AWAY_SECONDS = int(os.environ.get("FKS_AWAY_SECONDS", 50))


@pytest.fixture(scope="module")
def cluster(make_home):
    """A cluster whose host takes more pods than the machine has room for, and has a small disk of its own for what containerd and
    the agent write (outside of the cluster's folder, below which `fks start` unmounts everything)."""
    home = make_home("faults")
    cluster = home.create("faults", "--region", "local", "--fargate", "--host-cpu", "16")
    cluster.fks.ok("stop", "cluster", cluster.name, seconds=180)
    cluster.disk = home.folder / "disk"
    cluster.disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},nr_inodes={DISK_FILES},mode=700", "tmpfs", cluster.disk], check=True)
    shutil.move(cluster.folder / "hosts/host-1", cluster.disk / "host-1")
    (cluster.folder / "hosts/host-1").symlink_to(cluster.disk / "host-1")
    cluster.fks.ok("start", "cluster", cluster.name, seconds=180)
    cluster.ready("kube-system", 1)
    yield cluster
    if not os.environ.get("FKS_KEEP"):
        cluster.end()
        unmount(cluster.disk)


def bearings(cluster, selector):
    """What must stay the same of running pods: uid, container and its restarts."""
    return sorted((item["metadata"]["uid"], state["containerID"], state["restartCount"])
                  for item in cluster.pods("default", selector) for state in item["status"]["containerStatuses"])


@pytest.fixture
def steady(cluster):
    """Two servers that nothing may happen to, probed for life and readiness."""
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "timeoutSeconds": 5}
    cluster.fks.apply(deployment("steady", 2, livenessProbe=probe))
    cluster.ready("default", 2, "app=steady")
    before = bearings(cluster, "app=steady")
    yield before
    cluster.ready("default", 2, "app=steady")
    after = bearings(cluster, "app=steady")
    eventually(lambda: cluster.fks.run("delete", "deployment", "steady").code == 0, 30)
    cluster.ready("default", 0, "app=steady")
    assert after == before


# --- the agent is killed

@pytest.mark.deadline(240 + 15 * int(os.environ.get("FKS_KILLS", 7)))
def test_agent_killed_at_random_moments(cluster, steady):
    """Kills, and orders to end as an upgrade gives them, within the lives of 20 pods, each of which must run exactly once.
    FKS_KILLS=20 takes three minutes: the longer a program goes on dying, the longer the supervisor waits."""
    dice = random.Random(5)
    wanted = int(os.environ.get("FKS_KILLS", 7))
    names = [f"life-{n}" for n in range(20)]
    objects = [pod(name, labels={"app": "life"}, command=f"echo run; sleep {dice.uniform(0.1, 4):.1f}", restartPolicy="Never",
                   initContainers=[container("echo init", name="before")]) for name in names]
    ended = set()

    def running(but):
        pid = cluster.processes()["host-1-fks-node"]["pid"]
        return pid if pid not in (0, but) else None

    pid = 0
    for n in range(wanted):
        cluster.fks.apply(*objects[n * 20 // wanted:(n + 1) * 20 // wanted])
        pid = eventually(lambda: running(pid), 30, "the agent runs again")
        time.sleep(dice.uniform(0.05, 1.5))
        os.kill(pid, dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))

    def all_ended():
        pods = cluster.pods("default", "app=life")
        ended.update(item["metadata"]["name"] for item in pods if item["status"]["phase"] == "Succeeded")
        failed = [item["status"] for item in pods if item["status"]["phase"] == "Failed"]
        assert not failed, failed
        return ended == set(names)

    eventually(all_ended, 150, "every pod succeeds")
    for item in cluster.pods("default", "app=life"):
        name = item["metadata"]["name"]
        for which, word in (("before", "init\n"), ("main", "run\n")):
            assert cluster.fks.ok("logs", name, "-c", which) == word, name
        # one whose start was cut off before its program ran may have been made again
        for state in item["status"]["containerStatuses"] + item["status"]["initContainerStatuses"]:
            assert state["state"]["terminated"]["exitCode"] == 0, state
    cluster.fks.ok("delete", "pod", "-l", "app=life", "--grace-period=1")
    cluster.ready("default", 0, "app=life")
    cluster.settled()


# --- the runtime fails

class Faulty:
    """Stands before the runtime's socket. Each call has a connection of its own: some are cut, some hang and are cut then."""

    def __init__(self, cluster):
        self.path = f"/run/fks/{cluster.number}/h1/containerd.sock"
        self.real = self.path + ".real"
        self.cut = self.hang = 0.0
        self.dice = random.Random(7)
        self.calls = self.faults = 0

    def __enter__(self):
        os.rename(self.path, self.real)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        os.rename(self.real, self.path)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.calls += 1
        roll = self.dice.random()
        if roll < self.cut + self.hang:
            self.faults += 1
            if roll >= self.cut:
                time.sleep(8)
            connection.close()
            return
        runtime = socket.socket(socket.AF_UNIX)
        runtime.connect(self.real)
        # and in some cases the runtime does what it is told, and nobody hears of it
        deaf = self.dice.random() < self.cut / 2
        threading.Thread(target=self.copy, args=(connection, runtime), daemon=True).start()
        self.copy(runtime, connection, deaf)

    @staticmethod
    def copy(source, target, deaf=False):
        try:
            while data := source.recv(65536):
                if deaf and len(data) > 60:  # more than the greeting: the answer is here
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_runtime_calls_fail_and_hang(cluster, steady):
    with Faulty(cluster) as runtime:
        runtime.cut, runtime.hang = 0.15, 0.05
        cluster.fks.apply(*[pod(f"once-{n}", labels={"app": "once"}, command="echo run; sleep 2", restartPolicy="Never") for n in range(6)],
                          deployment("stays", 2))
        eventually(lambda: all(item["status"]["phase"] == "Succeeded" for item in cluster.pods("default", "app=once")), 150, "all succeed")
        runtime.cut = runtime.hang = 0.0
        assert runtime.faults > 10, runtime.calls
        cluster.ready("default", 2, "app=stays")
        for n in range(6):
            assert cluster.fks.ok("logs", f"once-{n}") == "run\n"
        runtime.cut, runtime.hang = 0.15, 0.05
        cluster.fks.ok("delete", "deployment", "stays")
        cluster.fks.ok("delete", "pod", "-l", "app=once", "--wait=false")
        cluster.ready("default", 0, "app in (once, stays)", seconds=150)
        runtime.cut = runtime.hang = 0.0
        cluster.settled()

    def nothing_left():
        listed = subprocess.run(["ctr", "-a", f"/run/fks/{cluster.number}/h1/containerd.sock", "-n", "k8s.io", "containers", "list", "-q"],
                                capture_output=True, text=True, check=True).stdout.split()
        assert len(listed) == 6, listed  # sandbox and container of CoreDNS and the two steady ones
        return True

    eventually(nothing_left, 60)


def test_runtime_killed_and_restarted(cluster, steady):
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = cluster.processes()["host-1-containerd"]
        os.kill(before["pid"], number)
        eventually(lambda: cluster.processes()["host-1-containerd"]["restarts"] > before["restarts"], 30)
        time.sleep(1)
    cluster.fks.apply(pod("after", command="sleep 3600"))
    cluster.phase("default", "after", "Running")
    cluster.fks.ok("delete", "pod", "after", "--grace-period=1")


# --- the disk is full

def last_line(cluster, name):
    return int(cluster.fks.ok("logs", name, "--tail=1").split()[-1])


@contextlib.contextmanager
def full_disk(cluster):
    """Not a byte is left for the runtime and the agent, and not a file."""
    fillers = cluster.disk / "fillers"
    fillers.mkdir()
    facts = os.statvfs(fillers)  # never fill another disk than our own
    assert os.path.ismount(cluster.disk) and facts.f_blocks * facts.f_frsize <= DISK_BYTES and facts.f_files <= DISK_FILES
    try:
        with contextlib.suppress(OSError), open(fillers / "bytes", "wb", buffering=0) as file:
            for _ in range(DISK_BYTES >> 20):
                file.write(bytes(1 << 20))
        with contextlib.suppress(OSError):
            for n in range(DISK_FILES):
                (fillers / str(n)).touch()
        yield
    finally:
        shutil.rmtree(fillers)


def writer():
    """A pod that goes on writing, to its log and to a volume."""
    count = "n=0; while sleep 0.2; do n=$((n + 1)); echo line $n; echo $n > /data/n; done"
    return pod("writes", volumes=[{"name": "data", "emptyDir": {}}],
               containers=[container(count, volumeMounts=[{"name": "data", "mountPath": "/data"}])])


def still_writes(cluster):
    counted = eventually(lambda: last_line(cluster, "writes"), 60)
    eventually(lambda: last_line(cluster, "writes") > counted, 60, "the log goes on")
    assert int(eventually(lambda: cluster.fks.ok("exec", "writes", "--", "cat", "/data/n"), 30)) >= counted


def test_disk_is_full(cluster, steady):
    """The agent is killed then too; afterwards everything goes on."""
    cluster.fks.apply(writer(), pod("goes", command="sleep 3600"))
    for name in ("writes", "goes"):
        cluster.phase("default", name, "Running")
    before = bearings(cluster, "app=writes")
    with full_disk(cluster):
        cluster.fks.apply(*[pod(f"late-{n}", labels={"app": "late"}, command="echo run; sleep 1", restartPolicy="Never") for n in range(3)])
        cluster.fks.ok("delete", "pod", "goes", "--wait=false")
        killed = cluster.processes()["host-1-fks-node"]
        kill_hard(killed["pid"])
        eventually(lambda: cluster.processes()["host-1-fks-node"]["restarts"] > killed["restarts"], 30)
        time.sleep(5)
    eventually(lambda: "goes" not in cluster.fks.ok("get", "pods", "-o", "name"), 90, "the pod goes")
    eventually(lambda: all(item["status"]["phase"] == "Succeeded" for item in cluster.pods("default", "app=late")), 150, "all succeed")
    for n in range(3):
        assert cluster.fks.ok("logs", f"late-{n}") == "run\n"
    still_writes(cluster)
    assert bearings(cluster, "app=writes") == before
    cluster.fks.ok("delete", "pod", "-l", "app in (late, writes)", "--grace-period=1")
    cluster.ready("default", 0, "app in (late, writes)")
    cluster.settled()


# --- the API server is away

@pytest.mark.deadline(240 + AWAY_SECONDS)
def test_api_server_stands_still(cluster, steady):
    """It answers nothing for longer than a Lease lives; the pods run on, and one that ended meanwhile is told of."""
    cluster.fks.apply(pod("ends", command="echo run; sleep 8", restartPolicy="Never"))
    cluster.phase("default", "ends", "Running")
    pid = cluster.pid("kube-apiserver")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: cluster.fks.run("get", "nodes").code == 0, 30)
    cluster.phase("default", "ends", "Succeeded", seconds=60)
    assert cluster.fks.ok("logs", "ends") == "run\n"
    cluster.fks.ok("delete", "pod", "ends")
    # Nodes whose Leases ran out are well again, and nobody was evicted
    eventually(lambda: all(map(is_ready, cluster.fks.json("get", "nodes")["items"])), 60, "all Nodes are Ready")


def test_connections_cut_every_few_seconds(cluster, steady):
    """Every connection of the host to the API server is reset, again and again, while pods come and go."""
    port = str(cluster.info["api_port"])
    rule = ["-p", "tcp", "--dport", port, "-j", "REJECT", "--reject-with", "tcp-reset"]
    inside = ["nsenter", f"--net=/run/netns/fks{cluster.number}-h1", "iptables", "-w"]
    stop = threading.Event()

    def cut():
        while not stop.is_set():
            subprocess.run([*inside, "-I", "OUTPUT", *rule], check=True)
            stop.wait(0.5)
            subprocess.run([*inside, "-D", "OUTPUT", *rule], check=True)
            stop.wait(3)

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        for turn in range(3):
            cluster.fks.apply(*[pod(f"cut-{turn}-{n}", labels={"app": "cut"}, command="echo run; sleep 1", restartPolicy="Never") for n in range(3)])
            eventually(lambda: len(cluster.pods("default", "app=cut")) == 3 and
                       all(item["status"]["phase"] == "Succeeded" for item in cluster.pods("default", "app=cut")), 60)
            cluster.fks.ok("delete", "pod", "-l", "app=cut", "--wait=false")
            cluster.ready("default", 0, "app=cut")
    finally:
        stop.set()
        cutter.join()
    cluster.settled()
    assert not re.search(r"level=error", (cluster.folder / "logs" / "host-1-fks-node.log").read_text())
