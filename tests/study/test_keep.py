"""What a study says about the model that it keeps."""

import pytest

from pats import Run, Study
from pats.study.choose import Chosen
from pats.study.keep import Keeper
from pats.study.options import Options
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer

BEHIND = "vanilla was ahead of it on dev by less than one standard error"


@pytest.fixture
def keeper(tmp_path):
    def make(force):
        study = Study(
            models=("m",), methods=("vanilla",), run=Run(task="cola"), lr=1e-3, baselines=("tfidf",)
        )
        return Keeper(study, Store(tmp_path), InlinePlacer(), Options(force=force), [])

    return make


@pytest.mark.parametrize(
    ("ahead", "constant", "force", "starts", "named"),
    [
        (None, False, False, "Chosen on dev for cola: tfidf", False),
        ("vanilla", False, False, "Chosen on dev for cola: tfidf", True),
        ("vanilla", True, True, "Chosen on dev for cola: tfidf", True),
        ("vanilla", True, False, "No model was exported for cola", False),  # nothing is kept in its place
    ],
)
def test_a_model_that_was_ahead_by_less_than_the_error_is_named_where_one_is_kept(
    keeper, ahead, constant, force, starts, named
):
    choice = Chosen("cola", "m", "tfidf", 0, "abc", 70.0, None, constant, ahead)
    said = keeper(force).note(choice)
    assert said.startswith(starts)
    assert (BEHIND in said) is named
