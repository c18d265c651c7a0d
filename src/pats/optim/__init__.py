"""Optimizers: torch's with PATS in the same step, the paper's algorithm line by line, and its rivals'."""

from pats.optim import reference
from pats.optim.adamax import Adamax
from pats.optim.adamw import AdamW
from pats.optim.mtdnn import MTDNNAdamax
from pats.optim.recadam import RecAdam
from pats.optim.sage import SAGEAdamax, SAGEAdamW

__all__ = ["AdamW", "Adamax", "MTDNNAdamax", "RecAdam", "SAGEAdamW", "SAGEAdamax", "reference"]
