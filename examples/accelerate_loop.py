"""PATS in an Accelerate loop; run it with ``accelerate launch`` for many devices."""

from dataclasses import replace

from accelerate import Accelerator
from torch import nn
from transformers import get_scheduler

import pats
import shared


def train(given: shared.Setting) -> nn.Module:
    """One pass over the batches."""
    accelerator = Accelerator()
    noise = replace(shared.NOISE, steps=given.steps)  # its budget is spread over the run
    optimizer = pats.optim.Adamax(pats.param_groups(given.model), lr=shared.LR, noise=noise)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=2, num_training_steps=given.steps)
    model, optimizer, loader, scheduler = accelerator.prepare(
        given.model.train(), optimizer, given.loader(), scheduler
    )
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(**batch).loss)
            accelerator.clip_grad_norm_(model.parameters(), shared.CLIP)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return accelerator.unwrap_model(model)


if __name__ == "__main__":
    shared.main(train)
