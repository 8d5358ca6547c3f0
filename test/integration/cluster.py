"""A real control plane on loopback: etcd, kube-apiserver and, when asked for, kube-controller-manager.

Everything lives in one temporary folder and on free ports. Programs are children that the kernel kills when this
process dies, and are stopped by pid at the end.
"""

import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from rights import audit_policy

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
PROGRAMS = Path(os.environ.get("FKS_BIN", ROOT / "bin")).resolve()
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1

MERGE = "application/merge-patch+json"
PATIENCE = 60  # seconds: how long a condition may take at the least before a test gives up


def assets():
    """Folder with the control plane's programs, or None."""
    places = [os.environ.get("FKS_ASSETS"), Path.home() / ".fks/assets/v1.36.3"]
    for place in places:
        if place and (Path(place) / "kube-apiserver").exists():
            return Path(place)
    return None


def free_port():
    """Below NodePorts and what the kernel gives to outgoing connections: neither takes it before its program listens."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def until(question, seconds=20.0, what=None, pause=0.05):
    """Asks again until the answer is true; the answer. A machine may be busy: nobody waits less than PATIENCE for what should come."""
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what or question}")
        time.sleep(pause)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def documents_of(text):
    """Objects that kubectl printed one after another, lists taken apart."""
    decoder, objects, position = json.JSONDecoder(), [], 0
    while position < len(text):
        item, position = decoder.raw_decode(text, position)
        objects += item["items"] if item["kind"] == "List" else [item]
        while position < len(text) and text[position].isspace():
            position += 1
    return objects


class Processes:
    """Children by name, each with a log file."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def start(self, name, argv, env=None):
        log = open(self.folder / f"{name}.log", "ab")
        child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env={**os.environ, **(env or {})}, preexec_fn=die_with_parent, cwd=self.folder)
        log.close()
        child.name = name
        self.children.append(child)
        return child

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self, child, number=signal.SIGTERM, seconds=10):
        if child in self.children:
            self.children.remove(child)
        if child.poll() is None:
            child.send_signal(number)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def stop_all(self):
        for child in reversed(list(self.children)):
            self.stop(child)


