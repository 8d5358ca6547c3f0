"""The walk that every EKS-on-Fargate tutorial takes, each command with kubectl's or eksctl's output."""

import json
import re
import signal
import subprocess

import pytest

from harness import IMAGE, SMALL, container, deployment, eventually, is_ready, namespace, pod, service

NODE = r"fargate-ip-\d+-\d+-\d+-\d+\.local\.compute\.internal"


def heads(table):
    return re.split(r"\s{2,}|\t+", table.splitlines()[0].strip())


@pytest.fixture(scope="module")
def dev(cluster):
    """A profile on namespace dev and label env=dev; the namespace."""
    result = cluster.fks.run("create", "fargateprofile", "--cluster", cluster.name, "--name", "dev", "--namespace", "dev",
                             "--labels", "env=dev", "--tags", "team=blue")
    assert result.code == 0, result
    assert 'created Fargate profile "dev" on cluster "e2e"' in result.err
    assert cluster.fks.ok("create", "namespace", "dev") == "namespace/dev created\n"
    yield "dev"
    cluster.fks.ok("delete", "namespace", "dev")
    cluster.fks.ok("delete", "fargateprofile", "--cluster", cluster.name, "--name", "dev")


@pytest.fixture(scope="module")
def web(cluster, dev):
    """Two web servers behind a Service, in namespace dev; the pods."""
    applied = cluster.fks.apply(deployment("web", 2, dev, labels={"env": "dev"}), service("web", dev))
    assert applied == "deployment.apps/web created\nservice/web created\n"
    return cluster.ready(dev, 2, "app=web")


@pytest.fixture
def run_pod(cluster):
    """A function that makes a pod and waits for a phase; the pod goes at the end of the test."""
    made = []

    def make(made_pod, *phases, seconds=90):
        where = made_pod["metadata"]
        cluster.fks.apply(made_pod)
        made.append((where["namespace"], where["name"]))
        return cluster.phase(where["namespace"], where["name"], *(phases or ("Running",)), seconds=seconds)

    yield make
    for space, name in made:
        cluster.fks.ok("delete", "pod", name, "-n", space, "--ignore-not-found", "--grace-period=1")


# --- clusters and profiles, as eksctl shows them

def test_get_clusters(cluster):
    table = cluster.fks.ok("get", "clusters")
    assert heads(table) == ["NAME", "REGION", "EKSCTL CREATED"]
    assert table.splitlines()[1].split() == ["e2e", "local", "True"]
    assert cluster.fks.json("get", "cluster") == [{"Name": "e2e", "Region": "local", "Owned": "True"}]
    assert re.search(r"e2e\s+1\.36\s+ACTIVE", cluster.fks.ok("get", "cluster", "e2e"))


def test_get_fargateprofile(cluster, dev):
    def active():
        profiles = cluster.fks.json("get", "fargateprofile", "--cluster", cluster.name)
        assert {profile["name"]: profile["status"] for profile in profiles} == {"dev": "ACTIVE", "fp-default": "ACTIVE"}
        return profiles

    profiles = {profile["name"]: profile for profile in eventually(active)}
    assert profiles["dev"]["selectors"] == [{"namespace": "dev", "labels": {"env": "dev"}}]
    assert profiles["dev"]["tags"] == {"team": "blue"}
    assert [selector["namespace"] for selector in profiles["fp-default"]["selectors"]] == ["default", "kube-system"]
    table = cluster.fks.ok("get", "fargateprofile", "--cluster", cluster.name)
    assert heads(table) == ["NAME", "SELECTOR_NAMESPACE", "SELECTOR_LABELS", "POD_EXECUTION_ROLE_ARN", "SUBNETS", "TAGS", "STATUS"]
    assert table.splitlines()[1].split() == ["dev", "dev", "env=dev", "<none>", "<none>", "team=blue", "ACTIVE"]
    text = cluster.fks.ok("get", "fargateprofile", "dev", "--cluster", cluster.name, "-o", "yaml")
    assert "name: dev" in text and "env: dev" in text and "status: ACTIVE" in text
    # the real kubectl reads the same object
    assert cluster.kubectl.json("get", "fargateprofile", "dev")["spec"]["selectors"] == profiles["dev"]["selectors"]


