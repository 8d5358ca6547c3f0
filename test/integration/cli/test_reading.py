"""The commands that read, over every built-in kind: fks answers as kubectl does (test/cases/kubectl_read.txt)."""

import re
import shlex

import pytest

import cluster as control
import test_generators
from test_oracle import HERE

CASES = [line.strip() for line in (control.ROOT / "test/cases/kubectl_read.txt").read_text().splitlines()
         if line.strip() and not line.startswith("#")]

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


@pytest.mark.parametrize("line", CASES)
def test_same_answer(reading, line):
    reading.compare(shlex.split(line), normal=loose, reading=True)
