"""Another writer comes between a look and a change: what kubectl tries again, fks tries again. The API server is one that refuses the first change."""

import http.server
import json
import os
import subprocess
import threading

import pytest

import cluster as control

WEB = "/apis/apps/v1/namespaces/default/deployments/web"
VERSION = {"groupVersion": "apps/v1", "version": "v1"}
RESOURCES = [{"name": "deployments", "singularName": "deployment", "namespaced": True, "kind": "Deployment", "verbs": ["get", "patch"], "shortNames": ["deploy"]},
             {"name": "deployments/scale", "singularName": "", "namespaced": True, "kind": "Scale", "group": "autoscaling", "version": "v1",
              "verbs": ["get", "patch", "update"]}]
DOCUMENTS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps", "versions": [VERSION], "preferredVersion": VERSION}]},
    "/apis/apps/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1", "resources": RESOURCES}}
METADATA = {"name": "web", "namespace": "default", "resourceVersion": "1"}


class Server(http.server.ThreadingHTTPServer):
    """A deployment that somebody else changes, to `others` replicas, right before the first change that is asked for."""

    refused, replicas, version, others = 1, 1, 1, 1


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def scale(self):
        state = self.server
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {**METADATA, "resourceVersion": str(state.version)},
                "spec": {"replicas": state.replicas}, "status": {"replicas": state.replicas}}

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == WEB:
            self.say(200, {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": METADATA, "spec": {"replicas": self.server.replicas}})
        elif path == f"{WEB}/scale":
            self.say(200, self.scale())
        else:
            self.say(200 if path in DOCUMENTS else 404, DOCUMENTS.get(path, {"kind": "Status", "code": 404, "reason": "NotFound", "message": path}))

    def do_PATCH(self):
        state, body = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if state.refused > 0:
            state.refused -= 1
            state.version += 1
            state.replicas = state.others
            self.say(409, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
                           "message": 'Operation cannot be fulfilled on deployments.apps "web": the object has been modified'})
            return
        assert body.get("metadata", {}).get("resourceVersion", str(state.version)) == str(state.version)
        state.replicas = body["spec"]["replicas"]
        self.say(200, self.scale())

    do_PUT = do_PATCH


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["kubectl", "fks"])
def kubectl(request, binary, tmp_path):
    if control.assets() is None:
        pytest.skip("no kubectl: set FKS_ASSETS")
    (tmp_path / "kubectl").symlink_to(binary("fks") if request.param == "fks" else control.assets() / "kubectl")
    environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": "/dev/null", "NO_PROXY": "*"}

    def run(server, *words):
        return subprocess.run([tmp_path / "kubectl", *words, "--server", f"http://127.0.0.1:{server.server_port}"], env=environment,
                              capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize("precondition", [[], ["--current-replicas=1"]])
def test_scale_is_tried_again(kubectl, server, precondition):
    done = kubectl(server, "scale", "deploy/web", "--replicas=3", *precondition)
    assert (done.returncode, done.stdout, done.stderr) == (0, "deployment.apps/web scaled\n", "")
    assert (server.replicas, server.refused) == (3, 0)


def test_scale_looks_at_the_precondition_again(kubectl, server):
    server.others = 2
    done = kubectl(server, "scale", "deploy/web", "--replicas=3", "--current-replicas=1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: Expected replicas to be 1, was 2\n")
    assert (server.replicas, server.refused) == (2, 0)