def test_delete_fargateprofile(cluster):
    words = ["--cluster", cluster.name, "--name", "short-lived"]
    cluster.fks.ok("create", "fargateprofile", *words, "--namespace", "short-lived")
    result = cluster.fks.run("delete", "fargateprofile", *words, "--wait")
    assert result.code == 0 and 'deleted Fargate profile "short-lived"' in result.err, result
    assert "No Fargate Profile found with name: short-lived." in cluster.fks.fails("delete", "fargateprofile", *words).err


# --- pods and nodes, as kubectl shows them

def test_nodes(cluster, web):
    cluster.settled()
    table = cluster.fks.ok("get", "nodes")
    assert heads(table) == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    rows = [line.split() for line in table.splitlines()[1:]]
    assert all(re.fullmatch(NODE, row[0]) and row[1] == "Ready" for row in rows), table
    nodes = {item["metadata"]["name"]: item for item in cluster.fks.json("get", "nodes")["items"]}
    used = [item["spec"]["nodeName"] for item in web]
    assert len(set(used)) == 2
    for item in web:
        node = nodes[item["spec"]["nodeName"]]
        address = item["status"]["podIP"]
        assert node["metadata"]["name"] == f"fargate-ip-{address.replace('.', '-')}.local.compute.internal"
        assert node["metadata"]["labels"]["eks.amazonaws.com/compute-type"] == "fargate"
        assert any(taint["key"] == "eks.amazonaws.com/compute-type" for taint in node["spec"]["taints"])


def test_admitted_fields(web):
    for item in web:
        assert item["spec"]["schedulerName"] == "fargate-scheduler"
        assert item["spec"]["priorityClassName"] == "system-node-critical"
        assert item["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"] == "dev"
        assert item["metadata"]["annotations"]["CapacityProvisioned"] == "0.25vCPU 0.5GB"


def test_get_pods(cluster, dev, web):
    names = sorted(item["metadata"]["name"] for item in web)
    wide = cluster.fks.ok("get", "pods", "-A", "-o", "wide")
    assert heads(wide) == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    for item in web:
        line = next(line for line in wide.splitlines() if item["metadata"]["name"] in line)
        assert line.split()[:4] == ["dev", item["metadata"]["name"], "1/1", "Running"]
        assert item["status"]["podIP"] in line and item["spec"]["nodeName"] in line
    assert cluster.fks.ok("get", "pods", "-n", dev, "-l", "app=web", "-o", "name") == "".join(f"pod/{name}\n" for name in names)
    assert cluster.fks.ok("get", "pods", "-n", dev, "-l", "app=none", "-o", "name") == ""
    listed = cluster.fks.json("get", "pods", "-n", dev)
    assert listed["kind"] == "List" and sorted(item["metadata"]["name"] for item in listed["items"]) == names
    text = cluster.fks.ok("get", "pod", names[0], "-n", dev, "-o", "yaml")
    assert text.startswith("apiVersion: v1\n") and f"  name: {names[0]}\n" in text and "\nkind: Pod\n" in text


