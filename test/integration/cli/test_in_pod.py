"""In a pod: the API server's address in the environment and the service account's files, beside kubectl.

The files stand where pods have them, in a mount namespace of each program's own.
"""

import json
import os
import subprocess

import pytest

import cluster as control

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
# everything below /run is the program's own; what the test changes in its folder is seen at once
ENTER = f'mount -t tmpfs none /run && mkdir -p {PLACE} && mount --bind "$0" {PLACE} && exec "$@"'


class Pod:
    def __init__(self, plane, fks, folder):
        self.plane, self.folder, self.files = plane, folder, folder / "files"
        self.files.mkdir()
        self.programs = {}
        for name, program in (("kubectl", plane.programs / "kubectl"), ("fks", fks)):
            (folder / name).mkdir()
            (folder / name / "kubectl").symlink_to(program)
            self.programs[name] = folder / name / "kubectl"
        port = json.loads(plane.kubeconfig("admin").read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2]
        self.env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
        self.admin = {"KUBECONFIG": str(plane.kubeconfig("admin"))}

    def token(self, account):
        return self.host("create", "token", account, "-n", "inside").strip()

    def host(self, *words):
        """The administrator's kubectl, outside."""
        run = subprocess.run([self.programs["kubectl"], *words], env={**os.environ, **self.admin, "HOME": str(self.folder)},
                             capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run
        return run.stdout

    def fill(self, **files):
        for path in self.files.iterdir():
            path.unlink()
        for name, text in files.items():
            (self.files / name.replace("_", ".")).write_text(text)

    def command(self, name, words, env):
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith(("KUBE", "POD_"))}
        environment = {**kept, "HOME": str(self.folder / name), **self.env, **env}
        argv = ["unshare", "-m", "sh", "-c", ENTER, self.files, self.programs[name], *words]
        return argv, {key: value for key, value in environment.items() if value is not None}

    def run(self, name, *words, **env):
        argv, environment = self.command(name, words, env)
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)

    def both(self, *words, **env):
        """fks' answer, which is kubectl's."""
        runs = [self.run(name, *words, **env) for name in ("kubectl", "fks")]
        kubectl, fks = ((run.returncode, run.stdout, [line for line in run.stderr.splitlines() if ".go:" not in line]) for run in runs)
        assert kubectl == fks, (words, env)
        return runs[1]


