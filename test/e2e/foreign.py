"""A cluster that FKS did not make: the real control plane, kube-proxy and kubelets of the assets, each "machine" in namespaces of its
own (mounts, network, processes), whose end takes every process, mount and interface with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from cluster import Pki, die_with_parent, documents_of  # noqa: E402,F401
from rights import audit_policy, compare, read_audit  # noqa: E402,F401
from harness import BIN, IMAGE, Tool, eventually  # noqa: E402
from reaper import cgroup_folders, cgroups_removed  # noqa: E402

ADDRESS, API_PORT, PODS, SERVICES = "10.99.0.1", 6443, "10.98.0.0/16", "10.96.0.0/16"
DNS = "10.96.0.10"
# the first process of the namespaces: it takes in orphans, and everything ends with it
INIT = """
import os, signal, time
print("up", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.2)
"""


class Machine:
    """The first one is the switch that the others are plugged into; each knows the way to the pods of all."""

    def __init__(self, folder, number=1, switch=None):
        self.folder, self.number = folder, number
        self.address, self.pods = f"10.99.0.{number}", f"10.98.{number}.0/24"
        folder.mkdir(parents=True)
        self.cgroup = f"fks-test-{os.getpid()}-{number}"
        self.children = []
        self.init = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
             sys.executable, "-c", INIT], stdout=subprocess.PIPE, preexec_fn=die_with_parent, cwd="/")
        assert self.init.stdout.readline() == b"up\n"
        self.pid = int(Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0])
        self.enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid"]
        self.run("mount", "--make-rshared", "/")
        if switch is None:
            self.run("ip", "link", "add", "eth0", "type", "bridge")
        else:  # the cable's other end is named by a process, of this process namespace
            subprocess.run(["nsenter", f"--net=/proc/{switch.pid}/ns/net", "ip", "link", "add", f"port{number}", "type", "veth", "peer", "name",
                            "eth0", "netns", str(self.pid)], check=True)
            switch.run("ip", "link", "set", f"port{number}", "master", "eth0", "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                      ["route", "add", "default", "dev", "eth0"]):
            self.run("ip", *words)
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        if switch is not None:
            switch.run("ip", "route", "add", self.pods, "via", self.address)
            self.run("ip", "route", "add", switch.pods, "via", switch.address)
        for path in cgroup_folders(self.cgroup):
            path.mkdir(exist_ok=True)

    def run(self, *words):
        subprocess.run([*self.enter, *words], check=True)

    def start(self, name, *words):
        log = open(self.folder / f"{name}.log", "ab")
        self.children.append(subprocess.Popen([*self.enter, *map(str, words)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              preexec_fn=die_with_parent, cwd="/"))
        log.close()

    def tool(self, program, env):
        return Inside(self.enter, program, env)

    def end(self):
        self.init.send_signal(signal.SIGKILL)  # takes the namespace's first process along
        self.init.wait()
        self.init.stdout.close()
        for child in self.children:
            child.wait()

        eventually(lambda: cgroups_removed(self.cgroup), 30, "the cgroups are empty")


class Inside(Tool):
    """A program run inside a machine."""

    def __init__(self, enter, program, env):
        super().__init__(enter[0], env)
        self.prefix = [*enter[1:], str(program)]

    def run(self, *words, **options):
        return super().run(*self.prefix, *words, **options)


class Node:
    """A machine's kubelet and its containerd."""

    def __init__(self, machine, folder, env):
        self.machine, self.folder = machine, folder
        self.name, self.socket = f"node-{machine.number}", folder / "containerd.sock"
        self.plugins, self.networks = folder / "cni-bin", folder / "cni"
        self.ctr = machine.tool("ctr", env)
        for path in (folder, self.plugins, self.networks):
            path.mkdir()

    def load(self, archive, socket=None):
        self.ctr.ok("--address", socket or self.socket, "--namespace=k8s.io", "images", "import", archive)


