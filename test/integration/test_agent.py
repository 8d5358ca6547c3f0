"""fks-node with the real API server and scheduler, and a runtime that runs nothing: what a real one cannot be told to do."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import cluster as control
from agents import (PATH, agent, api, create, is_ready, ready_count, running_agent, runtime, scheduler, uid,  # noqa: F401
                    writes)
from cluster import until
from fakes import NODES, pod

# how many pods the scale test runs; an hour of it with 1,000: FKS_TEST_PODS=1000 FKS_TEST_SECONDS=3600
PODS_AT_ONCE = int(os.environ.get("FKS_TEST_PODS", "60"))
STEADY_SECONDS = int(os.environ.get("FKS_TEST_SECONDS", "20"))

CALLS = ["ImageStatus", "RunPodSandbox", "PodSandboxStatus", "CreateContainer", "StartContainer", "ContainerStatus", "ListPodSandbox",
         "ListContainers", "StopContainer", "RemoveContainer", "StopPodSandbox", "RemovePodSandbox"]


def state_of(api, name):
    """The present state of the only container."""
    return (api.get(f"{PATH}/{name}")["status"].get("containerStatuses") or [{"state": {}}])[0]["state"]


@pytest.mark.parametrize("trouble", ["fails", "is slow"])
def test_every_call_that_goes_wrong_is_tried_again(api, runtime, agent, trouble):
    for method in CALLS:
        if trouble == "fails":
            runtime.fail(method, 2)
        else:
            runtime.delay(method, 1.5, 2)
    made = create(api, f"patient-{trouble.replace(' ', '-')}")
    name = made["metadata"]["name"]
    until(lambda: is_ready(api.get(f"{PATH}/{name}")), 120, "the pod is Ready in the end")
    started = runtime.starts[(uid(made), "main")]
    # a start that fails leaves a container that never ran: the next one is another
    assert started == 1
    assert (uid(made), "main") not in runtime.killed
    api.delete(f"{PATH}/{name}", grace=1)
    until(lambda: api.find(f"{PATH}/{name}") is None, 60, "the pod goes")
    # on its way out a call that failed must not leave anything: the fixture checks


def test_slow_exec_probes_do_not_pile_up(api, runtime, agent):
    """A program that outlives its probe's time limit goes on in the runtime: the next one waits for its end."""
    runtime.delay("ExecSync", 2.5, 3)
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 100}
    create(api, "slow-probe", container={"livenessProbe": probe})
    until(lambda: runtime.calls.get("ExecSync", 0) >= 4, 120, "programs are run one after the other")
    assert runtime.most["ExecSync"] == 1


def test_program_that_cannot_be_started(api, runtime, agent):
    """It never ran, so it did not run for long: restarts wait longer and longer."""
    made = create(api, "no-program", container={"command": ["/no/such/program"]})
    until(lambda: state_of(api, "no-program").get("waiting", {}).get("reason") == "CrashLoopBackOff", 120, "restarts wait")
    last = api.get(f"{PATH}/no-program")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("StartError", 128)
    assert runtime.starts.get((uid(made), "main")) is None


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_image_is_changed_in_place(api, runtime, agent, policy):
    """The container is stopped and made anew of the other image, whatever its policy; the pod is the same and does not end."""
    name = f"image-{policy.lower()}"
    made = create(api, name, restartPolicy=policy)
    until(lambda: is_ready(api.get(f"{PATH}/{name}")), 120, "the pod is Ready")
    patch = {"spec": {"containers": [{"name": "main", "image": "example.com/other:2"}]}}
    api.request("PATCH", f"{PATH}/{name}", patch, content_type="application/strategic-merge-patch+json")
    until(lambda: runtime.starts[(uid(made), "main")] == 2, 120, "the other image is started")
    until(lambda: is_ready(api.get(f"{PATH}/{name}")) and
          api.get(f"{PATH}/{name}")["status"]["containerStatuses"][0]["restartCount"] == 1, 120, "it is Ready again")
    assert api.get(f"{PATH}/{name}")["status"]["phase"] == "Running"
    assert runtime.killed[(uid(made), "main")] == 1 and len(runtime.sandboxes) == 1
    (running,) = [one for one in runtime.containers.values() if one["status"].state == 1]
    assert running["config"].image.user_specified_image == "example.com/other:2"


