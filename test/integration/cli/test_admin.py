"""The administrator's verbs that change something: the same story told with kubectl and with fks, each about objects of its own."""

import base64
import difflib
import json
import re
import shlex
import subprocess

import pytest

import cluster as control
from test_transport import Ways

RULES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME, labels: {a: b}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME}
subjects: [{kind: User, name: someone, apiGroup: rbac.authorization.k8s.io}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME}
"""
STORY = """
cordon NAME
cordon NAME
get node NAME -o jsonpath={.spec.unschedulable}
uncordon NAME --dry-run=server
uncordon NAME --dry-run=client
uncordon NAME
uncordon NAME
cordon -l who=NAME
uncordon -l who=NAME,nope
uncordon NAME missing
taint node NAME a=b:NoSchedule
taint node NAME a=b:NoSchedule
taint node NAME a=c:NoSchedule
taint node NAME a=c:NoSchedule --overwrite
taint node NAME a=c:NoExecute x:PreferNoSchedule
taint nodes -l who=NAME y=z:NoSchedule --dry-run=server
get node NAME -o jsonpath={.spec.taints[*].key}{.spec.taints[*].effect}
taint node NAME a:NoSchedule-
taint node NAME a-
taint node NAME a-
taint node NAME x:PreferNoSchedule- n=m:NoSchedule -o name
taint node NAME n:NoExecute-
taint node NAME bad/key/x=1:NoSchedule
taint node NAME a=b:Whatever
drain NAME --dry-run=client
drain NAME --dry-run=server
drain NAME
drain NAME --force
drain NAME --pod-selector=a=b --disable-eviction
drain -l who=NAME --ignore-daemonsets
drain
drain NAME -l a=b
uncordon NAME
certificate approve NAME-a
certificate approve NAME-a
certificate deny NAME-a
certificate approve NAME-a --force
certificate deny NAME-b NAME-missing
get csr NAME-b -o jsonpath={.status.conditions[*].type}{.status.conditions[*].reason}{.status.conditions[*].message}
certificate deny -f FOLDER/csr.json -o name
certificate approve
auth reconcile -f FOLDER/rules.yaml --dry-run=client
auth reconcile -f FOLDER/rules.yaml
auth reconcile -f FOLDER/rules.yaml
auth can-i list pods --as=someone
auth can-i delete pods --as=someone
auth can-i get pods/log --as=someone
auth can-i list deployments.apps -A --as=someone -q
auth can-i get /version --as=someone
auth can-i list --as=someone
auth can-i '*' '*'
auth can-i --list --as=someone
auth reconcile -f FOLDER/less.yaml --remove-extra-permissions --remove-extra-subjects
auth can-i list pods --as=someone
auth reconcile -f FOLDER/csr.json
auth reconcile
"""


@pytest.fixture(scope="module")
def ways(plane, binary, tmp_path_factory):
    return Ways(plane, binary("fks"), tmp_path_factory.mktemp("admin"))


def prepare(ways, name):
    """A node and two requests for certificates of this teller's own."""
    folder = ways.folder / f"files-{name}"
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES.replace("NAME", name))
    (folder / "less.yaml").write_text(RULES.replace("NAME", name).replace("get, list", "get"))
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key", "-out", folder / "request",
                    "-subj", "/CN=x"], check=True, capture_output=True)
    request = base64.b64encode((folder / "request").read_bytes()).decode()

    def csr(suffix):
        return {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": f"{name}-{suffix}"},
                "spec": {"request": request, "signerName": "example.com/nobody", "usages": ["client auth"]}}

    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"who": name}}}
    (folder / "csr.json").write_text(json.dumps(csr("c")))
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [node, csr("a"), csr("b"), csr("c")]}))
    control.until(lambda: ways.run("kubectl", ["apply", "-f", str(folder / "all.json")]).returncode == 0, 30, "its objects", pause=0.5)
    return folder


def tell(ways, tool):
    name = f"about-{tool}"
    folder = prepare(ways, name)
    said = []
    for line in STORY.strip().splitlines():
        words = shlex.split(line.replace("NAME", name).replace("FOLDER", str(folder)))
        run = ways.run(tool, words)
        said.append(f"$ {line}\n{run.returncode}\n{run.stdout}{run.stderr}")
    ways.run("kubectl", ["delete", "-f", str(folder / "all.json"), "-f", str(folder / "rules.yaml")])
    text = "\n".join(said).replace(str(folder), "FOLDER").replace(name, "NAME")
    # the node controller adds its own taints when it likes
    text = re.sub(r"node\.kubernetes\.io/(not-ready|unreachable|unschedulable) ?", "", text)
    return re.sub(r"(NoSchedule|NoExecute|PreferNoSchedule| )+$", "EFFECTS", text, flags=re.M)


def test_the_same_story(ways):
    want, got = tell(ways, "kubectl"), tell(ways, "fks")
    assert "node/NAME cordoned" in want and "approved" in want and "reconciled" in want
    assert want == got, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm="", n=6))
