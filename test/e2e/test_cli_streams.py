"""What flows between a terminal and a container: exec, attach, logs, cp, port-forward; beside the real kubectl where it can be."""

import difflib
import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
import urllib.request

import pytest

from harness import IMAGE, ROOT, SMALL, Beside, Tool, deployment, eventually, pod

LINES = [line.strip() for line in (ROOT / "test/cases/kubectl_streams.txt").read_text().splitlines()
         if line.strip() and not line.startswith("#")]
TALK = "echo one-out; echo one-err >&2; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exec sleep 100000"


def box(name, command, **fields):
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", command], **fields}


@pytest.fixture(scope="module")
def pods(cluster):
    """The pods that the lines name. Each container is small: a machine of two cores holds them all."""
    web = deployment("web", 1)
    services = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
         "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": 80},
                                                        {"name": "dns", "port": 53, "protocol": "UDP"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "none"}, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "waits"},
         "spec": {"selector": {"app": "waits"}, "ports": [{"port": 80}]}}]
    made = [
        pod("two", containers=[box("one", TALK, resources=SMALL), box("two", "echo two-out; exec sleep 100000")],
            initContainers=[box("init", "echo from init")]),
        pod("ended", containers=[box("c", "echo bye; exit 3", resources=SMALL)], restartPolicy="Never"),
        pod("shell", containers=[box("c", "exec sh", stdin=True, tty=True, resources=SMALL)]),
        web, deployment("waits", 0), *services]
    cluster.fks.apply(*made)
    for words in (["--for=condition=Ready", "pod/two", "pod/shell"], ["--for=condition=Available", "deployment/web"],
                  ["--for=jsonpath={.status.phase}=Failed", "pod/ended"]):
        cluster.kubectl.ok("wait", "--timeout=90s", *words)
    eventually(lambda: "line 12" in cluster.kubectl.ok("logs", "two", "-c", "one"), 30, "the pod has said its lines")
    yield cluster
    cluster.kubectl.ok("delete", "--now", "--wait=false", "pod/two", "pod/ended", "pod/shell", "deployment/web",
                       "deployment/waits", "service/web", "service/none", "service/waits")
    cluster.ready("default", 0)
    cluster.settled()


@pytest.fixture(scope="module")
def tools(pods, tmp_path_factory):
    """kubectl, and fks under that name."""
    folder = tmp_path_factory.mktemp("tools")
    env = {**pods.home.env, "TZ": "UTC"}
    found = {}
    for name, program in (("kubectl", pods.kubectl.program), ("fks", pods.fks.program)):
        (folder / name).mkdir()
        (folder / name / "kubectl").symlink_to(program)
        found[name] = Tool(folder / name / "kubectl", env)
    return found


def said(result):
    text = f"exit code {result.code}\n--- stdout\n{result.out}--- stderr\n{result.err}"
    return re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{63}\b", "ID", text)


@pytest.mark.parametrize("line", LINES)
def test_same_answer(tools, line):
    want, got = (said(tools[name].run(*shlex.split(line))) for name in ("kubectl", "fks"))
    assert want == got, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm=""))


# --- exec

def test_exec_standard_input(tools):
    for tool in tools.values():
        assert tool.ok("exec", "-i", "two", "-c", "one", "--", "cat", stdin="hello\n") == "hello\n"
        assert tool.ok("exec", "-i", "two", "-c", "one", "--", "wc", "-c", stdin="x" * 300000).strip() == "300000"
        assert tool.ok("exec", "two", "-c", "one", "--", "cat", stdin="not passed on") == ""


def test_exec_with_standard_input_closed(pods):
    """A descriptor that the caller has closed is not confused with a file of ours."""
    result = Tool("/bin/sh", pods.home.env).run("-c", f"exec {pods.fks.program} exec -i two -c one -- cat <&-", seconds=30)
    assert (result.code, result.out) == (0, ""), result


