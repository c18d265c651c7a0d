"""A small network with an encoder in the sense of ``pats.scope``, and a loop that trains it."""

import copy

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + self.linear(x).tanh())


class Network(nn.Module):
    def __init__(self, width=7, dtype=torch.float32):
        super().__init__()
        self.embed = nn.Linear(3, width)
        self.layers = nn.ModuleList([Block(width), Block(width)])
        self.head = nn.Linear(width, 1)
        self.to(dtype)

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def make_network(seed=0, dtype=torch.float32, width=7):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(width, dtype)


def backward(model, step):
    """Gradients of the batch that belongs to this step."""
    generator = torch.Generator().manual_seed(1000 + step)
    dtype = next(model.parameters()).dtype
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64).to(dtype)
    model.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    return loss


def train_copy(model, make_optimizer, steps=5):
    """Weights of a copy of the model after some steps, and its optimizer."""
    model = copy.deepcopy(model)
    optimizer = make_optimizer(model)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
    return model, optimizer


def flat_weights(model):
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
