"""What the end-to-end tests share: running fks and kubectl, waiting for conditions, what this machine holds of a cluster."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("FKS_BIN", ROOT / "bin")).resolve()
IMAGE = "fks.dev/demo:1"
PATIENCE = 60  # seconds: how long a condition may take at the least before a test gives up


def assets_dir():
    """Folder with the control plane programs; found before the tests change HOME and FKS_HOME. None if there is none."""
    home = Path(os.environ.get("FKS_HOME") or Path.home() / ".fks")
    places = [Path(os.environ["FKS_ASSETS"])] if os.environ.get("FKS_ASSETS") else sorted(home.glob("assets/v*"))
    return next((place for place in reversed(places) if (place / "kube-apiserver").exists()), None)


def eventually(check, seconds=60.0, what=None, at_least=PATIENCE):
    """Asks again until check() answers something true, and returns that. A failed assertion inside is a "not yet". A machine
    may be busy: nobody waits less than PATIENCE for what should come, except who asks for less on purpose."""
    seconds = max(seconds, at_least)
    end = time.monotonic() + seconds
    while True:
        reason = None
        try:
            answer = check()
            if answer:
                return answer
        except (AssertionError, LookupError, ValueError, OSError) as error:
            reason = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what or check.__name__}" + (f"; last: {reason}" if reason else ""))
        time.sleep(0.1)


class Result:
    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __str__(self):
        return f"{' '.join(self.words)} ended with {self.code}\nstdout: {self.out[-3000:]}\nstderr: {self.err[-3000:]}"


class Tool:
    """A program run with an environment of its own: fks, or the real kubectl."""

    def __init__(self, program, env):
        self.program, self.env = str(program), env

    def run(self, *words, stdin=None, seconds=120, env=None):
        words = [self.program, *map(str, words)]
        child = subprocess.Popen(words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env={**self.env, **(env or {})}, cwd="/")
        try:
            out, err = child.communicate(stdin, timeout=seconds)
        except BaseException:
            child.kill()
            child.wait()
            raise
        return Result(words, child.returncode, out, err)

    def ok(self, *words, **options):
        """Standard output of a command that must succeed."""
        result = self.run(*words, **options)
        assert result.code == 0, result
        return result.out

    def json(self, *words):
        return json.loads(self.ok(*words, "-o", "json"))

    def fails(self, *words, **options):
        """A command that must fail with words for a person."""
        result = self.run(*words, **options)
        assert result.code not in (0, 23), result  # 23 is the leak checker's
        assert result.code > 0, result
        assert "Sanitizer" not in result.err and "runtime error" not in result.err, result
        assert result.err.strip(), result
        return result

    def apply(self, *objects):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.ok("apply", "-f", "-", stdin=text)

    def spawn(self, *words, **options):
        """Running beside the test; ended at the end of the with block."""
        return Beside([self.program, *map(str, words)], {**self.env, **options.pop("env", {})}, **options)


def hear_signals():
    """A test run in a shell's background has SIGINT ignored, one under nohup SIGHUP; children inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Beside:
    """A program beside the test, its output read as it comes."""

    def __init__(self, words, env, terminal=False):
        self.text = ""
        # an interactive stdin, whatever standard input pytest has
        mine, theirs = pty.openpty() if terminal else os.pipe()
        self.output = mine
        self.terminal_before = termios.tcgetattr(mine) if terminal else None  # what the program finds
        self.child = subprocess.Popen(words, stdin=theirs if terminal else subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env,
                                      cwd="/", start_new_session=True,
                                      preexec_fn=hear_signals)
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.output)

    def read(self):
        while select.select([self.output], [], [], 0)[0]:
            try:
                data = os.read(self.output, 65536)
            except OSError:  # the terminal's other side is closed
                return self.text
            if not data:
                return self.text
            self.text += data.decode(errors="replace")
        return self.text

    def expect(self, pattern, seconds=60, at_least=PATIENCE):
        return eventually(lambda: re.search(pattern, self.read()), seconds, f"/{pattern}/ in the output of {self.child.args}: {self.text!r}",
                          at_least)

    def type(self, text):
        os.write(self.output, text.encode())

    def signal(self, number):
        os.killpg(self.child.pid, number)

    def wait(self, seconds=60):
        """Exit code; reads on so that the program never waits for us."""
        def ended():
            self.read()
            return self.child.poll() is not None

        eventually(ended, seconds, f"{self.child.args} ends: {self.text[-2000:]!r}")
        self.read()
        return self.child.returncode


class Home:
    """An FKS_HOME of its own, with a kubeconfig and a HOME nobody else uses."""

    def __init__(self, folder, assets):
        self.folder, self.assets = folder, assets
        self.fks_home = folder / "fks"
        (folder / "home").mkdir(parents=True)
        self.kubeconfig = folder / "kubeconfig"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FKS_", "KUBE"))}
        self.env = {**kept, "HOME": str(folder / "home"), "FKS_HOME": str(self.fks_home), "KUBECONFIG": str(self.kubeconfig),
                    "FKS_ASSETS": str(assets), "LC_ALL": "C.UTF-8"}
        self.fks = Tool(BIN / "fks", self.env)
        self.kubectl = Tool(assets / "kubectl", self.env)

    def create(self, name, *flags):
        result = self.fks.run("create", "cluster", name, *flags, seconds=300)
        print(result.err, file=sys.stderr)
        assert result.code == 0, result
        return Cluster(self, name)


