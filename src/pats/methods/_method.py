"""What a fine-tuning method is: it says what it changes, and leaves the rest to the run."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

import pats.methods._options as _options
from pats import setups
from pats._noise import Noise
from pats._scope import Scope, named_parameters, param_groups
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._options import NoOptions, Value

Options = TypeVar("Options")

ASPECTS = ("weights", "optimizer", "forward", "embeddings", "loss", "rates", "evaluation", "export")


@dataclass(frozen=True)
class Training:
    """What a method may know of the training that it serves.

    Args:
        optimizer: One of ``pats.setups.optimizers()``.
        lr: Peak learning rate.
        betas: Decay rates of the optimizer's moments.
        eps: The optimizer's ε.
        weight_decay: Weight decay of all but biases and norms.
        seed: Seed of the method's own randomness.
        fresh: Canonical names of the parameters that the checkpoint lacked, such as the head's.
        steps: Optimizer steps of the whole training; 0 where unknown.
        examples: Training examples; 0 where unknown.
        regression: The labels are scores.
        anchors: The clean weights by canonical name, for methods that are ``anchored``.
        batches: Gives the training data once, a batch after another, in an order of its own; None where it is
            not known.
        init_seed: Seed of the weights that are drawn at random before training.
    """

    optimizer: str = "adamax"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    seed: int = 0
    fresh: frozenset[str] = field(default=frozenset())
    steps: int = 0
    examples: int = 0
    regression: bool = False
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    batches: Callable[[], Iterable[Mapping[str, Tensor]]] | None = None
    init_seed: int = 0


class Method(Generic[Options]):
    """A fine-tuning method with its options. This class is plain fine-tuning.

    A subclass in a module of ``pats.methods`` is found by its ``name``, one of your own is named
    ``my_module:MyMethod``. It overrides what it changes, and lists it in ``changes``:

    - ``"weights"``: ``prepare_`` changes the weights once, before training.
    - ``"optimizer"``: ``optimizer`` is another one.
    - ``"forward"``: ``attached`` changes what the model's layers compute.
    - ``"embeddings"``: noise on the word embeddings.
    - ``"loss"``: ``loss`` is another one, perhaps from several passes.
    - ``"rates"``: ``rates_`` changes the learning rates of the optimizer, whoever brings it.
    - ``"evaluation"``: ``evaluated`` puts other weights into the model wherever it is evaluated and saved.
    - ``"export"``: ``blend_`` makes the weights that are saved at the end, from those of several evaluations.

    Attributes:
        name: What it is called.
        summary: What it does, in a few words.
        sentence: What a model card calls it, with what it does and its source in brackets; without one, its
            name and summary.
        source: Where it is from.
        changes: Some of ``ASPECTS``.
        cost: What it costs beyond plain fine-tuning, in words.
        anchored: It needs ``Training.anchors``.
        redraws: It throws pretrained weights away, and so does not go with a method that is ``anchored``.
        noisy: It adds the noise of PATS: its options are settings of ``Noise``, which have plain flags.
        Options: A frozen dataclass of ``option`` fields, which are ``int``, ``float``, ``bool``,
            ``str``, or one of them ``| None``.

    Args:
        options: Values by name; missing ones take their defaults.

    Raises:
        InputError: An option is unknown, of another type, or out of its range.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    sentence: ClassVar[str] = ""
    source: ClassVar[str] = ""
    changes: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[str] = "none"
    anchored: bool = False
    redraws: ClassVar[bool] = False
    noisy: ClassVar[bool] = False
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Mapping[str, Value] | None = None) -> None:
        self.options: Options = _options.parsed(self.name, self.Options, self.option_fields(), options or {})

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def option_fields(cls) -> tuple[Field[Any], ...]:
        """The fields of the options that a user may set."""
        return fields(cls.Options)

    @classmethod
    def search(cls, fixed: Mapping[str, Value]) -> Mapping[str, tuple[Value, ...]]:
        """Options that a sweep searches by default, with their values; by default none.

        Args:
            fixed: Options that have one value.
        """
        return {}

    def about(self) -> dict[str, Any]:
        """What a result keeps of the method beside its name and options: plain values for JSON."""
        summary = f" ({self.summary})" if self.summary else ""
        return {
            "sentence": self.sentence or f"{self.name}{summary}",
            "source": self.source,
            "changes": list(self.changes),
            "noisy": self.noisy,
        }

    def noise(self, seed: int, steps: int = 0, examples: int = 0) -> tuple[Noise, Scope] | None:
        """The noise of PATS that the method adds, and where; None where it adds none.

        Args:
            seed: Seed of the noise.
            steps: Optimizer steps of the whole run; 0 where unknown.
            examples: Training examples of the run; 0 where unknown.
        """
        return None

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Change the model in place before training; by default nothing.

        The global random generators must not be used: methods share order and dropout.
        """

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The optimizer of the model's trainable parameters; by default the training's own."""
        optimizer = base_optimizer(model, training)
        self.rates_(optimizer, model)
        return optimizer

    def rates_(self, optimizer: Optimizer, model: nn.Module) -> None:
        """Change the learning rates of the optimizer's groups, or divide them; by default nothing.

        It has made no step yet. A schedule multiplies what it finds here.
        """

    def attached(
        self, model: nn.Module, training: Training, clock: PassClock
    ) -> AbstractContextManager[None]:
        """A context in which the model's forward pass is changed; by default nothing is.

        It is entered before the first step and left after the last, on the model inside every wrapper.
        The model must compute as always in ``eval()``, and its ``state_dict`` must not change.
        """
        return nullcontext()

    def loss(self, batch: MicroBatch) -> Tensor:
        """The loss of a micro-batch, whose backward pass is the training's; by default the model's."""
        return batch.forward().loss  # type: ignore[no-any-return]

    def stepped(self, model: nn.Module) -> None:
        """The optimizer has made a step; by default nothing happens. Called inside ``attached``.

        The weights, and all that training depends on, must stay as they are.
        """

    def evaluated(self, model: nn.Module) -> AbstractContextManager[None]:
        """A context in which the model has the weights that are to be evaluated; by default its own.

        It is entered once for every evaluation, on the model inside every wrapper. Dev scores, the choice of
        the best epoch and the exported model are of these weights. Afterwards the model must have its own
        again, to the bit: training goes on with them, and checkpoints hold them.
        """
        return nullcontext()

    def judged(self, model: nn.Module, score: float, step: int) -> None:
        """The model, inside ``evaluated``, has this score on dev; by default nothing happens.

        Args:
            model: The model, which must stay as it is.
            score: Larger is better.
            step: Optimizer steps so far.
        """

    def blend_(self, model: nn.Module, score: Callable[[], float]) -> bool:
        """Put the weights that are to be saved into the model, after the last evaluation; by default none.

        Args:
            model: The model.
            score: Evaluates the model as it is on dev; larger is better.

        Returns:
            Whether the model has such weights now. They are evaluated once more, and saved in place of the
            best epoch's.
        """
        return False

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold for this method beyond model and optimizer; by default nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave; called inside ``attached``."""

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """Measurements of the last step by parameter name; by default none."""
        return {}


def base_optimizer(
    model: nn.Module, training: Training, noise: Noise | None = None, scope: Scope = "all"
) -> Optimizer:
    """The training's optimizer; with ``noise``, if given, where it joins noise."""
    groups = param_groups(model, scope, training.weight_decay or None)
    rates = setups.Rates(training.lr, training.betas, training.eps, training.weight_decay)
    # Without noise torch's own update, on the path that torch takes by itself, so that every method is plain
    # fine-tuning to the bit; with noise update and noise in one kernel, where the tensors allow it.
    silent = noise is None or noise.silent
    foreach = next(model.parameters()).device.type == "cuda" if silent else None
    return setups.optimizers()[training.optimizer].build(groups, rates, noise, foreach)


def anchors(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every trainable parameter by canonical name, tied ones once."""
    return {name: parameter.detach().clone() for name, parameter in named_parameters(model).items()}
