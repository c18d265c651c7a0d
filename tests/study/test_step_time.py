from statistics import fmean

import numpy as np
import pytest
import torch

from pats import methods
from pats.run.model import classifier
from pats.run.spec import Run
from pats.run.trainer import Order
from pats.study import Study
from pats.study.prepare import check_models
from pats.study.step_time import seconds_of, usual
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


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_step_is_timed_in_the_precision_of_the_training(tiny_bert, precision, dtype):
    run = Run(model=str(tiny_bert), data="t.csv", method="vanilla", precision=precision)
    loaded = classifier.load(run.model, ("bad", "good"), 32, 0)
    seen = set()
    loaded.model.classifier.register_forward_hook(lambda *args: seen.add(args[-1].dtype))
    seconds_of(run, loaded, methods.create("vanilla"), methods.Training(examples=100), TEXTS)
    assert seen == {dtype}


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


@pytest.mark.parametrize(
    "lengths",
    [
        np.random.default_rng(0).geometric(0.05, 400).clip(1, 128),
        np.sort(np.random.default_rng(1).geometric(0.02, 333).clip(3, 128)),
        np.repeat([8, 120], [380, 20]),
        np.full(16, 7),
        np.arange(1, 6),
    ],
    ids=["uneven", "sorted", "few long", "one batch", "less than a batch"],
)
def test_the_timed_batch_is_as_long_as_the_mean_batch_of_a_training(lengths):
    features = [{"input_ids": [1] * int(length)} for length in lengths]
    timed, tokens = usual(features, 16)
    order = list(Order(16, lengths=[int(length) for length in lengths]))
    batches = [order[at : at + 16] for at in range(0, len(order), 16)]
    assert len(timed) == min(16, len(lengths))
    assert max(len(one["input_ids"]) for one in timed) <= tokens
    assert tokens == pytest.approx(fmean(max(lengths[row] for row in batch) for batch in batches), rel=0.15)
