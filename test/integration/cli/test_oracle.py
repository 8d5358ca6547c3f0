"""fks against kubectl: the same words, the same answer, byte for byte (test/cases/kubectl.txt)."""

import difflib
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import cluster as control

HERE = Path(__file__).resolve().parent
NAMESPACE = "oracle"
READING = ("get", "describe", "events", "explain")

NODE_STATUS = {
    "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    "allocatable": {"cpu": "4", "memory": "7Gi", "pods": "110"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok",
                    "lastHeartbeatTime": "2026-01-01T02:00:00Z", "lastTransitionTime": "2026-01-01T02:00:00Z"}],
    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": "n1"}],
    "nodeInfo": {"architecture": "amd64", "bootID": "b", "containerRuntimeVersion": "containerd://1", "kernelVersion": "6",
                 "kubeProxyVersion": "", "kubeletVersion": "v1.36.3", "machineID": "m", "operatingSystem": "linux",
                 "osImage": "Debian", "systemUUID": "u"}}
POD_STATUS = {
    "phase": "Running", "podIP": "10.1.0.5", "podIPs": [{"ip": "10.1.0.5"}], "hostIP": "127.0.0.1",
    "startTime": "2026-01-01T02:10:00Z",
    "conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}],
    "containerStatuses": [
        {"name": "c", "image": "nginx:1", "imageID": "x", "ready": True, "restartCount": 2, "containerID": "containerd://a",
         "state": {"running": {"startedAt": "2026-01-01T02:10:05Z"}},
         "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "bad",
                                      "startedAt": "2026-01-01T02:09:05Z", "finishedAt": "2026-01-01T02:09:35Z"}}},
        {"name": "d", "image": "b", "imageID": "y", "ready": False, "restartCount": 0,
         "state": {"waiting": {"reason": "ImagePullBackOff", "message": "nope"}}}]}


def lines(name):
    """The command lines of a file in test/cases."""
    text = (control.ROOT / "test/cases" / name).read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


class Pair:
    """kubectl, and fks under the name kubectl, with one kubeconfig."""

    def __init__(self, plane, fks, folder):
        self.environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder),
                            "KUBECACHEDIR": str(folder / "cache"), "TZ": "UTC"}
        config = json.loads(Path(plane.kubeconfig("admin")).read_text())
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        (folder / "kubeconfig").write_text(json.dumps(config))
        self.programs = {}
        for name, program in (("kubectl", plane.programs / "kubectl"), ("fks", fks)):
            (folder / name).mkdir()
            (folder / name / "kubectl").symlink_to(program)
            self.programs[name] = folder / name / "kubectl"

    def run(self, name, words, stdin="", folder=HERE / "files"):
        return subprocess.run([self.programs[name], *words], env=self.environment, cwd=folder, input=stdin,
                              capture_output=True, text=True, timeout=30)

    def answer(self, name, words, stdin="", folder=HERE / "files"):
        run = self.run(name, words, stdin, folder)
        text = f"exit code {run.returncode}\n--- stdout\n{run.stdout}--- stderr\n{run.stderr}"
        return re.sub(r"\b\d+[smhd](\d+[smh])?\b", "AGE", text)

    def compare(self, words, stdin="", normal=lambda text: text, reading=False):
        """Controllers write meanwhile: a command that changes nothing is asked again, and only what differs each time differs."""
        reading = reading or "".join(words[:1]) in READING
        for _ in range(4 if reading else 1):
            want, got = (normal(self.answer(name, words, stdin)) for name in ("kubectl", "fks"))
            if want == got:
                return
        difference = "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm=""))
        raise AssertionError(f"{shlex.join(words)}\n{difference}")


@pytest.fixture(scope="module")
def pair(plane, binary, tmp_path_factory):
    pair = Pair(plane, binary("fks"), tmp_path_factory.mktemp("oracle"))
    for words in (["create", "namespace", NAMESPACE], ["apply", "-f", "objects.yaml"],
                  ["patch", "node", "n1", "--subresource=status", "--type=merge", "-p", json.dumps({"status": NODE_STATUS})],
                  ["patch", "pod", "p1", "--subresource=status", "--type=merge", "-p", json.dumps({"status": POD_STATUS})]):
        control.until(lambda words=words: pair.run("kubectl", words).returncode == 0, 30, shlex.join(words), pause=0.5)
    # the Deployment's pods come from the controller manager
    control.until(lambda: pair.run("kubectl", ["get", "pods", "-o", "name"]).stdout.count("\n") == 4, 60, "4 pods")
    yield pair
    pair.run("kubectl", ["delete", "-f", "objects.yaml", "--force", "--grace-period=0", "--wait=false"])
    pair.run("kubectl", ["delete", "namespace", NAMESPACE, "--wait=false"])


@pytest.mark.parametrize("line", lines("kubectl.txt"))
def test_same_answer(pair, line):
    pair.compare(shlex.split(line))


def test_objects_from_standard_input(pair):
    manifest = (HERE / "files/objects.yaml").read_text()
    for words in (["apply", "-f", "-"], ["apply", "-f", "-", "--dry-run=server", "-o", "name"], ["get", "-f", "-", "-o", "name"],
                  ["create", "-f", "-"], ["delete", "-f", "-", "--dry-run=client"]):
        pair.compare(words, manifest)
    pair.compare(["create", "-f", "-"], "a: [1\nb: 2\n")


