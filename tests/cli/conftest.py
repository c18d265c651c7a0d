"""What the tests of the verbs work on."""

import pytest

from pats.cli import main
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=80)
    return folder


@pytest.fixture(scope="session")
def trained(inputs):
    """The folder of a finished ``pats run``."""
    out = inputs / "out"
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--out", str(out)]
    assert main(["run", *arguments, "--lr", "1e-3", "--epochs", "1", "--quiet"]) == 0
    return out
