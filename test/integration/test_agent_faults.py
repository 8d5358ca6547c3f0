"""fks-node when the machine itself lets it down: clocks that are set, a disk that is full, a runtime that never answers; and an
agent that is replaced by another. No pod is lost, none runs twice, no healthy container is stopped."""

import contextlib
import difflib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from agents import PATH, agent, api, create, is_ready, ready_count, running_agent, runtime, scheduler, uid  # noqa: F401
from clock import Clock
from cluster import until
from fakes import LEASES

EXEC = {"exec": {"command": ["true"]}}
NODE_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CONFIG_MAPS = "/api/v1/namespaces/agent/configmaps"
# a call that hangs does so for longer than the agent waits, which is two minutes on the agent's clock
HURRY, HANG_SECONDS = 20, 7.5
DISK_BYTES, DISK_FILES = 8 << 20, 4000
HANGING = os.environ.get("FKS_TEST_HANGING", "RunPodSandbox CreateContainer StartContainer StopContainer").split()


def probed(**rest):
    """A container whose probes the runtime answers."""
    probe = {**EXEC, "periodSeconds": 1, "timeoutSeconds": 60, **rest}
    return {"readinessProbe": probe, "livenessProbe": probe}


def untouched(runtime, *pods):
    for item in pods:
        assert runtime.starts.get((uid(item), "main")) == 1, item["metadata"]["name"]
        assert (uid(item), "main") not in runtime.killed, item["metadata"]["name"]


def phase_of(api, item):
    return api.get(f"{PATH}/{item['metadata']['name']}")["status"]["phase"]


def gone(api, item):
    return api.find(f"{PATH}/{item['metadata']['name']}") is None


# --- clocks

@pytest.fixture
def clock(runtime):
    """Two hours ahead of the machine: what is set back must not come before the certificates of the test."""
    return Clock(runtime.socket.parent, ahead=7200)


@pytest.fixture
def clocked(plane, api, scheduler, binary, runtime, clock):
    with running_agent(plane, api, binary, runtime, clock.env) as running:
        yield running


def renewals(api):
    """{Lease: renewTime} of the Nodes and of the host."""
    leases = api.get(NODE_LEASES)["items"] + api.get(LEASES)["items"]
    return {item["metadata"]["name"]: item["spec"]["renewTime"] for item in leases
            if item["metadata"]["name"].startswith(("fargate-", "host-a"))}


def expect_renewals(api):
    """Every Lease is renewed, and to a later time: the node controller takes nothing else for a sign of life."""
    before = renewals(api)

    def renewed():
        now = renewals(api)
        assert not {name: (before[name], now[name]) for name in before if now[name] < before[name]}
        return all(now[name] > before[name] for name in before)

    until(renewed, 60, "all Leases are renewed")


def test_clock_is_set_back_and_forward(plane, api, runtime, clocked, clock):
    made = [create(api, "limited", activeDeadlineSeconds=1800), create(api, "probed", container=probed(initialDelaySeconds=1)),
            create(api, "plain")]
    until(lambda: ready_count(api) == 3, 90, "all pods are Ready")
    looping = create(api, "looping")
    until(lambda: runtime.starts.get((uid(looping), "main")) == 1, 60)
    clock.go(10)
    for number, seconds in enumerate((-7200, 3 * 3600, -3600)):
        clock.set_by(seconds)
        expect_renewals(api)
        # begun under the new clock; its container was started by a runtime with another one
        late = create(api, f"late-{number}", container=probed(initialDelaySeconds=1))
        until(lambda: ready_count(api) == len(made) + 2, 90, "all pods are Ready")
        made.append(late)
        # a restart waits for its back-off, whatever the clock says, and comes
        starts = runtime.starts[uid(looping), "main"]
        running = next(item["status"].id for item in runtime.containers.values()
                       if item["uid"] == uid(looping) and item["status"].state == 1)
        runtime.exit(running, 1, "Error")
        until(lambda: runtime.starts[uid(looping), "main"] == starts + 1, 60, "it is started again")
    clock.go(1)
    untouched(runtime, *made)
    # an agent that starts under a clock behind the one of its last Leases
    clocked.kill()
    clock.set_by(-5400)
    clocked.start()
    clock.go(10)
    expect_renewals(api)
    untouched(runtime, *made)
    assert not [item["metadata"]["name"] for item in api.get(PATH)["items"] if not is_ready(item)]
    clock.go(1)


# --- calls that hang

