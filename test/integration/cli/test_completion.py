"""Completion: the scripts in their shells, and which options each command has, beside kubectl. Candidates from the cluster are lines of
test/cases/kubectl_read.txt."""

import os
import shutil
import subprocess

import pytest

import cluster as control

KUBECTL = control.assets() / "kubectl" if control.assets() else None
GROUPS = {"apply", "config", "create", "create secret", "create service", "rollout", "set", "auth", "certificate", "top", "kuberc", "plugin", "cluster-info"}
# options of kubectl's that are about its own innards
INNARDS = {"--log-flush-frequency", "--profile", "--profile-output", "--vmodule"}
# options that fks has not (each says so when it is used), or that only fks has
MISSING = {
    "kustomize": {"--as-current-user", "--enable-alpha-plugins", "--enable-helm", "--env", "-e", "--helm-api-versions", "--helm-command", "--helm-debug",
                  "--helm-kube-version", "--load-restrictor", "--mount", "--network", "--network-name"},
    "top node": {"--show-swap", "--use-protocol-buffers"},
    "top pod": {"--containers", "--show-swap", "--sum", "--use-protocol-buffers"},
    "explain": {"-R"},
    "wait": {"--local"},
}


@pytest.fixture(scope="module")
def ask(binary, tmp_path_factory):
    """The answer of one of the programs without any cluster."""
    folder = tmp_path_factory.mktemp("completion")
    programs = {"kubectl": KUBECTL, "fks": folder / "kubectl"}
    programs["fks"].symlink_to(binary("fks"))
    environment = {**os.environ, "HOME": str(folder), "KUBECONFIG": str(folder / "none")}

    def run(name, *words):
        done = subprocess.run([programs[name], "__completeNoDesc", *words], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    return run


def commands(ask, words=()):
    for word in ask("kubectl", *words, ""):
        if word.startswith((":", "-")) or word in ("help", "options", "alpha") or word.endswith("/"):
            continue
        path = (*words, word)
        if " ".join(path) in GROUPS:
            yield from commands(ask, path)
        yield path


def test_each_command_has_kubectls_options(ask):
    wrong, n = [], 0
    for path in commands(ask):
        name = " ".join(path)
        want, got = ({word for word in ask(program, *path, "-") if word.startswith("-")} - INNARDS for program in ("kubectl", "fks"))
        missing = want - got - MISSING.get(name, set())
        if missing:
            wrong.append(f"{name}: {sorted(missing)}")
        n += 1
    assert not wrong, "\n".join(wrong)
    assert n > 100


def test_asking_changes_nothing(ask, tmp_path):
    """Every command can be asked what comes next, also those that make and delete clusters."""
    for path in ("create cluster demo", "delete cluster demo", "start cluster", "stop cluster", "create fargateprofile x", "delete fargateprofile x",
                 "create nodegroup x", "delete nodegroup x", "utils write-kubeconfig", "cluster-supervisor", "get clusters", "config unset a"):
        assert ask("fks", *path.split(), "")[-1].startswith(":"), path


BASH = """
source <("$1" completion bash)
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1}
    read -ra COMP_WORDS <<< "$1"
    [[ $1 == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    compopt() { echo "compopt $*"; }
    __kubectl_complete
    printf '%s\\n' "${COMPREPLY[@]}"
}
PATH=$(dirname "$1"):$PATH
complete_line "$2"
"""


@pytest.mark.parametrize("line, wanted", [
    ("kubectl rollout st", ["compopt +o default", "status"]),
    ("kubectl config use-context ", ["compopt +o default", "one", "two:a"]),
    ("kubectl config use-context two:", ["compopt +o default", "a"]),
    ("kubectl get --output=jsonpath-", ["compopt +o default", "jsonpath-as-json", "jsonpath-file"]),
    ("kubectl get -f ./", ["compopt -o filenames", "./folder", "./a.json", "./b.yaml"]),
    ("kubectl version ", [""]),
])
def test_bash(binary, tmp_path, line, wanted):
    (tmp_path / "kubectl").symlink_to(binary("fks"))
    (tmp_path / "config").write_text('{"contexts": [{"name": "one", "context": {}}, {"name": "two:a", "context": {}}]}')
    (tmp_path / "folder").mkdir()
    for name in ("a.json", "b.yaml", "c.txt"):
        (tmp_path / name).touch()
    run = subprocess.run(["bash", "--norc", "-c", BASH, "bash", tmp_path / "kubectl", line], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                         env={**os.environ, "KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)})
    assert run.stdout.splitlines() == wanted, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_sound(binary, tmp_path, shell):
    script = subprocess.run([binary("fks"), "completion", shell], capture_output=True, text=True, check=True).stdout
    assert "__complete" in script and "~~" not in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)