class Foreign:
    """A machine that is control plane and node; more nodes when asked for."""

    def __init__(self, folder, assets):
        self.folder, self.assets = folder, assets
        self.machine = Machine(folder / "machine")
        self.machines, self.nodes = [self.machine], []
        self.pki = Pki(folder / "pki")
        names = f"IP:{ADDRESS},IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"
        self.pki.issue("apiserver", "kube-apiserver", ["system:masters"], names)
        self.pki.issue("admin", "admin", ["system:masters"])
        self.pki.issue("jane", "jane", ["developers"])
        self.kubeconfig = self.write_kubeconfig("admin")
        (folder / "home").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FKS_", "KUBE"))}
        self.env = {**kept, "HOME": str(folder / "home"), "FKS_HOME": str(folder / "home/fks"), "KUBECONFIG": str(self.kubeconfig),
                    "LC_ALL": "C.UTF-8"}
        self.fks = self.machine.tool(BIN / "fks", self.env)
        self.kubectl = self.machine.tool(assets / "kubectl", self.env)
        self.helm = self.machine.tool(os.environ.get("FKS_HELM", assets / "helm"), self.env)

    def write_kubeconfig(self, user):
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "foreign",
            "clusters": [{"name": "foreign", "cluster": {"server": f"https://{ADDRESS}:{API_PORT}",
                                                         "certificate-authority": str(self.pki.path("ca.crt"))}}],
            "users": [{"name": user, "user": {"client-certificate": str(self.pki.path(f"{user}.crt")),
                                              "client-key": str(self.pki.path(f"{user}.key"))}}],
            "contexts": [{"name": "foreign", "context": {"cluster": "foreign", "user": user}}]}))
        return path

    def start_control_plane(self):
        pki, start = self.pki.path, self.machine.start
        start("etcd", self.assets / "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level=error")
        start("apiserver", self.assets / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--secure-port={API_PORT}",
              f"--bind-address={ADDRESS}", f"--advertise-address={ADDRESS}", f"--cert-dir={self.folder}",
              f"--tls-cert-file={pki('apiserver.crt')}", f"--tls-private-key-file={pki('apiserver.key')}",
              f"--client-ca-file={pki('ca.crt')}", f"--kubelet-client-certificate={pki('apiserver.crt')}",
              f"--kubelet-client-key={pki('apiserver.key')}", "--kubelet-preferred-address-types=InternalIP",
              f"--service-account-key-file={pki('sa.key')}", f"--service-account-signing-key-file={pki('sa.key')}",
              "--service-account-issuer=https://kubernetes.default.svc.cluster.local", f"--service-cluster-ip-range={SERVICES}",
              "--authorization-mode=Node,RBAC", "--allow-privileged", "--enable-admission-plugins=NodeRestriction",
              f"--audit-log-path={self.folder / 'audit.log'}", f"--audit-policy-file={self.write_audit_policy()}")
        eventually(lambda: self.kubectl.run("get", "--raw", "/readyz").out == "ok", 180, "the API server is ready")
        start("manager", self.assets / "kube-controller-manager", f"--kubeconfig={self.kubeconfig}",
              f"--service-account-private-key-file={pki('sa.key')}", "--use-service-account-credentials", f"--root-ca-file={pki('ca.crt')}",
              "--leader-elect=false", f"--cert-dir={self.folder}", "--kube-api-qps=200", "--kube-api-burst=400")
        start("scheduler", self.assets / "kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
              f"--cert-dir={self.folder}")
        eventually(lambda: self.kubectl.run("get", "serviceaccount", "default").code == 0, 180, "the default service account")

    def write_audit_policy(self):
        """Who asked for what, of the identities of FKS."""
        path = self.folder / "audit.yaml"
        path.write_text(json.dumps(audit_policy(groups=["system:serviceaccounts:fks-system"])))
        return path

    def add_machine(self):
        self.machines.append(Machine(self.folder / f"machine-{len(self.machines) + 1}", len(self.machines) + 1, self.machine))
        return self.machines[-1]

    def start_scheduler(self, name):
        """Another kube-scheduler, for the pods that name it."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "leaderElection": {"leaderElect": False},
            "clientConnection": {"kubeconfig": str(self.kubeconfig)}, "profiles": [{"schedulerName": name}]}))
        self.machine.start(name, self.assets / "kube-scheduler", f"--config={path}", f"--cert-dir={self.folder}", "--secure-port=10269")

    def start_node(self, machine=None):
        machine = machine or self.machine
        node = Node(machine, self.folder / f"node-{machine.number}", self.env)
        self.nodes.append(node)
        run, start, socket = node.folder, machine.start, node.socket
        found = next(path for path in (Path("/opt/cni/bin"), Path("/usr/lib/cni")) if (path / "ptp").exists())
        for name in ("ptp", "host-local", "portmap", "loopback"):
            shutil.copy(found / name, node.plugins)
        (node.networks / "10-test.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "test", "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": {"type": "host-local", "dataDir": str(run / "ipam"), "ranges": [[{"subnet": machine.pods}]],
                                                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}}]}))
        (run / "containerd.toml").write_text(f"""