def resize(beside, rows, columns):
    fcntl.ioctl(beside.output, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    beside.signal(signal.SIGWINCH)


def test_exec_terminal_session(pods):
    """A terminal's size goes in and follows; Ctrl-C and Ctrl-D reach the program inside; afterwards the terminal is as it was."""
    with pods.fks.spawn("exec", "-it", "two", "-c", "one", "--", "sh", terminal=True) as session:
        resize(session, 33, 101)
        session.expect(r"[#$] ")
        assert termios.tcgetattr(session.output)[3] & termios.ICANON == 0, "the terminal is raw meanwhile"

        def has_size(rows, columns):
            session.type("stty size\n")
            return session.expect(rf"\b{rows} {columns}\b", 2, at_least=0)  # else it is asked again

        eventually(lambda: has_size(33, 101), 20)
        resize(session, 41, 87)
        eventually(lambda: has_size(41, 87), 20)
        session.type("sleep 1000\n")
        session.expect("sleep 1000")
        time.sleep(0.3)  # so that it is the sleep that is interrupted
        session.type("\x03")
        session.type("echo st''ill there; (exit 7)\n")
        session.expect("still there")
        session.type("\x04")
        assert session.wait(20) == 7
        session.expect("command terminated with exit code 7")
        assert termios.tcgetattr(session.output) == session.terminal_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_exec_killed_gives_the_terminal_back(pods, number):
    with pods.fks.spawn("exec", "-it", "two", "-c", "one", "--", "sh", terminal=True) as session:
        session.expect(r"[#$] ")
        os.kill(session.child.pid, number)
        assert session.wait(20) == -number
        assert termios.tcgetattr(session.output) == session.terminal_before


def test_exec_killed_while_nobody_reads_what_it_prints(pods):
    """A pager that was stopped, say: the terminal's session hears the signal although its output goes nowhere."""
    controller, terminal = pty.openpty()
    words = [pods.fks.program, "exec", "-it", "two", "-c", "one", "--", "sh", "-c", "while :; do echo 0123456789; done"]
    child = subprocess.Popen(words, env=pods.home.env, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    sizes = [0]

    def is_stuck():
        sizes.append(struct.unpack("i", fcntl.ioctl(child.stdout, termios.FIONREAD, b"\0" * 4))[0])
        return sizes[-1] > 4096 and len(sizes) > 3 and len(set(sizes[-3:])) == 1

    try:
        eventually(is_stuck, 120)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.close(controller)
        os.close(terminal)


def test_exec_under_nohup_outlives_a_hangup(pods):
    ignoring = "signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    words = [sys.executable, "-c", f"import os, signal, sys; {ignoring}", pods.fks.program, "exec", "-it", "two", "-c", "one", "--", "sh"]
    with Beside(words, pods.home.env, terminal=True) as session:
        session.expect(r"[#$] ")
        os.kill(session.child.pid, signal.SIGHUP)
        session.type("exit 5\n")
        assert session.wait() == 5


# --- attach

def test_attach_terminal_and_detach(pods):
    with pods.fks.spawn("attach", "-it", "shell", terminal=True) as session:
        session.expect("If you don't see a command prompt, try pressing enter.")
        session.type("echo he''re\n")
        session.expect("here")
        session.type("\x10\x11")
        assert session.wait(20) == 0
        session.expect("Session ended, resume using 'fks attach shell -c c -n default -i -t' command")
    with pods.fks.spawn("attach", "-it", "shell", "--detach-keys=x", terminal=True) as session:
        session.type("echo ag''ain\n")
        session.expect("again")  # the shell goes on running
        session.type("x")
        assert session.wait(20) == 0


def test_attach_without_a_terminal_inside(tools):
    for tool in tools.values():
        with tool.spawn("attach", "two", "-c", "two", "-it", terminal=True) as session:
            session.expect("error: Unable to use a TTY - container two did not allocate one")
            session.signal(signal.SIGINT)
            session.wait(20)


# --- logs

def test_logs_follow(pods, tools):
    for name, tool in tools.items():
        with tool.spawn("logs", "-f", "two", "-c", "two", "--tail=0") as follow:
            def heard(name=name, follow=follow):
                pods.kubectl.ok("exec", "two", "-c", "two", "--", "sh", "-c", f"echo to {name} > /proc/1/fd/1")
                return f"to {name}" in follow.read()

            eventually(heard, 30)
            follow.signal(signal.SIGINT)
            assert follow.wait(60) != 0


def test_logs_of_all_containers(tools):
    """kubectl's order of the containers is random, each one's lines are not."""
    for words in (["logs", "two", "--all-containers", "--prefix"], ["logs", "-l", "app=two", "--all-containers", "--tail=2"]):
        want, got = (sorted(tools[name].ok(*words).splitlines()) for name in ("kubectl", "fks"))
        assert want == got
    ours = tools["fks"].ok("logs", "two", "--all-containers", "--prefix").splitlines()
    assert ours[0] == "[pod/two/init] from init" and "[pod/two/two] two-out" in ours


def test_logs_follow_several(pods):
    with pods.fks.spawn("logs", "-f", "-l", "app=two", "--all-containers", "--prefix", "--max-log-requests=5") as follow:
        for line in (r"\[pod/two/init\] from init", r"\[pod/two/one\] line 12", r"\[pod/two/two\] two-out"):
            follow.expect(line)


# --- cp

@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copied") / "s"
    (folder / "d/empty").mkdir(parents=True)
    (folder / "a").write_text("one\n")
    (folder / "a").chmod(0o751)
    (folder / "l").symlink_to("a")
    (folder / "d/b").write_bytes(bytes(range(256)) * 700)
    (folder / "with space").write_text("")
    return folder


def listing(pods, path):
    script = f"cd {path} && find . | sort && ls -l a && readlink l && md5sum d/b"
    text = pods.kubectl.ok("exec", "two", "-c", "one", "--", "sh", "-c", script)
    return re.sub(r"(\w+ +\d+ \w+ +\w+ +\d+) .*? a$", r"\1 a", text, flags=re.M)


def inside(pods, script):
    return pods.kubectl.ok("exec", "two", "-c", "one", "--", "sh", "-c", script)


def test_cp_to_a_container(pods, tools, tree):
    seen = []
    for name, tool in tools.items():
        inside(pods, "rm -rf /tmp/new /tmp/there; mkdir /tmp/there")
        for words in ([f"{tree}", "two:/tmp/new"], [f"{tree}/", "default/two:/tmp/there"], [f"{tree}/a", "two:/tmp/there"],
                      [f"{tree}/a", "two:/tmp/there/b", "--no-preserve"]):
            result = tool.run("cp", *words, "-c", "one")
            assert (result.code, result.out, result.err) == (0, "", ""), result
        seen.append(listing(pods, "/tmp/new") + listing(pods, "/tmp/there/s") + inside(pods, "ls /tmp/there; cat /tmp/there/b"))
        missing = tool.run("cp", tree / "a", "two:/nonexistent/dir/a", "-c", "one")
        assert missing.code == 1 and "command terminated with exit code 1" in missing.err
    assert seen[0] == seen[1]


def here(folder):
    """Names, types and contents below a folder."""
    return sorted((path.relative_to(folder).as_posix(), "d" if path.is_dir() else path.read_bytes())
                  for path in folder.rglob("*") if not path.is_symlink())


def test_cp_from_a_container(pods, tools, tmp_path):
    inside(pods, "rm -rf /tmp/t; mkdir -p /tmp/t/d/empty; echo a > /tmp/t/a; ln -s /etc/passwd /tmp/t/abs; ln -s ../../etc /tmp/t/up;"
                 " touch '/tmp/t/with space' '/tmp/t/q\"uote'; head -c 200000 /dev/urandom > /tmp/t/d/big; chmod 4755 /tmp/t/a")
    found = {}
    for name, tool in tools.items():
        (tmp_path / name).mkdir()
        target = tmp_path / name / "x"
        result = tool.run("cp", "two:/tmp/t", target, "-c", "one")
        assert result.code == 0, result
        links = sorted(line.replace(f"/{name}/x", "") for line in result.err.splitlines() if "symlink" in line)
        for source in ("two:tmp/t/a", "two:../../../tmp/t/a", "two:/tmp/t/d/"):
            one = tool.run("cp", source, tmp_path / name / re.sub(r"\W", "_", source), "-c", "one")
            assert one.code == 0, one
        found[name] = here(tmp_path / name), [re.sub(r" \(consider.*", "", link) for link in links]
        assert any(f'(consider using "kubectl exec -n "" "two" -- tar cf - "/tmp/t" | tar xf -")' in link for link in links)
        assert (target / "a").stat().st_mode & 0o7777 == 0o644
    assert found["kubectl"] == found["fks"]
    assert [entry for entry in found["fks"][0] if entry[0] == "x/with space"] == [("x/with space", b"")]


def test_cp_second_names_of_a_file(pods, tmp_path):
    """A hard link of the archive becomes a file with the same content; kubectl makes it an empty one."""
    inside(pods, "rm -rf /tmp/h; mkdir /tmp/h; echo same > /tmp/h/first; ln /tmp/h/first /tmp/h/second")
    assert pods.fks.run("cp", "two:/tmp/h", tmp_path / "h", "-c", "one").code == 0
    assert here(tmp_path / "h") == [("first", b"same\n"), ("second", b"same\n")]


def hostile_archive():
    """What a container could send instead of the folder x."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        def add(name, kind=tarfile.REGTYPE, link="", content=b"evil\n"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(content))

        add("x/good", content=b"good\n")
        add("x/../../escaped")
        add("x/sub/../../../escaped")
        add("x/link", tarfile.SYMTYPE, "..")
        add("x/link/escaped")
        add("x/hard", tarfile.LNKTYPE, "../../outside")
        add("x/hard2", tarfile.LNKTYPE, "/etc/hostname")
        add("x/dev", tarfile.CHRTYPE)
        add("x" + "/../" * 200 + "escaped")
    return stream.getvalue()


def test_cp_of_a_hostile_archive(pods, tmp_path):
    """Nothing is written outside of the target, no link is made, and the rest is copied."""
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    (tmp_path / "deep").mkdir()
    script = "mkdir -p /tmp/evil; cat > /tmp/evil/archive; printf '#!/bin/sh\\nexec cat /tmp/evil/archive\\n' > /tmp/evil/tar; chmod +x /tmp/evil/tar"
    tool = Tool("/bin/sh", {**pods.home.env, "A": str(tmp_path / "archive")})
    (tmp_path / "archive").write_bytes(hostile_archive())
    tool.ok("-c", f'exec {pods.kubectl.program} exec -i two -c one -- sh -c "{script}" < "$A"'.replace("$A", str(tmp_path / "archive")))
    assert int(inside(pods, "wc -c < /tmp/evil/archive")) > 1000
    # a container whose tar is that one
    inside(pods, "cp /bin/busybox /tmp/busybox 2>/dev/null; mv /bin/tar /bin/tar.real 2>/dev/null; cp /tmp/evil/tar /bin/tar")
    try:
        result = pods.fks.run("cp", "two:x", tmp_path / "deep/x", "-c", "one")
    finally:
        inside(pods, "rm -f /bin/tar; mv /bin/tar.real /bin/tar 2>/dev/null || ln -s busybox /bin/tar")
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert "deep/x/good" in made, (made, result)
    assert not [name for name in made if "escaped" in name and name != "deep/x/link/escaped"], made
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert outside.read_text() == "mine\n"
    assert not os.path.exists(tmp_path.parent / "escaped")
    assert 'warning: skipping symlink: ' in result.err and "is outside target destination, skipping" in result.err
    assert (tmp_path / "deep/x/good").read_text() == "good\n"


class Wire:
    """A TCP forwarder that can cut what it carries after a number of bytes."""

    def __init__(self, target):
        self.target, self.cut_after, self.cuts = target, None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self.target)
            threading.Thread(target=self.carry, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, True), daemon=True).start()

    def carry(self, source, sink, counted):
        moved = 0
        try:
            while data := source.recv(16384):
                moved += len(data)
                if counted and self.cut_after is not None and moved > self.cut_after:
                    self.cut_after = None
                    self.cuts += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_cp_goes_on_after_a_cut(pods, tmp_path):
    """--retries takes a copy up again where the connection broke off."""
    inside(pods, "rm -f /tmp/big; head -c 3000000 /dev/urandom > /tmp/big")
    config = json.loads(pods.kubectl.ok("config", "view", "--raw", "--minify", "-o", "json"))
    host, port = re.match(r"https://(.*):(\d+)", config["clusters"][0]["cluster"]["server"]).groups()
    wire = Wire((host, int(port)))
    config["clusters"][0]["cluster"].update(server=f"https://127.0.0.1:{wire.port}", **{"tls-server-name": "kubernetes"})
    (tmp_path / "config").write_text(json.dumps(config))
    words = ["cp", "two:/tmp/big", tmp_path / "big", "-c", "one", "--kubeconfig", tmp_path / "config"]
    wire.cut_after = 700000
    broken = pods.fks.run(*words)
    assert broken.code == 1 and wire.cuts == 1, broken
    wire.cut_after = 700000
    result = pods.fks.run(*words, "--retries=2")
    assert result.code == 0 and wire.cuts == 2, result
    assert re.search(r"Resuming copy at \d+ bytes, retry 1/2\n", result.out), result
    want = inside(pods, "md5sum < /tmp/big").split()[0]
    import hashlib
    assert hashlib.md5((tmp_path / "big").read_bytes()).hexdigest() == want
    wire.listener.close()


# --- port-forward

def page(port, host="127.0.0.1"):
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=60) as answer:
        return answer.read().decode()


def forwarded(forward, remote, host=r"127\.0\.0\.1"):
    return int(forward.expect(rf"Forwarding from {host}:(\d+) -> {remote}").group(1))


def test_port_forward_by_name(tools):
    for tool in tools.values():
        for words in (["deploy/web", ":80"], ["svc/web", ":http"], ["svc/web", ":8080"]):
            with tool.spawn("port-forward", *words) as forward:
                assert "FKS" in page(forwarded(forward, 80))
                forward.expect("Handling connection for")
                forward.signal(signal.SIGINT)
                assert forward.wait(60) == 0


def test_port_forward_several_and_loss(tools):
    """Several ports at once; a port where nobody listens ends the session, as kubectl's."""
    for tool in tools.values():
        with tool.spawn("port-forward", "deploy/web", ":80", ":81", "--address", "127.0.0.2,localhost") as forward:
            first, second = forwarded(forward, 80), forwarded(forward, 81)
            forwarded(forward, 80, r"127\.0\.0\.2")
            assert "FKS" in page(first) and "FKS" in page(first, "127.0.0.2")
            with pytest.raises(OSError):
                page(second)
            forward.expect("an error occurred forwarding .* -> 81")
            assert forward.wait(60) == 1
            forward.expect("error: lost connection to pod")


def test_port_forward_of_a_taken_port(tools):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        texts = []
        for tool in tools.values():
            result = tool.run("port-forward", "deploy/web", f"{port}:80", "--address", "127.0.0.1", seconds=30)
            assert result.code == 1
            texts.append(result.out + result.err)
    assert texts[0] == texts[1] and "address already in use" in texts[0]


# --- proxy

def served(proxy):
    return "-s", f"http://127.0.0.1:{proxy.expect(r'Starting to serve on 127.0.0.1:([0-9]+)').group(1)}"


def test_streams_through_a_proxy(tools):
    """What either program streams, through the proxy of either program; only when it is told to let it through."""
    for program in tools.values():
        with program.spawn("proxy", "--port=0", "--reject-paths=^$") as proxy:
            there = served(proxy)
            for tool in tools.values():
                assert tool.ok(*there, "exec", "-i", "two", "-c", "one", "--", "wc", "-c", stdin="x" * 300000).strip() == "300000"
                assert tool.run(*there, "exec", "two", "-c", "one", "--", "sh", "-c", "exit 7").code == 7
                assert "line 12" in tool.ok(*there, "logs", "two", "-c", "one")
                with tool.spawn(*there, "port-forward", "deploy/web", ":80") as forward:
                    assert "FKS" in page(forwarded(forward, 80))
    refusals = []
    for program in tools.values():
        with program.spawn("proxy", "--port=0") as proxy:
            refusals += [tool.run(*served(proxy), "exec", "two", "-c", "one", "--", "ls").code for tool in tools.values()]
    assert refusals == [1, 1, 1, 1]


def test_port_forward_waits_for_a_pod(pods):
    """--pod-running-timeout: the first pod that comes is taken, though it does not run yet."""
    with pods.fks.spawn("exec", "deploy/waits", "--pod-running-timeout=60s", "--", "true") as waiting:
        time.sleep(0.5)
        assert waiting.child.poll() is None, waiting.read()
        pods.kubectl.ok("scale", "deploy/waits", "--replicas=1")
        waiting.wait(60)
        assert "timed out" not in waiting.read()
    pods.kubectl.ok("scale", "deploy/waits", "--replicas=0")
