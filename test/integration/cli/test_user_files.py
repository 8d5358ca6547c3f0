"""The user's own files: entries of a kubeconfig, and kuberc with its defaults and aliases. What fks answers and writes is what kubectl
answers and writes."""

import difflib
import os
import re
import shlex
import subprocess

import pytest

from test_oracle import Pair

CONFIGS = {
    "a plugin is made and changed": """
config set-credentials one --exec-command=/bin/login --exec-api-version=client.authentication.k8s.io/v1beta1
config set-credentials one --exec-arg=a,b --exec-arg=c --exec-env=A=1 --exec-interactive-mode=Never
config set-credentials one --exec-env=A=2 --exec-env=B=x=y --exec-provide-cluster-info
config set-credentials one --exec-env=B-
config view -o json
config set-credentials one --exec-command=/bin/other
config view
""",
    "without a plugin its options are nothing": """
config set-credentials two --exec-arg=a --exec-env=A=1
config view
""",
    "wrong words": """
config set-credentials one --exec-interactive-mode=Sometimes
config set-credentials one --exec-env=A
config set-credentials one --exec-env==A --exec-env=-
config set-credentials one --token=a --username=b
config set-credentials one --embed-certs
config set-credentials one --embed-certs --client-key=/nowhere/key
config set-credentials one --auth-provider-arg=x
config set-cluster one --embed-certs
config set-cluster one --embed-certs --certificate-authority=/nowhere/ca
config set-cluster one --insecure-skip-tls-verify --certificate-authority=/nowhere/ca
config view
""",
    "a password replaces a token": """
config set-credentials three --token=t
config view --raw
config set-credentials three --username=u --password=p
config view --raw
config set-credentials three --token=t
config view --raw
""",
    "an auth provider": """
config set-credentials four --auth-provider=oidc --auth-provider-arg=client-id=foo --auth-provider-arg=client-secret=bar
config view --raw
config set-credentials four --auth-provider-arg=client-secret-
config set-credentials four --auth-provider=oidc --auth-provider-arg=x=y
config view --raw
""",
    "values by their paths": """
config set clusters.one.server https://one
config set clusters.a.b.c.server https://x
config set contexts.my.ctx.namespace x
config set nosuch.one.x y
config set users.x.exec.command y
config set users.x.auth-provider.config.foo bar
config set current-context.x y
config set clusters.one.certificate-authority-data !!!
config set clusters.one.certificate-authority-data "# a comment" --set-raw-bytes
config set clusters.one.certificate-authority-data IyBhIGNvbW1lbnQ=
config view --raw -o 'jsonpath={.clusters[?(@.name == "one")].cluster.certificate-authority-data}'
config set clusters.one.insecure-skip-tls-verify maybe
config set clusters.one.insecure-skip-tls-verify true
config set users.u@h.x.token t
config set users.u.client-key-data AAAA
config set users.u.tokenFile x
config set current-context one
config set kind x
config set clusters..server x
config set ..x y
config view
config unset clusters.one.server
config unset clusters.a.b.c
config unset nosuch.x
config unset contexts.nope.namespace
config unset contexts.my.ctx.namespace
config unset users.x.exec
config unset users.nope
config unset users.u.token
config unset current-context
config view --raw
config unset contexts
""",
    "files taken in": """
config set-cluster five --server=https://five:6443 --certificate-authority=config
config set-credentials five --client-key=config --token=t
config set-cluster six --server=https://six:6443
config set-context five --cluster=five --user=five
config set-context six --cluster=six --user=six
config use-context six
config view --minify
config view --minify --flatten
config view --minify --context=five
config view --flatten -o jsonpath={.clusters[*].cluster.server}
config view --merge=false
config view --merge=false --kubeconfig=config -o name
config set-credentials seven --client-certificate=/nowhere/seven.crt
config view --flatten
config view --flatten --minify
config view --context=nope --minify
""",
    "names of files": """
config set-credentials five --client-certificate=/somewhere/five.crt --client-key=inside/five.key
config set-cluster five --certificate-authority=inside/ca.crt --server=https://five:6443 --tls-server-name=x
config view
config set-cluster five --server=https://six:6443
config set-cluster five --insecure-skip-tls-verify
config view
config set-cluster five --certificate-authority=/somewhere/ca.crt
config view
""",
}
KUBERC = {
    "set and view": """
kuberc view
kuberc set --section=defaults --command=get --option=output=wide --option=--show-labels=true
kuberc set --section=aliases --name=getn --command=get --prependarg=nodes --appendarg=x --option=output=json
kuberc set --section=credentialplugin --policy=Allowlist --allowlist-entry=command=foo,command=bar
kuberc view
kuberc view -o json
kuberc set --section=defaults --command=get --option=output=json
kuberc set --section=defaults --command=get --option=output=json --overwrite
kuberc set --section=defaults --command=describe
kuberc set --section=aliases --name=getn --command=get
kuberc set --section=aliases --name=getn --command=describe --overwrite
kuberc set --section=credentialplugin --policy=DenyAll
kuberc view
""",
    "wrong words": """
kuberc set
kuberc set --section=other
kuberc set --section=aliases --command=get
kuberc set --section=aliases --name=x
kuberc set --section=defaults --command=get --name=x
kuberc set --section=defaults --command=get --appendarg=x
kuberc set --section=defaults --command=get --option=output
kuberc set --section=credentialplugin
kuberc set --section=credentialplugin --policy=Foo
kuberc set --section=credentialplugin --policy=Allowlist
kuberc set --section=credentialplugin --policy=AllowAll --allowlist-entry=command=x
kuberc set --section=credentialplugin --policy=Allowlist --allowlist-entry=name=x
kuberc set --section=credentialplugin --policy=Allowlist --allowlist-entry=x=y,z --allowlist-entry=command=
KUBERC=off kuberc view
KUBERC=off kuberc set --section=defaults --command=get
KUBERC=off kuberc view --kuberc=other
kuberc view --kuberc=/nowhere/kuberc
kuberc view -o wide
""",
}
ALIASES = """
apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
aliases:
- {name: getns, command: get, prependArgs: [namespaces], options: [{name: output, default: name}]}
- {name: crns, command: create namespace, appendArgs: [made-by-an-alias], options: [{name: dry-run, default: client}, {name: output, default: name}]}
- {name: runx, command: run, appendArgs: [x, --, a, b], options: [{name: image, default: nginx}, {name: dry-run, default: client}, {name: env, default: A=b}, {name: output, default: yaml}]}
- {name: get, command: describe}
- {name: nothing, command: no such}
- {name: wrong, command: get, options: [{name: no-such, default: x}]}
defaults:
- {command: get, options: [{name: output, default: name}, {name: namespace, default: kube-system}]}
- {command: no such, options: []}
- {command: version, options: [{name: client, default: "true"}]}
- {command: describe, options: [{name: no-such, default: x}]}
"""
USES = [
    "get namespaces", "get namespaces -o jsonpath={.items[0].metadata.name}", "get cm", "get cm -n default", "getns default", "getns default -ojson",
    "getns --namespace=x kube-system", "crns", "crns --dry-run=server -o jsonpath={.kind}", "runx", "runx --env=C=d", "nothing", "describe ns default",
    "unknown", "get --kuberc", "get ns --kuberc=/nowhere", "KUBERC=off getns", "KUBERC=off get ns default", "KUBECTL_KUBERC=false getns",
    "KUBERC=off get ns --kuberc=kuberc", "label ns default a-", "create namespace x --dry-run=client", "get ns default -- --kuberc=/nowhere",
]
BROKEN = {
    "a-.": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\naliases: [{name: 'a1', command: get}]\n",
    "twice": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\naliases: [{name: a, command: get}, {name: a, command: get}]\n",
    "dashes": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ndefaults: [{command: get, options: [{name: --output, default: x}]}]\n",
    "unknown": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\nother: x\ndefaults: [{command: get, x: y, options: []}]\n",
    "no version": "kind: Preference\napiVersion: kubectl.config.k8s.io/v7\n",
    "no kind": "kind: Other\napiVersion: kubectl.config.k8s.io/v1beta1\n",
    "alpha": "---\nkind: Preference\napiVersion: kubectl.config.k8s.io/v1alpha1\noverrides: [{command: get, flags: [{name: output, default: name}]}]\n",
    "second document": "kind: X\n---\nkind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ndefaults: [{command: get, options: [{name: output, default: name}]}]\n",
    "policy": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ncredentialPluginPolicy: AllowAll\ncredentialPluginAllowlist: [{name: x}]\n",
    "other policy": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ncredentialPluginPolicy: Some\n",
    "no list": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ncredentialPluginPolicy: Allowlist\n",
    "empty entry": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ncredentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{}]\n",
    "no yaml": "a: [b\n", "nothing": "", "types": "kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ndefaults: x\n",
}


