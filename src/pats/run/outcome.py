"""What a run found, condensed: metrics, predictions, sensitivities, telemetry."""

import csv
import gzip
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import Optimizer

from pats import paper
from pats.run.batches import predictions, probabilities
from pats.run.folder.files import write_atomic
from pats.run.numbers import gini, six_digits
from pats.step.shard import local
from pats.tasks import Split, TaskData, metrics, multilabel, thresholds

Outputs = Mapping[str, NDArray[np.float32]]

_SAMPLE = 1_000_000  # entries over which Gini's coefficient is taken


def tuned(data: TaskData, outputs: Outputs) -> tuple[float, ...]:
    """The threshold of every label, tuned on the dev splits; none where a text has one label."""
    if not data.multilabel:
        return ()
    return thresholds.tuned(
        np.concatenate([probabilities(outputs[name], True) for name in data.dev_splits]),
        np.concatenate([data.marks(_labels(data.splits[name])) for name in data.dev_splits]),
    )


def judge(data: TaskData, outputs: Outputs, limits: Sequence[float] = ()) -> tuple[dict[str, float], bool]:
    """Metrics over splits, and whether all predictions were one constant.

    Args:
        data: The task.
        outputs: The model's outputs by split.
        limits: Thresholds of the labels, from ``tuned``; without them they are tuned on these outputs.

    Returns:
        The task's metrics, over several splits their mean; each split's own under
        ``"<split>/<metric>"`` where there are several, each group's under ``"<group>/<metric>"``.
    """
    limits = limits or tuned(data, outputs)
    by_split = {
        name: computed(data, data.metrics, out, np.asarray(_labels(data.splits[name])), limits)
        for name, out in outputs.items()
    }
    merged = {metric: fmean(own[metric] for own in by_split.values()) for metric in data.metrics}
    if len(by_split) > 1:
        for name, own in by_split.items():
            merged |= {f"{name}/{metric}": value for metric, value in own.items()}
    for name, out in outputs.items():
        merged |= _by_group(data, data.splits[name], out, limits)
    constant = all(metrics.degenerate(predicted(data, out, limits)) for out in outputs.values())
    return merged, constant


def computed(
    data: TaskData,
    names: Sequence[str],
    outputs: NDArray[np.float32],
    labels: NDArray[Any],
    limits: Sequence[float] = (),
) -> dict[str, float]:
    """Metrics of a model's outputs."""
    if data.multilabel:
        return metrics.compute(names, predicted(data, outputs, limits), data.marks(labels))
    shares = None if data.regression else probabilities(outputs)
    return metrics.compute(names, predictions(outputs, data.regression), labels, shares)


def predicted(data: TaskData, outputs: NDArray[np.float32], limits: Sequence[float] = ()) -> NDArray[Any]:
    """Class indices or scores; where a text may have several labels, 0 and 1 for each."""
    if data.multilabel:
        return thresholds.decided(probabilities(outputs, True), limits)
    return predictions(outputs, data.regression)


def _by_group(
    data: TaskData, split: Split, outputs: NDArray[np.float32], limits: Sequence[float]
) -> dict[str, float]:
    if split.group is None:
        return {}
    groups, labels = np.asarray(split.group), np.asarray(_labels(split))
    return {
        f"{group}/{data.metric}": computed(
            data, [data.metric], outputs[groups == group], labels[groups == group], limits
        )[data.metric]
        for group in sorted(set(split.group))
    }


def _labels(split: Split) -> tuple[float, ...]:
    assert split.label is not None
    return split.label


def write_predictions(path: Path, data: TaskData, outputs: Outputs, limits: Sequence[float] = ()) -> str:
    """Write ``predictions.csv.gz``: split, row, label, prediction, and a probability for every class.

    Rows are numbered from 0 within their split. The same predictions give the same file. Several labels
    are in one cell, separated as ``pats.tasks.multilabel`` says.

    Returns:
        Hash of the table's text.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = [f"p_{label}" for label in data.labels]
    table.writerow(["split", "row", "label", "prediction", *columns])
    for name, out in outputs.items():
        for row, (label, guess) in enumerate(
            zip(_labels(data.splits[name]), predicted(data, out, limits), strict=True)
        ):
            if data.regression:
                table.writerow([name, row, f"{label:.7g}", f"{guess:.7g}"])
            else:
                named = _named(data, label, guess)
                own = probabilities(out[row : row + 1], data.multilabel)[0]
                shares = (f"{share:.7g}" for share in own)
                table.writerow([name, row, *named, *shares])
    content = text.getvalue().encode()
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(content)
    write_atomic(path, packed.getvalue())
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _named(data: TaskData, label: float, guess: Any) -> tuple[str, str]:
    """Label and prediction of a row in words."""
    if not data.multilabel:
        return data.labels[int(label)], data.labels[int(guess)]
    true, given = (
        multilabel.joined([data.labels[i] for i in own], data.labels)
        for own in (data.sets[int(label)], np.flatnonzero(guess))
    )
    return true, given


def sensitivities(optimizer: Optimizer) -> dict[str, Any]:
    """Summary of the moving averages of the sensitivity that the optimizer holds, in scope.

    Args:
        optimizer: One whose state has ``"sensitivity"``; without any, nothing is summarised.

    Returns:
        ``entries``, ``mean``, ``cv`` (standard deviation over mean), ``gini`` (on at most a million
        evenly spaced entries) and ``insensitive`` (share below 5·10⁻⁸), over absolute values. Of a sharded
        model, over the entries that this process holds.
    """
    held = [
        local(optimizer.state[parameter]["sensitivity"]).detach().abs().flatten()
        for group in optimizer.param_groups
        if group.get("in_scope", True)
        for parameter in group["params"]
        if "sensitivity" in optimizer.state.get(parameter, {})
    ]
    entries = sum(part.numel() for part in held)
    if not entries:
        return {}
    mean = math.fsum(float(part.sum(dtype=torch.float64)) for part in held) / entries
    spread = math.fsum(float((part.double() - mean).square().sum()) for part in held) / entries
    below = sum(int((part < paper.WINDOW[0]).sum()) for part in held)
    stride = -(-entries // _SAMPLE)
    sample = torch.cat([part[::stride].double().cpu() for part in held])
    return {
        "entries": entries,
        "mean": six_digits(mean),
        "cv": six_digits(math.sqrt(spread) / mean if mean else 0.0),
        "gini": six_digits(gini(torch.ones_like(sample), sample.sort().values)),
        "insensitive": six_digits(below / entries),
    }


def kind(name: str) -> str:
    """A parameter's name without the number of its layer: ``encoder.layer.*.output.dense.weight``."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def by_kind(stats: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Per-parameter measurements condensed by kind of matrix.

    A kind's value is the mean over its layers, for ``*_max`` the largest and for ``skipped`` the sum;
    values that are not finite are left out.
    """
    grouped: dict[str, list[Mapping[str, float]]] = {}
    for name, values in stats.items():
        grouped.setdefault(kind(name), []).append(values)
    condensed: dict[str, dict[str, float]] = {}
    for name, members in grouped.items():
        condensed[name] = {}
        for key in members[0]:
            finite = [member[key] for member in members if math.isfinite(member[key])]
            if finite:
                condensed[name][key] = six_digits(_merge(key, finite))
    return condensed


def _merge(key: str, values: list[float]) -> float:
    if key == "skipped":
        return sum(values)
    return max(values) if key.endswith("_max") else fmean(values)
