"""PATS in ``transformers.Trainer``."""

from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from pats._errors import InputError, did_you_mean
from pats._imports import try_import
from pats._noise import DEFAULT, PREFIX, RNG_KEY, Noise
from pats._perturb import perturb
from pats._scope import Scope, param_groups
from pats.optim import Adamax, AdamW

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainingArguments

OURS: dict[str, type[Adamax] | type[AdamW]] = {"adamax": Adamax, "adamw": AdamW}

Build = Callable[[nn.Module], Optimizer]


def optimizer_cls_and_kwargs(
    args: "TrainingArguments",
    optim: str = "adamax",
    noise: Noise | None = DEFAULT,
    scope: Scope = "encoder",
) -> tuple[Callable[[], Build], dict[str, Any]]:
    """What ``Trainer(optimizer_cls_and_kwargs=...)`` takes to train with PATS.

    Trainer then builds the optimizer from the model that it trains:

        Trainer(model, args, optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(args))

    Learning rate, betas, ε and weight decay come from ``args`` (Trainer itself does not read them on
    this path). The decay spares biases and norms, as Trainer's own does.

    Source: PATS's own.

    Args:
        args: The Trainer's arguments.
        optim: ``"adamax"`` or ``"adamw"`` of ``pats.optim``, or any name that
            ``TrainingArguments(optim=...)`` takes: for those ``pats.perturb`` is attached.
        noise: The settings; None adds no noise. A budget is spread over ``args.max_steps`` where that is
            set; where the epochs decide, or with ``scale="langevin"``, give Trainer the callback
            ``NoiseSteps()``.
        scope: Which parameters are perturbed, as in ``pats.scope``.

    Returns:
        Trainer's factory form, the only one that receives the model, and no further arguments.

    Raises:
        InputError: ``optim`` is unknown.
    """
    if noise is not None:
        noise = noise.for_run(steps=max(args.max_steps, 0))
    if optim in OURS:
        cls, apart = OURS[optim], noise is not None and noise.keep == "transient"

        def build(model: nn.Module) -> Optimizer:
            optimizer = cls(
                param_groups(model, scope, args.weight_decay),
                lr=args.learning_rate,
                betas=(args.adam_beta1, args.adam_beta2),
                eps=args.adam_epsilon,
                noise=None if apart else noise,
            )
            if noise is not None and apart:
                perturb(optimizer, model, noise, scope)
            return optimizer

        return (lambda: build), {}
    joined = _of_trainer(args, optim, noise, scope)
    return (lambda: joined), {}


def _of_trainer(args: "TrainingArguments", optim: str, noise: Noise | None, scope: Scope) -> Build:
    transformers = try_import("transformers", "run")
    names = try_import("transformers.training_args", "run").OptimizerNames
    known = sorted(name.value for name in names)
    if optim not in known:
        every = dict.fromkeys([*OURS, *known])
        raise InputError(
            f"optim is {optim!r}{did_you_mean(optim, every)}, but must be one of: {', '.join(every)}"
        )
    chosen = names(optim)

    def build(model: nn.Module) -> Optimizer:
        before, args.optim = args.optim, chosen
        try:
            cls, kwargs = transformers.Trainer.get_optimizer_cls_and_kwargs(args, model)
        finally:
            args.optim = before
        if not isinstance(cls, type) or not issubclass(cls, Optimizer) or {"params", "model"} & set(kwargs):
            raise InputError(f"optim={optim!r} builds its optimizer in a way that PATS cannot join")
        optimizer = cls(param_groups(model, scope, args.weight_decay), **kwargs)
        if noise is not None:
            perturb(optimizer, model, noise, scope)
        return optimizer

    return build


def NoiseSteps() -> "TrainerCallback":
    """A callback for Trainer that tells the noise how long the training is, and on how many examples.

    Trainer calls it when training begins:

        Trainer(model, args, callbacks=[pats.hf.NoiseSteps()])

    When training begins it writes Trainer's number of optimizer steps into ``noise_steps`` of every group of
    the optimizer whose noise has a budget, or ``until``, and no steps yet; and the length of the training set
    into ``noise_examples`` where ``scale="langevin"`` has none. A resumed training keeps what its checkpoint
    holds. Optimizers without such groups are left alone.

    Source: PATS's own.

    Returns:
        The callback.
    """
    transformers = try_import("transformers", "run")

    class Steps(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            data = getattr(given.get("train_dataloader"), "dataset", None)
            examples = len(data) if isinstance(data, Sized) else 0
            tell_length(given["optimizer"], state.max_steps, examples)

    return Steps()


def tell_length(optimizer: Optimizer, steps: int, examples: int = 0) -> None:
    """Write the number of steps, and of examples, into the groups whose noise uses and lacks them."""
    for group in optimizer.param_groups:
        if RNG_KEY in group:
            lacking = Noise.from_group(group).lacking(steps, examples)
            group.update({PREFIX + name: value for name, value in lacking.items()})
