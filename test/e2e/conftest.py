"""Fixtures of the end-to-end tests: real clusters made by fks on this machine. See test/README.md.

    /usr/bin/python3 -m pytest test/e2e        FKS_BIN, FKS_ASSETS say where programs are; FKS_KEEP keeps the clusters
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]

import harness  # noqa: E402
from reaper import reaping  # noqa: E402

ORDER = ["test_walk", "test_agent", "test_csi", "test_cli_streams", "test_mixed", "test_kill", "test_bad_input", "test_delete", "test_foreign",
         "test_hosts"]
DEADLINE = 240  # seconds a test and its fixtures may take, each


class TookTooLong(Exception):
    pass


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): a test that may take longer than others")

    # a terminated run unwinds like an interrupted one, so that fixtures delete their clusters
    def terminated(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(item.module.__name__) if item.module.__name__ in ORDER else len(ORDER))


def limited(item):
    mark = item.get_closest_marker("deadline")
    seconds = mark.args[0] if mark else DEADLINE

    def late(number, frame):
        raise TookTooLong(f"{item.name} took longer than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from limited(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from limited(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from limited(item)


@pytest.fixture(scope="session")
def folder():
    """Temporary folder of all homes. A reaper deletes what is left in it when this process goes away, however that happens."""
    if os.geteuid() != 0:
        pytest.skip("local clusters need root")
    path = Path(tempfile.mkdtemp(prefix="fks-e2e-"))
    path.chmod(0o755)
    if os.environ.get("FKS_KEEP"):
        print(f"kept: {path}", file=sys.stderr)
        yield path
        return
    with reaping(path, harness.BIN / "fks"):
        yield path


@pytest.fixture(scope="session")
def make_home(folder):
    """A function that makes a new FKS_HOME by name."""
    assets = harness.assets_dir()
    if assets is None:
        pytest.skip("no control plane programs: run 'make assets', or set FKS_ASSETS")
    return lambda name: harness.Home(folder / name, assets)


@pytest.fixture(scope="session")
def home(make_home):
    return make_home("main")


@pytest.fixture(scope="session")
def cluster(home):
    """The cluster that most tests share: one host, Fargate profile on default and kube-system."""
    cluster = home.create("e2e", "--region", "local", "--fargate")
    yield cluster
    if not os.environ.get("FKS_KEEP"):
        cluster.end()


def first_look(cluster):
    """What a person would look at first after a failure."""
    parts = []
    for words in (["get", "pods", "-A", "-o", "wide"], ["get", "nodes"], ["get", "events", "-A"]):
        result = cluster.kubectl.run(*words, seconds=20)
        parts.append(f"--- kubectl {' '.join(words)}\n{result.out[-5000:]}{result.err[-500:]}")
    for name in ("supervisor", "fks-webhook", "fks-scheduler", "host-1-fks-node"):
        path = cluster.folder / "logs" / f"{name}.log"
        if path.exists():
            parts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")
    return "\n".join(parts)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call" and report.failed and "cluster" in getattr(item, "funcargs", {}):
        try:
            report.sections.append(("the cluster", first_look(item.funcargs["cluster"])))
        except Exception as error:
            report.sections.append(("the cluster", f"could not be asked: {error}"))
