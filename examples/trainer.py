"""PATS in transformers.Trainer.

Learning rate, betas, ε and weight decay come from ``TrainingArguments``; only the noise is PATS's own.
"""

import tempfile

from torch import nn
from transformers import Trainer, TrainingArguments

import pats
import shared


def train(given: shared.Setting) -> nn.Module:
    """One pass over the batches."""
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        learning_rate=shared.LR,
        max_steps=given.steps,
        warmup_steps=2,
        per_device_train_batch_size=shared.BATCH,
        max_grad_norm=shared.CLIP,
        seed=shared.SEED,
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(
        given.model,
        arguments,
        train_dataset=given.rows,
        data_collator=given.collate,
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(arguments, "adamax", shared.NOISE),
    )
    trainer.train()
    return given.model


if __name__ == "__main__":
    shared.main(train)