@pytest.mark.parametrize("words", [
    ["get", "pods", "-n", "dev"],
    ["get", "pods", "-n", "dev", "-o", "name"],
    ["get", "pods", "-n", "dev", "-o", "json"],
    ["get", "pods", "-n", "dev", "-o", "yaml"],
    ["get", "pods", "-n", "dev", "-l", "env=dev", "-o", "jsonpath={.items[*].metadata.name}"],
    ["get", "deployment,service", "-n", "dev"],
    ["get", "nodes", "-o", "wide"],
    ["get", "namespace", "dev", "-o", "yaml"],
    ["describe", "service", "web", "-n", "dev"],
    ["get", "pod", "absent", "-n", "dev"],
], ids=" ".join)
def test_same_as_kubectl(cluster, web, words):
    """The very bytes of kubectl, on objects that stand still (but for ages, which move on)."""
    def same():
        ours, theirs = cluster.fks.run(*words), cluster.kubectl.run(*words)
        age = re.compile(r"\b\d+(s|m|m\d+s)\b")
        assert (ours.code, age.sub("AGE", ours.out), ours.err) == (theirs.code, age.sub("AGE", theirs.out), theirs.err)
        return True

    eventually(same, 15)


def test_watch(cluster, dev, web):
    with cluster.fks.spawn("get", "pods", "-n", dev, "-w") as watch:
        watch.expect(r"NAME +READY +STATUS +RESTARTS +AGE")
        cluster.fks.apply(pod("watched", dev, labels={"env": "dev"}))
        watch.expect(r"watched +0/1 +Pending")
        watch.expect(r"watched +1/1 +Running")
        assert cluster.fks.ok("delete", "pod", "watched", "-n", dev) == 'pod "watched" deleted from dev namespace\n'
        watch.expect(r"watched +[01]/1 +(Terminating|Completed|Error)")
        watch.signal(signal.SIGINT)
        assert watch.wait() in (-signal.SIGINT, 130)


def test_create_deployment(cluster):
    created = cluster.fks.ok("create", "deployment", "hello", f"--image={IMAGE}", "-n", "default")
    assert created == "deployment.apps/hello created\n"
    (item,) = cluster.ready("default", 1, "app=hello")
    assert re.fullmatch(NODE, item["spec"]["nodeName"])
    assert cluster.fks.ok("delete", "deployment", "hello") == 'deployment.apps "hello" deleted from default namespace\n'
    cluster.ready("default", 0, "app=hello")
    cluster.settled()


def test_apply_file(cluster, dev, tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: dev}\ndata: {key: first}\n---\n"
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: dev}\n")
    assert cluster.fks.ok("apply", "-f", path) == "configmap/one created\nconfigmap/two created\n"
    assert cluster.fks.ok("apply", "-f", path) == "configmap/one unchanged\nconfigmap/two unchanged\n"
    changed = path.read_text().replace("first", "second")
    assert cluster.fks.ok("apply", "-f", "-", stdin=changed) == "configmap/one configured\nconfigmap/two unchanged\n"
    assert cluster.kubectl.json("get", "configmap", "one", "-n", dev)["data"] == {"key": "second"}
    assert cluster.fks.ok("delete", "-f", path) == ('configmap "one" deleted from dev namespace\n'
                                                    'configmap "two" deleted from dev namespace\n')


def test_describe_pod(cluster, dev, web):
    item = web[0]
    text = cluster.fks.ok("describe", "pod", item["metadata"]["name"], "-n", dev)
    for pattern in (rf"Name: +{item['metadata']['name']}\n", r"Namespace: +dev\n", rf"Node: +{NODE}/", r"Status: +Running\n",
                    rf"Image: +{IMAGE}\n", r"CapacityProvisioned: 0\.25vCPU 0\.5GB", r"Events:\n", r"fargate-scheduler"):
        assert re.search(pattern, text), f"/{pattern}/ in {text}"


# --- logs and exec

@pytest.fixture(scope="module")
def talker(cluster):
    """A pod that says a line a second."""
    cluster.fks.apply(pod("talker", command="echo to-stderr >&2; i=0; while true; do echo line $i; i=$((i+1)); sleep 1; done"))
    cluster.phase("default", "talker", "Running")
    yield "talker"
    cluster.fks.ok("delete", "pod", "talker", "--grace-period=1")


