"""Optimizers: torch's with PATS in the same step, the paper's algorithm line by line, and SAGE."""

from pats.optim import reference
from pats.optim.adamax import Adamax
from pats.optim.adamw import AdamW
from pats.optim.sage import SAGEAdamax, SAGEAdamW

__all__ = ["AdamW", "Adamax", "SAGEAdamW", "SAGEAdamax", "reference"]
