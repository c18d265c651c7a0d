"""``check``: how much noise a run would accumulate, against the spread of the weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pats import kernels, methods
from pats._errors import InputError
from pats.run import batches, environment, forecast, targets
from pats.run.data import load_data, settled
from pats.run.model import classifier
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


Loader = Callable[..., classifier.Loaded]  # as ``classifier.load``


def check(run: Run, *, count: int = 8, load: Loader = classifier.load) -> Check:
    """Expected accumulated noise of a PATS run, from the sensitivities of a few batches.

    ``pats.run.forecast`` has the formula. It is the distance that the noise alone walks over the whole
    schedule, in units of the standard deviation of the matrix; or, where the noise does not stay in the
    weights (``keep``), the most of it that is there at a time.

    The model is measured as loaded, in training mode, with clipped gradients and the moving average
    of the method, but without any update. Random generators are seeded by ``data_seed`` and put back.

    Args:
        run: The run; its method must add the noise of PATS, as ``"pats"`` and ``"pats-paper"`` do.
        count: Batches to measure, at least 1.
        load: Loads the model; one that gives the same model again is fine, as none of its weights change.

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
        loaded = load(
            *(run.model, data.labels, run.max_length, run.init_seed, run.revision),
            allow_missing=run.allow_missing_weights,
            several=data.multilabel,
        )
        train = batches.subset(data.splits["train"], run.fraction, run.data_seed, data.regression)
        steps = run.total_steps(len(train))
        planned = method.noise(run.noise_seed, steps, len(train))
        assert planned is not None
        with targets.begun(settled(run, data), data, loaded, train) as learned:
            averages = forecast.measured(run, loaded, learned.learned(train), data, *planned, count)
    accumulated = forecast.accumulated(loaded.model, *planned, forecast.rates(run, steps), averages)
    measured = min(count, math.ceil(len(train) / run.batch_size))
    kernel = kernels.info(environment.device().type, planned[0].keep)
    return Check(accumulated, steps, measured, str(kernel), kernel.measured, _warnings(accumulated))


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