def test_agent_killed_at_random_moments(api, runtime, agent):
    """20 pods live and die while the agent is killed again and again: nothing runs twice, nothing is killed, nothing is left."""
    dice = random.Random(20)
    names = [f"victim-{number}" for number in range(20)]
    made = {}
    for name in names:
        made[name] = create(api, name)
        if dice.random() < 0.5:
            time.sleep(dice.random() * 0.3)
            agent.kill()
            agent.start()
    until(lambda: ready_count(api) == 20, 90, "all pods are Ready")
    for name in names:
        assert runtime.starts.get((uid(made[name]), "main")) == 1, name
        assert (uid(made[name]), "main") not in runtime.killed, name
    for name in names:
        api.request("DELETE", f"{PATH}/{name}", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})
        if dice.random() < 0.5:
            time.sleep(dice.random() * 0.2)
            agent.kill()
            agent.start()
    until(lambda: not api.get(PATH)["items"], 90, "all pods are gone")


def test_api_server_away(plane, api, runtime, agent):
    """Containers go on while nobody answers; what ended meanwhile is told afterwards."""
    made = [create(api, f"lonely-{number}", restartPolicy="Never") for number in range(3)]
    until(lambda: ready_count(api) == 3, 60, "all pods are Ready")
    server = next(child for child in plane.processes.children if child.name == "apiserver")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ended = next(item["status"].id for item in runtime.containers.values() if item["uid"] == uid(made[0]))
        runtime.exit(ended, 3, "Error")
        lists = runtime.calls["ListContainers"]
        until(lambda: runtime.calls["ListContainers"] > lists + 8, 60, "the agent goes on looking")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until(lambda: api.get(f"{PATH}/lonely-0")["status"]["phase"] == "Failed", 60, "the end is told")
    assert ready_count(api) == 2
    for item in made:
        assert runtime.starts[(uid(item), "main")] == 1
        assert (uid(item), "main") not in runtime.killed


def test_secrets_are_read_as_the_node(plane, api, runtime, agent):
    """The agent's own rights reach to no Secret; as a Node it reads what the pods of that Node name, and nothing else."""
    for name in ("mounted", "other"):
        api.post("/api/v1/namespaces/agent/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                                                      "stringData": {"key": f"the {name} one"}})
    try:
        made = create(api, "reader", volumes=[{"name": "v", "secret": {"secretName": "mounted"}}],
                      container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
        plain = create(api, "plain")
        until(lambda: ready_count(api) == 2, 60, "both pods are Ready")
        file = agent.folder / "state/pods" / uid(made) / "volumes/v/key"
        assert file.read_text() == "the mounted one"
        nodes = {item["metadata"]["name"]: item["spec"]["nodeName"] for item in api.get(PATH)["items"]}
        kubeconfig = plane.kubeconfig("node")

        def may(secret, *words):
            result = subprocess.run([plane.programs / "kubectl", "--kubeconfig", kubeconfig, "--cache-dir", plane.folder / "cache", "-n", "agent", "get",
                                     "secret", secret, *words], capture_output=True, text=True)
            assert result.returncode == 0 or "Forbidden" in result.stderr, result.stderr
            return result.returncode == 0

        assert not may("mounted")
        assert may("mounted", "--as", f"system:node:{nodes['reader']}")
        assert not may("other", "--as", f"system:node:{nodes['reader']}")
        assert not may("mounted", "--as", f"system:node:{nodes['plain']}")
        assert not may("mounted", "--as", "admin")
        assert plain
    finally:
        for name in ("mounted", "other"):
            api.delete(f"/api/v1/namespaces/agent/secrets/{name}")


def test_sysctls_that_are_not_safe(api, runtime, agent):
    create(api, "tuned", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]})
    until(lambda: api.get(f"{PATH}/tuned").get("status", {}).get("phase") == "Failed", 60, "the pod is turned away")
    status = api.get(f"{PATH}/tuned")["status"]
    assert status["reason"] == "SysctlForbidden" and status["message"].endswith('forbidden sysctl: "kernel.msgmax" not allowlisted')
    assert not runtime.sandboxes


