"""manifests/dashboard.json asks for metrics, by labels, that the programs really tell once they have worked."""

import json
import re
import ssl
import urllib.request

import pytest

from cluster import MANIFESTS, free_port, until
from fakes import Heart, Host, Space

PROFILE = "apiVersion: fks.dev/v1\nkind: FargateProfile\nmetadata: {name: fp}\nspec: {selectors: [{namespace: web}]}\n"
REVIEW = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
    "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "web", "operation": "CREATE",
    "object": {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def asked_for():
    """[(metric, labels)] of the expressions, a label by which each metric of one is grouped."""
    def expressions(item):
        if isinstance(item, dict):
            yield from ([item["expr"]] if "expr" in item else [])
        for value in item.values() if isinstance(item, dict) else item if isinstance(item, list) else []:
            yield from expressions(value)

    for text in expressions(json.loads((MANIFESTS / "dashboard.json").read_text())):
        labels = {label for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(", ")}
        for metric in re.findall(r"\bfks_\w+", text):
            yield metric, labels


def missing_in(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [(metric, labels) for metric, labels in asked_for()
            if not any(re.split(r"[ {]", line)[0] == metric and all(f'{label}="' in line for label in labels) for line in lines)]


@pytest.fixture
def webhook(plane, binary, tmp_path):
    """After a review: (method, path, body) → text of its answer."""
    port, pki = free_port(), plane.pki.path
    (tmp_path / "profiles.yaml").write_text(PROFILE)
    child = plane.processes.start("fks-webhook-dashboard", [
        binary("fks-webhook"), f"--listen=127.0.0.1:{port}", f"--profiles={tmp_path / 'profiles.yaml'}", f"--tls-cert={pki('webhook.crt')}",
        f"--tls-key={pki('webhook.key')}"])
    context = ssl.create_default_context(cafile=str(pki("ca.crt")))

    def ask(path, body=None):
        try:
            return urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", body, context=context, timeout=10).read().decode()
        except OSError:
            return ""

    until(lambda: ask("/readyz"), 30, "fks-webhook is ready")
    yield ask
    plane.processes.stop(child)


def test_the_dashboard_asks_for_what_the_programs_tell(plane, program, webhook):
    assert len(list(asked_for())) > 8
    space = Space(plane, "dashboard")
    host = Host(space, "host-dashboard")
    with program("fks-scheduler", "scheduler") as running:
        try:
            with Heart(space, host):
                space.make_profile()
                space.create("fits", {"cpu": "250m"})
                space.create("never", {"cpu": "200"})
                space.bind("fits", "host-dashboard")
                assert '"patch"' in webhook("/mutate", json.dumps(REVIEW).encode())
                until(lambda: not missing_in(running.get("/metrics")[1] + webhook("/metrics")), 60,
                      lambda: f"the metrics {missing_in(running.get('/metrics')[1] + webhook('/metrics'))}")
        finally:
            space.clean()  # while there is a scheduler, which lets profiles go
            space.delete("/api/v1/namespaces/dashboard")
