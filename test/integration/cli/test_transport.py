"""The way to the API server: proxies, certificates, who we are, and what -v shows; beside kubectl where it can be."""

import base64
import contextlib
import difflib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import cluster as control
from proxies import Proxy


class Ways:
    """Both programs with a kubeconfig made for one question."""

    def __init__(self, plane, fks, folder):
        self.plane, self.folder = plane, folder
        self.base = json.loads(Path(plane.kubeconfig("admin")).read_text())
        self.programs = {}
        for name, program in (("kubectl", plane.programs / "kubectl"), ("fks", fks)):
            (folder / name).mkdir()
            (folder / name / "kubectl").symlink_to(program)
            self.programs[name] = folder / name / "kubectl"
        self.address = re.match(r"https://(.*)", self.base["clusters"][0]["cluster"]["server"]).group(1)

    def config(self, cluster=(), user=None, drop=()):
        """Path of a kubeconfig: the admin's with changes."""
        config = json.loads(json.dumps(self.base))
        entry = config["clusters"][0]["cluster"]
        entry.update(dict(cluster))
        for key in drop:
            entry.pop(key, None)
        if user is not None:
            config["users"][0]["user"] = user
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def run(self, name, words, config=None, env=None):
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith("KUBE")}
        environment.update(HOME=str(self.folder / name), KUBECONFIG=str(config or self.config()), TZ="UTC", **(env or {}))
        return subprocess.run([self.programs[name], *words], env=environment, capture_output=True, text=True, timeout=60,
                              cwd=self.folder)

    def both(self, words, config=None, env=None, normal=lambda text: text):
        runs = {name: self.run(name, words, config, env) for name in ("kubectl", "fks")}
        texts = {name: normal(f"{run.returncode}\n{run.stdout}--- stderr\n{run.stderr}") for name, run in runs.items()}
        difference = "\n".join(difflib.unified_diff(texts["kubectl"].splitlines(), texts["fks"].splitlines(), "kubectl", "fks", lineterm=""))
        assert texts["kubectl"] == texts["fks"], f"{words}\n{difference}"
        return runs["fks"]


@pytest.fixture(scope="module")
def ways(plane, binary, tmp_path_factory):
    return Ways(plane, binary("fks"), tmp_path_factory.mktemp("ways"))


@contextlib.contextmanager
def proxy(ways, kind, user=None):
    certificate = None
    if kind == "https":
        ways.plane.pki.issue("proxy", "proxy", names="IP:127.0.0.1")
        certificate = (ways.plane.pki.path("proxy.crt"), ways.plane.pki.path("proxy.key"))
    running = Proxy(kind, user, certificate)
    try:
        yield running
    finally:
        running.close()


LIST = ["get", "namespace", "kube-system", "-o", "name"]
# a refusal by the API server is an answer that came through the proxy
STREAM = ["exec", "nosuchpod", "--", "ls"]