def test_certificates_of_signers(plane, api, runtime, agent):
    """A projected volume with the certificates of a ClusterTrustBundle: missing ones hold the pod up, later ones reach it."""
    bundles = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles"
    certificate = Path(plane.pki.path("ca.crt")).read_text()
    source = {"clusterTrustBundle": {"name": "roots", "path": "roots.pem"}}
    made = create(api, "trusting", volumes=[{"name": "v", "projected": {"sources": [source]}}],
                  container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    try:
        until(lambda: any('clustertrustbundle.certificates.k8s.io "roots" not found' in item.get("message", "")
                          for item in api.get("/api/v1/namespaces/agent/events")["items"]), 60, "the pod says what is missing")
        api.post(bundles, {"apiVersion": "certificates.k8s.io/v1beta1", "kind": "ClusterTrustBundle", "metadata": {"name": "roots"},
                           "spec": {"trustBundle": certificate}})
        until(lambda: ready_count(api) == 1, 90, "the pod is Ready")
        assert (agent.folder / "state/pods" / uid(made) / "volumes/v/roots.pem").read_text().split() == certificate.split()
    finally:
        if api.find(f"{bundles}/roots"):
            api.delete(f"{bundles}/roots")


def test_nfs_is_mounted(api, runtime, agent):
    """mount(8) is asked for the right things, of a volume and of a claim, and what it mounted goes with the pod. No server: a mount
    program in its place writes down its words and mounts a tmpfs."""
    folder = agent.folder / "programs"
    folder.mkdir()
    (folder / "mount").write_text(f'#!/bin/sh\necho "$@" >> {folder}/words\nfor last; do :; done\nexec /bin/mount -t tmpfs fake "$last"\n')
    (folder / "mount").chmod(0o755)
    agent.stop()
    agent.env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    agent.start()
    volumes, claims = "/api/v1/persistentvolumes", "/api/v1/namespaces/agent/persistentvolumeclaims"
    api.post(volumes, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "share"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "", "mountOptions": ["nfsvers=4.1", "soft"],
        "nfs": {"server": "files.test", "path": "/exports/a"}, "claimRef": {"namespace": "agent", "name": "share"}}})
    api.post(claims, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "share", "namespace": "agent"}, "spec": {
        "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "share", "resources": {"requests": {"storage": "1Gi"}}}})
    try:
        made = create(api, "mounter", container={"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]},
                      volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "share"}},
                               {"name": "b", "nfs": {"server": "10.0.0.1", "path": "/b", "readOnly": True}}])
        until(lambda: ready_count(api) == 1, 90, "the pod is Ready")
        place = agent.folder / "state/pods" / uid(made) / "volumes"
        assert (folder / "words").read_text().splitlines() == [
            f"-t nfs -o rw,nfsvers=4.1,soft files.test:/exports/a {place}/a", f"-t nfs -o ro 10.0.0.1:/b {place}/b"]
        config = next(one["config"] for one in runtime.containers.values() if one["uid"] == uid(made))
        assert {mount.container_path: mount.host_path for mount in config.mounts if mount.container_path in ("/a", "/b")} == {
            "/a": f"{place}/a", "/b": f"{place}/b"}
        mounts = Path("/proc/mounts").read_text()
        assert f"{place}/a " in mounts and f"{place}/b " in mounts
        api.delete(f"{PATH}/mounter", grace=1)
        until(lambda: api.find(f"{PATH}/mounter") is None, 60, "the pod goes")
        until(lambda: str(place) not in Path("/proc/mounts").read_text(), 30, "its mounts go")
    finally:
        api.delete(f"{claims}/share")
        api.delete(f"{volumes}/share")