@pytest.mark.parametrize("method", HANGING)
def test_call_that_hangs_and_is_carried_out_late(api, runtime, clocked, clock, method):
    """The agent gives up; the runtime does what it was told all the same, when nobody waits for it any more."""
    clock.go(HURRY)
    runtime.delay(method, HANG_SECONDS, 1)
    made = create(api, "held-up")
    until(lambda: is_ready(api.get(f"{PATH}/held-up")), 120, "the pod is Ready in the end")
    untouched(runtime, made)
    api.request("DELETE", f"{PATH}/held-up", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})
    until(lambda: gone(api, made), 120, "the pod goes")
    clock.go(1)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_start_under_way_when_the_agent_ends(api, runtime, agent, end):
    """The runtime does not learn that the agent is gone, so it does not give the start up, and the next agent makes no second one."""
    runtime.gives_up = True
    runtime.delay("StartContainer", 3, 1)
    made = create(api, "starting")
    until(lambda: runtime.starting, 60, "the start is under way")
    getattr(agent, end)()
    agent.start()
    until(lambda: is_ready(api.get(f"{PATH}/starting")), 60, "the pod is Ready")
    untouched(runtime, made)
    status = api.get(f"{PATH}/starting")["status"]["containerStatuses"][0]
    assert (status["restartCount"], status["lastState"]) == (0, {})


def test_agent_killed_twice_at_the_end_of_a_pod(api, runtime, agent):
    """First when the volumes were removed, then when the sandbox was: nothing but the logs is left to tell the third of the pod."""
    made = create(api, "ended-twice", automountServiceAccountToken=False)
    until(lambda: is_ready(api.get(f"{PATH}/ended-twice")), 60, "the pod is Ready")
    agent.kill()
    shutil.rmtree(agent.folder / "state/pods" / uid(made))
    api.request("DELETE", f"{PATH}/ended-twice", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    until(lambda: gone(api, made), 60, "the object goes")
    runtime.delay("RemovePodSandbox", 1, 1)
    agent.start()
    until(lambda: runtime.under_way.get("RemovePodSandbox"), 60, "the sandbox is being removed")
    os.kill(agent.child.pid, signal.SIGSTOP)  # it does not hear the answer
    until(lambda: not runtime.sandboxes, 60, "the sandbox is gone")
    agent.kill()
    assert list((agent.folder / "logs").iterdir())
    agent.start()
    until(lambda: not list((agent.folder / "logs").iterdir()), 60, "the logs go")


# --- a full disk

class Disk:
    """A file system of a few megabytes for the folders of one agent, which can be filled to the last byte and file."""

    def __init__(self, folder):
        self.folder, self.fillers, self.numbers = folder, folder / "fillers", itertools.count()
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},nr_inodes={DISK_FILES}", "tmpfs", self.folder], check=True)
        for name in ("state", "logs"):
            (self.folder / name).mkdir()
            (folder.parent / name).symlink_to(self.folder / name)

    def fill(self):
        """Also what has become free since it was filled before. No other disk: it must be this small one."""
        assert os.path.ismount(self.folder)
        self.fillers.mkdir(exist_ok=True)
        with contextlib.suppress(OSError), open(self.fillers / "bytes", "ab", buffering=0) as file:
            for _ in range(DISK_BYTES // 4096):
                file.write(bytes(4096))
        with contextlib.suppress(OSError):
            for _ in range(DISK_FILES):
                (self.fillers / f"file-{next(self.numbers)}").touch()

    def free(self):
        shutil.rmtree(self.fillers)


@pytest.fixture
def disk(runtime):
    return Disk(runtime.socket.parent / "disk")


@pytest.fixture
def agent_on_disk(plane, api, scheduler, binary, runtime, disk):
    with running_agent(plane, api, binary, runtime) as running:
        yield running


def mounted(runtime, item, name):
    """Text of a file of the pod's volume `config`, as its container sees it."""
    folder = runtime.socket.parent / "state/pods" / uid(item) / "volumes/config"
    return (folder / name).read_text()


def test_disk_is_full(api, runtime, disk, agent_on_disk):
    api.post(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "old"}})
    config = {"volumes": [{"name": "config", "configMap": {"name": "settings"}}],
              "container": {"volumeMounts": [{"name": "config", "mountPath": "/config"}]}}
    steady, ends, goes = create(api, "steady", **config), create(api, "ends", restartPolicy="Never"), create(api, "goes")
    restarts = create(api, "restarts")
    until(lambda: ready_count(api) == 4, 60, "all pods are Ready")
    # one that is on its way when the disk fills up
    runtime.delay("RunPodSandbox", 3, 1)
    calls = runtime.calls["RunPodSandbox"]
    half_way = create(api, "half-way", **config)
    until(lambda: runtime.calls["RunPodSandbox"] > calls, 60)
    disk.fill()
    try:
        running = {item["uid"]: item["status"].id for item in runtime.containers.values()}
        # ends are told, and deletions done, without a byte
        runtime.exit(running[uid(ends)], 3, "Error")
        until(lambda: phase_of(api, ends) == "Failed", 60, "the end is told")
        runtime.exit(running[uid(restarts)], 0, "Completed")
        api.delete(f"{PATH}/goes", grace=1)
        until(lambda: gone(api, goes), 60, "the pod goes")
        disk.fill()
        api.patch(f"{CONFIG_MAPS}/settings", {"data": {"key": "new"}})
        agent_on_disk.kill()
        agent_on_disk.start()
        calls = runtime.calls["ListContainers"]
        until(lambda: runtime.calls["ListContainers"] > calls + 5, 60, "the agent looks after its pods")
        assert is_ready(api.get(f"{PATH}/steady"))
        assert mounted(runtime, steady, "key") == "old"
    finally:
        disk.free()
    until(lambda: is_ready(api.get(f"{PATH}/half-way")), 120, "the pod starts when there is room again")
    until(lambda: runtime.starts[uid(restarts), "main"] == 2 and is_ready(api.get(f"{PATH}/restarts")), 60, "so does the container")
    until(lambda: mounted(runtime, steady, "key") == "new", 120, "the new settings arrive")
    untouched(runtime, steady, half_way)
    late = create(api, "late")
    until(lambda: is_ready(api.get(f"{PATH}/late")), 120, "the host takes new pods")
    untouched(runtime, late)
    api.delete(f"{CONFIG_MAPS}/settings")


