"""The commands that make, change and describe objects: fks answers as kubectl does (test/cases/kubectl_generate.txt)."""

import json
import re
import shlex

import pytest

import cluster as control
from test_oracle import HERE, POD_STATUS, Pair, lines

NAMESPACE = "generators"


@pytest.fixture(scope="module")
def pair(plane, binary, tmp_path_factory):
    pair = Pair(plane, binary("fks"), tmp_path_factory.mktemp("generators"))
    config = pair.environment["KUBECONFIG"]
    text = control.Path(config).read_text()
    control.Path(config).write_text(re.sub(r'"namespace": "[^"]*"', f'"namespace": "{NAMESPACE}"', text))
    manifest, rollout = ((HERE / "files" / name).read_text() for name in ("kinds.yaml", "rollout.yaml"))
    steps = [(["create", "namespace", NAMESPACE], ""), (["apply", "-f", "crd.yaml"], ""), (["apply", "-f", "-"], manifest),
             (["apply", "-f", "thing.yaml"], ""), (["apply", "-f", "-"], rollout),
             (["apply", "-f", "-"], rollout.replace("nginx:1", "nginx:2"))]
    statuses = {"pod/p1": POD_STATUS, **json.loads((HERE / "files/statuses.json").read_text())}
    steps += [(["patch", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})], "")
              for name, status in statuses.items()]
    for words, stdin in steps:
        said = []

        def done(words=words, stdin=stdin):
            run = pair.run("kubectl", words, stdin)
            said.append(run.stderr)
            return run.returncode == 0

        control.until(done, 30, f"{shlex.join(words)}: {said}", pause=0.5)
    uid = pair.run("kubectl", ["get", "pod", "full", "-o", "jsonpath={.metadata.uid}"]).stdout
    pair.run("kubectl", ["create", "-f", "-"], (HERE / "files/events.yaml").read_text().replace("uid: UID", f"uid: {uid}"))
    # what the controllers make: two revisions of each, pods of the deployments
    control.until(lambda: pair.run("kubectl", ["get", "controllerrevisions", "-o", "name"]).stdout.count("\n") == 4, 60, "revisions")
    control.until(lambda: pair.run("kubectl", ["get", "replicasets", "-o", "name"]).stdout.count("\n") == 3, 60, "replica sets")
    control.until(lambda: pair.run("kubectl", ["rollout", "status", "deploy/web", "--watch=false"]).stdout != "", 60, "web")
    yield pair
    pair.run("kubectl", ["delete", "-f", "kinds.yaml", "-f", "crd.yaml", "--force", "--grace-period=0", "--wait=false"])
    pair.run("kubectl", ["delete", "namespace", NAMESPACE, "--wait=false"])


@pytest.mark.parametrize("line", lines("kubectl_generate.txt"))
def test_same_answer(pair, line):
    pair.compare(shlex.split(line))


def test_undo_goes_back_and_forth(pair):
    """Each program undoes what the other did; the template tells."""
    image = ["get", "ds/ds", "deploy/roll", "sts/sts", "-o", "jsonpath={.items[*].spec.template.spec.containers[0].image}"]
    assert pair.run("kubectl", image).stdout == "nginx:2 nginx:2 nginx:2"
    for name, wanted in (("fks", "nginx:1"), ("kubectl", "nginx:2"), ("fks", "nginx:1")):
        for what in ("ds/ds", "deploy/roll", "sts/sts"):
            run = pair.run(name, ["rollout", "undo", what])
            assert run.returncode == 0 and run.stdout.endswith("rolled back\n"), run
        assert pair.run("kubectl", image).stdout == " ".join([wanted] * 3)


def test_scale_and_record(pair):
    assert pair.run("fks", ["scale", "deploy/roll", "--replicas=2", "--current-replicas=1", "--record"]).returncode == 0
    assert pair.run("kubectl", ["get", "deploy/roll", "-o", "jsonpath={.spec.replicas}"]).stdout == "2"
    cause = pair.run("kubectl", ["get", "deploy/roll", "-o", r"jsonpath={.metadata.annotations.kubernetes\.io/change-cause}"]).stdout
    assert cause == "kubectl scale deploy/roll --replicas=2 --current-replicas=1 --record=true"


def test_token(pair):
    token = pair.run("fks", ["create", "token", "default", "--duration=1h"]).stdout
    assert token.count(".") == 2 and not token.endswith("\n")
