"""A classifier small enough to be computed again by hand, with the face of a transformers model."""

from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional

from pats.methods import MicroBatch, PassClock, Training, create

WORDS, WIDTH, CLASSES = 11, 4, 3
IDS = torch.tensor([[1, 5, 3, 7], [2, 9, 0, 0], [4, 4, 8, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])


class Output(dict[str, torch.Tensor]):
    __getattr__ = dict.__getitem__


class Body(nn.Module):
    """The embeddings and the one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(WIDTH, 5), nn.Linear(5, WIDTH))])


class Toy(nn.Module):
    """tanh of the words' projection, averaged over real words; optional dropout; a head."""

    base_model_prefix = "body"

    def __init__(self, outputs: int = CLASSES, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = Body()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, outputs)

    def get_input_embeddings(self) -> nn.Module:
        return self.body.words

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Output:
        x = self.body.words(input_ids)
        x = x + self.body.layers[0](x).tanh()
        real = attention_mask.unsqueeze(-1).to(x.dtype)
        logits = self.head(self.dropout((x * real).sum(1) / real.sum(1)))
        if logits.shape[-1] == 1:
            loss = functional.mse_loss(logits[:, 0], labels)
        else:
            loss = functional.cross_entropy(logits, labels)
        return Output(loss=loss, logits=logits)


def make_toy(regression: bool = False, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> Toy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Toy(1 if regression else CLASSES, dropout).to(dtype).train()


def toy_inputs(regression: bool = False, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    labels = torch.tensor([0.3, -1.0, 2.0], dtype=dtype) if regression else torch.tensor([0, 2, 1])
    return {"input_ids": IDS, "attention_mask": MASK, "labels": labels}


class Trial:
    """One method on one model: losses, gradients and the number of passes."""

    def __init__(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        model: nn.Module | None = None,
        regression: bool = False,
        **training: Any,
    ) -> None:
        self.model: Any = make_toy(regression) if model is None else model
        self.method, self.clock = create(name, options), PassClock()
        self.training = Training(regression=regression, **training)
        self.regression = regression

    def __enter__(self) -> Self:
        self._contexts = [
            self.clock.attached(self.model),
            self.method.attached(self.model, self.training, self.clock),
        ]
        for context in self._contexts:
            context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for context in reversed(self._contexts):
            context.__exit__(*error)

    def loss(self, step: int = 1, steps: int = 0, **batch: Any) -> torch.Tensor:
        self.clock.begin(step, steps)
        given = batch.pop("inputs", None) or toy_inputs(self.regression, self.model.head.weight.dtype)
        made = MicroBatch(self.model, given, self.clock, self.training.seed, self.regression, **batch)
        return self.method.loss(made)

    def gradients(self, **where: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and gradients by name."""
        self.model.zero_grad()
        loss = self.loss(**where)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), {n: p.grad.clone() for n, p in self.model.named_parameters()}