version = 2
root = "{run}/containerd"
state = "{run}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "fks.dev/pause:1"
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{node.plugins}"
    conf_dir = "{node.networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{run}/runc"
  # what a RuntimeClass may name
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata.options]
      Root = "{run}/kata"
""")
        start("containerd", "containerd", f"--config={run / 'containerd.toml'}")
        eventually(lambda: node.ctr.run("--address", socket, "version").code == 0, 90, "containerd answers")
        for name in ("pause", "demo"):
            node.load(self.assets / f"images/{name}.tar")
        pki = self.pki.path
        self.pki.issue(node.name, f"system:node:{node.name}", ["system:nodes"], f"IP:{machine.address},DNS:{node.name}")
        (run / "kubelet.yaml").write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(pki("ca.crt"))}},
            "authorization": {"mode": "Webhook"}, "tlsCertFile": str(pki(f"{node.name}.crt")), "tlsPrivateKeyFile": str(pki(f"{node.name}.key")),
            "failCgroupV1": False, "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + machine.cgroup, "enforceNodeAllocatable": [],
            "failSwapOn": False, "oomScoreAdj": 0, "containerRuntimeEndpoint": f"unix://{socket}", "clusterDomain": "cluster.local", "clusterDNS": [DNS],
            "resolvConf": "", "podLogsDir": str(run / "logs"), "syncFrequency": "5s", "configMapAndSecretChangeDetectionStrategy": "Watch",
            # a disk that others fill for a moment is none of these tests' business
            "evictionHard": {"memory.available": "1Mi"}, "imageGCHighThresholdPercent": 100}))
        start("kube-proxy", self.assets / "kube-proxy", f"--kubeconfig={self.kubeconfig}", "--proxy-mode=iptables", f"--cluster-cidr={PODS}",
              f"--hostname-override={node.name}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
              "--conntrack-tcp-timeout-close-wait=0")
        start("kubelet", self.assets / "kubelet", f"--config={run / 'kubelet.yaml'}", f"--kubeconfig={self.write_kubeconfig(node.name)}",
              f"--root-dir={run / 'kubelet'}", f"--hostname-override={node.name}", f"--node-ip={machine.address}")
        eventually(lambda: self.kubectl.run("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=1s").code == 0, 180,
                   f"{node.name} is ready")
        return node

    def load(self, archive):
        self.nodes[0].load(archive)

    def log(self, name):
        return (self.machine.folder / f"{name}.log").read_text(errors="replace")

    def end(self):
        for machine in reversed(self.machines):
            machine.end()


def pod(name, where):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": where, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": IMAGE}]}}


class Load(threading.Thread):
    """Creates pods without end (as dry runs: what admission says of them is the same), and keeps what became of them."""

    def __init__(self, cluster, where):
        super().__init__(daemon=True)
        self.cluster, self.where, self.stopping = cluster, where, threading.Event()
        self.refused, self.schedulers = [], []

    def run(self):
        text = json.dumps(pod("load", self.where))
        while not self.stopping.is_set():
            result = self.cluster.kubectl.run("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
            if result.code != 0:
                self.refused.append(result.err)
            else:
                self.schedulers.append(json.loads(result.out)["spec"]["schedulerName"])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()
