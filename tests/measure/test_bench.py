import os

import pytest
import torch

from pats import InputError
from pats.measure import bench as _bench
from pats.measure.bench import SHOWN, STEPS, bench, in_turn, medians, ratio
from pats.run.model import classifier
from support.tiny_bert import make_tiny_bert


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "bert"
    make_tiny_bert(folder)
    return str(folder)


def test_turns_after_the_warm_up():
    calls, told = [], []
    times = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, on_round=told.append)
    assert calls == ["a", "b"] * 5
    assert told == [1, 2, 3]
    assert [len(values) for values in times.values()] == [3, 3]


def test_a_ratio_is_the_median_of_the_turns_ratios():
    times = {"a": [1.0, 40.0, 3.0], "b": [1.0, 20.0, 1.0]}
    assert ratio(times, "a", "b") == 2.0
    assert medians(times) == {"a": 3.0, "b": 1.0}


def test_every_step_of_a_model(bert):
    random, threads, told = torch.get_rng_state(), torch.get_num_threads(), []
    found = bench(bert, threads=(1, 2), rounds=2, on_round=lambda done, total: told.append((done, total)))
    left = {name for name in SHOWN if name not in found.left_out}
    assert {(cost.step, cost.threads) for cost in found.costs} == {(n, t) for n in left for t in (1, 2)}
    assert all(0 < cost.best_ms <= cost.median_ms for cost in found.costs)
    assert all((cost.over_without_noise is None) == (STEPS[cost.step].base is None) for cost in found.costs)
    assert 0 < found.perturbed < found.parameters
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads


def optimizer_of(step):
    """Whose step it is, also where it is wrapped."""
    return step.__self__ if hasattr(step, "__self__") else step.__closure__[0].cell_contents.__self__


@pytest.mark.parametrize("name", SHOWN)
def test_a_step_is_what_its_name_says(bert, name):
    module = classifier.load(bert, ("no", "yes"), 16, 0).model
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    try:
        step = STEPS[name].make(module, "encoder")
        step()
    except InputError:
        assert STEPS[name].fused
        pytest.skip("no kernel here")
    optimizer = optimizer_of(step)
    assert isinstance(optimizer, torch.optim.Adamax if "Adamax" in name else torch.optim.AdamW)
    noisy = any("sensitivity" in state for state in optimizer.state.values())
    assert noisy == (STEPS[name].base is not None)


def test_without_a_kernel_it_says_why(bert, monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", "eager")
    found = bench(bert, threads=(1,), rounds=1)
    assert found.kernel == "eager"
    assert set(found.others) == {"cpu", "triton"}
    assert set(found.left_out) == {name for name in SHOWN if STEPS[name].fused}
    assert "PATS_KERNEL asks for eager" in found.left_out["PATS Adamax, fused"]
    assert os.environ["PATS_KERNEL"] == "eager"


@pytest.mark.parametrize(
    ("settings", "said"), [({"rounds": 0}, "rounds is 0"), ({"threads": (1, 0)}, "threads is 0")]
)
def test_bad_numbers(settings, said):
    with pytest.raises(InputError, match=said):
        bench("nowhere", **settings)


def test_too_little_memory(bert, monkeypatch):
    class Full:
        @staticmethod
        def virtual_memory():
            return type("Memory", (), {"available": 1})

    monkeypatch.setattr(_bench, "try_import", lambda *_: Full)
    with pytest.raises(InputError, match="GiB side by side"):
        bench(bert)
