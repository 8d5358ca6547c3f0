"""What a pod and its owner expect of a node beyond running: use, access, disk limits, log rotation, resize, probes."""

import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request

import pytest

from harness import IMAGE, SMALL, container, eventually, pod


@pytest.fixture
def run_pod(cluster):
    """A function that makes a pod and waits for a phase; the pod goes at the end of the test."""
    made = []

    def make(made_pod, *phases, seconds=90):
        cluster.fks.apply(made_pod)
        made.append(made_pod["metadata"]["name"])
        return cluster.phase("default", made[-1], *(phases or ("Running",)), seconds=seconds)

    yield make
    for name in made:
        cluster.fks.ok("delete", "pod", name, "--ignore-not-found", "--grace-period=1")


def page(cluster, item, path):
    return cluster.kubectl.ok("get", "--raw", f"/api/v1/nodes/{item['spec']['nodeName']}/proxy/{path}")


def kubelet(cluster, item, path, token=None, method="GET"):
    """Status and text of a request that goes to the kubelet API directly."""
    node = cluster.fks.json("get", "node", item["spec"]["nodeName"])
    address = node["status"]["addresses"][0]["address"]
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    request = urllib.request.Request(f"https://{address}:{port}/{path}", method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=str(cluster.folder / "pki" / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# --- what a pod uses

def test_use(cluster, run_pod):
    item = run_pod(pod("busy", command="i=0; while true; do i=$((i+1)); done"))
    uid = item["metadata"]["uid"]

    def summary():
        seen = json.loads(page(cluster, item, "stats/summary"))
        assert seen["node"]["cpu"]["usageNanoCores"] > 50_000_000, seen["node"]["cpu"]
        return seen

    seen = eventually(summary, 30)
    assert seen["node"]["nodeName"] == item["spec"]["nodeName"]
    (of,) = seen["pods"]
    assert of["podRef"] == {"name": "busy", "namespace": "default", "uid": uid}
    (main,) = of["containers"]
    assert main["name"] == "main" and main["cpu"]["usageCoreNanoSeconds"] > 0 and main["memory"]["workingSetBytes"] > 0
    assert of["network"]["name"] == "eth0" and of["process_stats"]["process_count"] >= 1
    # a quarter of a CPU is what the pod paid for
    assert seen["node"]["cpu"]["usageNanoCores"] < 400_000_000
    text = page(cluster, item, "metrics/resource")
    for name in ("node_cpu_usage_seconds_total", "node_memory_working_set_bytes", r'pod_cpu_usage_seconds_total\{namespace="default",pod="busy"\}',
                 r'container_memory_working_set_bytes\{container="main",namespace="default",pod="busy"\}',
                 r'container_start_time_seconds\{container="main",namespace="default",pod="busy"\}'):
        assert re.search(rf"^{name} [\d.e+]+", text, re.M), f"{name} in {text}"
    assert "\nresource_scrape_error 0\n" in text
    text = page(cluster, item, "metrics/cadvisor")
    assert "\ncontainer_cpu_usage_seconds_total{" in text and "\ncontainer_network_receive_bytes_total{" in text
    (listed,) = json.loads(page(cluster, item, "pods"))["items"]
    assert listed["metadata"]["uid"] == uid and listed["status"]["phase"] == "Running"
    assert json.loads(page(cluster, item, "configz"))["kubeletconfig"]["containerLogMaxFiles"] == 5
    assert page(cluster, item, "healthz") == "ok"


def test_access(cluster, run_pod):
    """Tokens are let in for what RBAC allows on the Node, as by a kubelet."""
    item = run_pod(pod("guarded", command="sleep 3600"))
    cluster.fks.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "scraper", "namespace": "default"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "scraper"},
         "rules": [{"apiGroups": [""], "resources": ["nodes/metrics", "nodes/pods"], "verbs": ["get"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "scraper"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "scraper"},
         "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": "default"}]})
    try:
        token = cluster.kubectl.ok("create", "token", "scraper").strip()
        assert kubelet(cluster, item, "pods") == (401, "Unauthorized\n")
        assert kubelet(cluster, item, "pods", token="nobody's") == (401, "Unauthorized\n")
        for path in ("metrics", "metrics/resource", "metrics/cadvisor", "pods"):
            eventually(lambda: kubelet(cluster, item, path, token)[0] == 200, 10, f"{path} is allowed")
        for path in ("stats/summary", "configz", "containerLogs/default/guarded/main", "exec/default/guarded/main?command=id&output=1"):
            status, text = kubelet(cluster, item, path, token)
            assert status == 403 and "user=system:serviceaccount:default:scraper, verb=get, resource=nodes" in text, (path, status, text)
        status, text = kubelet(cluster, item, "pods", token, method="POST")
        assert status == 403 and "verb=create" in text
    finally:
        cluster.fks.run("delete", "clusterrolebinding/scraper", "clusterrole/scraper", "sa/scraper")


