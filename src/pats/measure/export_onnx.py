"""``export-onnx``: a trained model as an ONNX file, whose outputs are checked before it gets its name."""

import importlib.util
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pats._errors import InputError
from pats._imports import try_import
from pats.measure.trained import Encoder
from pats.run.folder import files, owned
from pats.run.model.classifier import quiet
from pats.run.model.source import first_line

EXTRA, PACKAGES = "onnx", ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
CHECKED = (
    (1, 3),
    (1, 8),
    (2, 5),
    (3, 17),
    (8, 32),
    (2, 128),
)  # texts and tokens of the batches that are compared

_NAME, _ABOUT = "model.onnx", "pats-onnx.json"
_LARGEST = 1_500_000_000  # bytes of weights in one file; ONNX's own limit is 2 GB
_OPSET = 18


@dataclass(frozen=True)
class Exported:
    """What was written, and how well it agrees.

    Args:
        file: The ONNX file.
        inputs: Names of its inputs, int64 of shape (batch, length); its output is ``logits``.
        labels: The classes, in the order of the outputs; empty for regression.
        max_length: Longest input in tokens.
        temperature: What the outputs are divided by before they become probabilities.
        difference: Largest difference of an output to torch's, over all batches that were compared. Of
            scores, and of outputs above 1, it is the share of the largest.
        checked: Texts and tokens of these batches.
        opset: The version of ONNX's operators.
        bytes: Size of the file.
        thresholds: Where a text may have several labels, from which probability (the sigmoid of its
            output) on it gets each; else empty.
    """

    file: str
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    max_length: int
    temperature: float
    difference: float
    checked: tuple[tuple[int, int], ...]
    opset: int
    bytes: int
    thresholds: tuple[float, ...] = ()


class _Logits(nn.Module):
    """A classifier as a function of its inputs in order."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self._model, self._names = model, tuple(names)

    def forward(self, *values: Tensor) -> Tensor:
        logits: Tensor = self._model(**dict(zip(self._names, values, strict=True))).logits
        return logits


def default_out(folder: str | Path) -> Path:
    """Where the file goes by itself: a folder beside the model's."""
    path = Path(os.path.expanduser(folder))
    if path.name in ("", ".."):  # "." is a model's folder, too
        path = Path(os.path.abspath(path))
    if not path.name or not str(folder):
        raise InputError(f"{str(folder)!r} is no model's folder: pass one that pats run exported")
    return path.with_name(f"{path.name}-onnx") / _NAME


def check_out(out: Path, folder: Path, force: bool) -> None:
    """Check that there is room for the file and what lies beside it.

    Raises:
        InputError: The name has another ending, the folder holds something else, or cannot be written to.
    """
    if out.suffix != ".onnx":
        raise InputError(f"{out} cannot be written: name a file that ends in .onnx with --out")
    if owned.inside(out, folder):
        raise InputError(f"{out} lies in the model's folder: name a file in a folder of its own with --out")
    with owned.writing(out):
        place = out.parent.resolve()
        if place.is_dir() and any(place.iterdir()):
            ours = (place / _ABOUT).is_file()
            if not (ours and force):
                why = "an exported model; replace it with --force, or" if ours else "other files:"
                raise InputError(f"{place} holds {why} name a file in a new or empty folder with --out")
        owned.file(place if not place.exists() else place / f".{_ABOUT}", lambda path: False)


def packages() -> None:
    """Look whether what writes and runs ONNX is installed.

    Raises:
        InputError: It is not.
    """
    for module in PACKAGES:
        try_import(module, EXTRA)


def installed(package: str) -> bool:
    """Whether a package is there."""
    return importlib.util.find_spec(package) is not None


