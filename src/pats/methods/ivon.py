"""IVON: variational learning; see ``pats.optim.IVON``.

Shen et al., "Variational Learning is Effective for Large Deep Networks", ICML 2024. Every training pass sees
weights drawn from the posterior, and the update goes to its mean, which is what is evaluated and saved.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from pats import optim
from pats._errors import InputError
from pats._scope import named_parameters, param_groups
from pats.methods import _options
from pats.methods._batch import MicroBatch
from pats.methods._method import Method, Training
from pats.methods._passes import in_training, loss_at


@dataclass(frozen=True)
class IvonOptions:
    """Options of IVON.

    Args:
        ess: λ > 0, the effective sample size; none is the number of training examples. A larger one makes the
            posterior narrower.
        sigma: Standard deviation of the posterior at the start, above 0: h₀ = 1/(λσ²).
        hess_init: h₀ > 0 itself, in place of ``sigma``; none leaves it to that.
        beta2: β₂ of h, in [0, 1]; 1 holds it fixed, and the authors' value almost, for as many steps as a
            fine-tuning has.
        delta: δ ≥ 0, precision of the prior over λ; it pulls the mean to 0. The run's weight decay is
            another, decoupled one.
        clip: Gradient, above 0, at which a weight moves by the whole learning rate; ξ·(h₀ + δ) in the
            authors' terms.
        rescale: ``"radius"`` makes the learning rate the largest move of a weight, so that rates as for Adam
            fit; ``"hess_init"`` is the authors' code, whose rates are as for SGD, ``"none"`` the paper.
        scope: Parameters that are drawn from the posterior, as in ``pats.scope``; the others have a fixed h.
    """

    ess: float | None = _options.number(None, above=True, source="the paper")
    sigma: float = _options.number(1e-3, above=True, source="ours; the authors' for GPT-2: 3e-4")
    hess_init: float | None = _options.number(None, above=True, source="ours; the authors: 1e-3 to 1")
    beta2: float = _options.number(0.99999, 0, 1, source="authors' code")
    delta: float = _options.number(1e-6, source="authors' script for GPT-2; the code's default is 1e-4")
    clip: float = _options.number(1e-6, above=True, source="authors' script for GPT-2")
    rescale: str = _options.choice("radius", "hess_init", "none", source="ours; the authors': hess_init")
    scope: str = _options.scope("all", source="authors' code")


class Ivon(Method[IvonOptions]):
    """IVON in place of the training's optimizer, whatever was asked for.

    There is one sample a step, for all its micro-batches and on every replica.
    """

    name = "ivon"
    summary = "weights drawn from a posterior in every training pass, whose mean is what is learned"
    sentence = "IVON (variational learning, Shen et al. 2024)"
    source = "Shen et al., ICML 2024"
    changes = ("optimizer", "loss")
    cost = "one draw and one noised copy of the weights a pass; moments as Adam"
    Options = IvonOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """``pats.optim.IVON``; its β₁ is the training's."""
        options = self.options
        ess = float(options.ess or training.examples)
        if not ess:
            raise InputError("ivon needs the number of training examples, which is not known here: set ess")
        hess_init = options.hess_init or 1 / (ess * options.sigma**2)
        self._ivon = optim.IVON(
            param_groups(model, options.scope, training.weight_decay or None),
            lr=training.lr,
            ess=ess,
            betas=(training.betas[0], options.beta2),
            hess_init=hess_init,
            delta=options.delta,
            weight_decay=training.weight_decay,
            clip_radius=options.clip / (hess_init + options.delta),
            rescale=options.rescale,
            seed=training.seed,
        )
        return self._ivon

    def loss(self, batch: MicroBatch) -> Tensor:
        """The loss at the step's sample; in ``eval()`` that at the mean."""
        if not in_training(batch):
            return super().loss(batch)
        return loss_at(batch, [*named_parameters(batch.model).values()], self._ivon.sample())