# --- an upgrade in place

class Watch(threading.Thread):
    """Notes every moment at which a pod that was Ready is not."""

    def __init__(self, plane):
        super().__init__(daemon=True)
        self.api, self.ending = plane.as_user("admin"), threading.Event()
        self.was_ready, self.flaps = set(), []

    def run(self):
        while not self.ending.is_set():
            for item in self.api.get(PATH)["items"]:
                if "deletionTimestamp" in item["metadata"]:
                    continue
                if is_ready(item):
                    self.was_ready.add(uid(item))
                elif uid(item) in self.was_ready:
                    self.flaps.append(item)
            time.sleep(0.05)

    def stop(self):
        self.ending.set()
        self.join()
        return [(item["metadata"]["name"], item["status"]) for item in self.flaps]


def statuses(api, names):
    """What the API server knows of the pods, with every time at which something changed."""
    return {name: json.dumps(api.get(f"{PATH}/{name}")["status"], indent=1).splitlines() for name in names}


def test_upgrade_in_place(plane, api, runtime, agent):
    """The old agent is told to end, another program takes over: containers and their readiness stay as they are."""
    made = [create(api, f"stays-{number}", container=probed()) for number in range(4)]
    going = create(api, "going", terminationGracePeriodSeconds=30)
    until(lambda: ready_count(api) == 5, 60, "all pods are Ready")
    names = [item["metadata"]["name"] for item in made]
    # the status may be written once more for what the probes found
    until(lambda: statuses(api, names) == (time.sleep(2), statuses(api, names))[1], 60, "nothing is left to write")
    before, watch = statuses(api, names), Watch(plane)
    watch.start()
    for turn in range(3):
        if turn == 1:  # a pod that is being stopped then
            runtime.delay("StopContainer", 4, 1)
            api.request("DELETE", f"{PATH}/going", {"kind": "DeleteOptions", "apiVersion": "v1"})
            until(lambda: runtime.calls.get("StopContainer", 0) > 0, 30)
        assert agent.stop() == 0, agent.log()[-2000:]
        new = runtime.socket.parent / f"fks-node-{turn}"
        shutil.copy2(agent.argv[0], new)
        agent.argv[0] = new
        agent.start()
        calls = runtime.calls["ListContainers"], runtime.calls["ExecSync"]
        until(lambda: runtime.calls["ListContainers"] > calls[0] + 2 and runtime.calls["ExecSync"] > calls[1] + 8, 60, "it has taken over")
    until(lambda: gone(api, going), 60, "the pod goes")
    assert watch.stop() == []
    untouched(runtime, *made)
    assert runtime.killed[uid(going), "main"] == 1
    after = statuses(api, names)
    assert not [line for name in names for line in difflib.unified_diff(before[name], after[name], lineterm="", n=4)]
