"""The paper's own numbers: its Tables 1, 2 and 3 for the cells that a study may share with it."""

from collections.abc import Mapping
from pathlib import PurePath

SOURCE = "Zhang et al., PATS (Table 1): GLUE dev set, mean of 5 seeds, best of 10 epochs"

TASKS = ("cola", "mrpc", "rte", "stsb", "qqp", "qnli", "mnli", "sst2")

_BERT, _ROBERTA = "bert-base-uncased", "roberta-large"

# Table 1, × 100, with its average; the columns are TASKS.
_TABLE1 = {
    (_BERT, "vanilla"): (58.94, 90.19, 68.03, 89.28, 88.53, 91.96, 84.63, 92.77, 83.18),
    (_BERT, "sage"): (59.45, 90.53, 71.78, 89.81, 88.61, 91.87, 84.59, 93.06, 83.65),
    (_BERT, "noisytune"): (60.01, 90.34, 69.71, 89.81, 88.58, 91.82, 84.64, 92.85, 83.47),
    (_BERT, "pats-paper"): (60.67, 91.05, 72.08, 89.86, 88.64, 92.02, 84.80, 92.89, 84.00),
    (_ROBERTA, "vanilla"): (66.67, 91.89, 85.44, 91.98, 89.26, 94.45, 90.25, 96.10, 88.25),
    (_ROBERTA, "sage"): (67.36, 93.27, 85.56, 92.05, 89.27, 94.54, 90.25, 96.25, 88.57),
    (_ROBERTA, "noisytune"): (67.47, 93.26, 85.52, 92.00, 89.36, 94.53, 90.04, 96.12, 88.56),
    (_ROBERTA, "pats-paper"): (68.62, 93.52, 86.29, 92.23, 89.40, 94.64, 90.44, 96.30, 88.90),
}

# Table 2: learning rates; the paper gives none for SAGE and NoisyTune.
_TABLE2 = {
    (_BERT, "vanilla"): (1e-4, 1e-4, 1e-4, 2e-4, 1e-4, 2e-4, 8e-5, 8e-5),
    (_ROBERTA, "vanilla"): (3e-5, 5e-5, 5e-5, 5e-5, 1e-4, 1e-5, 3e-5, 3e-5),
    (_BERT, "pats-paper"): (1e-4, 3e-4, 3e-4, 3e-4, 2e-4, 2e-4, 1e-4, 3e-4),
    (_ROBERTA, "pats-paper"): (8e-5, 8e-5, 8e-5, 5e-5, 1e-4, 3e-5, 1e-5, 1e-5),
}

# Figure 2 shows the sensitivities in this window; we count what lies below it as insensitive.
WINDOW = (5e-8, 1e-5)

# Table 3: the ranges in which the paper searched.
RANGES: Mapping[str, tuple[float, ...]] = {
    "lam": (5e-7, 8e-7, 1e-6, 2e-6, 3e-6),
    "gamma": (1e-3, 2e-3, 3e-3, 5e-3, 8e-3, 2e-2),
    "beta": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85),
    "lr": (1e-5, 3e-5, 5e-5, 7e-5, 8e-5, 1e-4, 2e-4, 3e-4, 5e-4),
}


def _model(model: str) -> str:
    """The name without owner or folder: ``FacebookAI/roberta-large`` is ``roberta-large``."""
    return PurePath(model).name.lower()


def score(task: str, model: str, method: str) -> float | None:
    """The paper's score × 100 of a cell of Table 1; ``task`` may be ``"avg"``; None where it has none."""
    row = _TABLE1.get((_model(model), method))
    columns = (*TASKS, "avg")
    return row[columns.index(task)] if row is not None and task in columns else None


def learning_rate(task: str, model: str, method: str) -> float | None:
    """The learning rate of a cell of Table 2; None where it has none."""
    row = _TABLE2.get((_model(model), method))
    return row[TASKS.index(task)] if row is not None and task in TASKS else None
