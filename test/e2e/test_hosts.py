"""Hosts of FKS in a cluster that it did not make: two machines with real kubelets, on one of them the chart's agent with a containerd of
its own beside the kubelet's."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from foreign import DNS, Foreign, Load, documents_of
from harness import BIN, IMAGE, ROOT, eventually
from reaper import cgroup_folders

VERSION = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
CHART = ROOT / "manifests"
PROGRAMS = ("fks", "fks-webhook", "fks-scheduler", "fks-node")
pytestmark = pytest.mark.deadline(400)


class Hosts(Foreign):
    """The second machine is to be a host, too; below its folder is what the agent keeps there."""

    def start(self):
        self.start_control_plane()
        self.start_node()
        self.host = self.start_node(self.add_machine())
        self.state, self.run = self.host.folder / "fks-state", self.host.folder / "fks-run"
        self.socket = self.run / "containerd.sock"
        self.cgroup = f"{self.host.machine.cgroup}/fks"

    def values(self):
        return {
            "webhook": {"replicas": 1}, "scheduler": {"replicas": 1},
            "profiles": [{"name": "dev", "spec": {"selectors": [{"namespace": "dev"}]}}],
            "agent": {
                "enabled": True, "capacity": {"cpu": "1", "memory": "1Gi", "pods": 10}, "sandboxImage": "fks.dev/pause:1",
                "imageGC": {"high": 100, "low": 80}, "stateDirectory": str(self.state), "runDirectory": str(self.run),
                "cgroupRoot": self.cgroup, "cni": {"configDirectory": str(self.host.networks), "binDirectory": str(self.host.plugins)}}}

    def in_machine(self, *words):
        return subprocess.run([*self.host.machine.enter, *words], capture_output=True, text=True, check=True).stdout

    def runtime_pids(self):
        """containerd and the shims of the agent."""
        return {int(pid) for path in cgroup_folders(f"{self.cgroup}/runtime") if path.exists()
                for pid in (path / "cgroup.procs").read_text().split()}

    def containerd(self):
        """The agent's, as this machine numbers processes."""
        return next((pid for pid in self.runtime_pids() if Path(f"/proc/{pid}/comm").read_text() == "containerd\n"), None)

    def agent_pod(self):
        pods = [item for item in self.kubectl.json("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-node")["items"]
                if "deletionTimestamp" not in item["metadata"]]
        return pods[0] if len(pods) == 1 and all(status["ready"] for status in pods[0]["status"].get("containerStatuses", [{"ready": False}])) else None

    def pod(self, namespace, app):
        """The only one, once it is ready."""
        def ready():
            pods = self.kubectl.json("get", "pods", "-n", namespace, "-l", f"app={app}")["items"]
            return len(pods) == 1 and any(item["type"] == "Ready" and item["status"] == "True" for item in pods[0]["status"].get("conditions", [])) \
                and pods[0]

        return eventually(ready, 180, f"a pod of {namespace}/{app} is ready")


def dns_objects():
    """CoreDNS of local clusters, but for the Service's address."""
    text = "\n---\n".join((ROOT / f"manifests/coredns/{name}.yaml").read_text() for name in ("rbac", "coredns"))
    return text.replace("\nspec:\n  # clusterIP is set by", f"\nspec:\n  clusterIP: {DNS}\n  # clusterIP is set by")


