"""`proxy` beside kubectl's: filters, prefixes, files, a socket in the file system."""

import ctypes
import http.client
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

PIDFD_GETFD = 438  # the same on every architecture: it came after numbers were unified


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Running:
    """A proxy beside the test; ask() gives status, content type and body."""

    def __init__(self, program, environment, words, unix=None):
        self.unix = unix
        self.child = subprocess.Popen([program, "proxy", *map(str, words)], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        self.said = self.child.stdout.readline()
        self.address = self.said.rpartition(" ")[2].strip()

    def ask(self, path, method="GET", body=None, **headers):
        connection = UnixConnection(self.unix) if self.unix else http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            text = re.sub(r'"(uid|creationTimestamp)": ?"[^"]*"', r'"\1": ""', answer.read().decode())
            return answer.status, answer.headers.get_content_type(), text
        finally:
            connection.close()

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        err = self.child.communicate(timeout=20)[1]
        return err


class Both:
    def __init__(self, plane, fks, folder):
        self.folder = folder
        self.environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig("admin")), "HOME": str(folder), "TZ": "UTC"}
        self.programs = {"kubectl": plane.programs / "kubectl", "fks": fks}
        (folder / "www/sub").mkdir(parents=True)
        (folder / "www/a.txt").write_text("hello\n")
        (folder / "www/sp ace.txt").write_text("s\n")
        (folder / "www/sub/index.html").write_text("<b>x\n")

    def compare(self, words, questions, unix=False):
        seen = {}
        for name, program in self.programs.items():
            path = self.folder / f"{name}.sock" if unix else None
            running = Running(program, self.environment, [*words, *(["--unix-socket", path] if unix else ["--port=0"])], path)
            try:
                assert running.said.startswith("Starting to serve on " + (str(path) if unix else "127.0.0.1:")), running.said
                seen[name] = [(question, running.ask(*question[:1], **(question[1] if len(question) > 1 else {})))
                              for question in questions]
                if unix:
                    assert stat.S_IMODE(path.stat().st_mode) == 0o700
            finally:
                running.end()
        for want, got in zip(seen["kubectl"], seen["fks"], strict=True):
            assert want == got


@pytest.fixture(scope="module")
def both(plane, binary, tmp_path_factory):
    return Both(plane, binary("fks"), tmp_path_factory.mktemp("proxy"))


def test_requests_and_filters(both):
    config_map = b'{"metadata":{"name":"px"}}'
    both.compare(["--www", both.folder / "www"], [
        ("/version",), ("/api/v1/namespaces/default",), ("/api/v1/nope",), ("/nope",),
        ("/version", {"Host": "evil.example"}), ("/version", {"Host": "127.0.0.1:1"}), ("/version", {"Host": "[::1]:80"}),
        ("/version", {"Host": "localhost"}),
        ("/api/v1/namespaces/default/pods/x/exec",), ("/api/v1/namespaces/default/pods/x/attach", {"method": "POST"}),
        ("/api/v1/namespaces/default/configmaps/nope", {"method": "DELETE"}),
        ("/api/v1/namespaces/default/configmaps?dryRun=All",
         {"method": "POST", "body": config_map, "Content_Type": "application/json"}),
        ("/api/v1/namespaces/default/configmaps", {"method": "POST", "body": b"no json", "Content_Type": "application/json"}),
        ("/api/v1/namespaces?limit=1", {"Accept": "application/yaml"}),
        ("/static/a.txt",), ("/static/",), ("/static/sub/",), ("/static/sp%20ace.txt",), ("/static/nope",)])


def test_files_stay_in_their_folder(both):
    running = Running(both.programs["fks"], both.environment, ["--port=0", "--www", both.folder / "www"])
    try:
        for path in ("/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fetc/passwd", "/static/sub/../../x",
                     "/static/%00", "/static/%zz"):
            assert running.ask(path)[0] in (400, 404), path
    finally:
        running.end()


@pytest.mark.parametrize("words, questions", [
    (["--api-prefix=/k8s-api"], ["/k8s-api/version", "/version", "/k8s-api/"]),
    (["--api-prefix=/api/"], ["/api/v1/namespaces/nope", "/version"]),
    (["--accept-paths=^/version$", "--accept-hosts=^.*$"], ["/version", "/api"]),
    (["--reject-paths=^/version", "--reject-methods=POST,PUT"], ["/version", "/api"]),
    (["--disable-filter", "--keepalive=5s"], ["/version", "/api/v1/namespaces/default/pods/x/exec"])])
def test_options(both, words, questions):
    both.compare(words, [(path, {"method": method, "Host": host}) for path in questions for method in ("GET", "POST")
                         for host in ("localhost", "evil.example")])


def test_unix_socket(both):
    both.compare([], [("/version",), ("/version", {"Host": "evil.example"})], unix=True)
    both.compare(["--disable-filter"], [("/version", {"Host": "evil.example"})], unix=True)  # the socket of the last one is replaced


@pytest.mark.parametrize("words", [["--unix-socket=/x", "--port=1"], ["--unix-socket={folder}/www/a.txt"], ["--port={taken}"],
                                   ["--keepalive=x"], ["--port=x"]])
def test_refused(both, words):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [word.format(folder=both.folder, taken=taken.getsockname()[1]) for word in words]
        runs = [subprocess.run([program, "proxy", *words], env=both.environment, capture_output=True, text=True, timeout=30)
                for program in both.programs.values()]
    texts = [f"{run.returncode}\n{run.stdout}{run.stderr}".replace("'fks ", "'kubectl ") for run in runs]
    assert texts[0] == texts[1]


def connections_of(pid):
    """The TCP sockets of another process, as sockets of this one: what is set on them can be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            descriptor = libc.syscall(PIDFD_GETFD, process, int(name), 0)
            assert descriptor >= 0, os.strerror(ctypes.get_errno())
            with socket.socket(fileno=descriptor) as found:
                if found.family in (socket.AF_INET, socket.AF_INET6) and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield found
    finally:
        os.close(process)


def test_keepalive_reaches_the_sockets(both):
    """--keepalive is TCP's: it is set on the connection to the API server."""
    running = Running(both.programs["fks"], both.environment, ["--port=0", "--keepalive=3s"])
    try:
        assert running.ask("/version")[0] == 200
        idle = [connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) for connection in connections_of(running.child.pid)
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        assert 3 in idle, idle
    finally:
        running.end()


def test_append_server_path(both, plane):
    """A server behind a path: requests carry it only when asked to."""
    import json
    config = json.loads(plane.kubeconfig("admin").read_text())
    config["clusters"][0]["cluster"]["server"] += "/api"
    path = both.folder / "with-path"
    path.write_text(json.dumps(config))
    for words, question in (([], "/api/v1/namespaces/default"), (["--append-server-path"], "/v1/namespaces/default")):
        answers = []
        for program in both.programs.values():
            running = Running(program, {**both.environment, "KUBECONFIG": str(path)}, ["--port=0", *words])
            try:
                answers.append(running.ask(question))
            finally:
                err = running.end()
            assert ("use --append-server-path to automatically append the path" in err) == (not words), err
        assert answers[0] == answers[1] and answers[0][0] == 200
