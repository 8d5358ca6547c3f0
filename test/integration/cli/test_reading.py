"""The commands that read, over every built-in kind: fks answers as kubectl does (test/cases/kubectl_read.txt), but for
test/cases/kubectl_differences.txt."""

import re
import shlex

import pytest

import cluster as control
import test_generators
from test_oracle import HERE, lines

generators_pair = test_generators.pair  # its fixture, under a name of our own


@pytest.fixture(scope="module")
def reading(generators_pair):
    pair = generators_pair
    more = str(HERE / "files/more_kinds.yaml")
    control.until(lambda: pair.run("kubectl", ["apply", "-f", more]).returncode == 0, 30, "more kinds", pause=0.5)
    yield pair
    pair.run("kubectl", ["delete", "-f", more, "--wait=false"])


def loose(text):
    """Column widths follow the ages' widths, which are not the same a second later."""
    return re.sub(" +", " ", text)


@pytest.mark.parametrize("line", lines("kubectl_read.txt"))
def test_same_answer(reading, line):
    reading.compare(shlex.split(line), normal=loose, reading=True)


@pytest.mark.parametrize("line", lines("kubectl_differences.txt"))
def test_another_answer(reading, line):
    """A line that does not differ any more belongs to the others."""
    want, got = (loose(reading.answer(name, shlex.split(line))) for name in ("kubectl", "fks"))
    assert want != got


def test_every_kind_is_there(reading):
    """One object or more of each built-in kind of the server."""
    ask = lambda *words: reading.run("kubectl", [*words, "-o", "name"]).stdout.split()
    added = {name.partition("/")[2] for name in ask("get", "crd")}
    kinds = set(ask("api-resources", "--verbs=list")) - added
    assert len(kinds) > 60
    assert [kind for kind in sorted(kinds) if not ask("get", kind, "-A")] == []
