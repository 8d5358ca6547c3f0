"""The webhook's registration where somebody else writes its Secret (cert-manager, people): fks-scheduler, fks-webhook and a real API server.
Each certificate here is its own authority, as of cert-manager's self-signed Issuer, so a renewal is a change of both at once."""

import base64
import json
import shutil
import threading

import pytest

from cluster import ApiError, free_port, until
from fakes import PODS, PROFILES, pod, profile

NAME = "fks-webhook-registration"
SECRETS, CONFIGS = "/api/v1/namespaces/fks-system/secrets", "/api/v1/namespaces/fks-system/configmaps"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/fks-system/endpointslices"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"
MUTATING = CONFIGURATIONS.format("mutating") + "/0500-fks-fargate-mutation.fks.dev"
WHERE = "renewals"


class Webhook:
    """Its files are what a kubelet mounts; here the test says when they change."""

    def __init__(self, plane, program):
        self.plane, self.program, self.port = plane, program, free_port()
        self.folder = plane.folder / "served"
        self.folder.mkdir()
        self.child = None

    def serve(self, name):
        for ending in ("key", "crt"):
            shutil.copy(self.plane.pki.path(f"{name}.{ending}"), self.folder / f".tls.{ending}")
            (self.folder / f".tls.{ending}").rename(self.folder / f"tls.{ending}")

    def start(self):
        self.child = self.plane.processes.start("fks-webhook-renewed", [
            self.program, "--kubeconfig", self.plane.kubeconfig("webhook"), f"--tls-cert={self.folder}/tls.crt",
            f"--tls-key={self.folder}/tls.key", f"--listen=127.0.0.1:{self.port}", "--certificate-delay=1s"])

    def times_read_again(self):
        return self.plane.processes.log("fks-webhook-renewed").count("certificate read again")


def make_pair(pki, name):
    pki.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-keyout", f"{name}.key",
                "-out", f"{name}.crt", "-subj", "/CN=fks-webhook", "-addext", "subjectAltName=IP:127.0.0.1")


def write_secret(plane, name):
    """As cert-manager writes it: all three at once."""
    files = {"ca.crt": f"{name}.crt", "tls.crt": f"{name}.crt", "tls.key": f"{name}.key"}
    data = {key: base64.b64encode(plane.pki.path(file).read_bytes()).decode() for key, file in files.items()}
    plane.admin.patch(f"{SECRETS}/fks-webhook-tls?fieldManager=cert-manager&force=true", {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "fks-webhook-tls"}, "type": "kubernetes.io/tls", "data": data},
        "application/apply-patch+yaml")


def trusted(plane):
    """The certificates that the registration names."""
    found = plane.admin.find(MUTATING)
    bundles = {item["clientConfig"].get("caBundle", "") for item in found["webhooks"]} if found else {""}
    assert len(bundles) == 1
    text = base64.b64decode(bundles.pop()).decode()
    return {part.partition("-----END")[0] for part in text.split("-----BEGIN CERTIFICATE-----")[1:]}


def certificate(plane, name):
    return plane.pki.path(f"{name}.crt").read_text().partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]


class Load(threading.Thread):
    """Creates pods without end, as dry runs."""

    def __init__(self, plane):
        super().__init__(daemon=True)
        self.api, self.stopping, self.taken, self.bad = plane.as_user("admin"), threading.Event(), 0, []

    def run(self):
        while not self.stopping.is_set():
            try:
                made = self.api.post(PODS.format(WHERE) + "?dryRun=All", pod("load", {"cpu": "100m"}))
                if made["spec"]["schedulerName"] == "fargate-scheduler":
                    self.taken += 1
                else:
                    self.bad.append("a pod was created without its profile")
            except ApiError as error:
                self.bad.append(error.message)

    def goes_on(self):
        """Pods that were asked for from now on are answered."""
        before = self.taken + len(self.bad)
        until(lambda: self.taken + len(self.bad) > before + 20, 60, "pods are created")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


