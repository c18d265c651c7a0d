"""Methods together: ``"noisytune+pats"`` is both, where each changes something else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from pats._errors import InputError, did_you_mean
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._method import Method, Training
from pats.methods._options import Value

_ONE = {
    "optimizer": "each brings its own optimizer",
    "embeddings": "each puts its own noise on the word embeddings",
    "loss": "each makes its own loss from several passes",
    "evaluation": "each evaluates an average of its own",
    "export": "each makes its own weights at the end",
}


class Composite(Method[Any]):
    """Several methods that change different things.

    Anchors are the weights before any of them acts; then the weights are changed in the order in which
    the methods are named.

    Args:
        parts: Methods by name, at least two.
        options: Values by ``"part.option"``, or by the option alone where one part has it.

    Raises:
        InputError: Two of them change the same thing, or one changes nothing; an option is unknown,
            ambiguous, of another type, or out of its range.
    """

    name = "composite"

    def __init__(self, parts: Mapping[str, type[Method[Any]]], options: Mapping[str, Value]) -> None:
        _check(parts)
        given = _by_part(parts, options)
        self.parts: dict[str, Method[Any]] = {name: parts[name](given[name]) for name in parts}
        self.options = {name: part.options for name, part in self.parts.items()}
        self.anchored = any(part.anchored for part in self.parts.values())

    def about(self) -> dict[str, Any]:
        """All parts' together."""
        said = [part.about() for part in self.parts.values()]
        return {
            "sentence": " and ".join(part["sentence"] for part in said),
            "source": "; ".join(part["source"] for part in said if part["source"]),
            "changes": [change for part in said for change in part["changes"]],
            "noisy": any(part["noisy"] for part in said),
        }

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Every part's, in order."""
        for part in self.parts.values():
            part.prepare_(model, training)

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """Of the part that brings one, with the learning rates of all."""
        owner = self._of("optimizer")
        optimizer = owner.optimizer(model, training)
        for part in self.parts.values():
            if part is not owner:  # whose optimizer has its rates
                part.rates_(optimizer, model)
        return optimizer

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """All parts' changes at once."""
        with ExitStack() as stack:
            for part in self.parts.values():
                stack.enter_context(part.attached(model, training, clock))
            yield

    def loss(self, batch: MicroBatch) -> Tensor:
        """Of the part that brings one."""
        return self._of("loss").loss(batch)

    def stepped(self, model: nn.Module) -> None:
        """Tell every part."""
        for part in self.parts.values():
            part.stepped(model)

    @contextmanager
    def evaluated(self, model: nn.Module) -> Iterator[None]:
        """With the weights of the part that brings some."""
        with self._of("evaluation").evaluated(model):
            yield

    def judged(self, model: nn.Module, score: float, step: int) -> None:
        """Tell every part."""
        for part in self.parts.values():
            part.judged(model, score, step)

    def blend_(self, model: nn.Module, score: Callable[[], float]) -> bool:
        """Of the part that makes some."""
        return self._of("export").blend_(model, score)

    def state(self) -> dict[str, Tensor]:
        """Every part's, behind its name."""
        return {f"{name}/{key}": value for name, p in self.parts.items() for key, value in p.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Give every part its own."""
        for name, part in self.parts.items():
            head = f"{name}/"
            part.load_state({k.removeprefix(head): v for k, v in state.items() if k.startswith(head)})

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """All parts' together."""
        return {k: v for part in self.parts.values() for k, v in part.telemetry(optimizer).items()}

    def _of(self, aspect: str) -> Method[Any]:
        owners = (part for part in self.parts.values() if aspect in part.changes)
        return next(owners, next(iter(self.parts.values())))


def _check(parts: Mapping[str, type[Method[Any]]]) -> None:
    together = "+".join(parts)
    for name, part in parts.items():
        if not part.changes:
            raise InputError(f"{together!r} cannot be combined: {name!r} changes nothing, so leave it out")
    for aspect, why in _ONE.items():
        names = [name for name, part in parts.items() if aspect in part.changes]
        if len(names) > 1:
            raise InputError(
                f"{together!r} cannot be combined: of {' and '.join(map(repr, names))} {why}; keep one of "
                "them, and combine it with methods that change something else"
            )
    anchored, drawn = ([n for n, p in parts.items() if getattr(p, k)] for k in ("anchored", "redraws"))
    if anchored and drawn:
        raise InputError(
            f"{together!r} cannot be combined: {anchored[0]!r} goes back to the pretrained weights, of which "
            f"{drawn[0]!r} throws some away; leave one of them out"
        )


def _by_part(
    parts: Mapping[str, type[Method[Any]]], options: Mapping[str, Value]
) -> dict[str, dict[str, Value]]:
    known: dict[str, Sequence[str]] = {
        name: [f.name for f in part.option_fields()] for name, part in parts.items()
    }
    given: dict[str, dict[str, Value]] = {name: {} for name in parts}
    for key, value in options.items():
        part, dot, name = key.rpartition(".")
        owners = [part] if dot else [owner for owner in parts if key in known[owner]]
        if dot and part not in parts:
            perhaps = did_you_mean(part, parts)
            raise InputError(
                f"option {key!r} is for {part!r}{perhaps}, but the methods are: {', '.join(parts)}"
            )
        if not owners:
            every = [f"{owner}.{one}" for owner in parts for one in known[owner]]
            perhaps = did_you_mean(key, [one.partition(".")[2] for one in every])
            raise InputError(
                f"method {'+'.join(parts)!r} has no option {key!r}{perhaps}; its options are: "
                f"{', '.join(every)}"
            )
        if len(owners) > 1:
            forms = " or ".join(f"{owner}.{key}" for owner in owners)
            raise InputError(f"option {key!r} of method {'+'.join(parts)!r} is ambiguous: write {forms}")
        given[owners[0]][name] = value
    return given
