"""Completion: the scripts in their shells, and which options each command has, beside kubectl. Candidates from the cluster are lines of
test/cases/kubectl_read.txt."""

import os
import pty
import select
import re
import shutil
import signal
import subprocess
import time

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
    "top node": {"--use-protocol-buffers"},
    "top pod": {"--use-protocol-buffers"},
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
                 "create nodegroup x", "delete nodegroup x", "utils write-kubeconfig", "cluster-supervisor", "get clusters", "config unset a",
                 "register cluster x", "deregister cluster x"):
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


def test_powershell(binary, tmp_path):
    """There is no PowerShell to try it in: that it registers the program, and that what it opens is closed."""
    (tmp_path / "kubectl").symlink_to(binary("fks"))
    script = subprocess.run([tmp_path / "kubectl", "completion", "powershell"], capture_output=True, text=True, check=True).stdout
    assert "Register-ArgumentCompleter -Native -CommandName 'kubectl'" in script and "~~" not in script
    code = re.sub(r"""'(?:[^']|\'\')*'|"(?:[^"`]|`.)*"|#.*""", "", script)
    for opened, closed in ("{}", "()", "[]"):
        assert code.count(opened) == code.count(closed), opened


@pytest.fixture
def shell_home(binary, tmp_path):
    """A folder with kubectl (which is fks), its scripts and two contexts, and the environment of a shell in it."""
    (tmp_path / "kubectl").symlink_to(binary("fks"))
    (tmp_path / "config").write_text('{"contexts": [{"name": "one", "context": {}}, {"name": "two:a", "context": {}}]}')
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}",
                   "TERM": "dumb"}
    for shell in ("zsh", "fish"):
        script = subprocess.run(["kubectl", "completion", shell], env=environment, capture_output=True, text=True, check=True).stdout
        (tmp_path / f"script.{shell}").write_text(script)
    return tmp_path, environment


def needs(shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell}: scripts/install-packages test")


@pytest.mark.parametrize("line, wanted", [
    ("kubectl config use-context ", ["one", "two:a"]),
    ("kubectl rollout re", ["restart\tRestart a resource", "resume\tResume a paused resource"]),
])
def test_fish(shell_home, line, wanted):
    needs("fish")
    folder, environment = shell_home
    run = subprocess.run(["fish", "-N", "-c", 'source script.fish; complete -C "$argv[1]"', line], cwd=folder, env=environment,
                         capture_output=True, text=True, timeout=60)
    assert [word for word in run.stdout.splitlines() if word] == wanted, run


@pytest.mark.parametrize("line, wanted", [
    ("kubectl config use-context ", ["one", "two:a"]),
    ("kubectl rollout hi", ["kubectl rollout history"]),
])
def test_zsh(shell_home, line, wanted):
    """zsh completes in its line editor only: a terminal, a key, and what is seen."""
    needs("zsh")
    folder, environment = shell_home
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    try:
        seen = ""

        def see(*words):
            nonlocal seen
            deadline = time.monotonic() + 60
            while not all(word in seen for word in words):
                assert time.monotonic() < deadline, seen
                if select.select([terminal], [], [], 1)[0]:
                    seen += os.read(terminal, 65536).decode(errors="replace")

        os.write(terminal, b"PS1=; autoload -U compinit; compinit -u; source script.zsh; bindkey '^I' complete-word; echo rea''dy\n")
        see("ready")
        seen = ""
        os.write(terminal, f"{line}\t".encode())
        see(*wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
