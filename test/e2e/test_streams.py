"""exec, attach and port-forward through the agent: much data each way, many sessions at a time, the end of either side.

    FKS_TEST_STREAM_MIB=1024 FKS_TEST_STREAM_SESSIONS=200 pytest -s test/e2e/test_streams.py       tells MB/s and memory
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import container, eventually, kill_hard, pod

SIZE_MIB = int(os.environ.get("FKS_TEST_STREAM_MIB", "64"))
SESSIONS = int(os.environ.get("FKS_TEST_STREAM_SESSIONS", "50"))
KILLED = 10  # sessions whose clients are killed
LIMIT = 60 + SIZE_MIB  # seconds for one way
WIDE = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
# a MiB over and over: both ends know what the whole must be, and nobody stores it
BLOCK = bytes(range(256)) * 4096
SETUP = f"""
i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %o $i)"; i=$((i+1)); done > /block
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat /block /block > /twice; mv /twice /block; done
cat > /bin/much <<X
#!/bin/sh
i=0; while [ \\$i -lt {SIZE_MIB} ]; do cat /block; i=\\$((i+1)); done
X
cat > /bin/sum <<X
#!/bin/sh
head -c $(({SIZE_MIB} << 20)) | sha256sum
X
printf '#!/bin/sh\nhead -c 33554432 /dev/zero & head -c 16777216 | sha256sum; wait\n' > /bin/apart
chmod 755 /bin/much /bin/sum /bin/apart
nc -ll -p 9003 -e /bin/apart & nc -ll -p 9000 -e /bin/sum & nc -ll -p 9001 -e /bin/much & nc -ll -p 9002 -e /bin/cat &
touch /ready
"""

pytestmark = pytest.mark.deadline(240 + 8 * SIZE_MIB)


def tell(what, seconds, mib=SIZE_MIB):
    print(f"{what}: {mib} MiB in {seconds:.1f} s, {mib * 1.048576 / seconds:.0f} MB/s", file=sys.stderr)


@pytest.fixture(scope="module")
def expected():
    digest = hashlib.sha256()
    for _ in range(SIZE_MIB):
        digest.update(BLOCK)
    return digest.hexdigest()


def wide(name, script, **fields):
    return pod(name, containers=[{**container(script, readinessProbe={"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1},
                                              **fields), "resources": WIDE}], restartPolicy="Never")


@pytest.fixture(scope="module")
def streams(cluster):
    cluster.fks.apply(wide("streams", SETUP + "while [ ! -e /end ]; do sleep 1; done"))
    cluster.ready("default", 1, "app=streams")
    yield "streams"
    cluster.fks.ok("delete", "pod", "streams", "--ignore-not-found", "--grace-period=1")


@contextlib.contextmanager
def process(cluster, *words):
    child = subprocess.Popen([cluster.kubectl.program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=cluster.kubectl.env, cwd="/")
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for file in (child.stdin, child.stdout, child.stderr):
            with contextlib.suppress(OSError):
                file.close()


def ended(child):
    """What a client has to say that did not do its work."""
    child.kill()
    return f"exit code {child.wait()}: {child.stderr.read().decode(errors='replace')}"


def sum_of(read, enough=None):
    """Digest of what read(size) gives, up to its end, or to so many bytes."""
    digest, length = hashlib.sha256(), 0
    while enough is None or length < enough:
        data = read(1 << 20)
        if not data:
            break
        digest.update(data)
        length += len(data)
    return length, digest.hexdigest()


def send_all(write):
    for _ in range(SIZE_MIB):
        write(BLOCK)


# --- the agent

def agent_memory_kib(cluster):
    text = Path(f"/proc/{cluster.pid('host-1-fks-node')}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+)", text, re.M).group(1))


def agent_sockets(cluster):
    folder = Path(f"/proc/{cluster.pid('host-1-fks-node')}/fd")
    found = 0
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(entry).startswith("socket:")
    return found


# --- much, each way

def test_exec_out(cluster, streams, expected):
    started = time.monotonic()
    with process(cluster, "exec", streams, "--", "much") as child:
        length, seen = sum_of(child.stdout.read1)
        assert child.wait(LIMIT) == 0, ended(child)
    assert (length, seen) == (SIZE_MIB << 20, expected)
    tell("exec, out", time.monotonic() - started)


def test_exec_in(cluster, streams, expected):
    started = time.monotonic()
    with process(cluster, "exec", "-i", streams, "--", "sha256sum") as child:
        send_all(child.stdin.write)
        child.stdin.close()
        assert child.stdout.read().split()[0].decode() == expected
        assert child.wait(LIMIT) == 0, ended(child)
    tell("exec, in", time.monotonic() - started)


def test_exec_both_at_once(cluster, streams, expected):
    """What goes in comes out again; neither way may hold up the other."""
    started = time.monotonic()
    with process(cluster, "exec", "-i", streams, "--", "cat") as child:
        def feed():
            send_all(child.stdin.write)
            child.stdin.close()

        thread = threading.Thread(target=feed)
        thread.start()
        assert sum_of(child.stdout.read1) == (SIZE_MIB << 20, expected)
        thread.join()
        assert child.wait(LIMIT) == 0, ended(child)
    tell("exec, both ways at once", time.monotonic() - started, 2 * SIZE_MIB)


@contextlib.contextmanager
def forwarded(cluster, name, port, tool=None):
    """A function that connects to a port of the pod."""
    with (tool or cluster.kubectl).spawn("port-forward", f"pod/{name}", f":{port}") as forward:
        local = int(forward.expect(r"Forwarding from 127\.0\.0\.1:(\d+) ->").group(1))
        yield lambda: socket.create_connection(("127.0.0.1", local), timeout=LIMIT)


def test_port_forward_up(cluster, streams, expected):
    started = time.monotonic()
    with forwarded(cluster, streams, 9000) as connect, connect() as line:
        send_all(line.sendall)
        assert line.makefile("rb").read().split()[0].decode() == expected
    tell("port-forward, up", time.monotonic() - started)


def test_port_forward_each_way_by_itself(cluster, streams):
    """Nobody takes what the pod sends; what is sent to it gets there all the same."""
    block = BLOCK * 16
    for tool in (cluster.kubectl, cluster.fks):
        with forwarded(cluster, streams, 9003, tool) as connect, connect() as line:
            line.sendall(block)
            answer = line.makefile("rb").read().replace(b"\0", b"")
            assert answer.split()[0].decode() == hashlib.sha256(block).hexdigest()


def test_port_forward_down(cluster, streams, expected):
    started = time.monotonic()
    with forwarded(cluster, streams, 9001) as connect, connect() as line:
        assert sum_of(line.recv) == (SIZE_MIB << 20, expected)
    tell("port-forward, down", time.monotonic() - started)


def test_attach_in(cluster, expected):
    cluster.fks.apply(wide("attached", "touch /ready; sha256sum; sleep 3600", stdin=True, stdinOnce=True))
    try:
        cluster.ready("default", 1, "app=attached")
        started = time.monotonic()
        with process(cluster, "attach", "-i", "attached") as child:
            send_all(child.stdin.write)
            child.stdin.close()
            line = b""
            while b"\n" not in line and select.select([child.stdout], [], [], LIMIT)[0]:
                data = child.stdout.read1()
                if not data:
                    break
                line += data
        # attaching again at the end may come too late for the line; the log has it anyway
        seen = line.split()[0].decode() if line.strip() else ""
        assert seen == expected or expected in eventually(lambda: cluster.fks.ok("logs", "attached"), 30)
        tell("attach, in", time.monotonic() - started)
    finally:
        cluster.fks.ok("delete", "pod", "attached", "--grace-period=1")


def test_attach_out(cluster, expected):
    """The runtime writes it all into the log too."""
    cluster.fks.apply(wide("attached", SETUP + "read go; much; read enough", stdin=True))
    try:
        cluster.ready("default", 1, "app=attached")
        started = time.monotonic()
        with process(cluster, "attach", "-i", "attached") as child:
            child.stdin.write(b"go\n")
            child.stdin.flush()
            assert sum_of(child.stdout.read1, SIZE_MIB << 20) == (SIZE_MIB << 20, expected), ended(child)
        tell("attach, out", time.monotonic() - started)
    finally:
        cluster.fks.ok("delete", "pod", "attached", "--grace-period=1")


# --- many at a time

@pytest.fixture(scope="module")
def dial(cluster, tmp_path_factory):
    """A function that opens a TLS connection to the API server as the administrator."""
    config = json.loads(cluster.kubectl.ok("config", "view", "--raw", "--minify", "-o", "json"))
    where, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    folder = tmp_path_factory.mktemp("user")
    for name in ("client-certificate-data", "client-key-data"):
        (folder / name).write_bytes(base64.b64decode(user[name]))
    context = ssl.create_default_context(cadata=base64.b64decode(where["certificate-authority-data"]).decode())
    context.load_cert_chain(folder / "client-certificate-data", folder / "client-key-data")
    host, port = re.match(r"https://(.+):(\d+)", where["server"]).groups()
    return lambda: context.wrap_socket(socket.create_connection((host, int(port)), timeout=300), server_hostname=host)


class Session:
    """exec -i as clients speak it today: WebSocket, v5.channel.k8s.io, a byte for the stream in front of each message."""

    STDIN, STDOUT, STATUS, CLOSE = 0, 1, 3, 255

    def __init__(self, line, name, command):
        self.line = line
        self.line.sendall(f"GET /api/v1/namespaces/default/pods/{name}/exec?command={command}&stdin=true&stdout=true HTTP/1.1\r\n"
                          "Host: kubernetes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n".encode())
        self.file = line.makefile("rb")
        status = self.file.readline()
        assert b" 101 " in status, status
        while self.file.readline().strip():
            pass

    def send(self, channel, data):
        assert len(data) < 125
        self.line.sendall(bytes([0x82, 0x80 | (len(data) + 1), 0, 0, 0, 0, channel]) + data)  # masked with zeros

    def receive(self):
        """(stream, data) of the next message that is not empty."""
        while True:
            head = self.file.read(2)
            assert len(head) == 2 and head[0] == 0x82, head
            length = head[1]
            if length == 126:
                length = int.from_bytes(self.file.read(2), "big")
            data = self.file.read(length)
            if len(data) > 1:
                return data[0], data[1:]

    def close(self):
        self.line.close()


def in_threads(work, items, threads=8):
    """[work(item)] of all items, several at a time."""
    items, results, failures = list(items), {}, []

    def run(first):
        try:
            for at in range(first, len(items), threads):
                results[at] = work(items[at])
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    [thread.start() for thread in running]
    [thread.join() for thread in running]
    assert not failures, failures[0]
    return [results[at] for at in range(len(items))]


def test_sessions_at_a_time(cluster, streams, dial):
    """All of them are open together, each has its own answer, and what they took is given back."""
    before, sockets = agent_memory_kib(cluster), agent_sockets(cluster)
    sessions = in_threads(lambda number: Session(dial(), streams, "cat"), range(SESSIONS))
    try:
        def talk(number):
            sessions[number].send(Session.STDIN, b"%d\n" % number)
            assert sessions[number].receive() == (Session.STDOUT, b"%d\n" % number)

        in_threads(talk, range(SESSIONS))
        assert agent_sockets(cluster) >= 2 * SESSIONS  # to the API server and to the runtime; what was open before may be closed by now
        print(f"the agent: {before} KiB, with {SESSIONS} sessions {agent_memory_kib(cluster)} KiB", file=sys.stderr)

        def end(session):
            session.send(Session.CLOSE, bytes([Session.STDIN]))
            stream, status = session.receive()
            assert stream == Session.STATUS and json.loads(status)["status"] == "Success"

        in_threads(end, sessions)
    finally:
        [session.close() for session in sessions]
    eventually(lambda: agent_sockets(cluster) <= sockets + 20, 60, "the agent's connections are closed")


def test_connections_of_one_port_forward(cluster, streams):
    with forwarded(cluster, streams, 9002) as connect:
        lines = in_threads(lambda number: connect(), range(SESSIONS))
        try:
            def talk(number):
                lines[number].sendall(b"%d\n" % number)
                assert lines[number].makefile("rb").readline() == b"%d\n" % number

            in_threads(talk, range(SESSIONS))
        finally:
            [line.close() for line in lines]


# --- the end of either side

def talking(cluster, child):
    """An exec session that is through to the container."""
    child.stdin.write(b"hello\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"hello\n"


def test_clients_killed(cluster, streams):
    sockets = agent_sockets(cluster)
    count = "ps | grep -c '[c]at -u'"
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(process(cluster, "exec", "-i", streams, "--", "cat", "-u")) for _ in range(KILLED)]
        for child in children:
            talking(cluster, child)
        assert int(cluster.fks.run("exec", streams, "--", "sh", "-c", count).out) == KILLED
        started = time.monotonic()
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()
    # the containers' processes see the end of their input
    eventually(lambda: cluster.fks.run("exec", streams, "--", "sh", "-c", count).out == "0\n", 30)
    # two for each session; the agent's own connections to the API server come and go
    eventually(lambda: agent_sockets(cluster) <= sockets + KILLED, 30, "the agent's connections are closed")
    print(f"clients killed: all closed after {time.monotonic() - started:.1f} s", file=sys.stderr)


def test_container_ends(cluster):
    cluster.fks.apply(wide("brief", SETUP + "while [ ! -e /end ]; do sleep 0.2; done", ))
    try:
        cluster.ready("default", 1, "app=brief")
        with process(cluster, "exec", "-i", "brief", "--", "cat") as child, forwarded(cluster, "brief", 9002) as connect, connect() as line:
            talking(cluster, child)
            line.sendall(b"hello\n")
            assert line.recv(6) == b"hello\n"
            started = time.monotonic()
            cluster.fks.ok("exec", "brief", "--", "touch", "/end")
            assert child.wait(60) != 0
            with contextlib.suppress(ConnectionError):
                assert line.recv(1) == b""
            print(f"container ended: both clients told after {time.monotonic() - started:.1f} s", file=sys.stderr)
    finally:
        cluster.fks.ok("delete", "pod", "brief", "--grace-period=1")


def test_agent_killed(cluster, streams):
    with process(cluster, "exec", "-i", streams, "--", "cat") as child:
        talking(cluster, child)
        started = time.monotonic()
        kill_hard(cluster.pid("host-1-fks-node"))
        child.wait(60)  # kubectl says 0 when a session ends without a status
        print(f"agent killed: the client told after {time.monotonic() - started:.1f} s", file=sys.stderr)
    eventually(lambda: cluster.fks.run("exec", streams, "--", "echo", "again").out == "again\n", 60, "exec works again")
