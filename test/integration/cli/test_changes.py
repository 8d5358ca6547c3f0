"""The commands that change objects, in sequences: what fks answers at each step is what kubectl answers.

A sequence of test/cases/kubectl_changes.txt runs with kubectl in one namespace and with fks in another; the answers are equal but for names, times and
versions.
"""

import difflib
import os
import re
import shlex
import subprocess

import pytest

import cluster as control
from test_oracle import HERE, Pair

TEXT = (control.ROOT / "test/cases/kubectl_changes.txt").read_text()


def sequences():
    for block in re.split(r"\n\s*\n", TEXT):
        lines = [line for line in block.splitlines() if line.strip()]
        if lines and any(not line.startswith("#") for line in lines):
            title = next((line[1:].strip() for line in reversed(lines) if line.startswith("#")), "untitled")
            yield pytest.param([line for line in lines if not line.startswith("#")], id=title)


@pytest.fixture(scope="module")
def pair(plane, binary, tmp_path_factory):
    pair = Pair(plane, binary("fks"), tmp_path_factory.mktemp("changes"))
    assert pair.run("kubectl", ["apply", "-f", "widgets.yaml"]).returncode == 0
    assert pair.run("kubectl", ["wait", "--for=condition=Established", "crd/widgets.seq.example.com", "--timeout=30s"]).returncode == 0
    control.until(lambda: pair.run("kubectl", ["get", "widgets"]).returncode == 0, 30, "widgets are served")
    return pair


def alike(text, namespace):
    for pattern, word in ((re.escape(namespace), "NAMESPACE"), (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
                          (r'(resourceVersion"?: ?"?)\d+', r"\1VERSION"), (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
                          (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "TIME"), (r"/tmp/(LIVE|MERGED)-[^/\s]*", r"\1"),
                          (r"/tmp/kubectl-edit-\w+", "EDITED"), (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"), (r"gen-\w{5}", "gen-X"),
                          (r"kube-api-access-\w{5}", "kube-api-access-X"), (r"\b(debugger-(?:debugged-)?)[a-z0-9]{5}\b", r"\1X")):
        text = re.sub(pattern, word, text)
    return text


def run(pair, name, namespace, line):
    stdin = ""
    environment = {**pair.environment, "TMPDIR": "/tmp"}
    if " <<< " in line:
        line, stdin = line.split(" <<< ", 1)
    while match := re.match(r"([A-Z_]+)=(\S+) ", line):
        environment[match[1]] = match[2]
        line = line[match.end():]
    words = [word.replace("$NAMESPACE", namespace) for word in shlex.split(line)]
    done = subprocess.run([pair.programs[name], "--namespace", namespace, *words], env=environment, cwd=HERE / "files", input=stdin,
                          capture_output=True, text=True, timeout=60)
    return f"$ {line}\nexit code {done.returncode}\n{done.stdout}--- stderr\n{done.stderr}\n"


@pytest.mark.parametrize("lines", sequences())
def test_sequence(pair, lines):
    answers = {}
    for name in ("kubectl", "fks"):
        namespace = f"changes-{name[0]}-{os.urandom(3).hex()}"
        pair.run("kubectl", ["create", "namespace", namespace])
        control.until(lambda: pair.run("kubectl", ["-n", namespace, "get", "cm", "kube-root-ca.crt"]).returncode == 0, 30, namespace)
        answers[name] = alike("".join(run(pair, name, namespace, line) for line in lines), namespace)
        pair.run("kubectl", ["delete", "namespace", namespace, "--wait=false"])
    difference = difflib.unified_diff(answers["kubectl"].splitlines(), answers["fks"].splitlines(), "kubectl", "fks", lineterm="")
    assert answers["kubectl"] == answers["fks"], "\n".join(difference)
