"""CSI volumes: fks-node with the real API server and scheduler, a runtime that runs nothing, and a driver that really mounts."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from agents import HOST, PATH, agent, api, create, is_ready, ready_count, running_agent, runtime, scheduler, uid  # noqa: F401
from cluster import until
from fakes import HOSTS

csi_driver = pytest.importorskip("csi_driver", reason="needs python3-grpcio and protoc: scripts/install-packages test")

DRIVERS = "/apis/storage.k8s.io/v1/csidrivers"
VOLUMES, CLAIMS = "/api/v1/persistentvolumes", "/api/v1/namespaces/agent/persistentvolumeclaims"
SECRETS = "/api/v1/namespaces/agent/secrets"
EVENTS = "/api/v1/namespaces/agent/events"
NAME = "folders.test"
STAGES = "state/plugins/kubernetes.io/csi"


@pytest.fixture
def slow_agent(plane, api, scheduler, binary, runtime):
    """An agent that gives drivers three seconds."""
    with running_agent(plane, api, binary, runtime, options=("--csi-timeout", "3")) as agent:
        yield agent


def registry(agent):
    return agent.folder / "state" / "plugins_registry"


@pytest.fixture
def make_driver(request, api):
    """A function that starts a driver beside the agent and makes its CSIDriver object."""
    made = []

    def make(agent, name=NAME, stages=True, mount_group=False, **spec):
        driver = csi_driver.Driver(agent.folder / name, registry(agent), name, stages, mount_group).start()
        made.append(driver)
        api.post(DRIVERS, {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name},
                           "spec": {"attachRequired": False, **spec}})
        until(lambda: name in api.get(f"{HOSTS}/{HOST}")["spec"].get("csiDrivers", []), 60, "the host offers the driver")
        assert driver.registered is True
        return driver

    yield make
    for driver in made:
        driver.stop()
        api.delete(f"{DRIVERS}/{driver.name}")


@pytest.fixture
def make_claim(api):
    """A function that makes a volume of the driver and a claim bound to it, both of that name."""
    made = []

    def make(name, driver=NAME, mode="ReadWriteMany", source=(), **spec):
        common = {"accessModes": [mode], "storageClassName": ""}
        api.post(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            **common, "capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "agent", "name": name},
            "csi": {"driver": driver, "volumeHandle": f"handle-of-{name}", **dict(source)}, **spec}})
        api.post(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "agent"}, "spec": {
            **common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}})
        until(lambda: api.get(f"{CLAIMS}/{name}").get("status", {}).get("phase") == "Bound", 60, "the claim is bound")
        made.append(name)

    yield make
    for name in made:
        api.delete(f"{CLAIMS}/{name}")
        api.delete(f"{VOLUMES}/{name}")


def claimed(name, readonly=False):
    return {"name": "v", "persistentVolumeClaim": {"claimName": name, "readOnly": readonly}}


def use(api, name, *volumes, **rest):
    return create(api, name, volumes=list(volumes), container={"volumeMounts": [
        {"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]}, **rest)


def ready(api, name):
    until(lambda: is_ready(api.get(f"{PATH}/{name}")), 90, f"{name} is Ready")


def remove(api, *names):
    for name in names:
        api.delete(f"{PATH}/{name}", grace=1)
    for name in names:
        until(lambda: api.find(f"{PATH}/{name}") is None, 90, f"{name} goes")


def nothing_left(agent, driver):
    """Nothing is mounted or staged, and no record says that something is."""
    until(lambda: str(agent.folder) not in Path("/proc/mounts").read_text(), 60, "nothing is mounted")
    until(lambda: not list((agent.folder / STAGES).glob("*")), 60, "nothing is staged")
    served = driver.names()
    for method in ("Stage", "Publish"):
        assert f"Node{method}Volume" not in served or f"NodeUn{method.lower()}Volume" in served, served


def says(api, name, text):
    return any(text in item["message"] and item["involvedObject"]["name"] == name for item in api.get(EVENTS)["items"])


def until_calm(condition, what):
    """Waits; files that are not there yet are no failure."""
    def calm():
        try:
            return condition()
        except (OSError, ValueError, KeyError):
            return False

    until(calm, 60, what)


def mount_of(runtime, item, path):
    config = next(one["config"] for one in runtime.containers.values() if one["uid"] == uid(item))
    return next(mount for mount in config.mounts if mount.container_path == path)


def test_claim(api, runtime, agent, make_driver, make_claim):
    """Two pods of one volume: it is staged once, published to each, and unstaged after the last."""
    driver = make_driver(agent, podInfoOnMount=True)
    make_claim("data", source={"volumeAttributes": {"share": "a", "quota": "1"}, "fsType": "ext4"}, mountOptions=["noatime", "nodev"])
    first = use(api, "first", claimed("data"))
    ready(api, "first")
    second = use(api, "second", claimed("data", readonly=True))
    ready(api, "second")
    place = agent.folder / "state/pods"
    targets = [place / uid(item) / "volumes/v" for item in (first, second)]
    (targets[0] / "file").write_text("from the first")
    assert (targets[1] / "file").read_text() == "from the first"
    with pytest.raises(OSError):
        (targets[1] / "other").write_text("no")
    assert mount_of(runtime, first, "/v").host_path == str(targets[0])
    assert sorted(driver.names()) == ["NodePublishVolume", "NodePublishVolume", "NodeStageVolume"]
    (stage,) = driver.requests("NodeStageVolume")
    assert stage.volume_id == "handle-of-data" and csi_driver.pairs(stage.volume_context) == {"share": "a", "quota": "1"}
    assert stage.volume_capability.mount.fs_type == "ext4" and list(stage.volume_capability.mount.mount_flags) == ["noatime", "nodev"]
    assert stage.volume_capability.access_mode.mode == 5
    published = driver.requests("NodePublishVolume")
    assert [request.readonly for request in published] == [False, True]
    assert [request.staging_target_path for request in published] == [stage.staging_target_path] * 2
    assert csi_driver.pairs(published[0].volume_context) == {
        "share": "a", "quota": "1", "csi.storage.k8s.io/pod.name": "first", "csi.storage.k8s.io/pod.namespace": "agent",
        "csi.storage.k8s.io/pod.uid": uid(first), "csi.storage.k8s.io/serviceAccount.name": "default", "csi.storage.k8s.io/ephemeral": "false"}
    remove(api, "first")
    assert "NodeUnstageVolume" not in driver.names() and (targets[1] / "file").exists()
    remove(api, "second")
    nothing_left(agent, driver)


def test_volume_of_a_pod(api, runtime, agent, make_driver):
    """An ephemeral volume, with the pod's token and a secret."""
    api.post(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "agent"}, "stringData": {"user": "u"}})
    driver = make_driver(agent, volumeLifecycleModes=["Ephemeral"], tokenRequests=[{"audience": "vault", "expirationSeconds": 900}])
    try:
        made = use(api, "inline", {"name": "v", "csi": {"driver": NAME, "readOnly": False, "volumeAttributes": {"kind": "scratch"},
                                                        "nodePublishSecretRef": {"name": "login"}}})
        ready(api, "inline")
        (request,) = driver.requests("NodePublishVolume")
        context = csi_driver.pairs(request.volume_context)
        token = json.loads(context.pop("csi.storage.k8s.io/serviceAccount.tokens"))["vault"]
        assert token["token"].count(".") == 2 and token["expirationTimestamp"].endswith("Z")
        assert context == {"kind": "scratch"} and csi_driver.pairs(request.secrets) == {"user": "u"}
        assert request.volume_id.startswith("csi-") and request.staging_target_path == ""
        (agent.folder / "state/pods" / uid(made) / "volumes/v/file").write_text("x")
        assert not mount_of(runtime, made, "/v").readonly
        remove(api, "inline")
        assert "NodeStageVolume" not in driver.names()
        nothing_left(agent, driver)
        assert not driver.data(request.volume_id).exists()
    finally:
        api.delete(f"{SECRETS}/login")


