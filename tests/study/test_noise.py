"""What a comparison says of the noise of its rows."""

import pytest

from pats.run import Run
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
