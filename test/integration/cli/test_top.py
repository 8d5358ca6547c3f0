"""`top` beside kubectl, over an API server that only knows metrics: metrics-server itself is not needed."""

import difflib
import http.server
import json
import os
import subprocess
import threading

import pytest

import cluster as control


def pod(name, namespace, *containers):
    return {"metadata": {"name": name, "namespace": namespace}, "timestamp": "2026-01-01T00:00:00Z", "window": "10s",
            "containers": [{"name": c, "usage": {"cpu": cpu, "memory": memory, **({"swap": swap} if swap else {})}}
                           for c, cpu, memory, swap in containers]}


PODS = [pod("web", "default", ("b", "1500n", "10Mi", "1Mi"), ("a", "1500n", "4Mi", None)),
        pod("db", "default", ("db", "1250m", "1Gi", None)),
        pod("zz", "default", ("z", "2", "1024Ki", None)),
        pod("dns", "kube-system", ("dns", "3u", "17000000", None))]
NODES = [{"metadata": {"name": name}, "timestamp": "2026-01-01T00:00:00Z", "window": "10s", "usage": usage}
         for name, usage in (("n2", {"cpu": "1999999999n", "memory": "3Gi", "swap": "100Mi"}), ("n1", {"cpu": "250m", "memory": "512Mi"}))]


def node(name, swap):
    info = {"swap": {"capacity": swap}} if swap else {}
    return {"metadata": {"name": name}, "status": {"capacity": {"cpu": "4", "memory": "8Gi"}, "nodeInfo": info,
                                                    "allocatable": {"cpu": "3920m", "memory": "7Gi"}}}


OBJECTS = {"/api/v1/nodes": [node("n1", None), node("n2", 2 << 30), node("unmeasured", None)]}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        path, _, query = self.path.partition("?")
        status, answer = 200, self.answer(path, query)
        if answer is None:
            status = 404
            answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                      "message": f'podmetrics.metrics.k8s.io "{path.rsplit("/", 1)[1]}" not found'}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path, query):
        metrics = "/apis/metrics.k8s.io/v1beta1"
        version = {"groupVersion": "metrics.k8s.io/v1beta1", "version": "v1beta1"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1",
                    "groups": [{"name": "metrics.k8s.io", "versions": [version], "preferredVersion": version}]}
        if path == metrics:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": []}
        lists = {f"{metrics}/nodes": ("NodeMetrics", NODES), f"{metrics}/pods": ("PodMetrics", PODS),
                 "/api/v1/nodes": ("Node", OBJECTS["/api/v1/nodes"]), "/api/v1/namespaces/empty/pods": ("Pod", [])}
        for namespace in ("default", "kube-system", "empty"):
            lists[f"{metrics}/namespaces/{namespace}/pods"] = ("PodMetrics", [p for p in PODS if p["metadata"]["namespace"] == namespace])
        folder, _, name = path.rpartition("/")
        group = "v1" if path.startswith("/api/") else "metrics.k8s.io/v1beta1"
        if path in lists:
            kind, items = lists[path]
            if "labelSelector=app%3Dnone" in query:
                items = []
            return {"kind": f"{kind}List", "apiVersion": group, "metadata": {}, "items": items}
        for item in lists.get(folder, ("", []))[1]:
            if item["metadata"]["name"] == name:
                return {"kind": lists[folder][0], "apiVersion": group, **item}
        return None


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def programs(binary, tmp_path_factory):
    assets = control.assets()
    if assets is None:
        pytest.skip("no kubectl: set FKS_ASSETS")
    folder, found = tmp_path_factory.mktemp("top"), {}
    for name, program in (("kubectl", assets / "kubectl"), ("fks", binary("fks"))):
        (folder / name).mkdir()
        (folder / name / "kubectl").symlink_to(program)
        found[name] = folder / name / "kubectl"
    return found


@pytest.mark.parametrize("line", [
    "pod", "pods -A", "pod web", "pod web --containers", "pod --containers", "pod -A --containers", "pod --sort-by=cpu",
    "pod --sort-by=memory", "pod -A --sort-by=cpu", "pod --containers --sort-by=memory", "pod --sum", "pod -A --sum",
    "pod --containers --sum", "pod -A --containers --sum --no-headers", "pod --sum --no-headers", "pod --show-swap",
    "pod --show-swap --sum", "pod web --containers --show-swap", "pod --no-headers", "pod -n kube-system", "pod -n empty",
    "pod nope", "pod web -l a=b", "pod a b", "pod --sort-by=x", "pod --use-protocol-buffers=false", "node n1", "nodes n2 --show-capacity",
    "node n2 --show-swap", "node n1 --show-swap", "node -l app=none", "node --sort-by=name", "node a b", "node nope"])
def test_same_answer(programs, server, tmp_path, line):
    def said(name):
        environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": "/dev/null", "NO_PROXY": "*"}
        run = subprocess.run([programs[name], "top", *line.split(), "--server", server], env=environment, capture_output=True,
                             text=True, timeout=60)
        return f"{run.returncode}\n{run.stdout}--- stderr\n{run.stderr}"

    want, got = said("kubectl"), said("fks")
    assert want == got, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm=""))


def test_nodes_nobody_measures(programs, server, tmp_path):
    """kubectl tells those in random order after the others; here there is one."""
    for name in programs:
        run = subprocess.run([programs[name], "top", "node", "--server", server, "--show-swap"], capture_output=True, text=True,
                             env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": "/dev/null"}, timeout=60)
        lines = [line.split() for line in run.stdout.splitlines()]
        assert lines[1:] == [["n1", "250m", "6%", "512Mi", "7%", "<unknown>", "<unknown>"],
                             ["n2", "2000m", "51%", "3072Mi", "42%", "100Mi", "4%"],
                             ["unmeasured", *["<unknown>"] * 6]], (name, run)
