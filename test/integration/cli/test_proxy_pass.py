"""What `proxy` passes on, beside kubectl's: headers both ways, upgraded connections, answers that break off, slow readers.

Both programs stand between the test and a recording API server, so that each side's view can be compared.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from proxies import Proxy

LIMIT = 120  # seconds for any wait
# Go's client asks for gzip by itself and hides it; who the programs are differs; lengths are framing
INCOMPARABLE = {"accept-encoding", "content-length", "transfer-encoding"}


def read_head(file):
    """(first line, [(name, value)]) of a request or answer; None at the end."""
    first = file.readline().decode().strip()
    if not first:
        return None
    headers = []
    while line := file.readline().decode().strip():
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    return first, headers


def read_body(file, headers, to_end=False):
    named = dict(headers)
    if named.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(file.readline(), 16):  # a ValueError where it breaks off
            body += file.read(size)
            file.readline()
        file.readline()
        return body
    if "content-length" in named:
        return file.read(int(named["content-length"]))
    return file.read() if to_end else b""


def answer(status, *lines, body=b"", length=True):
    more = [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([f"HTTP/1.1 {status}", "Date: Mon, 02 Jan 2023 01:02:03 GMT", *lines, *more, "", ""]).encode() + body


ANSWERS = {
    "/many": answer("200 OK", "Content-Type: application/json", "Audit-Id: 1-2", "Warning: 299 - \"one\"", "Warning: 299 - \"two\"",
                    "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Kubernetes-Pf-Flowschema-Uid: x", "Cache-Control: no-cache, private",
                    "x-small: Letters", body=b'{"a":1}\n'),
    "/hops": answer("200 OK", "Content-Type: text/plain", "Connection: x-listed, keep-alive", "X-Listed: gone", "Keep-Alive: timeout=5",
                    "Proxy-Authenticate: Basic", "Upgrade: h2c", "Trailer: x", "X-Kept: yes", body=b"x"),
    "/zipped": answer("200 OK", "Content-Type: text/plain", "Content-Encoding: gzip", "Vary: Accept-Encoding", body=b"\x1f\x8bnot really"),
    "/chunked": answer("200 OK", "Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", length=False),
    "/none": answer("204 No Content", "X-None: 1", length=False),
    "/same": answer("304 Not Modified", "ETag: \"v1\"", length=False),
    "/moved": answer("302 Found", "Location: /elsewhere", "Content-Type: text/html", body=b"there"),
    "/teapot": answer("418 I'm a teapot", "Content-Type: text/plain", "Retry-After: 7", body=b"short and stout\n"),
    "/cut": answer("200 OK", "Content-Type: text/plain", "Content-Length: 100", body=b"only this", length=False),
    "/cut-chunked": answer("200 OK", "Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n", length=False),
    "/up/refused": answer("403 Forbidden", "Content-Type: application/json", body=b'{"kind":"Status","code":403}'),
    "/up/fine": answer("200 OK", "Content-Type: text/plain", body=b"ok"),
}


class Recorder:
    """An API server over TLS that remembers what it is asked, answers by ANSWERS, and echoes behind an upgrade."""

    def __init__(self, pki):
        pki.issue("recorder", "recorder", names="IP:127.0.0.1")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.path("recorder.crt"), pki.path("recorder.key"))
        self.ca = pki.path("ca.crt").read_bytes()
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                plain = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        with contextlib.suppress(OSError, ValueError), self.context.wrap_socket(plain, server_side=True) as line:
            file = line.makefile("rb")
            while head := read_head(file):
                method, target, _ = head[0].split(" ")
                self.asked.append((method, target, head[1], read_body(file, head[1])))
                path = target.partition("?")[0]
                if path == "/up/echo":
                    return self.echo(line, file, dict(head[1]))
                if path == "/flow":
                    return self.flow(line)
                text = ANSWERS.get(path) or answer("404 Not Found", "Content-Type: text/plain", body=b"no\n")
                line.sendall(text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else text)
                if path.startswith("/cut"):
                    return

    def echo(self, line, file, headers):
        line.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {headers['upgrade']}\r\nX-Answer: yes\r\n\r\n"
                     "first words ".encode())
        while data := file.read1(65536):
            line.sendall(data)

    FLOW = 64 << 20

    def flow(self, line):
        line.sendall(answer("200 OK", "Content-Type: text/plain", f"Content-Length: {self.FLOW}", length=False))
        self.flown = 0
        while self.flown < self.FLOW:
            line.sendall(bytes(1 << 16))
            self.flown += 1 << 16

    def config(self, folder, user, **cluster):
        entry = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority-data": base64.b64encode(self.ca).decode(), **cluster}
        path = folder / "kubeconfig"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                                    "clusters": [{"name": "c", "cluster": entry}], "users": [{"name": "u", "user": user}],
                                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
        return path


@contextlib.contextmanager
def running(program, config, *words):
    """`proxy` of a program; a function that connects to it."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    child = subprocess.Popen([program, "proxy", "--port=0", *words], env={**kept, "KUBECONFIG": str(config), "HOME": str(config.parent)},
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(re.search(r":(\d+)$", child.stdout.readline().strip()).group(1))
        yield lambda: socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(LIMIT)
        child.stdout.close()


