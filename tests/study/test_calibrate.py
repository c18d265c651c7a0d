import pytest
import torch

from pats import methods
from pats.run.model import classifier
from pats.run.spec import Run
from pats.study import Study
from pats.study.calibrate import seconds_of
from pats.study.prepare import check_models
from pats.tasks import Split, load
from support.tables import labelled_rows, write_table

TEXTS = Split(("the day was fine", "a dull film"), label=(1.0, 0.0))


@pytest.mark.parametrize(
    "name", ["vanilla", "noisytune", "pats", "smart", "recadam", "mixout", "sam", "upgd", "ivon"]
)
def test_a_step_of_every_kind_of_method_is_timed_and_leaves_the_generators(tiny_bert, name):
    run = Run(model=str(tiny_bert), data="t.csv", method=name)
    loaded = classifier.load(run.model, ("bad", "good"), 32, 0)
    training = methods.Training(fresh=loaded.fresh, examples=100)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert 0 < seconds_of(run, loaded, methods.create(name), training, TEXTS, threads=1) < 60
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_step_on_several_labels_is_timed(tiny_bert, tmp_path):
    """There are more sets of labels than labels: taken for classes, they would be out of range."""
    rows = labelled_rows(["a", "b", "c", "a;b", "a;c", "b;c"] * 10)
    data = load(data=write_table(tmp_path / "t.csv", rows))
    assert data.multilabel
    run = Run(model=str(tiny_bert), data="t.csv", method="vanilla", kind="multilabel")
    study = Study(run=run, methods=("vanilla",), seeds=1, baselines=())
    sample = data.splits["train"].take(list(range(16)))
    _, seconds = check_models(study, {"t": data.labels}, sample, 1, data)
    assert 0 < seconds[str(tiny_bert), "vanilla"] < 60
