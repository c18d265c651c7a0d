"""The folder of a simple model, which is no network: ``pats-model.json`` and arrays without objects.

pats-model.json     what it is: baseline, labels, temperature and, for ``frozen``, which encoder
pats-model.npz      vocabulary, idf, weights: read without unpickling anything
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pats import _schema, baselines
from pats._errors import DAMAGED_ARCHIVE, InputError
from pats.run import environment
from pats.run.folder.files import write_atomic
from pats.run.model import weights
from pats.tasks import Split

ABOUT, ARRAYS = "pats-model.json", "pats-model.npz"
FORMAT = 1


class Simple:
    """A simple model that was loaded.

    Attributes:
        labels: Names of the classes in the order of the scores; empty for regression.
        pair: It takes two texts.
        temperature: What logits are divided by before they become probabilities.
        thresholds: Of the labels, where a text may have several; else empty.
    """

    def __init__(self, about: Mapping[str, Any], fitted: baselines.Fitted) -> None:
        self._fitted = fitted
        self.labels: tuple[str, ...] = tuple(about["labels"])
        self.pair: bool = about["pair"]
        self.temperature: float = about["temperature"]
        self.thresholds: tuple[float, ...] = tuple(about.get("thresholds", ()))

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Logits of every class, or one score, a row a text."""
        return self._fitted.outputs(Split(tuple(texts), None if pairs is None else tuple(pairs)))

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Calibrated probabilities of every class, or one score, a row a text; and the classes' names."""
        outputs = self.outputs(texts, pairs).astype(np.float64)
        if not self.labels:
            return outputs, self.labels
        scaled = outputs / self.temperature
        if self.thresholds:
            return 0.5 * (1 + np.tanh(0.5 * scaled)), self.labels
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True), self.labels


def is_simple(folder: str | Path) -> bool:
    """Whether a folder holds a simple model."""
    return (Path(folder) / ABOUT).is_file()


def save(fitted: baselines.Fitted, about: Mapping[str, Any], folder: Path) -> None:
    """Write both files into a folder that is there.

    Args:
        fitted: The model.
        about: ``labels``, ``pair``, ``temperature``, ``encoder`` (from ``encoder``) or None, and
            ``thresholds`` where a text may have several labels.
        folder: Where to.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **fitted.arrays())
    write_atomic(folder / ARRAYS, packed.getvalue())
    content = {"format": FORMAT, "baseline": fitted.baseline.name, "strength": fitted.strength, **about}
    write_atomic(folder / ABOUT, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def encoder(model: str, revision: str | None, max_length: int) -> dict[str, Any]:
    """How a simple model names its encoder: a local one by its whole path and the hash of its weights."""
    digest = weights.digest(model)
    name = model if digest is None else str(Path(model).expanduser().resolve())
    return {"model": name, "revision": revision, "weights": digest, "max_length": max_length}


def damage(folder: Path) -> str | None:
    """What a simple model's folder lacks to be loaded, in words; None where nothing does."""
    try:
        whole = isinstance(json.loads(_schema.read(folder / ABOUT)), dict)
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        return f"{folder.name}/{ABOUT} is cut"
    try:
        with zipfile.ZipFile(io.BytesIO(_schema.read(folder / ARRAYS))) as archive:
            return None if archive.testzip() is None else f"{folder.name}/{ARRAYS} is cut"
    except FileNotFoundError:
        return f"{folder.name}/{ARRAYS} is gone"
    except DAMAGED_ARCHIVE:
        return f"{folder.name}/{ARRAYS} is cut"


def load_simple(folder: str | Path) -> Simple:
    """Load what ``save`` wrote; it gives the same scores.

    Raises:
        InputError: A file is gone or damaged, is of a later version, or the encoder is not the one that it
            was fitted on.
    """
    path = Path(folder)
    try:
        about = _about(path)
        with np.load(io.BytesIO(_schema.read(path / ARRAYS)), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        kind = baselines.registry()[about["baseline"]]
        baseline = kind(_embed(about["encoder"], path) if kind.encoder else None)
        fitted = baselines.restore(baseline, arrays)
        columns = (max(len(about["labels"]), 1),)
        if fitted.weights.ndim != 2 or not fitted.bias.shape == columns == fitted.weights.shape[1:]:
            raise ValueError("its weights do not fit its labels")
        if not all(np.isfinite(one).all() for one in arrays.values() if one.dtype.kind == "f"):
            raise ValueError("its numbers are not finite")
        # Features of another width raise here.
        fitted.outputs(Split(("",), ("",) if about["pair"] else None))
    except (*DAMAGED_ARCHIVE, KeyError, TypeError) as why:
        raise InputError(
            f"the model in {path} is damaged ({why}): get {ABOUT} and {ARRAYS} again from where they came"
        ) from None
    return Simple(about, fitted)


def _about(path: Path) -> dict[str, Any]:
    about: dict[str, Any] = _schema.build(dict[str, Any], _schema.parse(_schema.read(path / ABOUT)))
    if about["format"] != FORMAT:
        raise InputError(
            f"the model in {path} has format {about['format']!r}, but this version of PATS reads {FORMAT}: "
            "update pats-finetune"
        )
    shapes = {"labels": list[str], "pair": bool, "temperature": float, "baseline": str}
    for name, shape in shapes.items():
        _schema.build(shape, about[name])
    if len(set(about["labels"])) < len(about["labels"]):
        raise ValueError("two of its labels have one name")
    limits = _schema.build(list[float], about.get("thresholds", []))
    if limits and len(limits) != len(about["labels"]):
        raise ValueError("its thresholds do not fit its labels")
    if not (about["temperature"] > 0 and about["baseline"] in baselines.registry()):
        raise ValueError("its temperature or baseline is none")
    return about


def _embed(about: Mapping[str, Any], path: Path) -> baselines.Embed:
    from pats.run.model.embeddings import Embedder

    name, digest = str(about["model"]), about["weights"]
    if digest is not None and weights.digest(name) != digest:
        raise InputError(
            f"the model in {path} was fitted on the encoder {name!r}, which is gone or has other weights "
            "now: put it back, or fit the model again"
        )
    return Embedder(name, int(about["max_length"]), environment.device(), about["revision"])
