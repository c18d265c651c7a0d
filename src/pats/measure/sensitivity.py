"""Eq. 1 of a model on data."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pats._errors import InputError
from pats._noise import sensitivity as elementwise
from pats._noise import state_dtype
from pats._scope import Scope, named_parameters
from pats._scope import scope as names_in_scope


def sensitivity(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    reduce: str = "batch",
    scope: Scope = "all",
) -> dict[str, Tensor]:
    """Sensitivity of every parameter in scope over some batches.

        reduce="batch":      s_j = mean over batches b of |θ_j · ∂L_b/∂θ_j|
        reduce="gradient":   s_j = |θ_j · mean over b of ∂L_b/∂θ_j|

    The first is what training sees, and depends on the batch size; the second is Eq. 1 of the loss over
    all the data, where batches of one size that pull in opposite directions cancel.

    Source: Eq. 1 and Fig. 2 of the paper.

    Args:
        model: The model, in the mode (train or eval) in which it is to be measured; neither mode nor
            ``.grad`` is changed.
        batches: What ``loss`` takes, one a backward pass.
        loss: ``loss(model, batch)`` returns a scalar tensor.
        reduce: ``"batch"`` or ``"gradient"``.
        scope: As in ``pats.scope``.

    Returns:
        Sensitivities by canonical name, in the shape of the parameter, float32 (float64 for float64
        parameters). A parameter that the loss does not use has zeros. Non-finite gradients stay
        non-finite.

    Raises:
        InputError: There is no batch, or ``reduce`` is unknown.

    Source: Eq. 1 of the paper. Memory: one tensor of the scope's size beside the gradients, however many
    batches there are.
    """
    if reduce not in ("batch", "gradient"):
        raise InputError(f"reduce is {reduce!r}, but must be one of: batch, gradient")
    named = named_parameters(model)
    names = names_in_scope(model, scope)
    parameters = [named[name] for name in names]
    totals = [torch.zeros_like(p, dtype=state_dtype(p), requires_grad=False) for p in parameters]
    count = 0
    for batch in batches:
        _add_batch(totals, parameters, model, batch, loss, reduce)
        count += 1
    if count == 0:
        raise InputError("there is no batch to measure the sensitivity on")
    for total, parameter in zip(totals, parameters, strict=True):
        total /= count
        if reduce == "gradient":
            total.mul_(parameter.detach()).abs_()
    return dict(zip(names, totals, strict=True))


def _add_batch(
    totals: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    model: nn.Module,
    batch: Any,
    loss: Callable[[nn.Module, Any], Tensor],
    reduce: str,
) -> None:
    """A function of its own, so that one batch's gradients are gone before the next one's are made."""
    with torch.enable_grad():
        grads = torch.autograd.grad(loss(model, batch), parameters, allow_unused=True)
    for total, parameter, grad in zip(totals, parameters, grads, strict=True):
        if grad is not None:
            g = grad.to(total.dtype)
            total += elementwise(parameter.detach().to(total.dtype), g) if reduce == "batch" else g