def test_secrets_of_a_volume_and_group(api, runtime, agent, make_driver, make_claim):
    """Secrets of the volume's own namespace and names; files go to the pod's group where the driver leaves that to the node."""
    for name in ("stage", "publish"):
        api.post(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "agent"}, "stringData": {"key": name}})
    driver = make_driver(agent, fsGroupPolicy="File")
    make_claim("grouped", source={f"node{kind}SecretRef": {"name": kind.lower(), "namespace": "agent"} for kind in ("Stage", "Publish")})
    driver.data("handle-of-grouped").mkdir(parents=True)
    old = driver.data("handle-of-grouped") / "old"
    old.write_text("x")
    old.chmod(0o600)
    (driver.data("handle-of-grouped") / "link").symlink_to("/etc/hostname")
    before = Path("/etc/hostname").stat()
    try:
        made = use(api, "member", claimed("grouped"), securityContext={"fsGroup": 4321})
        ready(api, "member")
        assert [csi_driver.pairs(driver.requests(f"Node{kind}Volume")[0].secrets) for kind in ("Stage", "Publish")] == [
            {"key": "stage"}, {"key": "publish"}]
        target = agent.folder / "state/pods" / uid(made) / "volumes/v"
        assert target.stat().st_gid == 4321 and target.stat().st_mode & 0o2070 == 0o2070
        assert (target / "old").stat().st_gid == 4321 and (target / "old").stat().st_mode & 0o777 == 0o660
        after = Path("/etc/hostname").stat()
        assert (after.st_gid, after.st_mode) == (before.st_gid, before.st_mode)
        remove(api, "member")
        nothing_left(agent, driver)
    finally:
        for name in ("stage", "publish"):
            api.delete(f"{SECRETS}/{name}")


