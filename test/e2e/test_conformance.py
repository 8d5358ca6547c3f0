"""Some of Kubernetes' own conformance tests, each pod of theirs on a Fargate node: test/cases/conformance.txt has their names.

One cluster with an ordinary node beside and a profile whose selector is namespace *. Several processes of e2e.test work at a
time; each of the tests below is the result of one of Kubernetes'. `make test-conformance` runs all 261.
"""

import json
import os
import queue
import re
import subprocess
import threading

import pytest

import harness

CASES = [line.strip() for line in (harness.ROOT / "test/cases/conformance.txt").read_text().splitlines() if line and not line.startswith("#")]
ASSETS = harness.assets_dir()
TAINTS = "node-role.kubernetes.io/control-plane,eks.amazonaws.com/compute-type"  # on purpose on Nodes
PROCESSES, TESTS_A_PROCESS = 5, 4
SECONDS = 600  # of a process

pytestmark = pytest.mark.deadline(840)


@pytest.fixture(scope="module")
def programs():
    """The folder that scripts/assets/build-conformance.sh fills."""
    folder = ASSETS / "conformance" if ASSETS else None
    if folder is None or not (folder / "e2e.test").exists():
        pytest.skip("no e2e.test: scripts/assets/build-conformance.sh builds it, and needs the Go toolchain")
    return folder


@pytest.fixture(scope="module")
def everything(make_home, programs):
    home = make_home("conformance")
    # pods that mostly wait: the host offers more than the machine has
    cluster = home.create("conformance", "--fargate", "--host-cpu", "64", "--host-memory", "256Gi",
                          "--runtime-handlers", "test-handler=io.containerd.runc.v2")
    home.fks.ok("create", "nodegroup", "--cluster", "conformance", "--name", "ordinary", "--nodes", "1", seconds=300)
    # some tests give pods limits far above their requests, as ordinary nodes allow; with Refuse they would be turned away
    home.fks.apply({"apiVersion": "fks.dev/v1", "kind": "FargateProfile", "metadata": {"name": "everything"},
                    "spec": {"selectors": [{"namespace": "*"}], "limits": "Clamp"}})
    for host in ("h1", "h2"):
        for archive in sorted((programs / "images").glob("*.tar")):
            subprocess.run(["ctr", "-a", f"/run/fks/{cluster.number}/{host}/containerd.sock", "-n", "k8s.io", "images", "import",
                            str(archive)], check=True, capture_output=True)
    yield cluster
    if not os.environ.get("FKS_KEEP"):
        cluster.end()


def run_some(cluster, programs, names, folder):
    """{name: (state, why)} of one process of e2e.test."""
    report = folder / "report.json"
    focus = [f"--ginkgo.focus={re.escape(name).replace('/', '[/]')}$" for name in names]
    words = [str(programs / "e2e.test"), "--provider=skeleton", f"--kubeconfig={cluster.home.kubeconfig}",
             f"--non-blocking-taints={TAINTS}", "--ginkgo.no-color", "--ginkgo.seed=1", f"--ginkgo.timeout={SECONDS}s",
             f"--ginkgo.json-report={report}", *focus]
    env = {**cluster.home.env, "PATH": f"{ASSETS}:{os.environ['PATH']}"}
    with open(folder / "output", "w") as output:
        subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=folder)
    end = (folder / "output").read_text(errors="replace")[-1500:]
    found = {name: ("missing", f"no result of it; e2e.test ended with: {end}") for name in names}
    for suite in json.loads(report.read_text()) if report.exists() else []:
        for spec in suite.get("SpecReports") or []:
            name = " ".join([*(spec.get("ContainerHierarchyTexts") or []), spec.get("LeafNodeText", "")])
            if name in found:
                failure = spec.get("Failure") or {}
                found[name] = (spec["State"], f"{failure.get('Message', '')}\n{spec.get('CapturedGinkgoWriterOutput', '')[-2500:]}")
    return found


@pytest.fixture(scope="module")
def results(everything, programs):
    waiting, found = queue.SimpleQueue(), {}
    for at in range(0, len(CASES), TESTS_A_PROCESS):
        folder = everything.home.folder / f"process-{at}"
        folder.mkdir()
        waiting.put((CASES[at:at + TESTS_A_PROCESS], folder))

    def work():
        while True:
            try:
                names, folder = waiting.get_nowait()
            except queue.Empty:
                return
            found.update(run_some(everything, programs, names, folder))

    threads = [threading.Thread(target=work) for _ in range(PROCESSES)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found


@pytest.mark.parametrize("name", CASES)
def test_conformance(results, name):
    state, why = results[name]
    if state == "skipped":
        pytest.skip(why.strip() or "e2e.test skips it")
    assert state == "passed", why