@pytest.fixture(scope="module")
def recorder(plane):
    recorder = Recorder(plane.pki)
    yield recorder
    recorder.listener.close()


@pytest.fixture(scope="module")
def programs(plane, binary):
    return {"kubectl": plane.programs / "kubectl", "fks": binary("fks")}


TOKEN = {"token": "t0k3n"}
AS = {"token": "t0k3n", "as": "jane", "as-groups": ["devs", "ops"]}


def ask(connect, method, target, lines, body):
    with connect() as line:
        length = [f"Content-Length: {len(body)}"] if body else []
        line.sendall("\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, *length, "", ""]).encode() + body)
        file = line.makefile("rb")
        head = read_head(file)
        if head is None:
            return "broken off"
        first, headers = head
        whole = True
        try:
            text = b"" if method == "HEAD" or " 304 " in first or " 204 " in first else read_body(file, headers)
            whole = "content-length" not in dict(headers) or method == "HEAD" or len(text) == int(dict(headers)["content-length"])
        except (ValueError, OSError):
            text, whole = None, False
    seen = sorted(header for header in headers if header[0] not in INCOMPARABLE | {"connection"})
    return (first.split(" ")[1], seen, text) if whole else "broken off"


def normal(asked):
    method, target, headers, body = asked
    kept = [(name, "a program" if name == "user-agent" and value.startswith(("kubectl", "fks")) else value)
            for name, value in headers if name not in INCOMPARABLE]
    return method, target, sorted(kept), body


@pytest.mark.parametrize("user, method, target, lines, body", [
    (TOKEN, "GET", "/many", [], b""),
    (TOKEN, "GET", "/many?a=b%20c&d", ["User-Agent: mine/1", "Accept: application/yaml", "X-Twice: 1", "X-Twice: 2", "Cookie: c=1"], b""),
    (TOKEN, "HEAD", "/many", [], b""),
    (TOKEN, "GET", "/hops", ["Connection: X-Listed, close", "X-Listed: 1", "Keep-Alive: 5", "Proxy-Authorization: x", "Proxy-Connection: y",
                             "TE: gzip", "Trailer: z", "X-Kept: 1"], b""),
    (TOKEN, "GET", "/zipped", ["Accept-Encoding: gzip"], b""),
    (TOKEN, "POST", "/many", ["Content-Type: application/json", "Impersonate-Group: mine"], b'{"a":1}'),
    (TOKEN, "PATCH", "/chunked", ["Content-Type: application/merge-patch+json"], b"{}"),
    (TOKEN, "DELETE", "/none", [], b""),
    (TOKEN, "GET", "/same", ["If-None-Match: \"v1\""], b""),
    (TOKEN, "GET", "/moved", [], b""),
    (TOKEN, "OPTIONS", "/teapot", ["Origin: http://localhost"], b""),
    (TOKEN, "GET", "/cut", [], b""),
    (TOKEN, "GET", "/cut-chunked", [], b""),
    (TOKEN, "GET", "/many", ["Authorization: Bearer mine"], b""),
    (TOKEN, "GET", "/many", ["X-Forwarded-For: 10.0.0.9", "X-Forwarded-For: 10.0.0.8", "X-Forwarded-Proto: https"], b""),
    (AS, "GET", "/many", [], b""),
    (AS, "GET", "/many", ["Impersonate-User: eve", "Impersonate-Group: mine"], b""),
    ({"username": "me", "password": "secret"}, "GET", "/many", [], b""),
], ids=lambda value: value if isinstance(value, str) else "")
def test_headers(recorder, programs, tmp_path, user, method, target, lines, body):
    """Each way everything but what is about one connection; our name and rights unless the request has its own."""
    seen = {}
    for name, program in programs.items():
        with running(program, recorder.config(tmp_path, user)) as connect:
            recorder.asked.clear()
            got = ask(connect, method, target, lines, body)
            seen[name] = {"asked": normal(recorder.asked[-1]), "answered": got}
    assert seen["kubectl"] == seen["fks"]
    assert ("host", f"127.0.0.1:{recorder.port}") in seen["fks"]["asked"][2]


UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
           "Sec-WebSocket-Protocol: v5.channel.k8s.io", "X-Stream-Protocol-Version: v4", "X-Stream-Protocol-Version: v3", "Origin: http://localhost"]


