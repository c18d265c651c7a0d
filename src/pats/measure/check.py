"""``check``: how much noise a run would accumulate, against the spread of the weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn
from transformers import set_seed

from pats import kernels, methods, setups, tasks
from pats._budget import share
from pats._errors import InputError
from pats._noise import Noise, intensity, state_dtype
from pats._scope import Scope, named_parameters
from pats._scope import scope as names_in
from pats.run import batches, environment
from pats.run.data import load_data
from pats.run.model import classifier
from pats.run.outcome import kind
from pats.run.seeds import own_generators
from pats.run.spec import Run
from pats.step.telemetry import LARGE


@dataclass(frozen=True)
class Check:
    """What a run's noise amounts to.

    Args:
        accumulated: A by kind of matrix, the largest over its layers; see ``check``.
        steps: Optimizer steps of the run.
        batches: Batches that were measured.
        path: Execution path of the noise.
        measured: What is known of that path's time; None where nothing is to be said.
        warnings: Sentences for the user; empty if there is nothing to warn about.
    """

    accumulated: dict[str, float]
    steps: int
    batches: int
    path: str
    measured: str | None
    warnings: tuple[str, ...]


def check(run: Run, *, count: int = 8) -> Check:
    """Expected accumulated noise of a PATS run, from the sensitivities of a few batches.

        A = √(p · Σ_t mean_j σ_{j,t}²) / std(W)

    with σ² = r, or r² in the reading ``intensity="std"``, and r_{j,t} = λ_t·min(max(s̄/(s̄_j+ε) - γ, 0),
    ratio_max). With ``scale="langevin"``, mean_j σ_{j,t}² is 2·lr_t·T/n. It is the distance that the noise alone walks over the whole schedule, with the sensitivities of now and
    without the pull of the gradient, in units of the standard deviation of the matrix. Under a budget it is
    what the budget spends over the run's steps.

    The model is measured as loaded, in training mode, with clipped gradients and the moving average
    of the method, but without any update. Random generators are seeded by ``data_seed`` and put back.

    Args:
        run: The run; its method must add the noise of PATS, as ``"pats"`` and ``"pats-paper"`` do.
        count: Batches to measure, at least 1.

    Raises:
        InputError: The method is another, or the run cannot be set up. A matrix without spread, or
            without any sensitivity, is reported as 0.
    """
    method = methods.create(run.method, run.options)
    if method.noise(run.noise_seed) is None:
        noisy = " and ".join(methods.noisy())
        raise InputError(f"check measures the noise of {noisy}, not of {run.method!r}")
    if count < 1:
        raise InputError(f"count is {count!r}, but must be a whole number from 1")
    data = load_data(run)
    with own_generators():
        loaded = classifier.load(
            *(run.model, data.labels, run.max_length, run.init_seed, run.revision),
            allow_missing=run.allow_missing_weights,
            several=data.multilabel,
        )
        train = batches.subset(data.splits["train"], run.fraction, run.data_seed, data.regression)
        steps = run.steps or math.ceil(run.epochs * math.ceil(len(train) / run.batch_size))
        planned = method.noise(run.noise_seed, steps)
        assert planned is not None
        noise, scope = planned
        averages = _averages(run, loaded, train, data, noise, scope, count)
    power = 0.0 if noise.scale == "budget" else _power(run, noise, steps)
    named = named_parameters(loaded.model)
    accumulated: dict[str, float] = {}
    for name, (average, mean) in averages.items():
        weight, budget = named[name], noise.scale == "budget"
        walked = _spent(weight, mean, noise, steps) if budget else _walk(weight, average, mean, noise, power)
        accumulated[kind(name)] = max(accumulated.get(kind(name), 0.0), walked)
    measured = min(count, math.ceil(len(train) / run.batch_size))
    kernel = kernels.info(environment.device().type)
    return Check(accumulated, steps, measured, str(kernel), kernel.measured, _warnings(accumulated))


def _averages(
    run: Run,
    loaded: classifier.Loaded,
    train: tasks.Split,
    data: tasks.TaskData,
    noise: Noise,
    scope: Scope,
    count: int,
) -> dict[str, tuple[Tensor, float]]:
    """s̄_j and s̄ of every matrix in scope after ``count`` batches."""
    set_seed(run.data_seed)
    device, classifier = environment.device(), cast(nn.Module, loaded.model)
    classifier.to(device).train()
    in_bf16 = environment.bf16(run.precision, device)
    collate = batches.collator(loaded.tokenizer)
    order = torch.randperm(len(train)).tolist()
    rows = train.take(order[: count * run.batch_size])
    features = batches.encode_of(loaded.tokenizer, data, rows, loaded.max_length)
    named = named_parameters(classifier)
    averages = {
        name: torch.zeros_like(named[name], dtype=state_dtype(named[name]), requires_grad=False)
        for name in names_in(classifier, scope)
    }
    means = dict.fromkeys(averages, 0.0)
    starts = range(0, len(features), run.batch_size)
    for start in islice(starts, count):
        batch = collate(features[start : start + run.batch_size])
        classifier.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            loss = classifier(**{key: value.to(device) for key, value in batch.items()}).loss
        loss.backward()
        if run.clip:
            nn.utils.clip_grad_norm_(classifier.parameters(), run.clip)
        with torch.no_grad():
            means |= _measure(averages, named, noise)
    return {name: (average, means[name]) for name, average in averages.items()}


def _measure(averages: Mapping[str, Tensor], named: Mapping[str, Tensor], noise: Noise) -> dict[str, float]:
    """s̄ of every matrix that has a gradient, after its s̄_j took this batch in."""
    jobs = [
        kernels.MatrixJob(
            named[name], grad, name, average.numel(), kernels.whole(average.numel()), noise, average
        )
        for name, average in averages.items()
        if (grad := named[name].grad) is not None
    ]
    means = {}
    for batch in kernels.batches(jobs):
        for job, total in zip(batch.jobs, batch.measure()[:, 0].tolist(), strict=True):
            means[job.name] = total / max(job.numel, 1)
    return means


def _power(run: Run, noise: Noise, steps: int) -> float:
    """Σ_t λ_t over the schedule, or Σ_t λ_t² in the reading ``intensity="std"``."""
    factor = setups.schedules()[run.schedule].factor(run.warmup, steps)
    rates = (run.lr * factor(step) for step in range(steps))
    power = 1 if noise.intensity == "variance" else 2
    return math.fsum(noise.lam_t(rate) ** power for rate in rates)


def _walk(weight: Tensor, average: Tensor, mean: float, noise: Noise, power: float) -> float:
    if weight.numel() < 2 or mean == 0:
        return 0.0
    unit = intensity(average.double(), mean, average.numel(), 1.0, noise)
    square = float((unit if noise.intensity == "variance" else unit.square()).mean())
    spread = float(weight.detach().double().std())
    return math.sqrt(noise.p * power * square) / spread if spread else 0.0


def _spent(weight: Tensor, mean: float, noise: Noise, steps: int) -> float:
    """What a budget spends over the steps, the first of which has no noise."""
    spread = float(weight.detach().double().std()) if weight.numel() > 1 else 0.0
    if mean == 0 or not spread or noise.p == 0:
        return 0.0
    left = math.prod(1 - share(noise.steps, step) for step in range(2, steps + 1))
    return noise.size * math.sqrt(1 - left)


def _warnings(accumulated: dict[str, float]) -> tuple[str, ...]:
    large = {name: value for name, value in accumulated.items() if value > LARGE}
    if not large:
        return ()
    worst = max(large, key=lambda name: large[name])
    return (
        f"The noise alone would move {len(large)} of {len(accumulated)} kinds of matrix by more than "
        f"{LARGE:g} of their weights' standard deviation, {worst} by {large[worst]:.2f}: use the scale "
        "budget, or a smaller size of the noise.",
    )
