"""fks-webhook as a server: hostile clients, certificates that change, the end, rights. Without an API server (--profiles)."""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import cluster as control
from cluster import free_port, until

PROFILE = "apiVersion: fks.dev/v1\nkind: FargateProfile\nmetadata: {name: fp}\nspec: {selectors: [{namespace: web}]}\n"
TOO_SLOW = 'fks_webhook_rejects_total{cause="too_slow"}'


def review(namespace="web"):
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": namespace, "operation": "CREATE",
        "object": {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}).encode()


def request(body, path="/mutate", headers=""):
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Webhook:
    def __init__(self, folder, program):
        self.folder, self.program, self.port = folder, program, free_port()
        self.processes = control.Processes(folder)
        self.pki = control.Pki(folder / "pki")
        self.pki.issue("webhook", "fks-webhook", names="IP:127.0.0.1")
        self.profiles = folder / "profiles.yaml"
        self.profiles.write_text(PROFILE)
        self.child = None

    def start(self, *options, before=()):
        self.child = self.processes.start("fks-webhook", [
            *before, self.program, f"--listen=127.0.0.1:{self.port}", f"--profiles={self.profiles}", *self.certificate(), *options])
        until(lambda: self.child.poll() is not None or self.status("/readyz") == 200, 10, "fks-webhook is ready")
        assert self.child.poll() is None, self.processes.log("fks-webhook")

    def certificate(self):
        return [f"--tls-cert={self.pki.path('webhook.crt')}", f"--tls-key={self.pki.path('webhook.key')}"]

    def context(self):
        return ssl.create_default_context(cafile=str(self.pki.path("ca.crt")))

    def connect(self, source="127.0.0.1", context=None, **options):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))
        return (context or self.context()).wrap_socket(plain, server_hostname="127.0.0.1", **options)

    def http(self, source="127.0.0.1"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context(), timeout=10, source_address=(source, 0))
        connection.connect()
        return connection

    def get(self, path):
        connection = self.http()
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def status(self, path):
        try:
            return self.get(path)[0]
        except OSError:
            return 0

    def metric(self, series):
        return float(re.search(rf"^{re.escape(series)} (\S+)$", self.get("/metrics")[1], re.M).group(1))

    def resident_kb(self):
        text = open(f"/proc/{self.child.pid}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def most_resident_kb(self):
        text = open(f"/proc/{self.child.pid}/status").read()
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1))

    def stop(self, number=signal.SIGTERM):
        return self.processes.stop(self.child, number)


def patched(connection):
    connection.request("POST", "/mutate", review())
    answer = connection.getresponse()
    text = answer.read()
    return answer.status == 200 and "patch" in json.loads(text)["response"]


@pytest.fixture
def webhook(binary, folder):
    folder = Path(tempfile.mkdtemp(prefix="webhook-", dir=folder))  # not pytest's, which nobody else may enter
    folder.chmod(0o755)
    webhook = Webhook(folder, binary("fks-webhook"))
    yield webhook
    webhook.processes.stop_all()
    shutil.rmtree(folder)


def exchange(connection, data, pause=None):
    """Sends, and gives all that comes until the end or an answer with its body."""
    if pause is None:
        connection.sendall(data)
    else:
        for i in range(len(data)):
            connection.sendall(data[i:i + 1])
            time.sleep(pause)
    text = b""
    while True:
        try:
            more = connection.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return text
        text += more
        head, _, body = text.rpartition(b"\r\n\r\n")  # 100 Continue may come before
        length = re.search(rb"Content-Length: (\d+)", head)
        if not more or (length and len(body) >= int(length.group(1))):
            return text


# --- hostile clients

def percentile(samples, part):
    return sorted(samples)[int(len(samples) * part)]


def latencies(connection, n):
    samples = []
    for _ in range(n):
        started = time.perf_counter()
        assert patched(connection)
        samples.append(time.perf_counter() - started)
    return samples


class SlowClients:
    """A thousand: those that shake no hands, those that send a request a byte at a time, those that read no answer."""

    def __init__(self, webhook):
        self.webhook, self.mute, self.dripping, self.deaf = webhook, [], [], []
        context = webhook.context()
        for i in range(400):
            self.mute.append(socket.create_connection(("127.0.0.1", webhook.port), source_address=(f"127.0.1.{i % 200 + 1}", 0)))
        for i in range(400):
            self.dripping.append(webhook.connect(f"127.0.2.{i % 200 + 1}", context))
        for i in range(200):
            client = webhook.connect(f"127.0.3.{i % 200 + 1}", context)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            self.deaf.append(client)
        self.rest = {client: list(request(review())) for client in self.dripping}

    def go_on(self):
        for client in self.dripping:
            try:
                client.send(bytes([self.rest[client].pop(0)]))
            except (OSError, IndexError):
                pass
        for client in self.deaf:
            try:
                client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            except OSError:
                pass

    def close(self):
        for client in [*self.mute, *self.dripping, *self.deaf]:
            client.close()