@pytest.mark.parametrize("tool", ["fks", "kubectl"])
def test_logs(cluster, talker, tool):
    run = getattr(cluster, tool)
    eventually(lambda: "line 2\n" in run.ok("logs", talker))
    text = run.ok("logs", talker)
    # the runtime reads the two outputs separately: one line may stand anywhere among those of the other
    assert "to-stderr\n" in text and "line 0\nline 1\nline 2\n" in text.replace("to-stderr\n", "")
    assert len(run.ok("logs", talker, "--tail=2").splitlines()) == 2
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", run.ok("logs", talker, "--tail=1", "--timestamps"))
    with run.spawn("logs", "-f", "--tail=1", talker) as follow:
        follow.expect(r"line (\d+)\n(.*\n)?line \d+\n")


@pytest.mark.parametrize("tool", ["fks", "kubectl"])
def test_exec(cluster, talker, tool):
    run = getattr(cluster, tool)
    assert run.ok("exec", talker, "--", "echo", "hello", "world") == "hello world\n"
    result = run.run("exec", talker, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, "out\n") and result.err.startswith("err\n"), result
    assert "exit code 7" in result.err
    big = "0123456789abcdef" * 20000
    assert run.ok("exec", "-i", talker, "--", "wc", "-c", stdin=big).strip() == str(len(big))
    assert run.ok("exec", "-i", talker, "--", "cat", stdin=big) == big


@pytest.mark.parametrize("tool", ["fks", "kubectl"])
def test_exec_terminal(cluster, talker, tool):
    with getattr(cluster, tool).spawn("exec", "-it", talker, "--", "sh", terminal=True) as shell:
        shell.expect(r"# ")
        shell.type("tty && echo si''gn $((40+2))\r")
        shell.expect(r"/dev/pts/\d+\r?\n")
        shell.expect(r"sign 42")
        shell.type("exit 5\r")
        assert shell.wait() == 5


# --- what a container sees

@pytest.mark.parametrize("words, stdin, out, code", [
    (["-i", "--restart=Never", "--", "sh", "-c", "echo before; cat; exit 3"], "typed\n", "before\ntyped\n", 3),
    (["--attach", "--restart=Never", "--", "sh", "-c", "echo all of it"], "", "all of it\n", 0),
    (["--attach", "-q", "--restart=OnFailure", "--", "sh", "-c", "sleep 1; echo late"], "", "late\n", 0),
])
def test_run_attached(cluster, words, stdin, out, code):
    result = cluster.fks.run("run", "attached", f"--image={IMAGE}", "--rm", *words, stdin=stdin)
    assert result.code == code, result
    assert result.out == out + 'pod "attached" deleted from default namespace\n'
    eventually(lambda: cluster.fks.run("get", "pod", "attached").code != 0)


def test_service_by_name(cluster, dev, web, run_pod):
    item = run_pod(pod("client", command="sleep 3600"))
    assert is_ready(item)
    page = eventually(lambda: cluster.fks.ok("exec", "client", "--", "timeout", "3", "wget", "-q", "-O", "-", "http://web.dev.svc.cluster.local/"))
    assert "This page comes from a pod on a Node of its own" in page
    assert cluster.fks.ok("exec", "client", "--", "wget", "-q", "-O", "-", "http://web.dev/") == page


