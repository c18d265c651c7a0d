"""``bench``: what an optimizer's step costs on this machine, with PATS and without."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pats import kernels, optim
from pats._errors import InputError
from pats._imports import try_import
from pats._noise import Noise
from pats._perturb import perturb
from pats._scope import Scope, param_groups
from pats.kernels import cpu, triton
from pats.run import environment
from pats.run.model import classifier, source
from pats.run.seeds import own_generators

LR = 1e-6
NOISE = Noise(scale="constant", lam=1e-12)  # as costly as any other
ADAMAX = "torch Adamax, foreach"

Call = Callable[[], object]


@dataclass(frozen=True)
class Step:
    """One way to do a step.

    Args:
        make: ``make(model, scope)`` builds the optimizer, and returns what does a step.
        base: The step without noise that it is compared with; None for one without noise.
        fused: Whether it needs one of our kernels.
    """

    make: Callable[[nn.Module, Scope], Call]
    base: str | None = None
    fused: bool = False


def _eager(step: Call) -> Call:
    def run() -> None:
        with _forced("eager"):
            step()

    return run


@contextmanager
def _forced(path: str) -> Iterator[None]:
    """With an execution path, whatever this machine has."""
    before = os.environ.get("PATS_KERNEL")
    os.environ["PATS_KERNEL"] = path
    try:
        yield
    finally:
        del os.environ["PATS_KERNEL"]
        if before is not None:
            os.environ["PATS_KERNEL"] = before


def _perturbed(module: nn.Module, scope: Scope) -> Call:
    optimizer = torch.optim.Adamax(module.parameters(), lr=LR, foreach=True)
    perturb(optimizer, module, NOISE, scope)
    return optimizer.step


def _adamax(module: nn.Module, scope: Scope, **how: Any) -> Call:
    return optim.Adamax(param_groups(module, scope), lr=LR, **how).step


STEPS: dict[str, Step] = {
    ADAMAX: Step(lambda m, scope: torch.optim.Adamax(m.parameters(), lr=LR, foreach=True).step),
    "torch AdamW, fused": Step(lambda m, scope: torch.optim.AdamW(m.parameters(), lr=LR, fused=True).step),
    "Adamax, fused": Step(lambda m, scope: _adamax(m, scope, fused=True), fused=True),
    "PATS Adamax, fused": Step(
        lambda m, scope: _adamax(m, scope, fused=True, noise=NOISE), "Adamax, fused", fused=True
    ),
    "PATS AdamW, fused": Step(
        lambda m, scope: optim.AdamW(param_groups(m, scope), lr=LR, fused=True, noise=NOISE).step,
        "torch AdamW, fused",
        fused=True,
    ),
    "PATS Adamax, torch operations": Step(
        lambda m, scope: _eager(_adamax(m, scope, foreach=True, noise=NOISE)), ADAMAX
    ),
    "PATS Adamax, foreach and noise kernel": Step(
        lambda m, scope: _adamax(m, scope, foreach=True, noise=NOISE), ADAMAX
    ),
    "torch Adamax, foreach, and perturb": Step(_perturbed, ADAMAX),
}
SHOWN = tuple(name for name in STEPS if name != "PATS Adamax, foreach and noise kernel")  # as perturb's


@dataclass(frozen=True)
class Cost:
    """What one step costs.

    Args:
        step: Name of the step.
        threads: Threads of torch.
        median_ms: Median milliseconds.
        best_ms: The fastest one.
        over_torch_adamax: Against torch's Adamax (foreach).
        over_without_noise: Against the same step without noise; None for a step without noise.
    """

    step: str
    threads: int
    median_ms: float
    best_ms: float
    over_torch_adamax: float
    over_without_noise: float | None


@dataclass(frozen=True)
class Bench:
    """What was measured.

    Args:
        model: The model.
        parameters: Its parameters.
        perturbed: Those in scope, which PATS perturbs.
        rounds: Turns, after two to warm up.
        kernel: The execution path of PATS on this machine.
        measured: What is known of that path's time from elsewhere; None where nothing is to be said.
        others: Why each other path is not taken.
        left_out: Why steps were left out, by name.
        costs: One for every step and number of threads.
        environment: Versions, hardware, date.
    """

    model: str
    parameters: int
    perturbed: int
    rounds: int
    kernel: str
    measured: str | None
    others: Mapping[str, str]
    left_out: Mapping[str, str]
    costs: tuple[Cost, ...]
    environment: Mapping[str, Any]


def bench(
    name: str = source.MINILM,
    *,
    threads: Sequence[int] = (),
    rounds: int = 11,
    scope: str = "encoder",
    revision: str | None = None,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> Bench:
    """Measure the optimizer's step on a model's own parameters, with artificial gradients.

    All steps take turns in one process, through the public optimizers, Python included. Ratios are medians of
    the ratios of the turns, whose steps saw the same machine; times also depend on what else it does.

    Args:
        name: ``"minilm"``, a folder, or a name on the hub.
        threads: Numbers of torch's threads; empty takes torch's own.
        rounds: Turns, at least 1.
        scope: What PATS perturbs, as in ``pats.scope``.
        revision: Revision on the hub.
        on_round: Called with the turns done and their number, over all ``threads``.

    Raises:
        InputError: A number is out of its range, the model cannot be used, or the optimizers' states do not
            fit the memory that is free.
    """
    before = torch.get_num_threads()
    counts = tuple(threads) or (before,)
    for what, number in (("rounds", rounds), *(("threads", count) for count in counts)):
        if not (isinstance(number, int) and number >= 1):
            raise InputError(f"{what} is {number!r}, but must be a whole number from 1")
    device = environment.device()
    with own_generators():
        module: nn.Module = classifier.load(name, ("no", "yes"), 128, 0, revision).model
        groups = param_groups(module, scope)
        perturbed = sum(p.numel() for group in groups if group["in_scope"] for p in group["params"])
        total = sum(p.numel() for p in module.parameters())
        _check_memory(total, perturbed, device)
        module.to(device)
        for parameter in module.parameters():
            parameter.grad = torch.randn_like(parameter) * 1e-3
    kernel, others, refused = _kernel(module, device)
    left_out = {step: refused for step in SHOWN if STEPS[step].fused and refused}
    calls = {step: STEPS[step].make(module, scope) for step in SHOWN if step not in left_out}
    costs: list[Cost] = []
    try:
        for place, count in enumerate(counts):
            torch.set_num_threads(count)

            def on_turn(turn: int, done: int = place * rounds) -> None:
                on_round(done + turn, rounds * len(counts))

            times = in_turn(calls, rounds, on_round=on_turn)
            costs += _costs(times, count)
    finally:
        torch.set_num_threads(before)
    described = environment.describe(device, False)
    measured = kernels.info(device.type).measured
    return Bench(name, total, perturbed, rounds, kernel, measured, others, left_out, tuple(costs), described)


def _costs(times: Mapping[str, list[float]], threads: int) -> Iterator[Cost]:
    median = medians(times)
    for step, values in times.items():
        base = STEPS[step].base
        yield Cost(
            step,
            threads,
            median[step],
            round(min(values), 3),
            ratio(times, step, ADAMAX),
            None if base is None else ratio(times, step, base),
        )


def _kernel(module: nn.Module, device: torch.device) -> tuple[str, dict[str, str], str | None]:
    """The path in words, why others are not taken, and why there is no kernel."""
    theta = next(module.parameters())
    pieces = kernels.whole(theta.numel())
    average = torch.empty_like(theta, dtype=torch.float32)
    job = kernels.MatrixJob(theta.detach(), theta.detach(), "probe", theta.numel(), pieces, NOISE, average)
    refused = kernels.choose_path(job, kernels.forced()).why
    kernel = kernels.info(device.type)
    paths = {"cpu": cpu, "triton": triton}
    others = {
        name: path.refusal(job) or refused or "another one is chosen first"
        for name, path in paths.items()
        if name != kernel.path
    }
    return str(kernel).partition(",")[0], others, refused


def _check_memory(parameters: int, perturbed: int, device: torch.device) -> None:
    """Every step keeps moments of its own, as optimizers do; refuse before the system ends the process."""
    noisy = sum(STEPS[name].base is not None for name in SHOWN)
    # Gradients, two moments a step, an average a step with noise, torch's temporaries; on a GPU, weights.
    need = 4 * (parameters * (1 + 2 * len(SHOWN) + 3) + noisy * perturbed)
    if device.type == "cuda":
        need += 4 * parameters
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = try_import("psutil", "run").virtual_memory().available
    if need > free:
        raise InputError(
            f"the steps of this model need about {need / 2**30:.1f} GiB side by side, but "
            f"{free / 2**30:.1f} GiB are free: free some, or take a smaller model of the same family"
        )


def in_turn(
    paths: Mapping[str, Call],
    rounds: int,
    warm_up: int = 2,
    on_round: Callable[[int], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Milliseconds of every path, taken in turn so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(rounds + warm_up):
        for name, step in paths.items():
            begin = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - begin))
        if turn >= warm_up:
            on_round(turn - warm_up + 1)
    return times


def ratio(times: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median of the ratios of the turns: both saw the same machine, so it is steadier than their medians'."""
    pairs = zip(times[over], times[under], strict=True)
    return round(statistics.median(a / b for a, b in pairs), 3)


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median milliseconds."""
    return {name: round(statistics.median(values), 3) for name, values in times.items()}