FIRST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied, labels: {app: web, x: "1"}, annotations: {a: b}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "nginx:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: d, image: "b:1"}
      volumes: [{name: v, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: applied}
spec: {selector: {app: web}, clusterIP: None, ports: [{port: 80, name: http}, {port: 81, name: x}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, finalizers: [example.com/a, example.com/b]}
data: {a: "1", b: "2"}
"""
SECOND = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied, labels: {app: web, y: "2"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "nginx:1", ports: [{containerPort: 80}], env: [{name: A, value: "9"}, {name: C, value: "3"}]}
      volumes: [{name: v, configMap: {name: applied}}]
---
apiVersion: v1
kind: Service
metadata: {name: applied}
spec: {selector: {app: web}, clusterIP: None, ports: [{port: 80, name: http}, {port: 82, name: y}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, finalizers: [example.com/a]}
data: {a: "1", c: "3"}
"""
UNSTABLE = re.compile(r"(resourceVersion|uid|creationTimestamp|lastTransitionTime|lastUpdateTime|observedGeneration|generation): .*")


def apply_sequence(pair, name):
    """The same changes with either program, each in a namespace of its own; everything they said."""
    namespace = f"applied-by-{name}"
    said = []

    def say(*words, stdin=""):
        run = pair.run(name, ["-n", namespace, *words], stdin)
        said.append(f"$ {shlex.join(words)}\n{run.returncode}\n{run.stdout}{run.stderr}")

    pair.run("kubectl", ["create", "namespace", namespace])
    say("apply", "-f", "-", stdin=FIRST)
    say("apply", "-f", "-", stdin=FIRST)
    # somebody else's label and container stay
    pair.run("kubectl", ["-n", namespace, "label", "deployment/applied", "foo=bar"])
    pair.run("kubectl", ["-n", namespace, "patch", "deployment", "applied", "--type=json", "-p",
                         '[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"side","image":"s"}}]'])
    say("apply", "-f", "-", "--dry-run=client", stdin=SECOND)
    say("apply", "-f", "-", "--dry-run=server", stdin=SECOND)
    say("apply", "-f", "-", stdin=SECOND)
    say("apply", "-f", "-", stdin=SECOND)
    said.append(pair.run("kubectl", ["-n", namespace, "get", "deployment,service,configmap/applied".replace("configmap/applied", "configmap"),
                                     "--field-selector=metadata.name=applied", "-o", "yaml"]).stdout)
    say("apply", "--server-side", "-f", "-", stdin=SECOND)
    say("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=SECOND)
    say("apply", "-f", "-", "-o", "name", stdin=FIRST)
    pair.run("kubectl", ["-n", namespace, "patch", "configmap", "applied", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'])
    pair.run("kubectl", ["delete", "namespace", namespace, "--wait=false"])
    text = "\n".join(said).replace(namespace, "NAMESPACE")
    text = re.sub(r"(?s)\n  status:.*?(?=\n- |\nkind: List)", "", text)  # the controllers' pace is not ours
    return UNSTABLE.sub(r"\1: X", text)


def test_apply_merges_as_kubectl_does(pair):
    want, got = apply_sequence(pair, "kubectl"), apply_sequence(pair, "fks")
    assert "configured" in want and "unchanged" in want
    assert want == got, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm=""))


def test_watch_prints_changes_as_they_come(pair):
    with subprocess.Popen([pair.programs["fks"], "get", "configmaps", "-w", "--output-watch-events", "--no-headers"],
                          env=pair.environment, stdout=subprocess.PIPE, text=True) as watch:
        try:
            first = watch.stdout.readline()  # kube-root-ca.crt: what is there already
            pair.run("kubectl", ["create", "configmap", "watched", "--from-literal=a=b"])
            pair.run("kubectl", ["delete", "configmap", "watched"])
            rest = [watch.stdout.readline().split()[:2] for _ in range(2)]
        finally:
            watch.kill()
    assert first.split()[:2] == ["ADDED", "kube-root-ca.crt"]
    assert rest == [["ADDED", "watched"], ["DELETED", "watched"]]


def test_delete_waits_until_the_object_is_gone(pair):
    pair.run("kubectl", ["create", "configmap", "held"])
    pair.run("kubectl", ["patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/held"]}}'])
    late = pair.run("fks", ["delete", "configmap", "held", "--timeout=1s"])
    assert (late.returncode, late.stdout) == (1, 'configmap "held" deleted from oracle namespace\n')
    assert late.stderr == "error: timed out waiting for the condition on configmaps/held\n"
    with subprocess.Popen([pair.programs["fks"], "wait", "--for=delete", "configmap/held", "--timeout=20s"],
                          env=pair.environment, stdout=subprocess.PIPE, text=True) as waiting:
        pair.run("kubectl", ["patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'])
        said = waiting.communicate(timeout=20)[0]
    assert waiting.returncode == 0
    assert said in ("configmap/held condition met\n", "")  # nothing is said when it was gone before the first look
