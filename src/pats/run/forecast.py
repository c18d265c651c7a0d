"""How much noise a run will accumulate, from its schedule, its weights and a few batches, before it trains.

    A = √(p · Σ_t mean_j σ_{j,t}²) / std(W)

with σ² = r, or r² where ``intensity="std"``, and r_{j,t} = λ_t·min(max(s̄/(s̄_j+ε) - γ, 0), ratio_max).
With ``scale="langevin"``, mean_j σ_{j,t}² is 2·lr_t·T/n; under a budget, A is what the budget spends over the
run's steps. It is the distance that the noise alone walks, with the sensitivities of now and without the pull
of the gradient. Where the noise does not stay in the weights (``keep``), A has the largest term instead of
the sum: it is the most noise that is there at a time.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import set_seed

from pats import kernels, setups, tasks
from pats._budget import fade, share
from pats._noise import Noise, intensity, state_dtype
from pats._scope import Scope, named_parameters
from pats._scope import scope as names_in
from pats.methods import Method
from pats.run import batches, environment
from pats.run.model.classifier import Loaded
from pats.run.outcome import kind
from pats.run.spec import Run
from pats.step.telemetry import LARGE

BATCHES = 4  # that a run measures where no formula says what its noise does
Averages = Mapping[str, tuple[Tensor, float]]  # s̄_j and s̄ by the matrix's name


def rates(run: Run, steps: int) -> list[float]:
    """The learning rate of every step of a run."""
    factor = setups.schedules()[run.schedule].factor(run.warmup, steps)
    return [run.lr * factor(step) for step in range(steps)]


def accumulated(
    model: nn.Module, noise: Noise, scope: Scope, lrs: Sequence[float], averages: Averages | None
) -> dict[str, float]:
    """A by kind of matrix, the largest over its layers.

    Args:
        model: The model.
        noise: The settings, with all that they need to know of the run.
        scope: Which parameters get noise.
        lrs: The learning rate of every step.
        averages: What ``measured`` returned; None where the noise is ``accounted`` and nothing was measured.
            A matrix without any sensitivity gets no noise.
    """
    named = named_parameters(model)
    squares = 0.0 if noise.accounted else _squares(noise, lrs)
    found: dict[str, float] = {}
    for name in names_in(model, scope) if averages is None else averages:
        weight = named[name]
        spread = float(weight.detach().double().std()) if weight.numel() > 1 else 0.0
        walked = 0.0
        if spread and (averages is None or averages[name][1]):
            if noise.accounted:
                walked = spent(noise, len(lrs)) if noise.scale == "budget" else _heat(noise, lrs) / spread
            elif averages is not None:
                walked = math.sqrt(noise.p * squares * _mean_square(*averages[name], noise)) / spread
        found[kind(name)] = max(found.get(kind(name), 0.0), walked)
    return found


def sentence(found: Iterable[float], lengths: Sequence[int], stays: bool = True) -> str:
    """In a line: A of the matrices that get noise, the steps of the runs, and whether the noise stays."""
    values = [value for value in found if value] or [0.0]
    many, steps = _span([f"{min(values):.2g}", f"{max(values):.2g}"]), _span([min(lengths), max(lengths)])
    word = "step" if max(lengths) == 1 else "steps"
    said, what = f"in {steps} {word} the noise alone will move a matrix by {many} of the spread", f"{LARGE:g}"
    if not stays:
        said = f"in {steps} {word} a matrix will hold noise of at most {many} of the spread"
        what += " of noise that stays"
    said += " of its weights"
    if max(values) <= LARGE:
        return f"{said[0].upper()}{said[1:]}."
    return f"Warning: {said}; more than {what} has made models worse."


def _span(ends: Sequence[object]) -> str:
    """One number, or from one to another."""
    return " to ".join(dict.fromkeys(map(str, ends)))


def forecast(
    method: Method[Any], run: Run, loaded: Loaded, train: tasks.Split, data: tasks.TaskData
) -> list[str]:
    """The sentence of a run that is about to train; none where its method adds no noise of PATS.

    Args:
        method: Its method.
        run: Its settings.
        loaded: The model; see ``measured``.
        train: The examples that it trains on.
        data: Its task.
    """
    steps = run.total_steps(len(train))
    planned = method.noise(run.noise_seed, steps, len(train))
    if planned is None or planned[0].silent:
        return []
    averages = None if planned[0].accounted else measured(run, loaded, train, data, *planned, BATCHES)
    found = accumulated(loaded.model, *planned, rates(run, steps), averages)
    return [sentence(found.values(), [steps], planned[0].keep == "walk")]


def measured(
    run: Run, loaded: Loaded, train: tasks.Split, data: tasks.TaskData, noise: Noise, scope: Scope, count: int
) -> Averages:
    """s̄_j and s̄ of every matrix in scope after ``count`` batches, on the model as it is, without an update.

    torch's generators are seeded; the model is left in training mode, without gradients.
    """
    set_seed(run.data_seed)
    device, classifier = environment.device(), cast(nn.Module, loaded.model)
    classifier.to(device).train()
    kept = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
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
    classifier.zero_grad()
    with torch.no_grad():
        for name, buffer in classifier.named_buffers():  # statistics of a batch norm
            buffer.copy_(kept[name])
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


def _squares(noise: Noise, lrs: Sequence[float]) -> float:
    """Σ_t λ_t over the schedule, or Σ_t λ_t² in the reading ``intensity="std"``.

    It is the largest of them where the noise of a step does not stay.
    """
    power = 1 if noise.intensity == "variance" else 2
    sizes = [noise.lam_t(lr, step) ** power for step, lr in enumerate(lrs, 1)]
    return math.fsum(sizes) if noise.keep == "walk" else max(sizes, default=0.0)


def _mean_square(average: Tensor, mean: float, noise: Noise) -> float:
    """Mean of σ² at λ = 1."""
    unit = intensity(average.double(), mean, average.numel(), 1.0, noise)
    return float((unit if noise.intensity == "variance" else unit.square()).clamp(max=noise.most).mean())


def spent(noise: Noise, steps: int) -> float:
    """What a budget spends over so many steps, the first of which has no noise; the most where none stays."""
    if noise.keep != "walk":
        return noise.size * math.sqrt(fade(noise.last, 2)) if noise.p and steps > 1 else 0.0
    left = math.prod(1 - share(noise.last, step) for step in range(2, steps + 1))
    return noise.size * math.sqrt(1 - left) if noise.p else 0.0


def _heat(noise: Noise, lrs: Sequence[float]) -> float:
    """What Langevin dynamics adds, in the unit of the weights; the first step has no noise."""
    return math.sqrt(math.fsum(noise.heat(lr, step) for step, lr in enumerate(lrs, 1) if step > 1))
