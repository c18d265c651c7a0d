"""What the benchmarks share: the shapes of real encoders."""

from typing import Any

import torch
from torch import nn

import pats

# Encoder layers, width, width of the feed-forward layer, rows of the word embeddings.
SHAPES = {
    "minilm": (6, 384, 1536, 30522),
    "bert-base": (12, 768, 3072, 30522),
    "roberta-large": (24, 1024, 4096, 50265),
}


class Layer(nn.Module):
    """The matrices of one encoder layer; nothing is computed with them."""

    def __init__(self, width: int, inner: int, device: str) -> None:
        super().__init__()
        for name in ("query", "key", "value", "output"):
            self.add_module(name, nn.Linear(width, width, device=device))
        self.add_module("up", nn.Linear(width, inner, device=device))
        self.add_module("down", nn.Linear(inner, width, device=device))


class Encoder(nn.Module):
    """Parameters of an encoder, with gradients as a step finds them."""

    def __init__(self, layers: int, width: int, inner: int, words: int = 0, device: str = "cpu") -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(width, inner, device) for _ in range(layers))
        if words:
            self.embedding = nn.Embedding(words, width, device=device)
        for parameter in self.parameters():
            with torch.no_grad():
                parameter.normal_(0.0, 0.05)
            parameter.grad = torch.randn_like(parameter) * 1e-3

    @property
    def numel(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


SCOPE = r"layer\."  # the layers' matrices


def groups(model: nn.Module) -> list[dict[str, Any]]:
    """Groups in which the layers' matrices are in scope."""
    return pats.param_groups(model, scope=SCOPE)
