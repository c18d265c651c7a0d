"""PATS in Lightning with automatic optimization, which passes a closure to the optimizer."""

from dataclasses import replace

import lightning
from torch import nn
from transformers import get_scheduler

import pats
import shared


class Classifier(lightning.LightningModule):
    """A classifier whose optimizer is PATS's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.train()

    def training_step(self, batch, index):
        """The loss of a batch."""
        return self.model(**batch).loss

    def configure_optimizers(self):
        """Adamax with noise, and a learning rate that falls linearly after warm-up."""
        steps = int(self.trainer.estimated_stepping_batches)
        noise = replace(shared.NOISE, steps=steps)  # its budget is spread over the run
        optimizer = pats.optim.Adamax(pats.param_groups(self.model), lr=shared.LR, noise=noise)
        scheduler = get_scheduler("linear", optimizer, num_warmup_steps=2, num_training_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def train(given: shared.Setting) -> nn.Module:
    """One pass over the batches."""
    trainer = lightning.Trainer(
        max_steps=given.steps,
        gradient_clip_val=shared.CLIP,
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(given.model), given.loader())
    return given.model


if __name__ == "__main__":
    shared.main(train)