def test_slow_clients_do_not_slow_the_honest_one(webhook):
    webhook.start()
    honest = webhook.http("127.0.9.9")
    latencies(honest, 100)
    before = latencies(honest, 400)
    memory = webhook.resident_kb()
    slow = SlowClients(webhook)
    # below a millisecond it is the machine that decides, and what else runs on it comes and goes: the best of a few counts
    tries, end = [], time.monotonic() + 8
    while not tries or time.monotonic() < end:
        during = []
        for _ in range(3):
            slow.go_on()
            during += latencies(honest, 250)
        tries.append(percentile(during, 0.99))
        if tries[-1] <= 2 * max(percentile(before, 0.99), 0.001):
            break
    assert min(tries) <= 2 * max(percentile(before, 0.99), 0.001), (percentile(before, 0.99), tries)
    # the mute and the dripping run into their time; the deaf are let go with them
    until(lambda: webhook.metric(TOO_SLOW) >= 800, 15, "the slow are sent away")
    slow.close()
    until(lambda: webhook.metric("fks_webhook_connections") <= 3, 5)
    assert latencies(honest, 50)
    if b"__asan_init" not in webhook.program.read_bytes():  # which keeps what was freed
        until(lambda: webhook.resident_kb() <= memory + 5 * 1024, 8, lambda: f"{webhook.resident_kb()} KB instead of {memory}")
    assert webhook.stop() == 0


