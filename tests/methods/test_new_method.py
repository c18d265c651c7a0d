"""A new method is one file: help, flags, docs, sweeps, a study and a model card know it from there."""

from dataclasses import replace

import pytest

from benchmarks import docs
from pats import Run, Study, compare
from pats.cli import main
from pats.page.formats import card
from pats.run.model.exported import read_mark
from pats.study.plan import space
from support.added_file import added
from support.inline_placer import InlinePlacer

HALVED = '''
"""The loss times a factor."""

from dataclasses import dataclass

from torch import Tensor

from pats.methods import MicroBatch, Method, number


@dataclass(frozen=True)
class HalvedOptions:
    """Options of Halved.

    Args:
        factor: What the loss is multiplied by.
    """

    factor: float = number(0.5, above=True, source="ours")


class Halved(Method[HalvedOptions]):
    """A smaller loss."""

    name = "halved"
    summary = "the loss times a factor"
    sentence = "Halved (a smaller loss, Nobody 2026)"
    source = "Nobody, 2026"
    changes = ("loss",)
    Options = HalvedOptions

    @classmethod
    def search(cls, fixed):
        return {"factor": (0.25, 0.5)}

    def loss(self, batch: MicroBatch) -> Tensor:
        return batch.forward().loss * self.options.factor
'''


@pytest.fixture(scope="module", autouse=True)
def halved(tmp_path_factory):
    with added("pats.methods", "halved", HALVED, tmp_path_factory.mktemp("methods")):
        yield


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_help_names_it_and_its_flags(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "freelb, halved, hype" in told
    assert "settings of the method halved: the loss times a factor" in told
    assert "--halved-factor X What the loss is multiplied by." in told


def test_the_tables_of_the_docs_have_it():
    assert "| `halved` | the loss times a factor | loss | none | Nobody, 2026 |" in docs.overview()
    row = "| `factor` | `0.5` | a number above 0 | What the loss is multiplied by. | ours |"
    assert row in docs.options().partition("### halved")[2]


def test_a_sweep_searches_what_it_says():
    assert space.default("halved", {}, lr=1e-4) == {"factor": (0.25, 0.5)}
    assert space.default("halved", {"factor": 1.0}, lr=1e-4) == {}


def test_a_study_goes_through_and_its_results_say_what_it_is(tiny_bert, reviews, tmp_path):
    run = Run(model=str(tiny_bert), data=str(reviews), epochs=1, batch_size=16, lr=1e-3)
    study = Study(methods=("halved", "both=neftune+halved"), seeds=1, run=run, baselines=())
    options = {"halved": {"factor": 0.25}, "both": {"alpha": 1.0, "factor": 0.25}}
    found = compare(replace(study, options=options), tmp_path / "out", engine=InlinePlacer(), force=True)
    assert found.failures == 0
    alone, both = (next(iter(cell.results.values())) for cell in found.cells)
    assert alone.about_method == {
        "sentence": "Halved (a smaller loss, Nobody 2026)",
        "source": "Nobody, 2026",
        "changes": ["loss"],
        "noisy": False,
    }
    assert both.about_method["sentence"].endswith(
        "Jain et al. 2023) and Halved (a smaller loss, Nobody 2026)"
    )
    assert both.about_method["changes"] == ["embeddings", "loss"]
    told = card.card(read_mark(tmp_path / "out" / "model"), found.groups)
    assert "Halved (a smaller loss, Nobody 2026)" in told
