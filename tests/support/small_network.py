"""A small network with an encoder in the sense of ``pats.scope``, and a loop that trains it."""

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x + self.linear(x).tanh())
        return y


class Network(nn.Module):
    def __init__(self, width: int = 7, dtype: torch.dtype = torch.float32, blocks: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(3, width)
        self.layers = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.head = nn.Linear(width, 1)
        self.to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        y: torch.Tensor = self.head(x)
        return y


def make_network(
    seed: int = 0, dtype: torch.dtype = torch.float32, width: int = 7, blocks: int = 2
) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(width, dtype, blocks)


def backward(model: nn.Module, step: int) -> torch.Tensor:
    """Gradients of the batch that belongs to this step."""
    generator = torch.Generator().manual_seed(1000 + step)
    dtype = next(model.parameters()).dtype
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64).to(dtype)
    model.zero_grad()
    loss: torch.Tensor = model(x).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def train_copy(
    model: Model, make_optimizer: Callable[[Model], torch.optim.Optimizer], steps: int = 5
) -> tuple[Model, torch.optim.Optimizer]:
    """Weights of a copy of the model after some steps, and its optimizer."""
    model = copy.deepcopy(model)
    optimizer = make_optimizer(model)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
    return model, optimizer


def flat_weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