@pytest.mark.parametrize("user, lines", [(TOKEN, []), (AS, ["User-Agent: mine/1"]), (TOKEN, ["Authorization: Bearer mine"])])
def test_upgrades(recorder, programs, tmp_path, user, lines):
    """The head goes through with our name, the answer's comes back as it is, and then bytes flow both ways to their end."""
    seen = {}
    for name, program in programs.items():
        with running(program, recorder.config(tmp_path, user)) as connect, connect() as line:
            recorder.asked.clear()
            line.sendall("\r\n".join(["POST /up/echo?a=b%20c HTTP/1.1", "Host: localhost", *UPGRADE, *lines, "", ""]).encode())
            file = line.makefile("rb")
            head = read_head(file)
            assert file.read(12) == b"first words "
            block = os.urandom(1 << 20)
            threading.Thread(target=line.sendall, args=(block,), daemon=True).start()
            assert file.read(len(block)) == block
            seen[name] = normal(recorder.asked[-1]), head
    assert seen["kubectl"] == seen["fks"]


def test_upgrades_that_are_refused(recorder, programs, tmp_path):
    seen = {}
    for name, program in programs.items():
        with running(program, recorder.config(tmp_path, TOKEN)) as connect:
            seen[name] = [ask(connect, "GET", target, UPGRADE, b"")[::2] for target in ("/up/refused", "/up/fine", "/up/nothing")]
        with running(program, recorder.config(tmp_path, TOKEN, server="https://127.0.0.1:1")) as connect:
            status, _, text = ask(connect, "GET", "/up/echo", UPGRADE, b"")
            seen[name].append((status, b"connection refused" in text))
            status, _, text = ask(connect, "GET", "/many", [], b"")
            seen[name].append((status, b"connection refused" in text))
    assert seen["kubectl"] == seen["fks"]


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_upgrades_through_a_proxy(recorder, plane, programs, tmp_path, kind):
    """kubectl dials past the kubeconfig's proxy-url here; fks does as with every other request."""
    certificate = None
    if kind == "https":
        plane.pki.issue("proxy", "proxy", names="IP:127.0.0.1")
        certificate = (plane.pki.path("proxy.crt"), plane.pki.path("proxy.key"))
    between = Proxy(kind, "me:secret", certificate)
    try:
        with running(programs["fks"], recorder.config(tmp_path, TOKEN, **{"proxy-url": between.url("me:secret")})) as connect, connect() as line:
            line.sendall("\r\n".join(["GET /up/echo HTTP/1.1", "Host: localhost", *UPGRADE, "", "early "]).encode())
            file = line.makefile("rb")
            assert " 101 " in read_head(file)[0]
            assert file.read(12 + 6) == b"first words early "
        assert between.asked == [f"127.0.0.1:{recorder.port}"]
    finally:
        between.close()


def test_slow_reader(recorder, programs, tmp_path):
    """Who reads slowly makes the API server wait, and gets everything."""
    with running(programs["fks"], recorder.config(tmp_path, TOKEN)) as connect, connect() as line:
        line.sendall(b"GET /flow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        file = line.makefile("rb")
        first, headers = read_head(file)
        stood, before = 0, -1
        while stood < 10:  # until nothing more gets through
            threading.Event().wait(0.1)
            stood = stood + 1 if recorder.flown == before else 0
            before = recorder.flown
        assert before < recorder.FLOW
        body = read_body(file, headers)
        assert len(body) == recorder.FLOW


def websocket(connect, target, protocol=None):
    """A WebSocket through a proxy: (line, file) behind the upgrade."""
    line = connect()
    chosen = [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
    line.sendall("\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", "Origin: http://localhost", *UPGRADE[:4], *chosen, "", ""]).encode())
    file = line.makefile("rb")
    first, headers = read_head(file)
    assert " 101 " in first, first
    want = base64.b64encode(hashlib.sha1(b"AAAAAAAAAAAAAAAAAAAAAA==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    assert dict(headers)["sec-websocket-accept"] == want
    return line, file


def test_watch_over_websocket(plane, programs):
    """A real API server's watch, event by event."""
    for program in programs.values():
        with running(program, plane.kubeconfig("admin")) as connect:
            line, file = websocket(connect, "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Ddefault")
            with line:
                head = file.read(2)
                assert head[0] & 0xf in (1, 2), head
                length = head[1] if head[1] < 126 else int.from_bytes(file.read(2 if head[1] == 126 else 8), "big")
                event = json.loads(file.read(length))
                assert event["type"] == "ADDED" and event["object"]["metadata"]["name"] == "default"


def test_watch_begins_at_once(plane, programs):
    """The head of an answer does not wait for its first event."""
    for program in programs.values():
        with running(program, plane.kubeconfig("admin")) as connect, connect() as line:
            line.sendall(b"GET /api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dnone HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_head(line.makefile("rb"))[0] == "HTTP/1.1 200 OK"
