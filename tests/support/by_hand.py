"""The toy's forward pass, the methods' noise and divergences once more, from the formulas alone."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pats import philox
from support.toy_classifier import IDS, MASK

TABLE = "body.words.weight"


def logits_of(
    parameters: Mapping[str, torch.Tensor],
    extra: torch.Tensor | None = None,
    words: torch.Tensor | None = None,
    layer: torch.Tensor | None = None,
    dropout: torch.Tensor | None = None,
) -> torch.Tensor:
    """Logits as a function of named parameters.

    ``extra`` is added to the embeddings, ``layer`` to what the layer is given; ``dropout`` is a factor.
    """
    x = (parameters[TABLE] if words is None else words)[IDS]
    x = x if extra is None else x + extra
    given = x if layer is None else x + layer
    hidden = given @ parameters["body.layers.0.0.weight"].T + parameters["body.layers.0.0.bias"]
    hidden = hidden @ parameters["body.layers.0.1.weight"].T + parameters["body.layers.0.1.bias"]
    x = x + torch.tanh(hidden)
    real = MASK[..., None].double()
    mean = (x * real).sum(1) / real.sum(1)
    mean = mean if dropout is None else mean * dropout
    return mean @ parameters["head.weight"].T + parameters["head.bias"]


def task_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if logits.shape[1] == 1:
        return ((logits[:, 0] - labels) ** 2).mean()
    return -torch.log(softmax(logits))[range(len(labels)), labels].mean()


def softmax(z: torch.Tensor) -> torch.Tensor:
    e = torch.exp(z)
    return e / e.sum(1, keepdim=True)


def symmetric_kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    p, q = softmax(a), softmax(b)
    return ((p * torch.log(p / q)).sum(1) + (q * torch.log(q / p)).sum(1)).mean()


def words_at(
    seed: int, step: int, number: int, count: int, name: str | None = None, purpose: int = 4
) -> NDArray[np.float64]:
    """The stream's words for noise in a pass, by the README of the stream: element = pass·2³⁴ + i."""
    return (
        philox.words(seed, name or TABLE, step, number << 34, count, purpose=purpose)
        .numpy()
        .astype(np.float64)
    )


def uniform(seed: int, step: int, number: int, shape: tuple[int, ...], **stream: Any) -> torch.Tensor:
    words = words_at(seed, step, number, math.prod(shape), **stream)
    return torch.tensor(((words + 0.5) / 2**31 - 1).reshape(shape))


def normal(seed: int, step: int, number: int, shape: tuple[int, ...], **stream: Any) -> torch.Tensor:
    u = (words_at(seed, step, number, math.prod(shape), **stream) + 0.5) / 2**32
    z: torch.Tensor = torch.special.ndtri(torch.tensor(u.reshape(shape)))
    return z


def leaves(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}


def gradients(loss: torch.Tensor, parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), found, strict=True)
    return {name: torch.zeros_like(p) if grad is None else grad for (name, p), grad in pairs}
