"""What a comparison says of the noise of its rows."""

import pytest

from pats.run import Run
from pats.run.model import classifier
from pats.study import Study, noise
from pats.study.prepare import load_tasks


@pytest.fixture
def study(tiny_bert, reviews):
    run = Run(model=str(tiny_bert), data=str(reviews), steps=30, batch_size=8, lr=1e-3)

    def made(*methods, options=None):
        return Study(run=run, methods=("vanilla", *methods), seeds=2, options=options or {})

    return made


@pytest.mark.parametrize("measure", [True, False])
def test_a_sentence_for_each_row_with_noise(study, measure):
    planned = study(
        *("pats", "sage", "hot=pats", "off=pats", "passing=pats"),
        options={"hot": {"scale": "langevin"}, "off": {"p": 0.0}, "passing": {"keep": "transient"}},
    )
    tasks = load_tasks(planned).tasks
    budget, hot, passing = noise.lines(planned, tasks, measure)
    assert budget == (
        "pats: In 30 steps the noise alone will move a matrix by 0.037 of the spread of its weights."
    )
    assert passing == (
        "passing: In 30 steps a matrix will hold noise of at most 0.019 of the spread of its weights."
    )
    if measure:
        assert hot.startswith("hot: ")
        assert "in 30 steps the noise alone will move a matrix by" in hot.lower()
    else:
        assert hot == "hot: pats check says what its noise will accumulate to."


def test_a_model_is_loaded_once_for_all_rows(study, monkeypatch):
    planned = study(
        *("pats-paper", "hot=pats", "warm=pats"),
        options={"hot": {"scale": "langevin"}, "warm": {"scale": "lr"}},
    )
    tasks, loaded, load = load_tasks(planned).tasks, [], classifier.load

    def counted(*asked, **more):
        loaded.append(asked)
        return load(*asked, **more)

    monkeypatch.setattr(classifier, "load", counted)
    told = noise.lines(planned, tasks, measure=True)
    assert len(loaded) == 1
    assert [line.partition(":")[0] for line in told] == ["pats-paper", "hot", "warm"]
    one = study("warm=pats", options={"warm": {"scale": "lr"}})
    assert noise.lines(one, tasks, measure=True) == told[2:]  # rows before it have left no trace