@pytest.fixture(scope="module")
def webhook(plane, binary):
    """Running and ready to be registered, serving the pair "first"."""
    admin, webhook = plane.admin, Webhook(plane, binary("fks-webhook"))
    for name in ("first", "second", "third"):
        make_pair(plane.pki, name)
    webhook.serve("first")
    webhook.start()
    admin.post("/api/v1/namespaces", {"metadata": {"name": WHERE}})
    until(lambda: admin.find(f"/api/v1/namespaces/{WHERE}/serviceaccounts/default"), 30)
    documents = plane.manifest("webhook/webhook.yaml")
    for item in documents:
        for entry in item["webhooks"]:
            entry["clientConfig"] = {"url": f"https://127.0.0.1:{webhook.port}/" + entry["clientConfig"]["url"].rpartition("/")[2]}
    admin.post(CONFIGS, {"metadata": {"name": NAME}, "data": {
        "certificates": "cert-manager", "secret": "fks-webhook-tls", "service": "fks-webhook",
        "registrations.yaml": "\n---\n".join(json.dumps(item) for item in documents)}})
    # what the endpoint slice controller would say of a ready webhook pod
    admin.post(SLICES, {"metadata": {"name": "fks-webhook", "labels": {"kubernetes.io/service-name": "fks-webhook"}}, "addressType": "IPv4",
                        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}], "ports": []})
    try:
        yield webhook
    finally:
        plane.processes.stop(webhook.child)
        for path in (f"{CONFIGS}/{NAME}", f"{SECRETS}/fks-webhook-tls", f"{SLICES}/fks-webhook", MUTATING,
                     CONFIGURATIONS.format("validating") + "/fks-fargate-validation.fks.dev", f"/api/v1/namespaces/{WHERE}"):
            admin.delete(path)


def test_a_renewal_by_somebody_else_refuses_no_pod(plane, webhook, program):
    first, second, third = (certificate(plane, name) for name in ("first", "second", "third"))
    scheduler = {"which": "fks-scheduler", "user": "admin", "options": [f"--webhook-registration={NAME}"]}

    def is_patched():
        made = plane.admin.post(PODS.format(WHERE) + "?dryRun=All", pod("probe", {"cpu": "100m"}))
        return made["spec"]["schedulerName"] == "fargate-scheduler"

    with program(**scheduler) as running:
        until(lambda: "has no ca.crt" in running.log(), 60, "it waits for the Secret")
        assert plane.admin.find(MUTATING) is None
        write_secret(plane, "first")
        until(lambda: trusted(plane) == {first}, 60, "the webhook is registered")
        until(lambda: plane.admin.post(PROFILES, profile(WHERE, {"namespace": WHERE})), 30)
        until(is_patched, 60, "the profile is in force")
        with Load(plane) as load:
            # its pods go on with what they have until their kubelets bring the next certificate
            write_secret(plane, "second")
            until(lambda: trusted(plane) == {first, second}, 60, "both authorities are named")
            load.goes_on()
            # no pod depends on the Secret being there
            plane.admin.delete(f"{SECRETS}/fks-webhook-tls")
            until(lambda: running.log().count("has no ca.crt") >= 2, 60, "it waits for the Secret again")
            load.goes_on()
            assert trusted(plane) == {first, second}
        assert not load.bad and load.taken > 40, load.bad[:3]
        write_secret(plane, "second")
    # the next leader does not know since when, and keeps what it finds
    with program(**scheduler) as running:
        until(lambda: "the webhook is registered" in running.log(), 60, "it acts")
        assert trusted(plane) == {first, second}
        webhook.serve("second")
        until(lambda: webhook.times_read_again() == 1, 60, "the second certificate is served")
        until(is_patched, 60, "which is trusted")
        with Load(plane) as load:
            write_secret(plane, "third")
            until(lambda: trusted(plane) == {first, second, third}, 60, "all that may still be served are named")
            load.goes_on()
        assert not load.bad, load.bad[:3]
        # while there is a scheduler, which lets profiles go
        plane.admin.delete(f"{PROFILES}/{WHERE}")
        until(lambda: plane.admin.find(f"{PROFILES}/{WHERE}") is None, 60, "the profile is gone")