def test_volumes_and_environment(cluster, run_pod):
    cluster.fks.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue", "size": "8"}},
                      {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "stringData": {"word": "sesame"}})
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "password", "secret": {"secretName": "password", "defaultMode": 0o400}},
        {"name": "about", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "all", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 3600}},
            {"configMap": {"name": "settings", "items": [{"key": "size", "path": "in/size"}]}}]}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/v/{volume['name']}"} for volume in volumes]
    env = [{"name": "PLAIN", "value": "plain $(COLOUR)"}, {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
           {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
           {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
           {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "word"}}}]
    env.insert(0, {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}})
    item = run_pod(pod("volumes", containers=[
        container("sleep 3600", name="one", env=env, envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "S_"}], volumeMounts=mounts),
        container("echo from-two > /v/scratch/file; sleep 3600", name="two", volumeMounts=mounts)], volumes=volumes))

    def sees(command):
        return cluster.fks.ok("exec", "volumes", "-c", "one", "--", "sh", "-c", command)

    assert sees("cat /v/settings/colour") == "blue"
    assert sees("cat /v/password/word; stat -L -c %a /v/password/word") == "sesame400\n"
    assert 'app="volumes"' in sees("cat /v/about/labels")
    assert sees("cat /v/all/in/size") == "8"
    assert eventually(lambda: sees("cat /v/scratch/file")) == "from-two\n"
    assert "tmpfs" in sees("grep ' /v/memory ' /proc/mounts")
    assert sees('echo "$PLAIN|$WHO|$CPU|$WORD|$S_size|$ADDRESS"') == f"plain blue|volumes|250|sesame|8|{item['status']['podIP']}\n"
    assert sees("echo $KUBERNETES_SERVICE_HOST") == cluster.fks.json("get", "service", "kubernetes")["spec"]["clusterIP"] + "\n"
    # the projected token is one that the API server knows, for the audience it was asked for
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
              "spec": {"token": sees("cat /v/all/token"), "audiences": ["somebody"]}}
    answer = json.loads(cluster.kubectl.ok("create", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    assert answer["status"]["authenticated"] and answer["status"]["user"]["username"] == "system:serviceaccount:default:default"
    # the default service account's is where every client looks for it
    assert sees("ls /var/run/secrets/kubernetes.io/serviceaccount").split() == ["ca.crt", "namespace", "token"]
    # a changed ConfigMap arrives in the running container
    cluster.fks.ok("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                                                         "data": {"colour": "green", "size": "8"}}))
    eventually(lambda: sees("cat /v/settings/colour") == "green", 120)
    cluster.fks.ok("delete", "configmap/settings", "secret/password")


def test_init_containers(cluster, run_pod):
    shared = [{"name": "shared", "mountPath": "/shared"}]
    run_pod(pod("init", containers=[container("cat /shared/order; sleep 3600", volumeMounts=shared)],
                initContainers=[container("echo first >> /shared/order", name="a", volumeMounts=shared),
                                container("echo second >> /shared/order", name="b", volumeMounts=shared)],
                volumes=[{"name": "shared", "emptyDir": {}}]))
    assert eventually(lambda: cluster.fks.ok("logs", "init")) == "first\nsecond\n"


def test_restart_with_back_off(cluster, run_pod):
    run_pod(pod("crashing", command="echo run; exit 3"), "Running", "Pending")

    def backs_off():
        state = cluster.fks.json("get", "pod", "crashing")["status"]["containerStatuses"][0]
        assert state["restartCount"] >= 1, state
        assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff", state
        assert state["lastState"]["terminated"]["exitCode"] == 3, state
        return True

    eventually(backs_off, 90)
    assert re.search(r"crashing +0/1 +CrashLoopBackOff", cluster.fks.ok("get", "pod", "crashing"))
    assert cluster.fks.ok("logs", "crashing", "--previous") == "run\n"


@pytest.mark.parametrize("policy,code,phase", [("Never", 0, "Succeeded"), ("Never", 1, "Failed"), ("OnFailure", 0, "Succeeded")])
def test_run_to_end(cluster, run_pod, policy, code, phase):
    item = run_pod(pod("job", command=f"exit {code}", restartPolicy=policy), phase)
    state = item["status"]["containerStatuses"][0]
    assert state["state"]["terminated"]["exitCode"] == code and state["restartCount"] == 0
    # its Node stays until the object goes
    assert item["spec"]["nodeName"] in cluster.fks.ok("get", "nodes", "-o", "name")


def test_limits_are_the_provisioned_size(cluster, run_pod):
    """No limits of its own: the pod gets all of the machine that it pays for, 0.5 vCPU and 1 GB, and no more."""
    free = container("sleep 3600", resources={"requests": {"cpu": "300m", "memory": "600Mi"}})
    item = run_pod(pod("sized", containers=[free]))
    assert item["metadata"]["annotations"]["CapacityProvisioned"] == "0.5vCPU 1GB"
    uid = item["metadata"]["uid"]
    folders = subprocess.run(["find", "/sys/fs/cgroup", "-type", "d", "-name", f"*{uid}*"], capture_output=True, text=True).stdout.split()
    assert folders, "no cgroup of the pod"

    def value(*names):
        for folder in folders:
            for name in names:
                try:
                    return open(f"{folder}/{name}").read().split()
                except OSError:
                    continue
        raise AssertionError(f"none of {names} in {folders}")

    assert int(value("memory.max", "memory.limit_in_bytes")[0]) in (1 << 30, (1 << 30) + (256 << 20))
    quota = value("cpu.max", "cpu.cfs_quota_us")
    period = quota[1] if len(quota) > 1 else value("cpu.cfs_period_us")[0]
    assert int(quota[0]) / int(period) == 0.5


def test_graceful_deletion(cluster):
    """preStop, then SIGTERM, then time to finish, all within the grace period; the log tells the order."""
    command = "trap 'echo terminated; sleep 1; echo finished; exit 0' TERM; echo started; while true; do sleep 0.1; done"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo prestop > /proc/1/fd/1; sleep 1"]}}}
    cluster.fks.apply(pod("graceful", containers=[container(command, lifecycle=hook)], terminationGracePeriodSeconds=20))
    cluster.phase("default", "graceful", "Running")
    with cluster.fks.spawn("logs", "-f", "graceful") as follow:
        follow.expect("started")
        cluster.fks.ok("delete", "pod", "graceful", "--wait=false")
        follow.expect(r"started\r?\nprestop\r?\nterminated\r?\nfinished", 20)
    eventually(lambda: cluster.fks.run("get", "pod", "graceful").code != 0, 20, "the pod object goes")


def test_image_that_does_not_exist(cluster, run_pod):
    # nobody listens there: no network is needed to fail
    missing = {"name": "main", "image": "127.0.0.1:1/nothing:1", "resources": SMALL}
    run_pod(pod("no-image", containers=[missing]), "Pending")
    seen = set()

    def both():
        state = cluster.fks.json("get", "pod", "no-image")["status"]["containerStatuses"][0]["state"]["waiting"]
        seen.add(state["reason"])
        if state["reason"] == "ErrImagePull":
            assert "127.0.0.1:1/nothing:1" in state["message"]
        return {"ErrImagePull", "ImagePullBackOff"} <= seen

    eventually(both, 90, "ErrImagePull and ImagePullBackOff")
    assert "Failed to pull image" in cluster.fks.ok("describe", "pod", "no-image")


def test_delete_deployment(cluster, dev, web):
    """Last here: the pods go with their Deployment, and their Nodes with them."""
    cluster.fks.ok("delete", "deployment", "web", "-n", dev)
    cluster.ready(dev, 0, "app=web")
    cluster.settled()
    assert cluster.fks.ok("delete", "service", "web", "-n", dev) == 'service "web" deleted from dev namespace\n'


def test_namespace_goes_with_its_pods(cluster):
    cluster.fks.ok("create", "fargateprofile", "--cluster", cluster.name, "--name", "passing", "--namespace", "passing-*")
    cluster.fks.apply(namespace("passing-1"), pod("one", "passing-1"))
    cluster.phase("passing-1", "one", "Running")
    cluster.fks.ok("delete", "namespace", "passing-1", seconds=90)
    cluster.fks.ok("delete", "fargateprofile", "--cluster", cluster.name, "--name", "passing")
    cluster.settled()
