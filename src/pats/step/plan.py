"""Which path does what of a step: decided here alone, and once. A plan is used until it no longer holds.

A matrix is measured before the base update and perturbed after it (``Plan.apart``), or its path does all of
this in one call (``Plan.at_once``). ``pats.kernels.choose_path`` says which path its tensors allow, the
``Wish`` of its group whether that path is to do the base update, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pats._errors import InputError
from pats.kernels import MatrixJob, Members, Path, choose_path, grouped
from pats.kernels.job import traits


@dataclass(frozen=True)
class Wish:
    """What an optimizer asks for a group's parameters: that their path does the base update, too.

    Args:
        required: Where no kernel can, that is an error; otherwise the optimizer updates them itself.
        anywhere: Plain torch will do as well as a kernel.
        options: Options of the optimizer that are on and that no kernel knows; ``capturable`` is known on
            CUDA.
        scaled: torch's AMP has left a scale to be read, which torch's own path does.
    """

    required: bool = False
    anywhere: bool = False
    options: tuple[str, ...] = ()
    scaled: bool = False


class Candidate(NamedTuple):
    """One matrix of a step.

    Args:
        job: Its job, before it has a base update.
        wish: What its group asks; None leaves the base update to the optimizer.
        sharded: Whether ranks hold parts of it: its sums are then not known before all have measured.
    """

    job: MatrixJob
    wish: Wish | None
    sharded: bool

    def decided_by(self) -> tuple[object, ...]:
        """All of the matrix that its decision depends on."""
        theta, grad, average = self.job.theta, self.job.grad, self.job.average
        state = None if average is None else (traits(average), average.is_contiguous())
        return traits(theta), traits(grad), state, self.wish, self.sharded, self.job.last is None


class Decision(NamedTuple):
    """What is to be done with one matrix.

    Args:
        path: Its path.
        why: Why that is plain torch; None where it is a kernel.
        fused: Whether the path does the base update, too.
    """

    path: Path
    why: str | None
    fused: bool


@dataclass(frozen=True)
class Plan:
    """The decisions for the matrices of a step, by their position.

    Args:
        decided_by: ``PATS_KERNEL``, and each matrix's ``Candidate.decided_by``: the plan holds for every step
            where these are the same.
        decisions: One a matrix.
        apart: What is measured before the base update and perturbed after it, in this order: matrices that
            the optimizer updates, then sharded ones that their path does.
        at_once: What is measured, updated and perturbed in one call.
    """

    decided_by: tuple[object, ...]
    decisions: tuple[Decision, ...]
    apart: tuple[Members, ...]
    at_once: tuple[Members, ...]


def plan(candidates: Sequence[Candidate], wanted: str | None, last: Plan | None = None) -> Plan:
    """The plan of a step: the last one, if it holds.

    Args:
        candidates: All matrices; those with noise are planned whatever is wished, others only by a wish.
        wanted: The path that ``PATS_KERNEL`` asks for.
        last: The plan of the last step.

    Raises:
        InputError: A kernel is required that cannot be had.
    """
    decided_by = (wanted, *(candidate.decided_by() for candidate in candidates))
    if last is not None and last.decided_by == decided_by:
        return last
    decisions = tuple(_decided(candidate, wanted) for candidate in candidates)
    separate, sharded, at_once = [], [], []
    for position, (candidate, decision) in enumerate(zip(candidates, decisions, strict=True)):
        if not decision.fused:
            if candidate.job.noise is not None:
                separate.append(position)
        elif candidate.sharded and candidate.job.noise is not None:
            sharded.append(position)
        else:
            at_once.append(position)

    def members(positions: Sequence[int]) -> tuple[Members, ...]:
        groups = grouped((decisions[i].path, candidates[i].job.theta.device) for i in positions)
        return tuple((path, tuple(positions[i] for i in which)) for path, which in groups)

    apart = (*members(separate), *members(sharded))
    return Plan(decided_by, decisions, apart, members(at_once))


def _decided(candidate: Candidate, wanted: str | None) -> Decision:
    job, wish = candidate.job, candidate.wish
    path, why = choose_path(job, wanted)
    if wish is None or wish.anywhere:
        return Decision(path, why, wish is not None)
    refused = why
    if wish.scaled:
        refused = refused or "torch's AMP has left a scale, which torch's own step reads"
    for option in wish.options:
        if not (option == "capturable" and job.theta.is_cuda):
            refused = f"it does not know {option}=True on {job.theta.device.type}"
    if refused is not None and wish.required:
        raise InputError(f"fused=True cannot be had for {job.name or 'a parameter'}: {refused}")
    return Decision(path, why, refused is None)