class Cluster:
    """A running local cluster."""

    def __init__(self, home, name):
        self.home, self.name = home, name
        self.fks, self.kubectl = home.fks, home.kubectl
        self.folder = home.fks_home / "clusters" / name
        self.info = json.loads((self.folder / "cluster.json").read_text())
        self.number = self.info["number"]

    def processes(self):
        return json.loads((self.folder / "processes.json").read_text())

    def pid(self, process):
        return self.processes()[process]["pid"]

    def end(self):
        """Stops first, so that every daemon ends by SIGTERM and its leaks are found; then deletes."""
        stop = self.fks.run("stop", "cluster", self.name, seconds=180)
        delete = self.fks.run("delete", "cluster", self.name, seconds=180)
        assert stop.code == 0, stop
        assert delete.code == 0, delete

    # --- questions about pods

    def pods(self, namespace, *selector):
        words = ["-l", selector[0]] if selector else []
        return self.fks.json("get", "pods", "-n", namespace, *words)["items"]

    def ready(self, namespace, count, *selector, seconds=90):
        """Waits until exactly so many pods are there and all are Ready; the pods."""
        def check():
            pods = self.pods(namespace, *selector)
            return len(pods) == count and (all(map(is_ready, pods)) and pods or count == 0)

        return eventually(check, seconds, f"{count} ready pods in {namespace}")

    def phase(self, namespace, name, *phases, seconds=90):
        def check():
            pod = self.fks.json("get", "pod", name, "-n", namespace)
            assert pod["status"]["phase"] in phases, pod["status"]
            return pod

        return eventually(check, seconds, f"pod {name} in {phases}")

    def fargate_nodes(self):
        return [name for name in self.fks.ok("get", "nodes", "-o", "name").split() if "/fargate-" in name]

    def settled(self, seconds=90):
        """Waits until there is one Fargate node per pod that has one, and none else."""
        def check():
            pods = self.fks.json("get", "pods", "-A")["items"]
            wanted = {"node/" + pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]}
            have = set(self.fargate_nodes())
            assert have == {name for name in wanted if "/fargate-" in name}, f"nodes {have}, pods on {wanted}"
            return True

        eventually(check, seconds, "a Fargate node per pod and no other")


def is_ready(pod):
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


# --- objects

SMALL = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"cpu": "250m", "memory": "128Mi"}}


def container(command=None, name="main", **fields):
    words = {} if command is None else {"command": ["sh", "-c", command]}
    return {"name": name, "image": IMAGE, "resources": SMALL, **words, **fields}


def pod(name, namespace="default", command=None, labels=None, containers=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": containers or [container(command)], **spec}}


def deployment(name, replicas, namespace="default", command=None, labels=None, **fields):
    labels = {"app": name, **(labels or {})}
    probe = {} if command else {"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}}
    template = {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(command, **{**probe, **fields})]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}}


def service(name, namespace="default"):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 80}]}}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


# --- what a machine holds

def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def below(folder, depth):
    """Paths under a folder, at most so deep; what goes away while reading is left out."""
    found = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return found
    for entry in entries:
        found.append(entry.path)
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            found += below(entry.path, depth - 1)
    return found


def our_processes(home):
    """Processes started by this home's fks, whatever became of their parents, and those in containers of its clusters."""
    mark = f"FKS_HOME={home.fks_home}\0".encode()
    numbers = [json.loads(path.read_text())["number"] for path in home.fks_home.glob("clusters/*/cluster.json")]
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            groups = (entry / "cgroup").read_text()
            if mark in (entry / "environ").read_bytes() + b"\0" or any(re.search(rf":/fks{n}(/|$)", groups, re.M) for n in numbers):
                found.add(f"{entry.name} {(entry / 'comm').read_text().strip()}")
        except OSError:
            continue  # ended meanwhile
    return found


def machine(home):
    """{kind: set of lines} of what creating a cluster can leave on this machine."""
    mounts = {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    rules = {line for line in output("iptables-save").splitlines() if line.startswith("-")}
    cgroups = set(below("/sys/fs/cgroup", 3))
    folders = ["/run/fks", "/run/netns", "/run/containerd", "/run/runc", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
               "/var/log/pods", "/var/log/containers", "/opt/containerd", "/run/cni"]
    return {
        "processes": our_processes(home),
        "mounts": mounts,
        "links": set(os.listdir("/sys/class/net")),
        "namespaces": set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set(),
        "routes": {line.strip() for line in output("ip", "-4", "route").splitlines()},
        "rules": rules,
        "cgroups": cgroups,
        "files": {path for folder in folders for path in below(folder, 4)},
        "home": set(below(home.fks_home, 3)),
    }


def marks(home):
    """What the names of things carry that belong to this home's clusters, as far as they are running now: a pattern."""
    found = [re.escape(str(home.folder))]
    for path in home.fks_home.glob("clusters/*/cluster.json"):
        n = json.loads(path.read_text())["number"]
        found += [rf"\bfks{n}\b", rf"/run/fks/{n}\b", rf"\b10\.201\.{n}\.", rf"\b10\.{202 + n // 16}\.{n % 16 * 16}\."]
        for task in Path(f"/run/fks/{n}").glob("h*/containerd/io.containerd.runtime.v2.task/*/*"):
            found.append(task.name)
            try:
                found.append(re.escape((task / "address").read_text().rpartition("/")[2]))  # the shim's socket, /run/containerd/s/...
                pod = json.loads((task / "config.json").read_text())["annotations"]
                found += [value for key, value in pod.items() if key.endswith("sandbox-uid")]
            except (OSError, LookupError, ValueError):
                continue
    return re.compile("|".join(found))


def left_over(before, after, ours):
    """What is new and ours, since others use this machine at the same time; processes() knows its own."""
    new = {kind: sorted(line for line in lines - before[kind] if kind == "processes" or ours.search(line)) for kind, lines in after.items()}
    return {kind: lines for kind, lines in new.items() if lines}


def kill_hard(pid):
    os.kill(pid, signal.SIGKILL)
