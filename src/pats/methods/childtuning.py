"""Child-Tuning: the update sees a part of the gradient, drawn at every step (F) or chosen for the task (D).

Xu et al., "Raise a Child in Large Language Model: Towards Effective and Generalizable Fine-tuning", EMNLP
2021. With the gradient g, after clipping, the optimizer is given

    F:  g ⊙ M_t / p,   M_t ~ Bernoulli(p) for every entry at every step
    D:  g ⊙ M,         M = 1 for the share p of entries with the largest Fisher information, over all tensors

        F(w) = 1/|D| Σ ( ∂ log p(y|x; w)/∂w )²  on the training data, at the pretrained weights

The mask enters both moments of Adam as the gradient does: what is masked at one step of F still moves, by its
earlier gradients; outside the child network of D only weight decay moves anything.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from pats import philox
from pats._errors import InputError
from pats._scope import canonical_name, named_parameters, repeated_blocks
from pats._scope import scope as names_in
from pats.kernels import draws
from pats.kernels.eager import located, words_located
from pats.methods import _options
from pats.methods._method import Method, Training, base_optimizer
from pats.step import shard

_STEP = "mask_step"  # of a group: steps made so far, kept in checkpoints


@dataclass(frozen=True)
class ChildTuningOptions:
    """Options of Child-Tuning.

    Args:
        variant: ``"F"`` draws a mask at every step; ``"D"`` chooses one before training, in one more pass
            over the training data.
        p: Share of the entries that learn, in (0, 1].
        fisher: What is squared in D: the gradient of each ``"batch"``, as the authors' code, or of each
            ``"example"``, as the paper's formula, which takes a pass an example.
        scope: What is masked, as in ``pats.scope``; the rest learns with its whole gradient. None is the
            authors' code: everything in F, the layers of the encoder, norms included, in D.
    """

    variant: str = _options.choice("F", "D", source="ours: F needs no pass over the data")
    p: float = _options.number(0.3, 0, 1, above=True, source="authors' script")
    fisher: str = _options.choice("batch", "example", source="authors' code")
    scope: str | None = _options.scope(None, source="authors' code")


class ChildTuning(Method[ChildTuningOptions]):
    """The training's optimizer with a mask on its gradients: of purpose 6 of the stream, or of the data."""

    name = "childtuning"
    summary = "updates from a part of the gradient, drawn at every step or chosen for the task"
    sentence = "Child-Tuning (updates from a part of the gradient, Xu et al. 2021)"
    source = "Xu et al., EMNLP 2021"
    changes = ("optimizer",)
    cost = "F: one draw a parameter a step; D: one more pass over the data, one byte a parameter in scope"
    Options = ChildTuningOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.masks: dict[str, Tensor] = {}

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The training's own, which masks gradients at the start of its steps."""
        self._names, self._seed = frozenset(self._inside(model)), training.seed
        if self.options.variant == "D":
            named = {name: p for name, p in named_parameters(model).items() if name in self._names}
            if any(map(shard.is_sharded, named.values())):
                raise InputError(
                    "childtuning's variant D ranks all weights together, which it cannot do where they are "
                    "sharded: train on replicas (torchrun, or Accelerate without FSDP), or take variant=F"
                )
            if training.batches is not None and not self.masks:  # a resumed run has those of its checkpoint
                each = self.options.fisher == "example"
                self.masks = chosen(fisher(model, training.batches(), named, each), self.options.p)
        optimizer = base_optimizer(model, training)
        optimizer.register_step_pre_hook(self._mask)
        return optimizer

    def state(self) -> dict[str, Tensor]:
        """The masks of D, which the data gave at the pretrained weights."""
        return self.masks

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the masks of the checkpoint."""
        self.masks = dict(state)

    def _inside(self, model: nn.Module) -> list[str]:
        if self.options.scope is not None or self.options.variant == "F":
            return names_in(model, self.options.scope or "all")
        blocks = tuple(f"{canonical_name(name)}." for name in repeated_blocks(model))
        return names_in(model, lambda name: name.startswith(blocks))

    @torch.no_grad()
    def _mask(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.options.variant == "D" and not self.masks:
            raise InputError(
                "childtuning's variant D chooses what learns by the training data: give Training its "
                "batches, or take variant=F"
            )
        for group in optimizer.param_groups:
            group[_STEP] = group.get(_STEP, 0) + 1
            for parameter, name in zip(group["params"], group["param_names"], strict=True):
                if parameter.grad is None or name not in self._names:
                    continue
                if self.options.variant == "D":
                    self.masks[name] = mask = self.masks[name].to(parameter.device)
                    parameter.grad.mul_(mask)
                else:
                    self._draw(parameter, name, group[_STEP])

    def _draw(self, parameter: Tensor, name: str, step: int) -> None:
        """G ⊙ M_t / p in place; entry i is kept iff its word is below p·2³²."""
        grad, key = shard.local_grad(parameter), philox.key(self._seed, name)
        p, flat = self.options.p, grad.contiguous().view(-1)
        for part, where in located(shard.pieces(parameter)):
            if isinstance(where, Tensor):
                word = words_located(key, step, where, philox.GRADIENT_MASK, flat.device)
                kept = word < round(p * 2**32)
            else:
                kept = draws.kept(key, step, *where, philox.GRADIENT_MASK, p, flat.device)
            flat[part].mul_(kept).mul_(1 / p)
        if flat.data_ptr() != grad.data_ptr():
            grad.copy_(flat.view(grad.shape))


def fisher(
    model: nn.Module, batches: Iterable[Mapping[str, Tensor]], named: Mapping[str, Tensor], each: bool
) -> dict[str, Tensor]:
    """Mean over the batches, or over the examples, of the squared gradient, without dropout.

    Args:
        model: The model, inside every wrapper; its mode is restored.
        batches: Keyword arguments of the model, with ``labels``.
        named: The parameters.
        each: Over the examples.
    """
    sums = {
        name: torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32))
        for name, parameter in named.items()
    }
    count, training = 0, model.training
    model.eval()
    for batch in batches:
        for inputs in _examples(batch) if each else [batch]:
            device = next(model.parameters()).device
            loss = model(**{key: value.to(device) for key, value in inputs.items()}).loss
            grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            count += 1
            for total, grad in zip(sums.values(), grads, strict=True):
                if grad is not None:
                    total += grad.to(total.dtype).square()
    model.train(training)
    for total in sums.values():
        total /= max(count, 1)
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(total, 0)  # replicas that round otherwise would choose other entries
    return sums


def _examples(batch: Mapping[str, Tensor]) -> Iterable[dict[str, Tensor]]:
    """The rows of a batch, each as a batch of one."""
    for row in range(len(batch["labels"])):
        yield {key: value[row : row + 1] for key, value in batch.items()}


def chosen(information: Mapping[str, Tensor], p: float) -> dict[str, Tensor]:
    """Which entries are among the share p with the largest information, all tensors together."""
    every = torch.cat([tensor.flatten() for tensor in information.values()])
    rank = math.ceil((len(every) - 1) * (1 - p))  # as NumPy's percentile, of which what lies above is taken
    least = every.kthvalue(rank + 1).values
    return {name: tensor >= least for name, tensor in information.items()}