def export(model: Encoder, out: Path, on_step: Callable[[str], None] = lambda sentence: None) -> Exported:
    """Write the ONNX file, with the tokenizer, the labels and what else a program needs, in a folder.

    Nothing is written before the outputs were compared with torch's under onnxruntime. See ``check_out``.

    Args:
        model: The model.
        out: The file.
        on_step: Called with what is done next, in words.

    Raises:
        InputError: The model cannot be exported, or the scores differ by more than ``TOLERANCE``.
    """
    packages()
    facts = model.facts
    place = out.parent.resolve()
    network = model.model.to("cpu").eval()  # type: ignore[arg-type]
    names = _inputs(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    with (
        owned.full_disk_as_oserror(place.parent),
        tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as temporary,
    ):
        folder = Path(temporary) / "new"
        folder.mkdir()
        file = folder / out.name
        on_step("exporting")
        _write(_Logits(network, names), model, names, file)
        on_step("comparing under onnxruntime")
        difference, checked = _compare(_Logits(network, names), model, names, file)
        if not difference <= TOLERANCE:
            raise InputError(
                f"the model {facts.name!r} cannot be exported: its ONNX file gives outputs that differ by "
                f"{difference:.1e} from torch's, and {TOLERANCE:g} is allowed; nothing was written"
            )
        size = sum(one.stat().st_size for one in folder.iterdir())
        told = Exported(
            str(out),
            names,
            facts.labels,
            facts.max_length,
            facts.temperature,
            difference,
            checked,
            _OPSET,
            size,
            facts.thresholds,
        )
        with quiet():
            model.tokenizer.save_pretrained(folder)
            network.config.save_pretrained(folder)
        about = asdict(told) | {"file": out.name, "pair": facts.pair, "columns": dict(facts.columns)}
        (folder / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for one in folder.iterdir():
            files.sync(one)
        if not place.exists():
            folder.rename(place)
        else:
            for one in folder.iterdir():  # and nothing else that somebody put there is touched
                one.replace(place / one.name)
    return told


def _inputs(model: Encoder) -> tuple[str, ...]:
    """What the tokenizer gives and the model takes."""
    encoded = model.tokenizer("a", return_tensors="pt")
    return tuple(encoded)


def _batch(
    model: Encoder, names: Sequence[str], texts: int, tokens: int, seed: int = 0
) -> tuple[Tensor, ...]:
    """Random words between what begins and ends a text; every second row is shorter and padded."""
    tokenizer: Any = model.tokenizer
    vocabulary = min(int(model.model.config.get_text_config().vocab_size), len(tokenizer))
    words = torch.tensor(sorted({*range(vocabulary)} - {*tokenizer.all_special_ids}))
    draw = torch.Generator().manual_seed(seed)
    ids = words[torch.randint(0, len(words), (texts, tokens), generator=draw)]
    mask = torch.ones_like(ids)
    mask[1::2, -(-tokens // 2) :] = 0
    first = tokenizer.cls_token_id
    last = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    if first is not None:
        ids[:, 0] = first
    if last is not None:
        ids[torch.arange(texts), mask.sum(1) - 1] = last
    ids[mask == 0] = tokenizer.pad_token_id or 0
    given = {"input_ids": ids, "attention_mask": mask}
    return tuple(given.get(name, torch.zeros_like(ids)) for name in names)


def _write(module: _Logits, model: Encoder, names: Sequence[str], file: Path) -> None:
    large = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters()) > _LARGEST
    try:
        with _silent():
            torch.onnx.export(
                module,
                _batch(model, names, 2, min(7, model.facts.max_length)),
                str(file),
                input_names=list(names),
                output_names=["logits"],
                dynamo=True,
                dynamic_shapes={"values": tuple({0: "batch", 1: "length"} for _ in names)},
                external_data=large,
                opset_version=_OPSET,
                verbose=False,
            )
    except Exception:  # the exporter meets every architecture with errors of its own, many lines long
        raise InputError(
            f"the model {model.facts.name!r} cannot be exported: torch's exporter to ONNX fails on "
            f"{type(model.model).__name__}; use pats predict or pats serve instead"
        ) from None


def _compare(
    module: _Logits, model: Encoder, names: Sequence[str], file: Path
) -> tuple[float, tuple[tuple[int, int], ...]]:
    """The largest difference of an output, of scores and large ones as a share, and the batches' shapes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    largest = 0.0
    checked: list[tuple[int, int]] = []
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        for seed, (texts, tokens) in enumerate(CHECKED):
            tokens = min(tokens, model.facts.max_length)
            values = _batch(model, names, texts, tokens, seed)
            feed: Mapping[str, Any] = {n: v.numpy() for n, v in zip(names, values, strict=True)}
            found = session.run(["logits"], feed)[0]
            with torch.no_grad():
                wanted = module(*values).numpy()
            if found.shape != wanted.shape or not np.isfinite(found).all():
                return float("inf"), tuple(checked)
            size = float(np.abs(wanted).max())
            unit = max(1.0, size) if model.facts.labels else size or 1.0  # scores have a unit of their own
            largest = max(largest, float(np.abs(found - wanted).max()) / unit)
            checked.append((texts, tokens))
    except Exception as error:  # onnxruntime has exceptions of its own, without a common class
        raise InputError(
            f"the model {model.facts.name!r} cannot be exported: onnxruntime refuses the file "
            f"({first_line(error)[:160]}); use pats predict or pats serve instead"
        ) from None
    return largest, tuple(dict.fromkeys(checked))


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the exporter tells of its own working."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
