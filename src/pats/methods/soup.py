"""Greedy soup: plain training, and at the end the mean of the best epochs' weights that go together.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", ICML 2022, recipe 1: the candidates in the order of their scores on held-out data,
the best first; each is added to the soup if the mean of the soup with it scores no less than without it.
Their candidates are the models of many runs, ours the evaluations of one run.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pats.methods import _options
from pats.methods._batch import PassClock
from pats.methods._method import Method, Training
from pats.methods._weights import mean, put_, trainable


@dataclass(frozen=True)
class SoupOptions:
    """Options of the greedy soup.

    Args:
        candidates: K ≥ 1: how many of the evaluations, by default one an epoch, may go into the soup: those
            with the best scores on dev, the earlier one of equal ones. 1 is plain fine-tuning.
    """

    candidates: int = _options.option(
        5,
        "a whole number from 1",
        lambda value: value >= 1,
        source="ours; the authors: every model of a sweep",
    )


@dataclass(frozen=True)
class Candidate:
    """An evaluation whose weights may go into the soup.

    Args:
        score: On dev; larger is better.
        step: Its optimizer step.
        tensors: Trainable parameters and buffers, on the host.
    """

    score: float
    step: int
    tensors: dict[str, Tensor]


class Soup(Method[SoupOptions]):
    """Training and its evaluations are plain fine-tuning's; a soup of several is one more evaluation.

    Floating-point buffers are averaged as parameters are; integers are those of the best candidate.
    """

    name = "soup"
    summary = "exports the mean of the best epochs' weights, as long as the dev score does not fall"
    sentence = "greedy soup (the mean of the best epochs' weights, Wortsman et al. 2022)"
    source = "Wortsman et al., ICML 2022"
    changes = ("export",)
    cost = (
        "K evaluations on dev at the end; K copies of the weights in the host's memory and in each checkpoint"
    )
    Options = SoupOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.candidates: list[Candidate] = []
        self._figures: dict[str, float] = {}

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Start without candidates, and let go of them at the end."""
        self.candidates, self._figures = [], {}
        yield
        self.candidates = []

    def stepped(self, model: nn.Module) -> None:
        """Only look whether the model is one whose weights can be kept, before an epoch has gone by."""
        trainable(model, self.name)

    def judged(self, model: nn.Module, score: float, step: int) -> None:
        """Keep these weights if they are among the best so far."""
        places = [one.score for one in self.candidates]
        if len(places) == self.options.candidates and score <= places[-1]:
            return
        own = {name: t.detach().to("cpu", copy=True) for name, t in self._tensors(model).items()}
        ordered = sorted([*self.candidates, Candidate(score, step, own)], key=lambda one: -one.score)
        self.candidates = ordered[: self.options.candidates]

    def blend_(self, model: nn.Module, score: Callable[[], float]) -> bool:
        """The soup, where it is of several candidates."""
        tensors, soup = self._tensors(model), self.candidates[:1]
        best = soup[0].score if soup else -math.inf
        for candidate in self.candidates[1:]:
            put_(tensors, mean([one.tensors for one in (*soup, candidate)]))
            found = score()
            if found >= best:
                soup, best = [*soup, candidate], found
        self._figures = {"candidates": len(self.candidates), "ingredients": len(soup)}
        if len(soup) < 2:
            return False
        put_(tensors, mean([one.tensors for one in soup]))
        return True

    def state(self) -> dict[str, Tensor]:
        """The candidates' weights, numbered from the best, with their scores and steps."""
        weights = {
            f"{number}/{name}": tensor
            for number, one in enumerate(self.candidates)
            for name, tensor in one.tensors.items()
        }
        scores = torch.tensor([one.score for one in self.candidates], dtype=torch.float64)
        steps = torch.tensor([one.step for one in self.candidates], dtype=torch.int64)
        return {**weights, ".scores": scores, ".steps": steps}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the candidates of the checkpoint."""
        known = zip(state[".scores"].tolist(), state[".steps"].tolist(), strict=True)
        self.candidates = []
        for number, (score, step) in enumerate(known):
            head = f"{number}/"
            tensors = {k.removeprefix(head): v for k, v in state.items() if k.startswith(head)}
            self.candidates.append(Candidate(score, step, tensors))

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """How many candidates there were, and how many of them are in the soup."""
        return {"soup": self._figures} if self._figures else {}

    def _tensors(self, model: nn.Module) -> dict[str, Tensor]:
        return {**trainable(model, self.name), **dict(model.named_buffers())}
