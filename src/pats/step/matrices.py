"""The matrices of an optimizer: found in its groups, and as the jobs that a path is given."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from pats._errors import InputError
from pats.kernels import MatrixJob
from pats.step import shard

Target = tuple[dict[str, Any], Tensor, str]  # group, parameter, canonical name


def iterate(
    groups: Iterable[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], Tensor, str | None]]:
    """Every parameter of the groups, with its name where the groups have names."""
    for group in groups:
        names = group.get("param_names") or [None] * len(group["params"])
        if len(names) != len(group["params"]):
            raise InputError(
                f"a parameter group has {len(names)} names for {len(group['params'])} tensors, as when "
                "DeepSpeed ZeRO has flattened them: PATS needs whole matrices, use FSDP2 or DDP"
            )
        for parameter, name in zip(group["params"], names, strict=True):
            yield group, parameter, name


def job_for(parameter: Tensor, grad: Tensor, name: str) -> MatrixJob:
    """A job without noise on this rank's part of a parameter.

    Args:
        parameter: The parameter, whole or a DTensor.
        grad: This rank's part of its gradient.
        name: Its canonical name.
    """
    return MatrixJob(
        shard.local(parameter), grad, name, parameter.numel(), shard.pieces(parameter), None, None
    )