def test_user_namespaces(api, runtime, agent):
    """Each pod with hostUsers: false has user IDs of its own, in sandbox, containers and mounts, and a new agent knows them."""
    made = [create(api, f"own-{number}", hostUsers=False, securityContext={"supplementalGroupsPolicy": "Strict"}) for number in range(2)]
    plain = create(api, "plain")
    until(lambda: ready_count(api) == 3, 60, "all pods are Ready")

    def users(config):
        return [(one.host_id, one.container_id, one.length) for one in config.linux.security_context.namespace_options.userns_options.uids]

    def container_of(item):
        return next(one["config"] for one in runtime.containers.values() if one["uid"] == uid(item) and one["status"].state == 1)

    ranges = []
    for item in made:
        sandbox = runtime.configs[uid(item)]
        ((first, inside, length),) = users(sandbox)
        assert first >= 65536 and first % 65536 == 0 and inside == 0 and length == 65536
        assert sandbox.linux.security_context.supplemental_groups_policy == 1
        assert users(container_of(item)) == users(sandbox)
        for mount in container_of(item).mounts:
            assert [one.host_id for one in (*mount.uidMappings, *mount.gidMappings)] == [first, first], mount
        ranges.append(first)
    assert ranges[0] != ranges[1]
    assert not users(runtime.configs[uid(plain)]) and not any(mount.uidMappings for mount in container_of(plain).mounts)
    node = next(node for node in api.get(NODES)["items"] if node["metadata"]["annotations"]["fks.dev/pod"].endswith("/plain"))
    assert node["status"]["features"] == {"supplementalGroupsPolicy": True}
    agent.kill()
    agent.start()
    runtime.exit(next(one["status"].id for one in runtime.containers.values() if one["uid"] == uid(made[0])), 1, "Error")
    until(lambda: runtime.starts[(uid(made[0]), "main")] == 2, 60, "the container is started again")
    assert users(container_of(made[0]))[0][0] == ranges[0]


