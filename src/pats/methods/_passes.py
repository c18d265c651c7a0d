"""A pass at other weights than the model's own, of which the training sees the loss and the gradients."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pats.methods._batch import MicroBatch
from pats.step.displaced import displaced


def loss_at(
    batch: MicroBatch,
    parameters: Sequence[Tensor],
    shifts: Iterable[tuple[Tensor, Tensor]],
    dropout: str = "own",
) -> Tensor:
    """The loss of a batch's last pass where the weights are elsewhere.

    Forward and backward pass are made here, so the weights are back before anyone looks. The training's own
    backward pass then hands the gradients out, scaled as it scales them, and processes exchange them.

    Args:
        batch: The batch.
        parameters: All that the training updates.
        shifts: What is added to which of them.
        dropout: As for ``MicroBatch.forward``.
    """
    with displaced(shifts):
        loss = batch.forward(dropout=dropout).loss
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    used = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
    known: Any = _Known
    result: Tensor = known.apply(loss.detach(), [g for _, g in used], *(p for p, _ in used))
    return result


def in_training(batch: MicroBatch) -> bool:
    """Whether gradients are wanted: a model in ``eval()`` computes with its own weights."""
    return batch.model.training and torch.is_grad_enabled()


class _Known(torch.autograd.Function):
    """A loss whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [gradient.mul_(grads[0]) for gradient in ctx.gradients]
        ctx.gradients = []  # autograd keeps them from here
        return None, None, *scaled
