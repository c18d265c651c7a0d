"""PATS in Sentence-Transformers' trainer, which takes the same door as transformers' own."""

import tempfile

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer import losses
from torch import nn

import pats
import shared
from pats import tasks
from pats.run.model.source import resolve


def train(given: shared.Setting) -> nn.Module:
    """Pull sentences of one class together, and the two classes apart."""
    texts = tasks.load("grammar", seed=shared.SEED).splits["train"]
    rows = texts.take(range(2 * given.steps * shared.BATCH))
    pairs = Dataset.from_dict(
        {
            "sentence1": rows.text[::2],
            "sentence2": rows.text[1::2],
            "label": [float(a == b) for a, b in zip(rows.label[::2], rows.label[1::2], strict=True)],
        }
    )
    model = SentenceTransformer(resolve(given.name), device=None if torch.cuda.is_available() else "cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=tempfile.mkdtemp(),
        learning_rate=shared.LR,
        max_steps=given.steps,
        per_device_train_batch_size=shared.BATCH,
        seed=shared.SEED,
        save_strategy="no",
        report_to="none",
    )
    trainer = SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=pairs,
        loss=losses.CosineSimilarityLoss(model),
        optimizer_cls_and_kwargs=pats.hf.optimizer_cls_and_kwargs(arguments, "adamax", shared.NOISE),
    )
    trainer.train()
    return model


if __name__ == "__main__":
    shared.main(train)
