"""RecAdam: Adam that recalls the pretrained weights less and less; see ``pats.optim.RecAdam``."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pats import optim
from pats._errors import InputError
from pats._scope import param_groups
from pats._scope import scope as names_in
from pats.methods import _options
from pats.methods._method import Method, Training

_SHARE = 4  # by default, the task is annealed in within a quarter of the run at the latest


@dataclass(frozen=True)
class RecAdamOptions:
    """Options of RecAdam.

    Args:
        schedule: Of the task's weight λ(t): ``"sigmoid"``, ``"linear"`` or ``"constant"``.
        k: Steepness of the sigmoid.
        t0: Step at which the sigmoid is half way, or the line at its end; none is 250, the authors'
            script, but at most a quarter of the run, which would otherwise hardly learn its task.
        gamma: Strength of the pull to the pretrained weights.
        w: Final weight of the task; 0 is plain Adam.
        penalty_at: ``"moved"`` takes the pull after Adam's move, as the authors' code, ``"previous"``
            before it, as the paper's algorithm. The published results are the code's, so it is the default.
        scope: Parameters that are pulled, as in ``pats.scope``; what the checkpoint lacks never is.
    """

    schedule: str = _options.choice("sigmoid", "linear", "constant", source="authors' script")
    k: float = _options.number(0.5, source="authors' script; .05 to 1")
    t0: float | None = _options.number(None, source="ours; the authors: 100 to 1,000")
    gamma: float = _options.number(5000.0, source="authors' script")
    w: float = _options.number(1.0, source="authors' code")
    penalty_at: str = _options.choice("moved", "previous", source="authors' code")
    scope: str = _options.scope("pretrained", source="authors' code: the whole pretrained model")


class RecAdam(Method[RecAdamOptions]):
    """RecAdam in place of the training's optimizer, which is Adam's family whatever was asked for."""

    name = "recadam"
    summary = "Adam that is pulled to the pretrained weights, less and less"
    sentence = "RecAdam (a pull to the pretrained weights that fades, Chen et al. 2020)"
    source = "Chen et al., EMNLP 2020"
    changes = ("optimizer",)
    cost = "one float32 a parameter in scope"
    anchored = True
    Options = RecAdamOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """``pats.optim.RecAdam``, pulled to the training's anchors."""
        options = self.options
        factor = training.lr * options.w * options.gamma
        if factor >= 2 and options.schedule != "constant":
            raise InputError(
                f"recadam would diverge: lr·w·gamma is {factor:g} and must stay below 2, better below 1; "
                f"lower gamma to {0.5 / (training.lr * options.w):.3g} or the learning rate"
            )
        inside = [n for n in names_in(model, options.scope) if n not in training.fresh]
        if not inside:
            raise InputError(f"recadam's scope {options.scope!r} holds no pretrained parameter: widen it")
        latest = training.steps / _SHARE if training.steps else 250.0
        return optim.RecAdam(
            param_groups(model, inside, training.weight_decay or None),
            lr=training.lr,
            betas=training.betas,
            eps=training.eps,
            weight_decay=training.weight_decay,
            schedule=options.schedule,
            k=options.k,
            t0=min(250.0, latest) if options.t0 is None else options.t0,
            gamma=options.gamma,
            w=options.w,
            penalty_at=options.penalty_at,
            anchors=training.anchors or None,
        )
