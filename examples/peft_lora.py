"""PATS on LoRA adapters: wrap the model, and leave the rest of the training as it is.

``scope="encoder"`` then means the adapters of the encoder's layers, since what is frozen is never in scope.
The B matrices start at zero, where |θ·g| is zero, so that their first step adds no noise.
"""

from dataclasses import replace

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

import plain_loop
import shared


def adapted(model: nn.Module) -> nn.Module:
    """The model with adapters on queries and values; everything else but the head is frozen."""
    lora = LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["query", "value"])
    model = get_peft_model(model, lora)
    torch.manual_seed(shared.SEED)  # dropout: the adapters have taken random numbers
    return model


def train(given: shared.Setting) -> nn.Module:
    """One pass over the batches, through the adapters and the head."""
    return plain_loop.train(replace(given, model=adapted(given.model)))


if __name__ == "__main__":
    shared.main(train)