def test_secret_that_is_mended(api, runtime, agent, make_driver, make_claim):
    """The next try after a failure is made with what objects say by then."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password", "namespace": "agent"}, "stringData": {"key": "wrong"}}
    api.post(SECRETS, secret)
    driver = make_driver(agent)
    make_claim("locked", source={"nodeStageSecretRef": {"name": "password", "namespace": "agent"}})
    driver.fail("NodeStageVolume", 1000000)
    try:
        use(api, "locked", claimed("locked"))
        until(lambda: says(api, "locked", "NodeStageVolume: NodeStageVolume: the test wants a failure"), 60, "the pod says why")
        api.patch(f"{SECRETS}/password", {"stringData": {"key": "right"}})
        driver.accept = lambda request: csi_driver.pairs(request.secrets) == {"key": "right"}
        driver.fail("NodeStageVolume", 0)
        ready(api, "locked")
        (stage,) = driver.requests("NodeStageVolume")
        assert csi_driver.pairs(stage.secrets) == {"key": "right"}
        remove(api, "locked")
        nothing_left(agent, driver)
    finally:
        api.delete(f"{SECRETS}/password")


@pytest.mark.parametrize("method", ["NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"])
def test_agent_killed_while_a_driver_works(api, runtime, agent, make_driver, make_claim, method):
    """The next agent finishes what the killed one began, whichever call it was waiting for."""
    driver = make_driver(agent)
    make_claim("killed", mode="ReadWriteOnce")
    going_up = not method.startswith("NodeUn")
    if going_up:
        driver.hang(method)
    made = use(api, "survivor", claimed("killed"))
    published = agent.folder / "state/pods" / uid(made) / "csi/v.json"
    if not going_up:
        ready(api, "survivor")
        driver.hang(method)
        api.delete(f"{PATH}/survivor", grace=1)

    def is_asked():
        """What was done before is written down, and the call that hangs comes next."""
        (stage,) = [json.loads(path.read_text()) for path in (agent.folder / STAGES).glob("*/volume.json")]
        return {"NodeStageVolume": lambda: published.exists(),
                "NodePublishVolume": lambda: stage["staged"] and json.loads(published.read_text())["tried"],
                "NodeUnpublishVolume": lambda: api.get(f"{PATH}/survivor")["metadata"]["deletionTimestamp"],
                "NodeUnstageVolume": lambda: not published.exists()}[method]()

    until_calm(is_asked, "the driver is asked")
    time.sleep(0.2)
    agent.kill()
    driver.release()
    agent.start()
    if going_up:
        ready(api, "survivor")
        # what the killed agent was told to be done is not done again
        assert driver.names() == ["NodeStageVolume", "NodePublishVolume"]
        agent.kill()
        agent.start()
        remove(api, "survivor")
    else:
        until(lambda: api.find(f"{PATH}/survivor") is None, 90, "the pod goes")
    nothing_left(agent, driver)
    assert driver.names() == ["NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"]


def test_pod_gone_while_no_agent_is_here(api, runtime, agent, make_driver, make_claim):
    driver = make_driver(agent)
    make_claim("orphan")
    use(api, "orphan", claimed("orphan"))
    ready(api, "orphan")
    agent.kill()
    api.delete(f"{PATH}/orphan", grace=0)
    until(lambda: api.find(f"{PATH}/orphan") is None, 30, "the object is gone")
    agent.start()
    nothing_left(agent, driver)
    until(lambda: not list((agent.folder / "state/pods").iterdir()), 60, "its folder goes")


def test_driver_that_fails(api, runtime, agent, make_driver, make_claim):
    """Every call is repeated until it succeeds, the pod says why it waits, and it stays until its volumes are down."""
    driver = make_driver(agent)
    make_claim("patient")
    for method in ("NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"):
        driver.fail(method, 2)
    use(api, "patient", claimed("patient"))
    ready(api, "patient")
    for method in ("NodeStageVolume", "NodePublishVolume"):
        until(lambda: says(api, "patient", f'MountVolume.SetUp failed for volume "v" : driver {NAME}: {method}'), 30, f"{method} is told of")
    remove(api, "patient")
    until(lambda: says(api, "patient", f'UnmountVolume.TearDown failed for volume "v" : driver {NAME}: NodeUnpublishVolume'), 30, "and so is this")
    nothing_left(agent, driver)


def test_driver_that_forgot_its_volumes(api, runtime, agent, make_driver, make_claim):
    """A driver that knows nothing of a volume any more does not keep the pod, as long as nothing is mounted."""
    driver = make_driver(agent)
    make_claim("forgotten")
    made = use(api, "forgotten", claimed("forgotten"))
    ready(api, "forgotten")
    for method in ("NodeUnpublishVolume", "NodeUnstageVolume"):
        driver.fail(method, 1000000, csi_driver.grpc.StatusCode.NOT_FOUND)
    api.delete(f"{PATH}/forgotten", grace=1)
    until(lambda: says(api, "forgotten", "UnmountVolume.TearDown failed"), 60, "it is still mounted")
    (stage,) = driver.requests("NodeStageVolume")
    for path in (agent.folder / "state/pods" / uid(made) / "volumes/v", stage.staging_target_path):
        assert csi_driver.LIBC.umount2(str(path).encode(), 0) == 0
    until(lambda: api.find(f"{PATH}/forgotten") is None, 90, "the pod goes")
    until(lambda: not list((agent.folder / STAGES).glob("*")), 60, "nothing is staged")


def test_driver_that_hangs_goes_and_comes(api, runtime, slow_agent, make_driver, make_claim):
    driver = make_driver(slow_agent)
    make_claim("stuck")
    driver.hang("NodePublishVolume")
    use(api, "stuck", claimed("stuck"))
    until(lambda: says(api, "stuck", f"driver {NAME} did not answer NodePublishVolume within 3 s: look at the driver's log"), 60, "the pod says so")
    driver.stop()
    until(lambda: NAME not in api.get(f"{HOSTS}/{HOST}")["spec"].get("csiDrivers", []), 60, "the host does not offer it any more")
    driver.start()
    ready(api, "stuck")
    remove(api, "stuck")
    nothing_left(slow_agent, driver)


def test_what_cannot_be(api, runtime, agent, make_driver, make_claim):
    """Refused with the reason and what to do: by the scheduler where no host can take the pod, else by the agent."""
    driver = make_driver(agent)
    make_claim("alone", mode="ReadWriteOncePod")
    use(api, "owner", claimed("alone"))
    ready(api, "owner")
    use(api, "other", claimed("alone"))
    until(lambda: says(api, "other", "volume uses the ReadWriteOncePod access mode and is already in use by another pod: agent/owner"), 60, "refused")
    use(api, "inline", {"name": "v", "csi": {"driver": NAME}})
    until(lambda: says(api, "inline", f'volume mode "Ephemeral" not supported by driver {NAME}'), 60, "refused")
    use(api, "driverless", {"name": "v", "csi": {"driver": "nobody.test"}})
    until(lambda: says(api, "driverless", "lacks a CSI driver of its volumes"), 60, "refused by the scheduler")
    remove(api, "owner", "inline", "driverless")
    ready(api, "other")
    remove(api, "other")
    nothing_left(agent, driver)
