"""The toy's forward pass, the methods' noise and divergences once more, from the formulas alone."""

import math

import numpy as np
import torch

from pats import philox
from support.toy_classifier import IDS, MASK

TABLE = "body.words.weight"


def logits_of(parameters, extra=None, words=None):
    """Logits as a function of named parameters; ``extra`` is added to the embeddings."""
    x = (parameters[TABLE] if words is None else words)[IDS]
    x = x if extra is None else x + extra
    hidden = x @ parameters["body.layers.0.0.weight"].T + parameters["body.layers.0.0.bias"]
    hidden = hidden @ parameters["body.layers.0.1.weight"].T + parameters["body.layers.0.1.bias"]
    x = x + torch.tanh(hidden)
    real = MASK[..., None].double()
    mean = (x * real).sum(1) / real.sum(1)
    return mean @ parameters["head.weight"].T + parameters["head.bias"]


def task_loss(logits, labels):
    if logits.shape[1] == 1:
        return ((logits[:, 0] - labels) ** 2).mean()
    return -torch.log(softmax(logits))[range(len(labels)), labels].mean()


def softmax(z):
    e = torch.exp(z)
    return e / e.sum(1, keepdim=True)


def symmetric_kl(a, b):
    p, q = softmax(a), softmax(b)
    return ((p * torch.log(p / q)).sum(1) + (q * torch.log(q / p)).sum(1)).mean()


def words_at(seed, step, number, count, rank=0):
    """The stream's words for embedding noise, by the README of the stream: element = pass·2³⁴ + i."""
    start = ((rank << 16) + number) << 34
    return philox.words(seed, TABLE, step, start, count, purpose=4).numpy().astype(np.float64)


def uniform(seed, step, number, shape):
    return torch.tensor(((words_at(seed, step, number, math.prod(shape)) + 0.5) / 2**31 - 1).reshape(shape))


def normal(seed, step, number, shape):
    u = (words_at(seed, step, number, math.prod(shape)) + 0.5) / 2**32
    return torch.special.ndtri(torch.tensor(u.reshape(shape)))


def leaves(model):
    return {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}


def gradients(loss, parameters):
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), found, strict=True)
    return {name: torch.zeros_like(p) if grad is None else grad for (name, p), grad in pairs}