@pytest.fixture(scope="module")
def hosts(folder, make_home):
    assets = make_home("assets-of-hosts").assets
    run = subprocess.run([ROOT / "scripts/images/make-program-images", BIN, folder / "images", VERSION, *PROGRAMS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    cluster = Hosts(folder / "hosts", assets)
    try:
        cluster.start()
        for name in PROGRAMS:
            cluster.nodes[0].load(folder / f"images/{name}.tar")
        cluster.host.load(folder / "images/fks-node.tar")
        cluster.nodes[0].load(assets / "images/coredns.tar")
        # the webhook and the like stay on the other machine, which has their images
        cluster.kubectl.ok("cordon", "node-2")
        cluster.kubectl.ok("apply", "-f", "-", stdin=dns_objects())
        for name in ("dev", "other"):
            cluster.kubectl.ok("create", "namespace", name)
        path = cluster.folder / "values.json"
        path.write_text(json.dumps(cluster.values()))
        result = cluster.helm.run("install", "fks", CHART, "--namespace=fks-system", "--create-namespace", "--wait", "--timeout=4m", f"--values={path}",
                                  seconds=300)
        assert result.code == 0, f"{result}\n{cluster.kubectl.run('describe', 'pods', '-n', 'fks-system').out}"
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def agent(hosts):
    """node-2 has become a host by its label."""
    assert not hosts.kubectl.json("get", "pods", "-n", "fks-system", "-l", "app.kubernetes.io/name=fks-node")["items"]
    hosts.kubectl.ok("label", "node", "node-2", "fks.dev/host=true")
    eventually(lambda: hosts.host.ctr.run("--address", hosts.socket, "version").code == 0, 180, "the agent's containerd answers")
    for name in ("pause", "demo"):
        hosts.host.load(hosts.assets / f"images/{name}.tar", hosts.socket)
    hosts.kubectl.ok("wait", "--for=create", "fargatehost/node-2", "--timeout=180s")
    hosts.kubectl.ok("wait", "--for=condition=Ready", "fargatehost/node-2", "--timeout=180s")
    return eventually(hosts.agent_pod, 180, "the agent's pod is ready")


@pytest.fixture(scope="module")
def pods(hosts, agent):
    """A pod on a Node of its own and one on an ordinary node, each behind a Service."""
    for namespace in ("dev", "other"):
        hosts.kubectl.ok("create", "deployment", "web", f"--image={IMAGE}", "-n", namespace)
        hosts.kubectl.ok("expose", "deployment", "web", "--port=80", "-n", namespace)
    return hosts.pod("dev", "web"), hosts.pod("other", "web")


def test_the_host_promises_what_its_agent_asked_for(hosts, agent):
    capacity = hosts.kubectl.json("get", "fargatehost", "node-2")["spec"]["capacity"]
    assert capacity == {"cpu": "1", "memory": "1Gi", "pods": "10"}
    requests = next(item for item in agent["spec"]["containers"] if item["name"] == "fks-node")["resources"]["requests"]
    assert requests == {"cpu": "1", "memory": "1Gi"} and agent["spec"]["nodeName"] == "node-2"


def test_pods_on_both_planes_find_each_other(hosts, pods):
    serverless, ordinary = pods
    assert serverless["spec"]["nodeName"].startswith("fargate-ip-10-98-2-") and ordinary["spec"]["nodeName"] == "node-1"
    for where, other in (("dev", "other"), ("other", "dev")):
        page = eventually(lambda: hosts.kubectl.ok("exec", "-n", where, "deployment/web", "--", "timeout", "5", "wget", "-q", "-O", "-",
                                                   f"http://web.{other}.svc.cluster.local/"), 90, f"{where} reaches the Service of {other}")
        assert "<title>FKS</title>" in page
    assert "hello" in hosts.kubectl.ok("exec", "-n", "dev", "deployment/web", "--", "sh", "-c", "echo hello; echo said > /proc/1/fd/1")
    eventually(lambda: "said" in hosts.kubectl.ok("logs", "-n", "dev", "deployment/web"), 30, "the log has what the container said")
    # its containers are in the host's cgroups, not in those of the kubelet's pods
    uid = serverless["metadata"]["uid"]
    assert any((path / f"pod{uid}").exists() for path in cgroup_folders(hosts.cgroup))


def containers(pod):
    return [(item["containerID"], item["restartCount"]) for item in pod["status"]["containerStatuses"]]


def test_pods_go_on_without_containerd_and_without_the_agent(hosts, pods):
    before = containers(pods[0])
    shims = hosts.runtime_pids() - {hosts.containerd()}
    old = hosts.containerd()
    os.kill(old, 9)
    eventually(lambda: hosts.containerd() not in (old, None), 180, "another containerd")
    agent = hosts.agent_pod() or eventually(hosts.agent_pod, 180, "the agent's pod is ready")
    hosts.kubectl.ok("delete", "pod", "-n", "fks-system", agent["metadata"]["name"], "--timeout=120s")
    later = eventually(hosts.agent_pod, 180, "another agent's pod")
    assert later["metadata"]["uid"] != agent["metadata"]["uid"]
    assert shims <= hosts.runtime_pids()
    eventually(lambda: "alive" in hosts.kubectl.ok("exec", "-n", "dev", "deployment/web", "--", "echo", "alive"), 60, "exec by the new agent")
    assert containers(hosts.pod("dev", "web")) == before


def test_uninstalling_leaves_the_host_as_it_was(hosts, pods):
    result = hosts.helm.run("uninstall", "fks", "--namespace=fks-system", "--wait", "--timeout=5m", seconds=330)
    assert result.code == 0, f"{result}\n{hosts.kubectl.run('get', 'pods,events', '-A').out}"
    eventually(lambda: [item["metadata"]["name"] for item in hosts.kubectl.json("get", "nodes")["items"]] == ["node-1", "node-2"], 60,
               "no Node is left but the kubelets'")
    assert not [name for name in hosts.kubectl.ok("get", "crd,clusterrole,clusterrolebinding", "-o", "name").split() if "fks" in name]
    assert hosts.kubectl.ok("get", "lease,configmap,daemonset,role,rolebinding", "-n", "fks-system", "-o", "name").split() == [
        "configmap/kube-root-ca.crt"]
    assert not hosts.kubectl.ok("get", "rolebinding", "-n", "kube-system", "-o", "name").count("fks")
    assert not any(path.exists() for path in cgroup_folders(hosts.cgroup))
    assert not hosts.state.exists() and not hosts.run.exists()
    assert str(hosts.state) not in hosts.in_machine("cat", "/proc/self/mountinfo") and str(hosts.run) not in hosts.in_machine("cat", "/proc/self/mountinfo")
    # the interfaces of its pods: no pod of the kubelet is on this machine any more
    eventually(lambda: "veth" not in hosts.in_machine("ip", "-o", "link"), 60, "no interface of a pod is left")
    # the profile's pod is an ordinary one now; the node that was its host has its room back
    hosts.kubectl.ok("wait", "--for=condition=Available", "deployment/web", "-n", "dev", "--timeout=180s")


# --- by register, and by hand: the settings are the default ones, so the usual places are made to be each machine's own

SANDBOX_IMAGE = re.search(r"^  sandboxImage: (\S+)$", (CHART / "values.yaml").read_text(), re.M).group(1)
OWN_CGROUPS = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: cgroups-of-the-machine}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
    - name: agent
      expression: object.metadata.?labels["app.kubernetes.io/name"].orValue("") == "fks-node"
  variables:
    - name: node
      expression: >-
        object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values[0]
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [0, 1].map(i, JSONPatch{op: "replace", path: "/spec/containers/" + string(i) + "/args",
            value: object.spec.containers[i].args.map(word, word != "--cgroup-root=fks" ? word :
              "--cgroup-root=PREFIX" + variables.node.replace("node-", "") + "/fks")})
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: cgroups-of-the-machine}
spec: {policyName: cgroups-of-the-machine}
"""
# what controllers and the programs themselves make of what is installed
DERIVED = {"APIService", "ConfigMap", "ControllerRevision", "EndpointSlice", "Endpoints", "FargateHost", "IPAddress", "Lease", "MutatingWebhookConfiguration",
           "Pod", "PodMetrics", "ReplicaSet", "Secret", "ServiceAccount", "ValidatingWebhookConfiguration"}


@pytest.fixture(scope="module")
def usual(hosts):
    """Two empty machines that are labelled, and what there is in the cluster."""
    for node in hosts.nodes:
        run = node.machine.run
        for folder in ("/run", "/var/lib", "/opt"):
            run("mount", "-t", "tmpfs", "none", folder)
        run("mkdir", "-p", "/run/etc/upper", "/run/etc/work", "/opt/cni", "/run/lock")
        run("mount", "-t", "overlay", "none", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work", "/etc")
        run("mkdir", "-p", "/etc/cni/net.d")
        run("ln", "-s", node.plugins, "/opt/cni/bin")
        run("cp", *node.networks.iterdir(), "/etc/cni/net.d/")
    hosts.nodes[0].load(hosts.folder.parent / "images/fks-node.tar")
    prefix = hosts.machine.cgroup.removesuffix("1")
    hosts.kubectl.ok("apply", "-f", "-", stdin=OWN_CGROUPS.replace("PREFIX", prefix))
    for word in ("deployment", "service"):
        hosts.kubectl.ok("delete", word, "web", "-n", "dev", "--ignore-not-found")
    hosts.kubectl.ok("delete", "namespace", "fks-system", "--timeout=120s")
    hosts.kubectl.ok("label", "node", "node-1", "node-2", "fks.dev/host=true", "--overwrite")
    kinds = [name for name in hosts.kubectl.ok("api-resources", "--verbs=list", "-o", "name").split()
             if name.split(".")[0] not in ("events", "componentstatuses")]
    hosts.kinds = ",".join(kinds)
    return everything(hosts)


def named(item):
    return f"{item['kind']} {item['metadata'].get('namespace', '')} {item['metadata']['name']}"


def everything(hosts):
    return {named(item) for item in hosts.kubectl.json("get", hosts.kinds, "-A")["items"]}


def gone_again(hosts, usual):
    def the_same():
        differing = everything(hosts) ^ usual
        assert not differing, differing
        return True

    eventually(the_same, 120, "there is what was there")
    for node in hosts.nodes:
        assert not any((path / "fks").exists() for path in cgroup_folders(node.machine.cgroup))
        node.machine.run("sh", "-c", "test ! -e /var/lib/fks-node && test ! -e /run/fks-node")


def agents_with_images(hosts):
    """Both agents are ready, and have what the pods need."""
    for node in hosts.nodes:
        socket = "/run/fks-node/containerd.sock"
        eventually(lambda: node.ctr.run("--address", socket, "version").code == 0, 180, "the agent's containerd answers")
        for name in ("pause", "demo"):
            node.load(hosts.assets / f"images/{name}.tar", socket)
        node.ctr.ok("--address", socket, "--namespace=k8s.io", "images", "tag", "fks.dev/pause:1", SANDBOX_IMAGE)
        hosts.kubectl.ok("wait", "--for=create", f"fargatehost/{node.name}", "--timeout=180s")
        hosts.kubectl.ok("wait", "--for=condition=Ready", f"fargatehost/{node.name}", "--timeout=180s")


def web(hosts, prefix):
    hosts.kubectl.ok("create", "deployment", "web", f"--image={IMAGE}", "-n", "dev")
    made = hosts.pod("dev", "web")
    assert made["spec"]["nodeName"].startswith(prefix)
    return made


def cut_off_at(hosts, line, *words):
    """kill -9 of fks once it has said that."""
    enter = [word for word in hosts.machine.enter if word != "--pid"]  # nsenter itself becomes fks then
    with subprocess.Popen([*enter, BIN / "fks", *words], env=hosts.env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as child:
        said = []
        while not said or line not in said[-1]:
            said.append(child.stderr.readline())
            assert said[-1], said
        child.kill()


def test_register_hosts_and_deregister(hosts, usual):
    register = ("register", "cluster", "--name", "far", "--preset", "eks", "--hosts")
    printed = documents_of(hosts.kubectl.ok("create", "--dry-run=client", "-o", "json", "-f", "-", stdin=hosts.fks.ok(*register, "--dry-run")))
    with Load(hosts, "other") as load:
        result = hosts.fks.run(*register, seconds=330)
        assert result.code == 0, f"{result}\n{hosts.kubectl.run('describe', 'pods', '-n', 'fks-system').out}"
        agents_with_images(hosts)
        assert re.search(r"^far\t+False$", hosts.fks.ok("get", "clusters"), re.M)
        new = everything(hosts) - usual
        assert {named(item) for item in printed} <= new
        assert {name.split(" ")[0] for name in new - {named(item) for item in printed}} <= DERIVED
        hosts.fks.ok("create", "fargateprofile", "--cluster", "far", "--name", "dev", "--namespace", "dev")
        before = containers(web(hosts, "fks-ip-10-98-"))

        # once more: nothing changes
        def written():
            found = {named(item): item for item in hosts.kubectl.json("get", hosts.kinds, "-A")["items"]}
            return {name: (found[name]["metadata"]["uid"], found[name]["metadata"].get("generation")) for name in map(named, printed)}

        first, agents = written(), hosts.kubectl.ok("get", "pods", "-n", "fks-system", "-o", "name")
        hosts.fks.ok(*register, seconds=330)
        assert written() == first and hosts.kubectl.ok("get", "pods", "-n", "fks-system", "-o", "name") == agents
        assert containers(hosts.pod("dev", "web")) == before
        assert "registered as 'far'" in hosts.fks.fails("register", "cluster", "--name", "again", "--preset", "eks").err
        assert "deregister it first" in hosts.fks.fails("register", "cluster", "--name", "far").err

        # going, killed after each step
        deregister = ("deregister", "cluster", "--name", "far")
        for line in ("withdrawing the webhook", "deleting Fargate profile", "ending the agents", "ending the scheduler", "deleting what was installed"):
            cut_off_at(hosts, line, *deregister)
        hosts.fks.ok(*deregister, seconds=330)
        assert hosts.fks.ok("get", "clusters") == "No clusters found\n"
    assert not load.refused and set(load.schedulers) == {"default-scheduler"}, load.refused
    hosts.kubectl.ok("delete", "deployment", "web", "-n", "dev")
    gone_again(hosts, usual)


def test_by_hand(hosts, usual):
    """The plain manifests, applied and taken away as README.md of manifests/ says."""
    files = [f"--filename={CHART / name}" for name in ("install.yaml", "install-hosts.yaml")]
    hosts.kubectl.ok("apply", "--server-side", *files)
    agents_with_images(hosts)
    for name in ("deployment/fks-webhook", "deployment/fks-scheduler", "daemonset/fks-node"):
        hosts.kubectl.ok("rollout", "status", name, "-n", "fks-system", "--timeout=180s", seconds=200)
    # one is given back, the other shown as what it is
    hosts.kubectl.ok("label", "node", "node-2", "fks.dev/host-")
    hosts.kubectl.ok("wait", "--for=condition=Ready=false", "fargatehost/node-2", "--timeout=180s", seconds=200)
    hosts.fks.ok("cordon", "host", "node-1")
    shown = hosts.fks.ok("get", "fargatehosts")
    assert re.search(r"^NAME +READY +CORDONED ", shown) and re.search(r"^node-1 +True +true ", shown, re.M)
    assert re.search(r"^node-2 +False ", shown, re.M)
    hosts.fks.ok("uncordon", "host", "node-1")
    hosts.fks.ok("create", "fargateprofile", "--name", "dev", "--namespace", "dev")
    web(hosts, "fargate-ip-10-98-1-")
    hosts.fks.ok("deregister", "cluster", "--prepare-only", "--hosts", seconds=330)
    hosts.kubectl.ok("delete", "--ignore-not-found", *files, seconds=200)
    hosts.kubectl.ok("delete", "deployment", "web", "-n", "dev")
    gone_again(hosts, usual)
