import pytest
import torch

from pats import methods
from pats.run.model import classifier
from pats.run.spec import Run
from pats.study.calibrate import seconds_of
from pats.tasks import Split

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
