"""One micro-batch as a method sees it, and the clock that numbers its forward passes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pats import philox

SUBSTREAM = 34  # bits of an element's index that are left to the element; the rest is the pass

Size = tuple[int, ...] | torch.Size


class Stream(NamedTuple):
    """Which random numbers: those of a seed, of what is named, and of a purpose of ``pats.philox``."""

    seed: int
    name: str
    purpose: int


class PassClock:
    """Where a training is: the coordinates of a method's random numbers.

    Every forward pass in training mode has a number within its optimizer step. Noise is drawn for
    (seed, name, step, pass, element), so it is the same after a resume, and when gradient checkpointing
    runs a pass again.

    Attributes:
        step: Optimizer step that is being made, 1-based.
        steps: Steps of the whole training; 0 where unknown.
        rank: Rank of this process. Noise on activations differs between ranks, that on weights does not.
        count: Forward passes begun in this step.
        current: Number of the pass that runs now, forwards or backwards; 1-based.
        mask: The attention mask of that pass, or None.
    """

    def __init__(self) -> None:
        self.step, self.steps, self.rank = 1, 0, 0
        self.count = self.current = 0
        self.mask: Tensor | None = None

    def begin(self, step: int, steps: int = 0, rank: int = 0) -> None:
        """A micro-batch begins; those of one optimizer step are numbered through."""
        if step != self.step:
            self.count = 0
        self.step, self.steps, self.rank = step, steps, rank

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Count the passes of this model, the one inside every wrapper."""
        handles = [
            model.register_forward_pre_hook(self._before, with_kwargs=True),
            model.register_forward_hook(self._after),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        if module.training:
            self.count += 1
            self.current = self.count
            self.mask = kwargs.get("attention_mask")

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        # Backward reaches the newest pass first, whole, then older ones: autograd goes by age. A pass
        # that gradient checkpointing runs again finds its own number.
        number = self.current

        def back(gradient: Tensor) -> None:
            self.current = number

        values: Iterable[Any] = output.values() if isinstance(output, Mapping) else ()
        for value in values:
            if isinstance(value, Tensor) and value.requires_grad:
                cast(Any, value).register_hook(back)

    def uniform(self, stream: Stream, shape: Size, number: int, device: torch.device) -> Tensor:
        """U(-1, 1) for this rank's activations in a pass of this step, float64, the same on every device."""
        return (self._words(stream, shape, number, device).double() + 0.5) / 2**31 - 1

    def normal(self, stream: Stream, shape: Size, number: int, device: torch.device) -> Tensor:
        """N(0, 1) for this rank's activations in a pass of this step, float64."""
        return philox.normal_quantile(self._words(stream, shape, number, device), 2**32)

    def _words(self, stream: Stream, shape: Size, number: int, device: torch.device) -> Tensor:
        start, count = (self.rank << 16 | number) << SUBSTREAM, torch.Size(shape).numel()
        words = philox.words(stream.seed, stream.name, self.step, start, count, stream.purpose, device)
        return words.to(torch.int64).view(shape)

    def seed(self, seed: int) -> int:
        """Seed of the dropout of the next pass, where it is an extra one."""
        low, high = philox.key(seed, f"dropout:{self.rank}:{self.step}:{self.count + 1}")
        return high << 32 | low


class MicroBatch:
    """One micro-batch: what a method's ``loss`` may do with it.

    Args:
        model: The model as it is to be called, in its wrapper (such as DDP).
        inputs: Keyword arguments of the model, with ``labels``.
        clock: The training's clock.
        seed: Seed of the method's own randomness.
        regression: The labels are scores.
        backward: Adds a loss's gradients, scaled as the training's own backward pass; None is
            ``loss.backward()``.
        unsynced: Makes a context in which backward passes do not exchange gradients between processes;
            None is the wrapper's ``no_sync``, where it has one.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        clock: PassClock,
        seed: int = 0,
        regression: bool = False,
        backward: Callable[[Tensor], Any] | None = None,
        unsynced: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self.model, self.inputs, self.clock = model, dict(inputs), clock
        self.seed, self.regression = seed, regression
        self._backward: Callable[[Tensor], Any] = backward or Tensor.backward
        own: Callable[[], AbstractContextManager[Any]] = getattr(model, "no_sync", nullcontext)
        self._unsynced = own if unsynced is None else unsynced
        self._states: list[Tensor] = []

    @property
    def several(self) -> bool:
        """A text may have several labels: there is a 0 or 1 for each."""
        labels = self.inputs.get("labels")
        return isinstance(labels, Tensor) and labels.ndim == 2

    def forward(self, *, final: bool = True, dropout: str = "own") -> Any:
        """One forward pass.

        Args:
            final: It is the last pass of this batch, whose backward pass exchanges gradients between
                processes. All others must say False.
            dropout: ``"own"`` draws from torch's global generators, as plain fine-tuning does, and is
                for one pass of a batch; ``"fresh"`` draws other masks, and ``"shared"`` those of the
                own pass again, both without a trace in the global generators.

        Returns:
            The model's output, with ``loss`` and ``logits``.
        """
        if dropout == "own":
            self._states = _states()
        inside = nullcontext() if dropout == "own" else self._forked(dropout)
        with nullcontext() if final else self._unsynced(), inside:
            return self.model(**self.inputs)

    def backward(self, loss: Tensor) -> None:
        """An extra backward pass, whose gradients add up; the training does the one of ``loss``."""
        with self._unsynced():
            self._backward(loss)

    @torch.no_grad()
    def logits_with(self, model: nn.Module, parameters: Mapping[str, Tensor], dropout: str) -> Tensor:
        """Logits of the unwrapped model with other parameters, without gradients."""
        with self._forked(dropout):
            output = functional_call(model, dict(parameters), (), self.inputs)
        return output.logits  # type: ignore[no-any-return]

    @contextmanager
    def _forked(self, dropout: str) -> Iterator[None]:
        seed = self.clock.seed(self.seed)
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            if dropout == "shared":
                torch.set_rng_state(self._states[0])
                for state in self._states[1:]:
                    torch.cuda.set_rng_state(state)
            else:
                torch.default_generator.manual_seed(seed)
                if devices:
                    torch.cuda.manual_seed(seed)
            yield


def _states() -> list[Tensor]:
    """States of the generators that dropout draws from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]