@pytest.mark.parametrize("user", [None, "me:se cret"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_proxy_url(ways, kind, user):
    """clusters[].cluster.proxy-url is used also for this machine, and with name and password."""
    with proxy(ways, kind, user) as running:
        typed = user.replace(" ", "%20") if user else None
        config = ways.config({"proxy-url": running.url(typed)})
        for name in ("kubectl", "fks"):
            before = len(running.asked)
            run = ways.run(name, LIST, config)
            assert (run.returncode, run.stdout) == (0, "namespace/kube-system\n"), run
            assert len(running.asked) > before and set(running.asked) == {ways.address}, (name, running.asked)
        if user:
            wrong = ways.run("fks", LIST, ways.config({"proxy-url": running.url("me:wrong")}))
            assert wrong.returncode == 1 and wrong.stderr.startswith("Unable to connect to the server: "), wrong


@pytest.fixture(scope="module")
def fake_pod(ways):
    """A pod that an API server believes to be running somewhere: its streams are refused by the API server."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "far"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "far", "namespace": "default"},
           "spec": {"nodeName": "far", "containers": [{"name": "c", "image": "x"}]}}
    path = ways.folder / "far.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [node, pod]}))
    control.until(lambda: ways.run("kubectl", ["apply", "-f", str(path)]).returncode == 0, 30, "the pod is there", pause=0.5)
    for what, status in (("node/far", {"addresses": node["status"]["addresses"], "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}),
                         ("pod/far", {"phase": "Running"})):
        run = ways.run("kubectl", ["patch", what, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})])
        assert run.returncode == 0, run
    yield "far"
    ways.run("kubectl", ["delete", "-f", str(path), "--force", "--grace-period=0"])


@pytest.mark.parametrize("user", [None, "me:secret"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_streams_through_a_proxy(ways, fake_pod, kind, user):
    """The WebSocket of exec goes through the proxy, too: what comes back is the API server's own refusal."""
    with proxy(ways, kind, user) as running:
        run = ways.run("fks", ["exec", fake_pod, "--", "ls"], ways.config({"proxy-url": running.url(user)}))
        assert run.returncode == 1 and "dial tcp 127.0.0.1:1: connect: connection refused" in run.stderr, run
        assert len(running.asked) >= 2, running.asked  # the pod, then the stream


def test_proxy_of_the_environment(ways):
    """HTTPS_PROXY and NO_PROXY are Go's: a server on this machine is never asked through a proxy, others unless excepted."""
    port = ways.address.rsplit(":", 1)[1]
    # an address that leads here and is not known as this machine's own
    def config():
        return ways.config({"server": f"https://0.0.0.0:{port}", "tls-server-name": "localhost"})

    with proxy(ways, "http") as running:
        through = ({"HTTPS_PROXY": running.url()}, {"https_proxy": f"127.0.0.1:{running.port}"},
                   {"HTTPS_PROXY": running.url(), "NO_PROXY": "10.0.0.0/8,0.0.0.0:1,example.com", "no_proxy": "*"})
        past = ({"HTTPS_PROXY": running.url(), "NO_PROXY": "0.0.0.0/8"}, {"HTTPS_PROXY": running.url(), "no_proxy": "*"},
                {"HTTP_PROXY": running.url()}, {"ALL_PROXY": running.url(), "all_proxy": running.url()})
        for tool in ("kubectl", "fks"):
            for env in (*through, *past):
                running.asked.clear()
                run = ways.run(tool, LIST, config(), env)
                assert (run.returncode, run.stdout) == (0, "namespace/kube-system\n"), (tool, env, run)
                assert set(running.asked) == ({f"0.0.0.0:{port}"} if env in through else set()), (tool, env, running.asked)
            run = ways.run(tool, LIST, ways.config(), {"HTTPS_PROXY": running.url()})
            assert (run.returncode, running.asked) == (0, []), run


def test_unusable_proxies(ways):
    for url in ("ftp://127.0.0.1:1", "127.0.0.1:1"):
        ways.both(LIST, ways.config({"proxy-url": url}))
    refused = ways.run("fks", LIST, ways.config({"proxy-url": f"http://127.0.0.1:{control.free_port()}"}))
    assert refused.returncode == 1 and "refused" in refused.stderr, refused


# --- certificates

def test_server_name_and_verification(ways):
    for change, drop, code in (({"tls-server-name": "kubernetes.default.svc"}, (), 0), ({"tls-server-name": "wrong"}, (), 1),
                               ({"insecure-skip-tls-verify": True}, ("certificate-authority", "certificate-authority-data"), 0),
                               ({}, ("certificate-authority", "certificate-authority-data"), 1)):
        config = ways.config(change, drop=drop)
        runs = {name: ways.run(name, LIST, config) for name in ("kubectl", "fks")}
        assert [run.returncode for run in runs.values()] == [code, code], (change, runs)
        if code:
            for run in runs.values():
                assert "Unable to connect to the server: " in run.stderr and "tls: failed to verify certificate: x509: certificate " in run.stderr, run
    ways.both([*LIST, "--insecure-skip-tls-verify", "--certificate-authority=/etc/hostname"])
    ways.both(LIST, ways.config({"insecure-skip-tls-verify": True}))


def text_of(entry, key):
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"]).decode()
    return Path(entry[key]).read_text()


def test_files_beside_the_kubeconfig(ways):
    """Names in a kubeconfig are relative to its folder, wherever the program is started."""
    folder = ways.folder / "deep/er"
    folder.mkdir(parents=True, exist_ok=True)
    cluster, user = ways.base["clusters"][0]["cluster"], ways.base["users"][0]["user"]
    (folder / "ca.pem").write_text(text_of(cluster, "certificate-authority"))
    for key in ("certificate", "key"):
        (folder / f"{key}.pem").write_text(text_of(user, f"client-{key}"))
    config = json.loads(json.dumps(ways.base))
    config["clusters"][0]["cluster"] = {"server": cluster["server"], "certificate-authority": "ca.pem"}
    config["users"][0]["user"] = {"client-certificate": "certificate.pem", "client-key": "./key.pem"}
    (folder / "config").write_text(json.dumps(config))
    assert ways.both(LIST, folder / "config").returncode == 0
    (folder / "key.pem").unlink()
    ways.both(LIST, folder / "config")


# --- who we are

@pytest.fixture(scope="module")
def token(ways):
    control.until(lambda: ways.run("kubectl", ["get", "serviceaccount", "default"]).returncode == 0, 30, "the service account")
    run = ways.run("kubectl", ["create", "token", "default"])
    assert run.returncode == 0, run
    return run.stdout.strip()


def test_tokens(ways, token):
    (ways.folder / "token").write_text(token + "\n")
    for user in ({"token": token}, {"tokenFile": "token"}, {"tokenFile": str(ways.folder / "token")}):
        run = ways.run("fks", ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"], ways.config(user=user))
        assert (run.returncode, run.stdout) == (0, "system:serviceaccount:default:default"), (user, run)
    for user in ({"token": "wrong"}, {"username": "a", "password": "b"}, {"tokenFile": "/nonexistent"}, {"token": "x", "username": "y"}):
        ways.both(LIST, ways.config(user=user))
    both = ways.config(user={"token": token, "tokenFile": "/nonexistent"})
    assert ways.run("fks", LIST, both).returncode == ways.run("kubectl", LIST, both).returncode


def test_exec_plugin_with_a_certificate(ways):
    """A credential plugin may give a certificate and key instead of a token."""
    user = ways.base["users"][0]["user"]
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
              "status": {"clientCertificateData": text_of(user, "client-certificate"), "clientKeyData": text_of(user, "client-key")}}
    (ways.folder / "answer.json").write_text(json.dumps(answer))
    plugin = {"apiVersion": answer["apiVersion"], "command": "cat", "args": [str(ways.folder / "answer.json")], "interactiveMode": "Never"}
    assert ways.both(LIST, ways.config(user={"exec": plugin})).returncode == 0
    answer["status"].pop("clientKeyData")
    (ways.folder / "answer.json").write_text(json.dumps(answer))
    assert ways.run("fks", LIST, ways.config(user={"exec": plugin})).returncode == 1


@pytest.mark.parametrize("words", [
    ["--as=someone"], ["--as=someone", "--as-group=a", "--as-group=b,c"], ["--as=someone", "--as-uid=u-1"],
    ["--as=someone", "--as-user-extra=k=v", "--as-user-extra=k=w", "--as-user-extra=sp ace/%=x"],
    ["--as=system:serviceaccount:default:default"], ["--as-group=a"], ["--as-uid=u"]])
def test_impersonation(ways, words):
    ways.both(["auth", "whoami", *words])


def test_impersonation_of_the_kubeconfig(ways):
    user = {**ways.base["users"][0]["user"], "as": "someone", "as-groups": ["g"], "as-uid": "7", "as-user-extra": {"k": ["v", "w"]}}
    ways.both(["auth", "whoami"], ways.config(user=user))
    ways.both(["get", "secrets"], ways.config(user=user))


# --- what -v shows

def test_verbose_lines_hide_secrets(ways, token):
    config = ways.config(user={"token": token})
    for level in ("6", "7", "8", "9", "10"):
        run = ways.run("fks", ["get", "--raw", "/version", f"-v={level}"], config)
        assert run.returncode == 0 and token not in run.stderr, run
        assert re.search(r'"Response".* status="200 OK".* milliseconds=\d+', run.stderr, re.DOTALL), run
        assert ("Authorization: Bearer <masked>" in run.stderr) == (level != "6"), run
    basic = ways.run("fks", ["get", "--raw", "/version", "-v=9"], ways.config(user={"username": "me", "password": "hidden"}))
    assert "hidden" not in basic.stderr and base64.b64encode(b"me:hidden").decode() not in basic.stderr
    assert "Authorization: Basic <masked>" in basic.stderr


def test_request_timeouts(ways):
    for value in ("x", "-1", "1x"):
        ways.both([*LIST, f"--request-timeout={value}"])
    assert ways.both([*LIST, "--request-timeout=30"]).returncode == 0
    assert ways.both([*LIST, "--disable-compression"]).returncode == 0
    assert ways.both([*LIST, "--match-server-version"]).returncode == 0


def test_few_libraries_are_loaded():
    """Each costs a tenth of the time that a short command takes, and 300 KB. With a shared OpenSSL it is another matter."""
    dynamic = subprocess.run(["readelf", "--dynamic", control.PROGRAMS / "fks"], check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert "libc.so.6" in needed
    assert "libcrypto.so.3" in needed or needed <= {"libc.so.6", "libwslay.so.1", "libyaml-0.so.2"}