def test_garbage_before_and_inside_tls(webhook):
    webhook.start()
    honest = webhook.http()
    noise = random.Random(1)
    for i in range(200):
        with socket.create_connection(("127.0.0.1", webhook.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" if i == 0 else noise.randbytes(noise.randrange(1, 3000)))
            client.shutdown(socket.SHUT_WR)
            exchange_plain = b""
            try:
                while more := client.recv(65536):
                    exchange_plain += more
            except ConnectionError:
                pass
            assert b"HTTP/1.1 200" not in exchange_plain
    for i in range(50):
        with webhook.connect() as client:
            text = exchange(client, noise.randbytes(noise.randrange(5, 3000)) + b"\r\n\r\n")
            assert text == b"" or text.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 505")), text
    with webhook.connect() as client:  # good until here, then noise inside the encrypted stream
        assert b"200 OK" in exchange(client, request(review()))
        raw = socket.socket(fileno=os.dup(client.fileno()))
        raw.settimeout(10)
        raw.send(noise.randbytes(500))
        assert raw.recv(65536) is not None
        raw.close()
    assert patched(honest)
    assert webhook.metric("fks_webhook_handshake_failures_total") >= 200
    assert webhook.metric('fks_webhook_rejects_total{cause="no_http"}') >= 1


def test_halfclosed_connections(webhook):
    webhook.start()
    context = webhook.context()
    for data, answered in ((request(review()), True), (request(review())[:-1], False), (b"POST /mutate HTTP/1.1\r\n", False), (b"", False)):
        client = webhook.connect(context=context)
        client.sendall(data)
        raw = socket.socket(fileno=os.dup(client.fileno()))
        raw.shutdown(socket.SHUT_WR)
        text = b""
        try:
            while more := client.recv(65536):
                text += more
        except (ssl.SSLError, ConnectionError):
            pass
        assert (b"200 OK" in text) == answered, (data, text)
        client.close()
        raw.close()
    until(lambda: webhook.metric("fks_webhook_connections") <= 1, 5)


@pytest.mark.parametrize("data,status", [
    (b"POST /mutate HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"a" * 70000 + b"\r\n\r\n", 431),
    (b"POST /mutate HTTP/1.1\r\nHost: a\r\n" + b"X-A: a\r\n" * 200 + b"\r\n", 431),
    (b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"POST /mutate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fffffff\r\n" + b"a" * (9 << 20), 413),
    (request(b'{"request":' + b"[" * 10000 + b"]" * 10000 + b"}"), 400),
    (b"POST /mutate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST /mutate HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /mutate HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404),
], ids=["long-head", "many-headers", "long-body", "long-chunked-body", "deep", "coding", "version", "method", "path"])
def test_over_the_caps_is_a_clean_4xx(webhook, data, status):
    webhook.start()
    honest = webhook.http()
    with webhook.connect() as client:
        sender = client
        sender.settimeout(10)
        try:
            text = exchange(client, data)
        except OSError:
            text = exchange(client, b"")
        assert text.startswith(f"HTTP/1.1 {status} ".encode()), text[:300]
    assert patched(honest)


def test_large_requests_do_not_take_all_memory(webhook):
    """40 clients with 4 MiB each of a request that goes on; the honest one's 1 MiB passes meanwhile. Then reviews of millions of values."""
    webhook.start("--workers=2")
    context = webhook.context()
    clients, refused = [], 'fks_webhook_rejects_total{cause="too_many_unfinished_bytes"}'
    body = review().replace(b'"image"', b'"env":[{"name":"A","value":"' + b"a" * (1 << 20) + b'"}],"image"')
    try:
        for i in range(40):
            client = webhook.connect(f"127.0.4.{i + 1}", context)
            clients.append(client)
            try:
                client.sendall(b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + b" " * (4 << 20))
            except OSError:
                pass  # it was refused
            if i % 10 == 9:
                with webhook.connect() as honest:
                    assert b"200 OK" in exchange(honest, request(body))
        assert webhook.metric(refused) >= 20
    finally:
        for client in clients:
            client.close()
    for values in (b"0," * 3900000, b'[{"a":1}],' * 780000):
        with webhook.connect() as client:
            text = exchange(client, request(b'{"kind":"AdmissionReview","request":{"more":[' + values + b"0]}}"))
            assert text.startswith(b"HTTP/1.1 400 ") and b"too many values" in text, text[:300]
    if b"__asan_init" not in webhook.program.read_bytes():
        assert webhook.most_resident_kb() < 96 << 10
    assert patched(webhook.http())


def test_request_split_at_every_byte(webhook):
    webhook.start()
    with webhook.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        text = exchange(client, request(review(), headers="Expect: 100-continue\r\n"), pause=0)
        assert text.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"200 OK" in text
        # two pieces, cut at each place in turn; then all of them in one piece
        whole = request(review())
        for cut in range(1, len(whole)):
            client.sendall(whole[:cut])
            assert b"200 OK" in exchange(client, whole[cut:]), cut
        client.sendall(whole * 20)
        text = b""
        while text.count(b"200 OK") < 20 or not text.endswith(b"}"):
            text += client.recv(65536)


def test_connections_of_one_peer_are_capped(webhook):
    webhook.start("--max-connections-per-peer=10", "--workers=2")
    context = webhook.context()
    clients = []
    for _ in range(30):
        try:
            clients.append(webhook.connect("127.0.5.5", context))
            exchange(clients[-1], b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        except OSError:
            pass
    assert patched(webhook.http("127.0.6.6"))
    assert webhook.metric('fks_webhook_rejects_total{cause="too_many_connections_of_one_peer"}') >= 20
    for client in clients:
        client.close()


# --- certificates

def served_certificate(webhook):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with webhook.connect(context=context) as client:
        return client.getpeercert(binary_form=True)


def test_certificate_changes_under_a_projected_secret(webhook):
    """As the kubelet does it: ..data is a symbolic link to a folder, and is swapped by a rename."""
    folder = webhook.folder / "secret"
    folder.mkdir()

    def project(name, number):
        webhook.pki.issue(name, f"webhook-{number}", names="IP:127.0.0.1")
        target = folder / f"..{number}"
        target.mkdir()
        for ending in ("crt", "key"):
            shutil.copy(webhook.pki.path(f"{name}.{ending}"), target / f"tls.{ending}")
            os.utime(target / f"tls.{ending}", (1, 1))  # not to be told by the time alone
        (folder / "..data_tmp").symlink_to(f"..{number}")
        (folder / "..data_tmp").rename(folder / "..data")

    project("first", 1)
    for ending in ("crt", "key"):
        (folder / f"tls.{ending}").symlink_to(f"..data/tls.{ending}")
    webhook.certificate = lambda: [f"--tls-cert={folder}/tls.crt", f"--tls-key={folder}/tls.key"]
    webhook.start()
    kept, first = webhook.http(), served_certificate(webhook)
    project("second", 2)
    until(lambda: served_certificate(webhook) != first, 5, "the new certificate is served")
    assert patched(kept)  # the connection lives on
    second = served_certificate(webhook)
    (folder / "..2/tls.key").write_bytes(webhook.pki.path("first.key").read_bytes())  # does not belong to the certificate
    until(lambda: webhook.metric("fks_webhook_certificate_failures_total") >= 1, 5)
    assert served_certificate(webhook) == second and patched(kept)


def test_a_changed_certificate_waits_as_long_as_it_is_told(webhook):
    """Until API servers trust its authority; an operator who knows that they do says so."""
    webhook.start("--certificate-delay=1h")
    first = served_certificate(webhook)
    webhook.pki.issue("webhook", "another", names="IP:127.0.0.1")
    time.sleep(2)  # it has looked at the files
    assert served_certificate(webhook) == first
    webhook.child.send_signal(signal.SIGHUP)
    until(lambda: served_certificate(webhook) != first, 30, "the new certificate is served")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_resume(webhook, version):
    webhook.start()
    context = webhook.context()
    context.minimum_version = context.maximum_version = version
    with webhook.connect(context=context) as client:
        assert b"200 OK" in exchange(client, request(review()))
        session = client.session
    with webhook.connect(context=context, session=session) as client:
        assert client.session_reused and b"200 OK" in exchange(client, request(review()))
    assert webhook.metric('fks_webhook_handshakes_total{resumed="true"}') == 1


def test_old_tls_is_refused(webhook):
    webhook.start()
    context = webhook.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        webhook.connect(context=context)


def test_client_certificate_is_asked_for_reviews_only(webhook):
    webhook.pki.issue("apiserver", "kube-apiserver")
    webhook.start(f"--client-ca={webhook.pki.path('ca.crt')}")
    with webhook.connect() as client:
        assert exchange(client, request(review())).startswith(b"HTTP/1.1 403 ")
    context = webhook.context()
    context.load_cert_chain(webhook.pki.path("apiserver.crt"), webhook.pki.path("apiserver.key"))
    with webhook.connect(context=context) as client:
        assert exchange(client, request(review())).startswith(b"HTTP/1.1 200 ")
    assert webhook.status("/healthz") == 200


# --- the end, and what it needs

def test_term_finishes_what_is_under_way(webhook):
    webhook.start("--shutdown-delay=1s")
    kept, half = webhook.http(), webhook.connect()
    whole = request(review())
    half.sendall(whole[:100])
    assert patched(kept)
    webhook.child.send_signal(signal.SIGTERM)
    until(lambda: webhook.get("/readyz") == (503, "shutting down\n"), 1)
    kept.request("POST", "/mutate", review())
    answer = kept.getresponse()
    assert answer.status == 200 and answer.getheader("Connection") == "close" and answer.read()
    time.sleep(1.2)
    text = exchange(half, whole[100:])
    assert b"200 OK" in text and b"Connection: close" in text
    assert webhook.child.wait(60) == 0


def test_runs_without_rights(webhook):
    """As nobody, on a file system that is read-only, without a capability and without a way to get one."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to take rights away")
    webhook.pki.path("webhook.key").chmod(0o644)
    script = ('mount --make-rprivate / && mount --rbind / / && mount -o remount,bind,ro / && cd / && '
              'exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"')
    webhook.start(before=["unshare", "--mount", "sh", "-c", script, "sh"])
    status = open(f"/proc/{webhook.child.pid}/status").read()
    assert re.search(r"Uid:\s+65534", status) and re.search(r"CapEff:\s+0000000000000000", status)
    assert patched(webhook.http())
    assert webhook.stop() == 0


def test_reviews_are_logged_with_their_uid(webhook):
    webhook.start("--log-level=debug")
    assert patched(webhook.http())
    line = until(lambda: re.search(r".*msg=review .*", webhook.processes.log("fks-webhook")), 5).group(0)
    for part in ("level=debug", "uid=u-1", "endpoint=mutate", "outcome=patched", "profile=fp"):
        assert part in line


def test_numbers_of_all_workers_are_added_up(webhook):
    webhook.start("--workers=3")
    connections = [webhook.http() for _ in range(6)]
    for connection in connections:
        assert patched(connection)
    assert webhook.metric('fks_webhook_requests_total{endpoint="mutate",outcome="patched"}') == 6
    assert webhook.metric('fks_webhook_pods_total{profile="fp"}') == 6
    assert webhook.metric('fks_webhook_request_seconds_count{endpoint="mutate"}') == 6
    assert webhook.metric("fks_webhook_workers") == 3 and webhook.metric("fks_webhook_profiles") == 1
    assert webhook.metric("fks_webhook_connections") == 7


def test_profiles_file_is_read_again(webhook):
    webhook.start()
    connection = webhook.http()
    webhook.profiles.write_text(PROFILE.replace("web", "other"))
    until(lambda: not patched(connection), 5)
    webhook.profiles.write_text("}{")
    until(lambda: webhook.metric("fks_webhook_profile_source_failures_total") >= 1, 5)
    webhook.profiles.write_text(PROFILE)
    until(lambda: patched(connection), 5)


def test_help_needs_no_manual(webhook):
    text = subprocess.run([webhook.program, "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--listen", "--tls-cert", "--tls-key", "--kubeconfig", "--profiles", "--client-ca", "--workers", "--shutdown-delay"):
        assert option in text
