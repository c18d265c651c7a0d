"""What a metric is: its name in words, what it is for, whether lower is better, and its limits.

The formulas, which need numpy, are in ``metrics``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What a metric is.

    Args:
        words: Its name in words.
        regression: It is of scores, not of classes.
        limits: Its lowest and highest value.
        lower: Lower is better.
    """

    words: str
    regression: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    lower: bool = False


_CORRELATION, _ERROR = (-1.0, 1.0), (0.0, math.inf)

ABOUT: Mapping[str, About] = {
    "accuracy": About("accuracy"),
    "f1": About("F1"),
    "macro_f1": About("macro F1"),
    "matthews": About("Matthews correlation", limits=_CORRELATION),
    "weighted_f1": About("weighted F1"),
    "balanced_accuracy": About("balanced accuracy"),
    "micro_f1": About("micro F1"),
    "subset_accuracy": About("accuracy of whole label sets"),
    "auroc": About("AUROC"),
    "average_precision": About("average precision"),
    "log_loss": About("log-loss", limits=_ERROR, lower=True),
    "pearson": About("Pearson correlation", True, _CORRELATION),
    "spearman": About("Spearman correlation", True, _CORRELATION),
    "mae": About("mean absolute error", True, _ERROR, lower=True),
    "rmse": About("root mean squared error", True, _ERROR, lower=True),
    "r2": About("R²", True, (-math.inf, 1.0)),
}


def about(name: str) -> About:
    """What a metric is; of one that nobody knows, that it lies between -1 and 1."""
    return ABOUT.get(name, About(name, limits=_CORRELATION))


def sign(name: str) -> int:
    """1, or -1 where lower is better: times this, the larger score is the better one."""
    return -1 if about(name).lower else 1
