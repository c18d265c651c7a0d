"""PATS in a training loop of one's own."""

from dataclasses import replace

import torch
from torch import nn
from transformers import get_scheduler

import pats
import shared


def train(given: shared.Setting) -> nn.Module:
    """One pass over the batches."""
    model = given.model.train()
    noise = replace(shared.NOISE, steps=given.steps)  # its budget is spread over the run
    optimizer = pats.optim.Adamax(pats.param_groups(model), lr=shared.LR, noise=noise)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=2, num_training_steps=given.steps)
    for batch in given.loader():
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), shared.CLIP)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return model


if __name__ == "__main__":
    shared.main(train)