# --- what containers do to each other

def test_all_containers_restart(cluster, run_pod):
    """An exit code that takes all containers with it, init containers too, in the same sandbox with the same volumes; and a variable
    from a file that an init container wrote."""
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    variable = {"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "data", "path": "env", "key": "A"}}}
    main = container('echo "A is $A"; test -f /data/again && exec sleep 3600; touch /data/again; exit 42', env=[variable],
                     restartPolicy="Never", restartPolicyRules=rules, **mounts)
    before = run_pod(pod("anew", restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {}}],
                         initContainers=[container("echo \"A='one two'\" > /data/env", name="init", **mounts),
                                         container("exec sleep 3600", name="side", restartPolicy="Always")],
                         containers=[main, container("exec sleep 3600", name="other")]))

    def restarted():
        item = cluster.fks.json("get", "pod", "anew")
        of = {status["name"]: status for status in item["status"]["initContainerStatuses"] + item["status"]["containerStatuses"]}
        assert {name: status["restartCount"] for name, status in of.items()} == {"init": 1, "side": 1, "main": 1, "other": 1}, of
        assert all("running" in of[name]["state"] for name in ("side", "main", "other")), of
        return item, of

    item, of = eventually(restarted, 90)
    assert of["main"]["lastState"]["terminated"]["exitCode"] == 42
    assert of["other"]["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
    assert item["status"]["podIP"] == before["status"]["podIP"]
    assert cluster.fks.ok("logs", "anew", "-c", "main") == "A is one two\n"


# --- disk

def test_evicted_for_its_volume(cluster, run_pod):
    item = run_pod(pod("hoarder", containers=[container("dd if=/dev/zero of=/v/big bs=1M count=12; sleep 3600",
                                                        volumeMounts=[{"name": "v", "mountPath": "/v"}])],
                       volumes=[{"name": "v", "emptyDir": {"sizeLimit": "8Mi"}}]), "Failed", seconds=90)
    assert item["status"]["reason"] == "Evicted"
    assert item["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "8Mi". '
    conditions = {condition["type"]: condition for condition in item["status"]["conditions"]}
    assert conditions["DisruptionTarget"]["reason"] == "TerminationByKubelet"


def test_evicted_for_its_container(cluster, run_pod):
    limited = {"requests": SMALL["requests"], "limits": {**SMALL["limits"], "ephemeral-storage": "8Mi"}}
    item = run_pod(pod("writer", containers=[{**container("dd if=/dev/zero of=/big bs=1M count=12; sleep 3600"), "resources": limited}]),
                   "Failed", seconds=120)
    assert item["status"]["reason"] == "Evicted"
    assert item["status"]["message"] == 'Container main exceeded its local ephemeral storage limit "8Mi". '


def test_log_rotation(cluster, run_pod):
    """A log of more than 10 MiB is rotated; a reader that follows loses nothing; a new reader begins with the new file."""
    item = run_pod(pod("chatty", command="i=0; while [ $i -lt 160000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done;"
                                         " sleep 14; while true; do echo later; sleep 1; done"))
    folder = next(cluster.folder.glob(f"hosts/host-1/pod-logs/default_chatty_{item['metadata']['uid']}/main"))
    with cluster.kubectl.spawn("logs", "-f", "chatty") as follow:
        eventually(lambda: list(folder.glob("0.log.*")), 100, "a rotated file")
        follow.expect(r"later", 60)
        seen = [int(line.split("-")[0]) for line in follow.read().splitlines() if "-0123" in line]
    assert seen == list(range(160000))
    # 14 MB were written, of which more than 10 MiB went away with the first file
    assert (folder / "0.log").stat().st_size < 6_000_000
    assert cluster.kubectl.ok("logs", "chatty", "--tail=1") == "later\n"


# --- resize

def test_resize(cluster, run_pod):
    run_pod(pod("elastic", containers=[{**container("sleep 3600"), "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}]))

    def resize(cpu, memory):
        amounts = {"cpu": cpu, "memory": memory}
        patch = {"spec": {"containers": [{"name": "main", "resources": {"requests": amounts, "limits": amounts}}]}}
        return cluster.kubectl.run("patch", "pod", "elastic", "--subresource", "resize", "-p", json.dumps(patch))

    def has(cpu, memory, restarts):
        status = cluster.fks.json("get", "pod", "elastic")["status"]
        (main,) = status["containerStatuses"]
        assert main["resources"]["limits"] == {"cpu": cpu, "memory": memory} and main["allocatedResources"] == main["resources"]["requests"]
        assert main["restartCount"] == restarts and main["ready"], main
        assert not [item for item in status["conditions"] if item["type"].startswith("PodResize")], status
        return True

    assert resize("100m", "128Mi").code == 0
    eventually(lambda: has("100m", "128Mi", 0), 30)
    # the container's own cgroup, v1 or v2
    quota = cluster.fks.ok("exec", "elastic", "--", "sh", "-c", "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max")
    assert quota == "10000\n"
    assert resize("100m", "200Mi").code == 0
    eventually(lambda: has("100m", "200Mi", 1), 30)


def test_resize_beyond_the_machine(cluster, run_pod):
    """Refused with the reason, and the pod runs on as it was, until it asks for what its machine has again."""
    run_pod(pod("stretched", containers=[{**container("sleep 3600"), "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]))

    def resize(**resources):
        patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
        return cluster.kubectl.run("patch", "pod", "stretched", "--subresource", "resize", "-p", json.dumps(patch))

    def refused(text):
        """The machine is 0.25vCPU 0.5GB, of which 256Mi are for Kubernetes."""
        status = cluster.fks.json("get", "pod", "stretched")["status"]
        (pending,) = [item for item in status["conditions"] if item["type"] == "PodResizePending"]
        assert (pending["status"], pending["reason"]) == ("True", "Infeasible") and text in pending["message"], pending
        (main,) = status["containerStatuses"]
        return main["restartCount"] == 0 and main["ready"]

    assert resize(requests={"cpu": "100m", "memory": "300Mi"}).code == 0
    eventually(lambda: refused("300Mi (and 256Mi for Kubernetes) now, but 0.25vCPU 0.5GB was provisioned"), 30)
    eventually(lambda: "ResizeInfeasible" in cluster.fks.ok("describe", "pod", "stretched"), 30)
    assert "a resize is not possible: the pod asks for 100m vCPU and 300Mi" in cluster.fks.ok("explain", "pod", "stretched")
    assert resize(requests={"cpu": "100m", "memory": "100Mi"}, limits={"cpu": "4"}).code == 0
    eventually(lambda: refused("the cpu limit 4 of container 'main' is above the 0.25vCPU 0.5GB"), 30)
    assert cluster.fks.json("get", "pod", "stretched")["metadata"]["annotations"]["CapacityProvisioned"] == "0.25vCPU 0.5GB"
    assert resize(requests={"cpu": "100m", "memory": "100Mi"}, limits={"cpu": "200m"}).code == 0

    def done():
        status = cluster.fks.json("get", "pod", "stretched")["status"]
        assert not [item for item in status["conditions"] if item["type"].startswith("PodResize")], status
        return status["containerStatuses"][0]["resources"]["limits"] == {"cpu": "200m"}

    eventually(done, 30)
    if resize(requests={"cpu": "64"}).code == 0:  # API servers before 1.36 let the node decide
        eventually(lambda: refused("64 vCPU"), 30)


# --- containers that come later

def test_ephemeral_container(cluster, run_pod):
    run_pod(pod("plain", command="sleep 3600"))
    patch = {"spec": {"ephemeralContainers": [{"name": "look", "image": IMAGE, "command": ["sh", "-c", "ps | grep sleep; hostname"],
                                               "targetContainerName": "main"}]}}
    cluster.kubectl.ok("patch", "pod", "plain", "--subresource", "ephemeralcontainers", "-p", json.dumps(patch))

    def ended():
        (status,) = cluster.fks.json("get", "pod", "plain")["status"]["ephemeralContainerStatuses"]
        return status["state"]["terminated"]["exitCode"] == 0

    eventually(ended, 30)
    assert re.search(r"sleep 3600\n(.*\n)*plain\n", cluster.fks.ok("logs", "plain", "-c", "look"))


# --- probes

@pytest.mark.parametrize("probe", [
    {"exec": {"command": ["test", "-e", "/tmp/ok"]}},
    {"httpGet": {"path": "/ok", "port": 80}},
    {"tcpSocket": {"port": 80}},
], ids=["exec", "http", "tcp"])
def test_readiness(cluster, run_pod, probe):
    """Not ready until it should be, and no more when it stops being so."""
    run_pod(pod("probed", containers=[container("mkdir /www2; touch /tmp/go; trap exit TERM;"
                                                " while true; do if [ -e /tmp/ok ]; then [ -n \"$s\" ] || { touch /www2/ok; httpd -f -p 80 -h /www2 & s=$!; };"
                                                " elif [ -n \"$s\" ]; then kill $s; s=; fi; sleep 0.2; done",
                                                readinessProbe={**probe, "periodSeconds": 1, "failureThreshold": 1})]))

    def ready(wanted):
        (status,) = cluster.fks.json("get", "pod", "probed")["status"]["containerStatuses"]
        return status["ready"] == wanted and status["restartCount"] == 0

    time.sleep(1.5)
    assert ready(False)
    cluster.fks.ok("exec", "probed", "--", "touch", "/tmp/ok")
    eventually(lambda: ready(True), 15)
    cluster.fks.ok("exec", "probed", "--", "rm", "/tmp/ok")
    eventually(lambda: ready(False), 15)


# --- images

def test_image_pull_failure(cluster, run_pod):
    """The kubelet's words: what went wrong first, then the back-off, then again."""
    run_pod({**pod("imageless", containers=[{**container(), "image": "127.0.0.1:1/team/none:1"}])}, "Pending")

    def waiting(reason):
        (status,) = cluster.fks.json("get", "pod", "imageless")["status"]["containerStatuses"]
        assert status["state"]["waiting"]["reason"] == reason, status
        return status["state"]["waiting"]["message"]

    message = eventually(lambda: waiting("ImagePullBackOff"), 30)
    assert message.startswith('Back-off pulling image "127.0.0.1:1/team/none:1"')
    events = cluster.kubectl.ok("get", "events", "--field-selector", "involvedObject.name=imageless", "-o", "jsonpath={.items[*].reason}")
    assert {"Pulling", "Failed", "BackOff"} <= set(events.split())


# --- user namespaces, strict groups, recursive read-only mounts: where the runtime can (containerd 2, runc 1.2)

def test_user_namespace(cluster, run_pod):
    # root of a pod's user namespace is nobody here: it must get as far as its root file system
    assert os.stat(f"/run/fks/{cluster.number}").st_mode & 0o777 == 0o711
    script = "cat /proc/self/uid_map; echo data > /v/file; stat -c %u /v/file /etc/hosts; sleep 3600"
    item = run_pod(pod("own-users", containers=[container(script, volumeMounts=[{"name": "v", "mountPath": "/v"}])], hostUsers=False,
                       volumes=[{"name": "v", "emptyDir": {}}]), "Pending", "Running")

    def decided():
        nodes = [node for node in cluster.fks.json("get", "nodes")["items"]
                 if node["metadata"]["annotations"].get("fks.dev/pod") == "default/own-users"]
        events = cluster.kubectl.ok("get", "events", "--field-selector", "involvedObject.name=own-users")
        refused = "can't set `spec.hostUsers: false`, runtime does not support user namespaces" in events
        assert nodes or refused, events
        return nodes or "refused"

    nodes = eventually(decided, 30)
    if nodes == "refused":
        assert cluster.fks.json("get", "pod", "own-users")["status"]["phase"] == "Pending"
        return
    assert {"name": "", "features": {"recursiveReadOnlyMounts": True, "userNamespaces": True}} in nodes[0]["status"]["runtimeHandlers"]
    cluster.phase("default", "own-users", "Running")
    lines = eventually(lambda: (cluster.fks.ok("logs", "own-users").splitlines() + [None])[:3], 20)
    inside, outside, length = map(int, lines[0].split())
    assert inside == 0 and outside >= 65536 and outside % 65536 == 0 and length == 65536
    assert lines[1:3] == ["0", "0"]  # root's inside
    file = next(cluster.folder.glob(f"hosts/host-1/state/pods/{item['metadata']['uid']}/volumes/v/file"))
    assert file.stat().st_uid == 0  # on disk too: the mount maps owners


# --- what cannot be

@pytest.mark.parametrize("change,reason", [
    ({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}, "Cannot enforce AppArmor"),
    ({"volumes": [{"name": "v", "image": {"reference": IMAGE}}]}, "containerd"),
], ids=["AppArmor", "image volume"])
def test_refused_clearly(cluster, run_pod, change, reason):
    mounts = [{"name": "v", "mountPath": "/v"}] if "volumes" in change else []
    run_pod(pod("odd", containers=[container("sleep 3600", volumeMounts=mounts)], **change), "Pending", "Running")

    def told():
        item = cluster.fks.json("get", "pod", "odd")
        if item["status"]["phase"] == "Running":
            return True  # a runtime that can
        events = cluster.kubectl.ok("get", "events", "--field-selector", "involvedObject.name=odd")
        assert reason in events + json.dumps(item["status"]), events
        return True

    eventually(told, 30)


# --- claims

def test_claim_of_nfs(cluster, run_pod):
    """No NFS server here: the mount fails with the reason in an event, and goes on to be tried."""
    cluster.fks.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "share"},
         "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
                  "nfs": {"server": "127.0.0.1", "path": "/nowhere"}, "mountOptions": ["soft", "timeo=10", "retrans=1"]}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "share", "namespace": "default"},
         "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "share",
                  "resources": {"requests": {"storage": "1Gi"}}}})
    try:
        run_pod(pod("claims", containers=[container("sleep 3600", volumeMounts=[{"name": "v", "mountPath": "/v"}])],
                    volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "share"}}]), "Pending")

        def told():
            events = cluster.kubectl.ok("get", "events", "--field-selector", "involvedObject.name=claims")
            return 'MountVolume.SetUp failed for volume "v" : mount failed: exit status' in events and "127.0.0.1:/nowhere" in events

        eventually(told, 60)
        cluster.fks.ok("delete", "pod", "claims", "--grace-period=1")
    finally:
        cluster.fks.run("delete", "pvc/share", "pv/share")
