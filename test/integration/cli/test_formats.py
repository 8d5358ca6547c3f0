"""Output formats, api-resources, events, explain and config, and the discovery cache that fks and kubectl share: fks answers as kubectl does
(test/cases/kubectl_formats.txt, test/cases/kubectl_config.txt)."""

import difflib
import json
import os
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest

import cluster as control
from test_oracle import HERE, Pair, lines

FILES = HERE / "files/formats"
NAMESPACE = "formats"


@pytest.fixture(scope="module")
def pair(plane, binary, tmp_path_factory):
    pair = Pair(plane, binary("fks"), tmp_path_factory.mktemp("formats"))
    config = Path(pair.environment["KUBECONFIG"])
    config.write_text(re.sub(r'"namespace": "[^"]*"', f'"namespace": "{NAMESPACE}"', config.read_text()))
    for words in (["create", "namespace", NAMESPACE], ["apply", "-f", "formats/crd.yaml"], ["apply", "-f", "formats/objects.yaml"]):
        control.until(lambda words=words: pair.run("kubectl", words).returncode == 0, 60, shlex.join(words), pause=0.5)
    control.until(lambda: "kube-root-ca.crt" in pair.run("kubectl", ["get", "cm"]).stdout, 60, "the namespace's ConfigMap", pause=0.5)
    yield pair
    pair.run("kubectl", ["delete", "-f", "formats/objects.yaml", "-f", "formats/crd.yaml", "--force", "--grace-period=0", "--wait=false"])
    pair.run("kubectl", ["delete", "namespace", NAMESPACE, "--wait=false"])


def normal(text):
    """Without what changes from one moment, and one process, to the next."""
    text = re.sub(r"F\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ ", "F ", text)
    return re.sub(" +", " ", text)


@pytest.mark.parametrize("line", lines("kubectl_formats.txt"))
def test_same_answer(pair, line):
    pair.compare(shlex.split(line), normal=normal, reading=True)


@pytest.mark.parametrize("line", lines("kubectl_config.txt"))
def test_same_configuration(pair, line, tmp_path, monkeypatch):
    left = {}
    for name, text in (("ca.crt", "CA\n"), ("c.crt", "CERTIFICATE\n"), ("c.key", "KEY\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setitem(pair.environment, "KUBECONFIG", "config.yaml")
    for name in ("kubectl", "fks"):
        shutil.copy(FILES / "config.yaml", tmp_path / "config.yaml")
        said = pair.answer(name, shlex.split(line), folder=tmp_path)
        left[name] = said + "--- file\n" + (tmp_path / "config.yaml").read_text()
    assert left["kubectl"] == left["fks"], "\n".join(
        difflib.unified_diff(left["kubectl"].splitlines(), left["fks"].splitlines(), "kubectl", "fks", lineterm=""))


# --- the discovery cache

def cache(pair):
    server = json.loads(Path(pair.environment["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]["server"]
    return Path(pair.environment["KUBECACHEDIR"]) / "discovery" / server.removeprefix("https://").replace(":", "_")


def contents(folder):
    return {str(path.relative_to(folder)): (path.read_text(), path.stat().st_mode & 0o777) for path in folder.rglob("*.json")}


def fill(pair, name):
    shutil.rmtree(pair.environment["KUBECACHEDIR"], ignore_errors=True)
    assert pair.run(name, ["api-resources"]).returncode == 0


def test_cache_files_are_the_same(pair):
    """Names, bytes and permissions, of files and folders."""
    fill(pair, "kubectl")
    want = contents(cache(pair))
    folders = {path.stat().st_mode & 0o777 for path in cache(pair).rglob("*") if path.is_dir()}
    fill(pair, "fks")
    assert contents(cache(pair)) == want
    assert {path.stat().st_mode & 0o777 for path in cache(pair).rglob("*") if path.is_dir()} == folders
    assert len(want) > 20 and "apps/v1/serverresources.json" in want


@pytest.mark.parametrize("writer", ["kubectl", "fks"])
def test_each_reads_what_the_other_wrote(pair, writer):
    """A kind that exists nowhere but in the cache is listed by both, until it is asked for and the cache found wrong."""
    fill(pair, writer)
    path = cache(pair) / "formats.example.com/v1/serverresources.json"
    document = json.loads(path.read_text())
    document["resources"].append({"name": "inventions", "singularName": "invention", "namespaced": True, "kind": "Invention",
                                  "verbs": ["get", "list"], "shortNames": ["inv"]})
    path.write_text(json.dumps(document))
    listed = {name: pair.run(name, ["api-resources", "--cached", "-o", "wide"]) for name in pair.programs}
    assert listed["fks"].stdout == listed["kubectl"].stdout
    assert re.search(r"^inventions +inv +formats.example.com/v1 +true +Invention +get,list", listed["fks"].stdout, re.M)
    for name in pair.programs:  # both believe it: the server is asked for the collection, which it does not have
        assert "NotFound" in pair.run(name, ["get", "inv"]).stderr
    assert "inventions" not in pair.run("fks", ["api-resources"]).stdout
    assert "inventions" not in path.read_text()


def test_an_unknown_kind_makes_the_cache_new(pair):
    fill(pair, "kubectl")
    paths = [cache(pair) / f"formats.example.com/{version}/serverresources.json" for version in ("v1", "v1beta1")]
    for path in paths:
        document = json.loads(path.read_text())
        document["resources"] = [entry for entry in document["resources"] if "gadget" not in entry["name"]]
        path.write_text(json.dumps(document))
    assert pair.run("fks", ["get", "gadgets", "-o", "name"]).stdout.count("\n") == 3
    assert all("gadgets" in path.read_text() for path in paths)
    # six hours later nobody believes it
    paths[0].write_text(paths[0].read_text().replace('"gadgets"', '"oldies"'))
    past = time.time() - 7 * 3600
    os.utime(paths[0], (past, past))
    for name in pair.programs:
        assert "oldies" not in pair.run(name, ["api-resources", "--cached"]).stdout
