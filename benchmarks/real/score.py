"""How good predictions are, the same for every system."""

import csv
import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from benchmarks.real.table import Kind

Pairs = Sequence[tuple[str, str]]  # what is true, and what was predicted


def scores(kind: Kind, pairs: Pairs) -> dict[str, float]:
    """Accuracy and macro-F1 of classes, micro- and macro-F1 of several labels, Spearman of scores."""
    truth, found = ([pair[side] for pair in pairs] for side in (0, 1))
    if kind == "scores":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constant has no ranks: that is a score of 0
            reached = float(spearmanr([*map(float, truth)], [*map(float, found)])[0])
        return {"Spearman": reached if reached == reached else 0.0}
    if kind == "labels":
        sets = [
            [{name.strip() for name in cell.split(",")} - {""} for cell in side] for side in (truth, found)
        ]
        binarizer = MultiLabelBinarizer().fit([*sets[0], *sets[1]])
        table = [binarizer.transform(side) for side in sets]
        averages = {"micro-F1": "micro", "macro-F1": "macro"}
        return {
            name: float(f1_score(*table, average=average, zero_division=0))
            for name, average in averages.items()
        }
    macro = float(f1_score(truth, found, average="macro", labels=sorted({*truth}), zero_division=0))
    return {"accuracy": float(accuracy_score(truth, found)), "macro-F1": macro}


def read(path: Path) -> list[tuple[str, str]]:
    """The test rows of a file of predictions, of PATS or of a rival."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    return [(row["label"], row["prediction"]) for row in rows if row.get("split", "test") == "test"]
