"""Fixtures of the integration tests: the real etcd, kube-apiserver and kube-controller-manager, and ours beside them.

    /usr/bin/python3 -m pytest test/integration            FKS_ASSETS, FKS_BIN say where the programs are
"""

import contextlib
import http.client
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]

import cluster as control  # noqa: E402
from reaper import reaping  # noqa: E402


def pytest_configure(config):
    # a terminated run unwinds like an interrupted one, so that fixtures stop their programs
    def terminated(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)


@pytest.fixture(scope="session")
def folder():
    """Temporary folder of everything; programs started here end with this process, and what they leave is the reaper's."""
    path = Path(tempfile.mkdtemp(prefix="fks-integration-"))
    path.chmod(0o755)  # programs of other users start in it
    if os.environ.get("FKS_KEEP"):
        print(f"kept: {path}", file=sys.stderr)
        yield path
        return
    with reaping(path):
        yield path


@pytest.fixture(scope="session")
def plane(folder):
    """The control plane with our manifests applied; no program of ours runs yet."""
    programs = control.assets()
    if programs is None:
        pytest.skip("no control plane programs: set FKS_ASSETS, or run scripts/assets/build.sh")
    plane = control.ControlPlane(Path(tempfile.mkdtemp(prefix="plane-", dir=folder)), programs)
    try:
        plane.start()
        plane.install()
        yield plane
    finally:
        if os.environ.get("FKS_KEEP"):
            plane.processes.stop_all()
        else:
            plane.stop()


class Running:
    """fks-scheduler as a child; others of ours with the same options would do as well."""

    def __init__(self, plane, path, user, name, options=()):
        self.plane, self.name = plane, name
        self.port = control.free_port()
        self.argv = [path, "--kubeconfig", plane.kubeconfig(user), "--metrics-listen", f"127.0.0.1:{self.port}",
                     "--log-level", "debug", *options]
        self.child = None

    def start(self):
        self.child = self.plane.processes.start(self.name, self.argv)
        return self.child

    def stop(self):
        if self.child is not None:
            self.plane.processes.stop(self.child)

    def log(self):
        return self.plane.processes.log(self.name)

    def get(self, path):
        """(status, text) of the program's own plain HTTP server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


@pytest.fixture(scope="session")
def binary():
    """Path of a program of ours; a test that needs one that is not built is skipped."""

    def find(name):
        path = control.PROGRAMS / name
        if not path.exists():
            pytest.skip(f"{path} is not built")
        return path

    return find


@pytest.fixture(scope="session")
def program(plane, binary):
    """with program("fks-scheduler", USER) as running: a program of ours, ready, and stopped at the end."""

    @contextlib.contextmanager
    def run(which, user, name=None, options=()):
        running = Running(plane, binary(which), user, name or which, options)
        running.start()
        try:
            control.until(lambda: running.get("/readyz")[0] == 200, 30, f"{which} is ready")
            yield running
        finally:
            running.stop()

    return run