class Pki:
    """Certificates by openssl(1): elliptic curve keys, valid for a day."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
        self.openssl("req", "-x509", "-key", "ca.key", "-out", "ca.crt", "-days", "1", "-subj", "/CN=test-ca")
        self.openssl("genrsa", "-out", "sa.key", "2048")
        self.serial = 1

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name, common_name, organizations=(), names=""):
        """NAME.crt and NAME.key; names: subjectAltName text."""
        self.serial += 1
        (self.folder / f"{name}.cnf").write_text(
            "extendedKeyUsage=clientAuth,serverAuth\n" + (f"subjectAltName={names}\n" if names else ""))
        subject = "".join(f"/O={organization}" for organization in organizations) + f"/CN={common_name}"
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        self.openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "1",
                     "-set_serial", str(self.serial), "-extfile", f"{name}.cnf", "-out", f"{name}.crt")

    def path(self, name):
        return self.folder / name


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body.get('message') if isinstance(body, dict) else body}")
        self.status = status
        self.body = body

    @property
    def message(self):
        return self.body.get("message", "") if isinstance(self.body, dict) else str(self.body)


class Api:
    """A client of the API server with one user's certificate."""

    def __init__(self, port, pki, user):
        self.port = port
        self.context = ssl.create_default_context(cafile=str(pki.path("ca.crt")))
        self.context.load_cert_chain(pki.path(f"{user}.crt"), pki.path(f"{user}.key"))
        self.connection = None
        self.warnings = []  # of the last answer, as kubectl shows them

    def request(self, method, path, body=None, content_type="application/json"):
        for _ in range(20):
            try:
                return self.request_once(method, path, body, content_type)
            except ApiError as error:
                if error.status != 429:  # "storage is (re)initializing", right after a CRD was made
                    raise
                time.sleep(0.25)
        raise AssertionError(f"{method} {path}: the API server stays busy")

    def request_once(self, method, path, body, content_type):
        data = None if body is None else json.dumps(body).encode()
        for attempt in (0, 1):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context,
                                                                  timeout=60)
                self.connection.request(method, path, data,
                                        {"Content-Type": content_type, "Accept": "application/json"})
                answer = self.connection.getresponse()
                self.warnings = [line.split('"')[1] for line in answer.headers.get_all("Warning", [])]
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                if attempt:
                    raise
        try:
            result = json.loads(text)
        except ValueError:
            result = text.decode(errors="replace")
        if answer.status >= 400:
            raise ApiError(answer.status, result)
        return result

    def get(self, path):
        return self.request("GET", path)

    def find(self, path):
        """The object, or None if there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def post(self, path, body):
        return self.request("POST", path, body)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def patch(self, path, body, content_type=MERGE):
        return self.request("PATCH", path, body, content_type)

    def delete(self, path, grace=0):
        try:
            return self.request("DELETE", path,
                                {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace})
        except ApiError as error:
            if error.status != 404:
                raise
            return None


class ControlPlane:
    def __init__(self, folder, programs):
        self.folder = folder
        self.programs = programs
        self.processes = Processes(folder)
        self.audit_log = folder / "audit.log"  # of the programs of FKS
        self.port = free_port()
        self.pki = Pki(folder / "pki")
        self.pki.issue("apiserver", "kube-apiserver",
                       names="IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        self.pki.issue("admin", "admin", ["system:masters"])
        self.pki.issue("user", "jane", ["developers"])
        self.pki.issue("manager", "system:kube-controller-manager")
        self.pki.issue("webhook", "system:fks:webhook", ["system:fks"], "IP:127.0.0.1,DNS:localhost")
        self.pki.issue("scheduler", "system:fks:scheduler", ["system:fks"])
        self.pki.issue("node", "system:fks:node:host-a", ["system:fks", "system:fks:nodes"])
        self.admin = Api(self.port, self.pki, "admin")

    def as_user(self, user):
        return Api(self.port, self.pki, user)

    def kubeconfig(self, user):
        """A kubeconfig file of one of the users above (JSON is YAML)."""
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"https://127.0.0.1:{self.port}",
                                                      "certificate-authority": str(self.pki.path("ca.crt"))}}],
            "users": [{"name": user, "user": {"client-certificate": str(self.pki.path(f"{user}.crt")),
                                              "client-key": str(self.pki.path(f"{user}.key"))}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}]}))
        return path

    def kubectl(self, *words, stdin=None):
        run = subprocess.run([str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig("admin")),
                              "--cache-dir", str(self.folder / "cache"), *map(str, words)],
                             input=stdin, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def manifest(self, path):
        """Objects of a manifest, read by kubectl, since Python's library has no YAML."""
        return documents_of(self.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", MANIFESTS / path))

    def start(self, controllers=True):
        etcd, peer = free_port(), free_port()
        self.etcd_port = etcd
        self.processes.start("etcd", [
            self.programs / "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}"])
        pki = self.pki.path
        policy = self.folder / "audit.yaml"
        policy.write_text(json.dumps(audit_policy(groups=["system:fks"])))
        self.processes.start("apiserver", [
            self.programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={self.port}",
            # off by default: certificates that projected volumes may name
            "--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true",
            "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder}", f"--tls-cert-file={pki('apiserver.crt')}",
            f"--tls-private-key-file={pki('apiserver.key')}", f"--client-ca-file={pki('ca.crt')}",
            f"--service-account-key-file={pki('sa.key')}", f"--service-account-signing-key-file={pki('sa.key')}",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC", "--allow-privileged", "--enable-admission-plugins=NodeRestriction",
            f"--audit-log-path={self.audit_log}", f"--audit-policy-file={policy}"])
        until(self.ready, 180, "the API server is ready")
        if controllers:
            self.processes.start("manager", [
                self.programs / "kube-controller-manager", f"--kubeconfig={self.kubeconfig('admin')}",
                f"--service-account-private-key-file={pki('sa.key')}", "--use-service-account-credentials",
                f"--root-ca-file={pki('ca.crt')}", "--leader-elect=false", f"--secure-port={free_port()}",
                "--bind-address=127.0.0.1", f"--cert-dir={self.folder}"])
            until(lambda: self.admin.find("/api/v1/namespaces/default/serviceaccounts/default"), 60,
                  "default service account")

    def restart_api_server(self):
        """By SIGKILL, and ready again."""
        old = next(child for child in self.processes.children if child.name == "apiserver")
        self.processes.stop(old, signal.SIGKILL)
        self.processes.start("apiserver", old.args)
        until(self.ready, 60, "the API server is ready again")

    def ready(self):
        for child in self.processes.children:
            if child.poll() is not None:
                raise AssertionError(f"{child.name} ended:\n" + self.processes.log(child.name)[-2000:])
        try:
            return self.admin.get("/readyz") == "ok"
        except (OSError, http.client.HTTPException, ApiError):
            return False

    def install(self):
        """Namespace, CRDs and roles, as `fks create cluster` does."""
        self.kubectl("apply", "-f", MANIFESTS / "namespace.yaml")
        self.kubectl("apply", "-f", MANIFESTS / "crd", "-f", MANIFESTS / "rbac")
        self.kubectl("wait", "--for=condition=Established", "crd/fargateprofiles.fks.dev", "crd/fargatehosts.fks.dev",
                     "--timeout=30s")

    def stop(self):
        self.processes.stop_all()
        shutil.rmtree(self.folder, ignore_errors=True)
