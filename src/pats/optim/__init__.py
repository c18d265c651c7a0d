"""Optimizers: Adamax and AdamW with PATS in the same step, its reference, and other methods' optimizers."""

from pats.optim import reference
from pats.optim.adamax import Adamax
from pats.optim.adamw import AdamW
from pats.optim.ivon import IVON
from pats.optim.mtdnn import MTDNNAdamax
from pats.optim.recadam import RecAdam
from pats.optim.sage import SAGEAdamax, SAGEAdamW
from pats.optim.upgd import UPGD

__all__ = [
    "IVON",
    "UPGD",
    "AdamW",
    "Adamax",
    "MTDNNAdamax",
    "RecAdam",
    "SAGEAdamW",
    "SAGEAdamax",
    "reference",
]
