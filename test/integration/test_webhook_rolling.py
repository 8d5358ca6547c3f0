"""A rolling restart of two replicas of fks-webhook, with a new certificate in between, while pods are created: none fails, none is
missed. And memory over very many reviews.

    FKS_TEST_CREATES=24000   how many pods are created (dry runs: the whole way of admission, nothing stored); default 1,500
    FKS_TEST_REVIEWS=1000000 how many reviews the memory test sends; default 40,000
"""

import http.client
import json
import os
import re
import select
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

import cluster as control
from cluster import ApiError, free_port, until
from fakes import PODS, PROFILES, profile
from test_webhook import PROFILE_LABEL, Webhook, example

CREATES = int(os.environ.get("FKS_TEST_CREATES", "1500"))
REVIEWS = int(os.environ.get("FKS_TEST_REVIEWS", "40000"))
NAMESPACE = "rolling"
DELAY = 1.0  # seconds between "not ready" and "no more connections", as a Service's endpoints need


class Balancer(threading.Thread):
    """What a Service is for its endpoints: new connections go to a replica that is ready, old ones stay where they are."""

    def __init__(self, replicas):
        super().__init__(daemon=True)
        self.replicas, self.ready, self.ending = replicas, [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.probe = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.ending.is_set():
            self.ready = [replica for replica in self.replicas if replica.status("/readyz") == 200]
            time.sleep(0.1)

    def run(self):
        self.probe.start()
        turn = 0
        while not self.ending.is_set():
            if not select.select([self.listener], [], [], 0.2)[0]:
                continue
            client, _ = self.listener.accept()
            ready = self.ready
            if not ready:
                client.close()
                continue
            turn += 1
            try:
                server = socket.create_connection(("127.0.0.1", ready[turn % len(ready)].port))
            except OSError:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=(source, target), daemon=True).start()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (target, source):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.ending.set()
        self.join()
        self.listener.close()


class Replica(Webhook):
    def __init__(self, plane, program, certificate):
        super().__init__(plane, program)
        self.certificate = certificate

    def start(self):
        self.child = self.plane.processes.start("fks-webhook", [
            self.program, "--kubeconfig", self.plane.kubeconfig("webhook"), "--tls-cert", self.certificate / "tls.crt",
            "--tls-key", self.certificate / "tls.key", "--listen", f"127.0.0.1:{self.port}", f"--shutdown-delay={DELAY}s"])
        until(lambda: self.status("/readyz") == 200, 20, "the replica is ready")


def project(folder, pki, name, generation):
    """Certificate files as a projected Secret has them: links through ..data, which is swapped as a whole."""
    data = folder / f"..{generation}"
    data.mkdir(parents=True)
    shutil.copy(pki.path(f"{name}.crt"), data / "tls.crt")
    shutil.copy(pki.path(f"{name}.key"), data / "tls.key")
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(f"..data/{file}")


def serial(port, plane):
    context = ssl.create_default_context(cafile=str(plane.pki.path("ca.crt")))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1") as connection:
        return connection.getpeercert()["serialNumber"]


class Creator(threading.Thread):
    def __init__(self, api, count):
        super().__init__(daemon=True)
        self.api, self.count, self.done, self.failed, self.missed = api, count, 0, [], 0

    def run(self):
        for number in range(self.count):
            try:
                made = self.api.request_once("POST", PODS.format(NAMESPACE) + "?dryRun=All", example(f"pod-{number}"), "application/json")
                self.missed += made["metadata"].get("labels", {}).get(PROFILE_LABEL) != "rolling"
            except (ApiError, OSError) as error:
                self.failed.append(str(error))
            self.done += 1