@pytest.fixture(scope="module")
def pair(plane, binary, tmp_path_factory):
    return Pair(plane, binary("fks"), tmp_path_factory.mktemp("user-files"))


def answer(pair, name, folder, line, **variables):
    environment = {**pair.environment, **variables, "HOME": str(folder)}
    while match := re.match(r"([A-Z_]+)=(\S+) ", line):
        environment[match[1]] = match[2]
        line = line[match.end():]
    run = subprocess.run([pair.programs[name], *shlex.split(line)], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=60)
    # kubectl shows its whole help where it cannot read a pair; what it logs has no place among answers
    stdout = "" if run.returncode and line.startswith("config set-credentials") else run.stdout
    stderr = re.sub(r"(?m)^E\d{4} .*\n", "", run.stderr)
    text = f"$ {line}\nexit code {run.returncode}\n{stdout}--- stderr\n{stderr}\n"
    return re.sub(r"\b\d+[smhd](\d+[smh])?\b", "AGE", text).replace(str(folder), "FOLDER")


def compare(answers):
    want, got = answers["kubectl"], answers["fks"]
    assert want == got, "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "kubectl", "fks", lineterm=""))


def folders(tmp_path):
    for name in ("kubectl", "fks"):
        folder = tmp_path / name
        folder.mkdir()
        yield name, folder


