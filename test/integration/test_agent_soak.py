"""An hour of many pods on one agent, in minutes: the agent's clocks go many times as fast as the machine's (clock.py), so that
Leases, probes, refreshes of volumes, tokens, measurements and log rotation come as often as in that hour.

    FKS_SOAK_PODS=1000 FKS_SOAK_SECONDS=3600 FKS_SOAK_RATE=6 pytest test/integration/test_agent_soak.py
"""

import json
import os
import random
import time

import pytest

import cluster as control
from agents import PATH, api, create, is_ready, ready_count, running_agent, runtime, scheduler, uid, writes  # noqa: F401
from clock import Clock
from cluster import until
from fakes import NODES

PODS = int(os.environ.get("FKS_SOAK_PODS", "25"))
SECONDS = int(os.environ.get("FKS_SOAK_SECONDS", "600"))  # of the agent's
RATE = int(os.environ.get("FKS_SOAK_RATE", "20"))
TOKEN_RENEWED_S = 3607 * 0.8 + 60
LOG_MAX = 64 << 10
CONFIG_MAPS = "/api/v1/namespaces/agent/configmaps"
LOGGING = 5  # so many of the pods write logs

# a minute of the agent's is a few seconds, in which the runtime must answer on a busy machine too; it is a program in Python,
# which 1,000 pods with two probes each every ten such seconds would be too much for
PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 10 if PODS <= 200 else 60, "timeoutSeconds": 60, "failureThreshold": 5}


def make(api, number):
    return create(api, f"soak-{number}", container={"readinessProbe": PROBE, "livenessProbe": PROBE, "volumeMounts": [
        {"name": "config", "mountPath": "/config"}]}, volumes=[{"name": "config", "configMap": {"name": "soak"}}])


def write_logs(agent, items):
    for item in items:
        for folder in (agent.folder / "logs").glob(f"*_{uid(item)}/main"):
            with open(folder / "0.log", "ab") as file:
                file.write(b"2026-01-02T03:04:05.678901234Z stdout F line\n" * 500)


def token(agent, item):
    folder = agent.folder / "state/pods" / uid(item) / "volumes"
    return next(folder.glob("kube-api-access-*/token")).read_text()


def check(api, runtime, expected):
    """Every pod and every Node is Ready; no container was stopped or started again."""
    pods = {uid(item): item for item in api.get(PATH)["items"]}
    for name, item in expected.items():
        assert is_ready(pods[uid(item)]), (name, pods[uid(item)]["status"])
        assert runtime.starts[uid(item), "main"] == 1 and (uid(item), "main") not in runtime.killed, name
    nodes = {node["metadata"]["name"]: node for node in api.get(NODES)["items"]}
    bound = {pods[uid(item)]["spec"]["nodeName"] for item in expected.values()}
    assert not [nodes[name]["status"]["conditions"] for name in bound if not is_ready(nodes[name])]
    assert not [nodes[name] for name in bound if "NoExecute" in str(nodes[name]["spec"])]


def soak(api, runtime, agent, clock, expected):
    """Memory (KiB) from look to look; now and then a pod is replaced by another."""
    dice, memory, replaced = random.Random(3), [], 0
    logging = [expected[f"soak-{number}"] for number in range(LOGGING)]
    clock.go(RATE)
    end = time.monotonic() + SECONDS / RATE
    while time.monotonic() < end:
        time.sleep(2)
        write_logs(agent, logging)
        name = f"soak-{dice.randrange(LOGGING, PODS)}"
        old = expected.pop(name)
        api.request("DELETE", f"{PATH}/{name}", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})
        until(lambda: api.find(f"{PATH}/{name}") is None, 60, "the pod goes")
        runtime.killed.pop((uid(old), "main"))
        made = make(api, name.removeprefix("soak-"))
        until(lambda: is_ready(api.get(f"{PATH}/{name}")), 60, "its successor is Ready")
        expected[name], replaced = made, replaced + 1
        check(api, runtime, expected)
        memory.append(agent.status("VmRSS"))
    clock.go(1)
    return memory, replaced


@pytest.fixture
def clock(runtime):
    return Clock(runtime.socket.parent)


@pytest.fixture
def hurried(plane, api, scheduler, binary, runtime, clock):
    """The agent; in the end nothing may be left of its pods."""
    api.post(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "soak"}, "data": {"a": "b"}})
    options = ["--container-log-max-size", str(LOG_MAX), "--container-log-max-files", "3"]
    with running_agent(plane, api, binary, runtime, clock.env, options) as agent:
        yield agent
        clock.go(1)
    api.delete(f"{CONFIG_MAPS}/soak")


def test_soak(plane, api, runtime, hurried, clock, record_property):
    expected = {f"soak-{number}": make(api, number) for number in range(PODS)}
    until(lambda: ready_count(api) == PODS, 60 + PODS, "all pods are Ready", 1)
    token_before, cpu, before = token(hurried, expected["soak-0"]), hurried.cpu_seconds(), writes(plane)
    memory, replaced = soak(api, runtime, hurried, clock, expected)
    cpu, after = (hurried.cpu_seconds() - cpu) / SECONDS, writes(plane)
    leases = sum(after[key] - before.get(key, 0) for key in after if key[1] == "leases") / PODS / SECONDS
    others = {f"{verb} {resource}": after[verb, resource] - before.get((verb, resource), 0) for verb, resource in after
              if resource in ("pods", "nodes") and after[verb, resource] > before.get((verb, resource), 0)}
    early = max(memory[:max(1, len(memory) // 4)])
    figures = {"pods": PODS, "seconds": SECONDS, "rate": RATE, "replaced": replaced, "memory_kib": [memory[0], early, memory[-1]],
               "most_memory_kib": hurried.status("VmHWM"), "lease_writes_per_node_s": round(leases, 4), "others": others,
               "cpu_share_of_hour": round(cpu, 4), "log_files": len(list((hurried.folder / "logs").glob("*/main/*")))}
    record_property("figures", json.dumps(figures))
    print(figures)
    assert figures["log_files"] <= LOGGING * 3 + PODS
    if SECONDS > TOKEN_RENEWED_S:
        assert token(hurried, expected["soak-0"]) != token_before
    if "san" not in control.PROGRAMS.parts:  # a sanitizer keeps what is freed for a while
        assert memory[-1] <= early * 1.05 + 1024
        if PODS >= 500:  # a few pods more or less in the middle of something are no matter then
            assert memory[-1] <= (15 << 10) + 100 * PODS