def test_rolling_restart_with_a_new_certificate(plane, binary):
    api = plane.admin
    api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    until(lambda: api.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30)
    folder = plane.folder / "rolling"
    project(folder, plane.pki, "webhook", 1)
    replicas = [Replica(plane, binary("fks-webhook"), folder) for _ in range(2)]
    balancer = Balancer(replicas)
    front = Webhook(plane, binary("fks-webhook"))
    front.port = balancer.port
    try:
        for replica in replicas:
            replica.start()
        balancer.start()
        until(lambda: len(balancer.ready) == 2, 10)
        front.register()
        api.post(PROFILES, profile("rolling", {"namespace": NAMESPACE}))
        until(lambda: PROFILE_LABEL in api.post(PODS.format(NAMESPACE) + "?dryRun=All", example())["metadata"].get("labels", {}), 30)

        creators = [Creator(plane.as_user("admin"), CREATES // 4) for _ in range(4)]
        begun = time.monotonic()
        for creator in creators:
            creator.start()
        rounds = 0
        while rounds == 0 or any(creator.is_alive() for creator in creators):
            for replica in replicas:
                replica.child.terminate()
                assert replica.child.wait(30) == 0
                replica.start()
                until(lambda: len(balancer.ready) == 2, 10)
            # the certificate is swapped under the running replicas
            name = f"webhook-{rounds}"
            plane.pki.issue(name, "system:fks:webhook", ["system:fks"], "IP:127.0.0.1,DNS:localhost")
            before = serial(replicas[0].port, plane)
            project(folder, plane.pki, name, f"r{rounds}")
            until(lambda: all(serial(replica.port, plane) != before for replica in replicas), 20, "the new certificate is served")
            rounds += 1
        seconds = time.monotonic() - begun
        for creator in creators:
            creator.join()
        print(f"{sum(c.done for c in creators)} creates in {seconds:.1f} s, {rounds} rolling restarts with a new certificate each")
        assert [error for creator in creators for error in creator.failed] == []
        assert sum(creator.missed for creator in creators) == 0
        assert sum(creator.done for creator in creators) == CREATES // 4 * 4
    finally:
        front.unregister()
        for replica in replicas:
            if replica.child is not None:
                replica.stop()
        balancer.stop()
        api.delete(f"{PROFILES}/rolling")


def resident(child):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text()).group(1))


def send(port, context, body, count):
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
    connection.connect()
    text = b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    batch, wire, left = 50, connection.sock, count
    while left > 0:
        n = min(batch, left)
        wire.sendall(text * n)
        left -= n
        seen, tail = 0, b""
        while seen < n:
            data = tail + wire.recv(1 << 18)
            found = data.count(b"HTTP/1.1 200 ")
            seen += found
            tail = data[-12:] if b"HTTP/1.1 200 " not in data[-12:] else b""
    connection.close()


def test_memory_stays_flat(plane, binary):
    """After a warm-up, reviews of all kinds leave nothing behind."""
    port = free_port()
    context = ssl.create_default_context(cafile=str(plane.pki.path("ca.crt")))
    profiles = plane.folder / "flat.yaml"
    profiles.write_text(json.dumps(profile("flat", {"namespace": "a"})))
    child = plane.processes.start("fks-webhook-flat", [
        binary("fks-webhook"), f"--listen=127.0.0.1:{port}", f"--profiles={profiles}", "--workers=1",
        f"--tls-cert={plane.pki.path('webhook.crt')}", f"--tls-key={plane.pki.path('webhook.key')}"],
        # a sanitizer keeps what was freed for a while; here only a little of it
        {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"})
    try:
        until(lambda: control_answers(port, context), 10, "fks-webhook answers")
        bodies = []
        for namespace, body in (("a", example()), ("b", example()), ("a", example(hostNetwork=True))):
            bodies.append(json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
                "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": namespace, "operation": "CREATE",
                "object": body}}).encode())
        for body in bodies:
            send(port, context, body, 3000)
        before = resident(child)
        for body in bodies:
            send(port, context, body, REVIEWS // 3)
        after = resident(child)
        print(f"{REVIEWS} reviews: {before} KiB resident before, {after} KiB after")
        slack = 16384 if "san" in control.PROGRAMS.parts else 256
        assert after <= before + slack
    finally:
        assert plane.processes.stop(child) == 0


def control_answers(port, context):
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"):
            return True
    except OSError:
        return False