@pytest.mark.parametrize("title", CONFIGS)
def test_kubeconfig_entries(pair, tmp_path, title):
    answers = {}
    for name, folder in folders(tmp_path):
        lines = CONFIGS[title].strip().splitlines()
        said = [answer(pair, name, folder, line, KUBECONFIG=str(folder / "config")) for line in lines]
        answers[name] = "".join(said) + ((folder / "config").read_text() if (folder / "config").exists() else "")
    compare(answers)


@pytest.mark.parametrize("title", KUBERC)
def test_kuberc_file(pair, tmp_path, title):
    answers = {}
    for name, folder in folders(tmp_path):
        said = [answer(pair, name, folder, line) for line in KUBERC[title].strip().splitlines()]
        file = folder / ".kube/kuberc"
        answers[name] = "".join(said) + (file.read_text() if file.exists() else "")
    compare(answers)


@pytest.mark.parametrize("line", USES)
def test_defaults_and_aliases(pair, tmp_path, line):
    answers = {}
    for name, folder in folders(tmp_path):
        (folder / ".kube").mkdir()
        (folder / ".kube/kuberc").write_text(ALIASES)
        answers[name] = answer(pair, name, folder, line)
    compare(answers)


@pytest.mark.parametrize("title", BROKEN)
def test_a_file_with_something_wrong(pair, tmp_path, title):
    answers = {}
    for name, folder in folders(tmp_path):
        (folder / ".kube").mkdir()
        (folder / ".kube/kuberc").write_text(BROKEN[title])
        said = [answer(pair, name, folder, "get ns default -o name"), answer(pair, name, folder, "get ns default -o name", KUBERC=".kube/kuberc")]
        answers[name] = "".join(said)
    compare(answers)


def test_a_plugin_that_is_not_allowed(pair, tmp_path):
    """What a file of the user forbids does not run; what it allows does."""
    (tmp_path / "kuberc").write_text("kind: Preference\napiVersion: kubectl.config.k8s.io/v1beta1\ncredentialPluginPolicy: DenyAll\n")
    answers = {}
    for name in ("kubectl", "fks"):
        folder = tmp_path / name
        folder.mkdir()
        marker = folder / "ran"
        config = folder / "config"
        for line in ("config set-cluster c --server=https://127.0.0.1:1", "config set-context c --user=u --cluster=c", "config use-context c",
                     f"config set-credentials u --exec-command=/usr/bin/touch --exec-arg={marker} --exec-interactive-mode=Never "
                     "--exec-api-version=client.authentication.k8s.io/v1"):
            answer(pair, name, folder, line, KUBECONFIG=str(config))
        said = answer(pair, name, folder, "get ns --request-timeout=5s", KUBECONFIG=str(config), KUBERC=str(tmp_path / "kuberc"))
        assert not marker.exists(), said
        answers[name] = said
        answer(pair, name, folder, "get ns --request-timeout=5s", KUBECONFIG=str(config), KUBERC="off")
        assert marker.exists()
        os.unlink(marker)
    compare(answers)