@pytest.fixture(scope="module")
def inside(plane, binary, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("mount namespaces need root")
    pod = Pod(plane, binary("fks"), tmp_path_factory.mktemp("pod"))
    pod.host("create", "namespace", "inside")
    pod.host("create", "rolebinding", "reader", "--clusterrole=view", "--serviceaccount=inside:reader", "-n", "inside")
    for account in ("reader", "other"):
        pod.host("create", "serviceaccount", account, "-n", "inside")
    pod.host("create", "configmap", "here", "-n", "inside", "--from-literal=a=b")
    pod.ca = plane.pki.path("ca.crt").read_text()
    # the role binding counts as soon as the API server's cache knows it
    control.until(lambda: "here" in pod.host("get", "configmap", "-n", "inside", "--as=system:serviceaccount:inside:reader"), 30)
    yield pod
    pod.host("delete", "namespace", "inside", "--wait=false")


@pytest.fixture
def pod(inside):
    inside.fill(token=inside.token("reader"), ca_crt=inside.ca, namespace="inside")
    return inside


GET = ("get", "configmap", "here", "-o", "jsonpath={.metadata.namespace}")


def test_as_the_service_account(pod):
    assert pod.both(*GET).stdout == "inside"
    assert "system:serviceaccount:inside:reader" in pod.both("auth", "whoami").stdout
    assert pod.both("get", "secret").returncode == 1
    assert pod.both("get", "pods", "-n", "default").returncode == 1
    assert pod.both("config", "view").returncode == 0


def test_namespace(pod):
    (pod.files / "namespace").write_text(" inside\n\n")
    assert pod.both(*GET).stdout == "inside"
    assert pod.both(*GET, POD_NAMESPACE="elsewhere").returncode == 1
    assert pod.both(*GET, "-n", "inside", POD_NAMESPACE="elsewhere").stdout == "inside"
    (pod.files / "namespace").unlink()
    assert '"default"' in pod.both("get", "configmap").stderr
    (pod.files / "namespace").write_text("\n")
    assert '"default"' in pod.both("get", "configmap").stderr


def test_what_is_missing(pod):
    # without a token, or without an address, it is no pod
    (pod.files / "token").unlink()
    assert "localhost:8080 was refused" in pod.both(*GET).stderr
    (pod.files / "token").mkdir()
    assert "localhost:8080 was refused" in pod.both(*GET).stderr
    (pod.files / "token").rmdir()
    (pod.files / "token").write_text("")
    assert "read empty token from file" in pod.both(*GET).stderr
    (pod.files / "token").write_text("wrong")
    assert pod.both(*GET).returncode == 1
    (pod.files / "token").write_text(pod.token("reader") + "\n")
    assert pod.both(*GET).stdout == "inside"
    assert "localhost:8080 was refused" in pod.both(*GET, KUBERNETES_SERVICE_PORT=None).stderr
    assert "localhost:8080 was refused" in pod.both(*GET, KUBERNETES_SERVICE_HOST="").stderr
    # without an authority the system's have to do
    (pod.files / "ca.crt").unlink()
    assert "certificate signed by unknown authority" in pod.both(*GET).stderr


def test_options_come_first(pod):
    other = pod.token("other")
    assert "system:serviceaccount:inside:other" in pod.both("auth", "whoami", "--token", other).stdout
    (pod.files / "ca.crt").write_text("no certificate")
    assert pod.both(*GET, "--certificate-authority", str(pod.plane.pki.path("ca.crt"))).stdout == "inside"
    assert "localhost:1 was refused" in pod.both(*GET, "--server=http://localhost:1").stderr


def test_kubeconfig_comes_first(pod, tmp_path):
    """A kubeconfig that names a server is used, but for the namespace where it names none; an empty one changes nothing."""
    assert "localhost:8080" not in pod.both("auth", "whoami", KUBECONFIG=str(tmp_path / "none")).stderr
    (tmp_path / "empty").write_text("")
    assert pod.both(*GET, KUBECONFIG=str(tmp_path / "empty")).stdout == "inside"
    config = json.loads(pod.plane.kubeconfig("admin").read_text())
    (tmp_path / "config").write_text(json.dumps(config))
    for namespace, where in ((None, "inside"), ("default", ""), ("inside", "inside")):
        config["contexts"][0]["context"]["namespace"] = namespace or ""
        (tmp_path / "config").write_text(json.dumps(config))
        assert pod.both(*GET, KUBECONFIG=str(tmp_path / "config")).stdout == where
    assert "system:serviceaccount" not in pod.both("auth", "whoami", KUBECONFIG=str(tmp_path / "config")).stdout


def test_impersonation(pod):
    """kubectl forgets where it is when --as is given, and asks localhost:8080; fks asks with the service account's rights."""
    run = pod.run("fks", *GET, "--as", "system:serviceaccount:inside:reader")
    assert run.returncode == 1 and "cannot impersonate" in run.stderr, run


def test_token_is_rotated(pod):
    """The file's new token is used by programs that have been running all the while."""
    argv, environment = pod.command("fks", ["proxy", "--port=0"], {})
    proxy = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = proxy.stdout.readline().rpartition(" ")[2].strip()

        def who():
            run = subprocess.run([pod.programs["fks"], "auth", "whoami", "--server", f"http://{address}", "-o", "jsonpath={.status.userInfo.username}"],
                                 env={**os.environ, "HOME": str(pod.folder), "KUBECONFIG": "/dev/null"}, capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run
            return run.stdout

        assert who() == "system:serviceaccount:inside:reader"
        (pod.files / "new").write_text(pod.token("other"))
        os.replace(pod.files / "new", pod.files / "token")
        control.until(lambda: who() == "system:serviceaccount:inside:other", 90)
        # a file that is gone for a moment leaves the token in use
        (pod.files / "token").unlink()
        assert who().startswith("system:serviceaccount:inside:")
    finally:
        proxy.terminate()
        proxy.wait(60)
