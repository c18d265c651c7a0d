"""What a run says of its noise before it trains, against what the noise then does."""

import math

import pytest
import torch
from torch import nn

import pats
from pats.run import Run, finetune
from pats.run import forecast as ahead

STEPS, LR, EXAMPLES = 40, 1e-3, 200
NOISES = {
    "budget": pats.Noise(steps=STEPS, budget=0.3),
    "budget, in the first part": pats.Noise(steps=STEPS, budget=0.3, until=0.5),
    "constant": pats.Noise(scale="constant", lam=1e-5),
    "constant, bounded, in the first part": pats.Noise(
        scale="constant", lam=1e-5, ratio_max=2.0, until=0.25, steps=STEPS
    ),
    "lr, std, bounded": pats.Noise(scale="lr", intensity="std", kappa=0.5, ratio_max=3.0),
    "langevin": pats.Noise(scale="langevin", examples=EXAMPLES),
    "langevin, in the first part": pats.Noise(
        scale="langevin", examples=EXAMPLES, temperature=0.5, until=0.5, steps=STEPS
    ),
}
PRESENT = {
    "budget": {"budget": 0.3, "steps": STEPS},
    "budget, in the first part": {"budget": 0.3, "steps": STEPS, "until": 0.25},
    "budget, over before it begins": {"budget": 0.3, "steps": STEPS, "until": 0.01},
    "constant": {"scale": "constant", "lam": 1e-5, "ratio_max": 2.0},
    "lr, std": {"scale": "lr", "intensity": "std", "kappa": 0.5, "ratio_max": 3.0},
}


def both(noise):
    """What is said of the noise, and its size at each step, over the spread of the weights.

    With one gradient at every step, and weights that move little, the sensitivities stay as they are.
    """
    torch.manual_seed(0)
    model = nn.Module()
    model.weight = nn.Parameter(torch.randn(64, 64))
    spread = float(model.weight.detach().double().std())
    grad, lrs = torch.randn(64, 64), [LR * (1 - step / STEPS) for step in range(STEPS)]
    average = (model.weight * grad).abs().detach()
    (told,) = ahead.accumulated(
        model, noise, "all", lrs, {"weight": (average, float(average.mean()))}
    ).values()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=LR)
    perturbation, sizes = pats.perturb(optimizer, model, noise, "all"), []
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        model.weight.grad = grad.clone()
        optimizer.step()
        sizes.append(perturbation.stats()["weight"]["noise_rms"] / spread)
    return told, sizes


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_it_is_what_the_noise_does(noise):
    told, sizes = both(noise)
    assert told == pytest.approx(math.hypot(*sizes), rel=0.15)
    assert told > 0


@pytest.mark.parametrize("settings", PRESENT.values(), ids=PRESENT)
def test_of_noise_that_does_not_stay_it_is_the_most_at_a_time(settings):
    told, sizes = both(pats.Noise(keep="anticorrelated", p=1.0, **settings))
    assert told == pytest.approx(max(sizes), rel=0.15)
    assert (told > 0) == (settings.get("until") != 0.01)


def test_it_changes_nothing_of_the_run(tiny_bert, reviews):
    events = []
    run = Run(model=str(tiny_bert), data=str(reviews), steps=2, method="pats-paper", batch_size=8)
    heard, unheard = finetune(run, on_event=events.append), finetune(run)
    assert heard.telemetry == unheard.telemetry != {}
    assert heard.epochs == unheard.epochs
    (said,) = [note for note in events[0]["notes"] if "the noise alone" in note]
    assert "In 2 steps the noise alone will move a matrix by " in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "In 64 steps the noise alone will move a matrix by 0.04 of the spread of its weights."),
        (
            {"budget": 0.5},
            "Warning: in 64 steps the noise alone will move a matrix by 0.49 of the spread of its weights; "
            "more than 0.25 has made models worse.",
        ),
        ({"p": 0.0}, None),
        (
            {"keep": "transient", "until": 0.5},
            "In 64 steps a matrix will hold noise of at most 0.019 of the spread of its weights.",
        ),
        (
            {"keep": "anticorrelated", "budget": 0.5},
            "Warning: in 64 steps a matrix will hold noise of at most 0.49 of the spread of its weights; "
            "more than 0.25 of noise that stays has made models worse.",
        ),
    ],
)
def test_it_is_one_sentence_before_training(options, said, tiny_bert, reviews):
    class Enough(Exception):
        pass

    def hear(event):
        assert event["event"] == "start"
        notes = [note for note in event["notes"] if "of the spread of its weights" in note]
        assert notes == ([] if said is None else [said])
        raise Enough

    run = Run(model=str(tiny_bert), data=str(reviews), steps=64, options=options)
    with pytest.raises(Enough):
        finetune(run, on_event=hear)


def test_spans_of_runs_and_matrices():
    assert ahead.sentence([0.1, 0.0, 0.2], [10, 30]) == (
        "In 10 to 30 steps the noise alone will move a matrix by 0.1 to 0.2 of the spread of its weights."
    )