def test_all_containers_restart(api, runtime, agent):
    """One container's end takes all others with it (KEP-5532), once, in the same sandbox, also when the agent dies half-way."""
    rules = {"restartPolicy": "Never", "restartPolicyRules": [
        {"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn", "values": [0]}}]}
    plain = {"image": "example.com/none:1"}
    item = pod("anew", labels={"eks.amazonaws.com/fargate-profile": "agent"}, schedulerName="fargate-scheduler", restartPolicy="Never",
               container=rules, initContainers=[{"name": "init", **plain}, {"name": "side", "restartPolicy": "Always", **plain}])
    item["spec"]["containers"].append({"name": "other", **rules, **plain})  # stopped with 143, it asks for the same
    made = api.post(PATH, item)

    def end(name, code):
        until(lambda: any(one["status"].metadata.name == name and one["status"].state == 1 for one in list(runtime.containers.values())),
              60, f"{name} runs")
        runtime.exit(next(one["status"].id for one in runtime.containers.values()
                          if one["status"].metadata.name == name and one["status"].state == 1), code, "Completed" if code == 0 else "Error")

    def statuses():
        status = api.get(f"{PATH}/anew")["status"]
        return {one["name"]: one for one in status["initContainerStatuses"] + status["containerStatuses"]}

    def all_started(times):
        until(lambda: is_ready(api.get(f"{PATH}/anew")) and all(one["restartCount"] == times - 1 for one in statuses().values()), 90,
              f"all were started {times} times")
        assert {name: runtime.starts[uid(made), name] for name in ("init", "side", "main", "other")} == dict.fromkeys(
            ("init", "side", "main", "other"), times)

    end("init", 0)
    all_started(1)
    sandbox = list(runtime.sandboxes)
    end("main", 42)
    end("init", 0)
    all_started(2)
    found = statuses()
    assert found["main"]["lastState"]["terminated"]["exitCode"] == 42
    assert found["side"]["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
    assert len(runtime.containers) == 4 and list(runtime.sandboxes) == sandbox
    (condition,) = [one for one in api.get(f"{PATH}/anew")["status"]["conditions"] if one["type"] == "AllContainersRestarting"]
    assert condition["status"] == "False"
    runtime.delay("RemoveContainer", 1, 2)
    removals = runtime.calls["RemoveContainer"]
    end("main", 42)
    until(lambda: runtime.calls["RemoveContainer"] > removals, 60, "containers are being removed")
    agent.kill()
    agent.start()
    end("init", 0)
    all_started(3)


def test_many_pods_on_one_agent(plane, api, runtime, agent, record_property):
    """Memory, CPU and API writes by the plan: 15 MB + 100 KB a pod, 5 % of a core, a Lease renewal per Node every 10 s at most."""
    threads = [threading.Thread(target=lambda first=first: [create(plane.as_user("admin"), f"many-{n}")
                                                            for n in range(first, PODS_AT_ONCE, 4)]) for first in range(4)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: ready_count(api) == PODS_AT_ONCE, 60 + PODS_AT_ONCE, "all pods are Ready", 1)
    took = time.monotonic() - begun
    before, cpu = writes(plane), agent.cpu_seconds()
    since = time.monotonic()
    end = since + STEADY_SECONDS
    while time.monotonic() < end:
        time.sleep(5)
        assert ready_count(api) == PODS_AT_ONCE
    seconds = time.monotonic() - since
    share = (agent.cpu_seconds() - cpu) / seconds
    after = writes(plane)
    leases = sum(after[key] - before.get(key, 0) for key in after if key[1] == "leases") / PODS_AT_ONCE / seconds
    others = {f"{verb} {resource}": after[verb, resource] - before.get((verb, resource), 0) for verb, resource in after
              if resource in ("pods", "nodes") and after[verb, resource] > before.get((verb, resource), 0)}
    memory, most = agent.status("VmRSS"), agent.status("VmHWM")
    record_property("figures", json.dumps({"pods": PODS_AT_ONCE, "ready_s": round(took, 1), "memory_kib": memory, "most_memory_kib": most,
                                           "cpu_share": round(share, 4), "lease_writes_per_node_s": round(leases, 4), "others": others}))
    print(f"{PODS_AT_ONCE} pods Ready in {took:.1f} s, memory {memory} KiB (most: {most}), steady {share:.2%} of a core, "
          f"{leases:.3f} Lease writes per Node and second, others {others}")
    assert leases <= 0.2
    assert sum(others.values()) <= PODS_AT_ONCE * (1.2 + seconds / 60)  # one by the node controller, soon after Ready
    if "san" not in control.PROGRAMS.parts:  # a sanitizer's memory is not ours
        assert memory <= (15 << 10) + 100 * PODS_AT_ONCE
        assert share < 0.05


def test_other_names(plane, api, scheduler, runtime, binary, program):
    """Beside AWS Fargate: pods of another scheduler and label, Nodes of another name."""
    label = "fargate.fks.dev/fargate-profile"
    with program("fks-scheduler", "scheduler", "other-scheduler", ["--scheduler-name", "fks-scheduler", "--profile-label", label, "--leader-elect=false"]):
        with running_agent(plane, api, binary, runtime, options=["--node-name-prefix", "fks-ip-"]):
            api.post(PATH, pod("ours", labels={label: "agent"}, schedulerName="fks-scheduler"))
            until(lambda: is_ready(api.get(f"{PATH}/ours")), 90, "the pod is Ready")
            node = api.get(f"{NODES}/{api.get(f'{PATH}/ours')['spec']['nodeName']}")
            assert re.fullmatch(r"fks-ip-[0-9-]+\.local\.compute\.internal", node["metadata"]["name"])
            labels = node["metadata"]["labels"]
            assert labels["kubernetes.io/hostname"] == node["metadata"]["name"].removeprefix("fks-")
            assert labels["eks.amazonaws.com/compute-type"] == "fargate"  # DaemonSets of AWS keep off by it
