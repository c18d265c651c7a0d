"""A model folder that a run exports: written in one move, what is noted of it, and what it lacks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from pats import _schema
from pats.run.folder import checkpoint
from pats.run.folder.files import MARK, remove
from pats.run.model import simple, vet
from pats.run.spec import Run
from pats.step.shard import is_sharded
from pats.tasks import TaskData

CONFIG = "config.json"
FILES = "files"  # in the mark: what else the folder holds

if TYPE_CHECKING:  # a study reads marks, and transformers takes seconds
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def mark(
    run: Run,
    data: TaskData,
    step: int,
    max_length: int,
    temperature: float,
    thresholds: Sequence[float] = (),
) -> dict[str, Any]:
    """What ``pats.json`` says: what ``pats predict`` must know, and whose model it is."""
    text, text_pair, *_ = (*data.columns, None, None)
    return {
        "run_id": run.id,
        "step": step,
        "task": data.name,
        "labels": list(data.labels),
        "pair": data.splits["train"].text_pair is not None,
        "text": text,
        "text_pair": text_pair,
        "max_length": max_length,
        "temperature": temperature,
        **({"thresholds": list(thresholds)} if data.multilabel else {}),
    }


def whole_weights(model: nn.Module) -> dict[str, Any] | None:
    """A sharded model's weights on the first process, a collective; None where nothing is sharded."""
    if not any(is_sharded(parameter) for parameter in model.parameters()):
        return None
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def export(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    mark: dict[str, Any],
    folder: Path,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write a model folder, which ``AutoModelForSequenceClassification`` loads, in one move.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        mark: What ``pats.json`` says.
        folder: Where to; replaced where it exists.
        weights: From ``whole_weights``; None takes the model's own.
    """
    from pats.run.model.classifier import quiet

    temporary = folder.with_name(f".{folder.name}.new")
    remove(temporary)
    with quiet():
        model.save_pretrained(temporary, state_dict=weights)
        tokenizer.save_pretrained(temporary)
    content = {**mark, FILES: sorted(file.name for file in temporary.iterdir())}
    (temporary / MARK).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    remove(folder)
    temporary.rename(folder)


def read_mark(folder: Path) -> dict[str, Any] | None:
    """What ``pats.json`` in a model folder says; None where there is none."""
    try:
        mark = json.loads(_schema.read(folder / MARK))
    except (OSError, ValueError, RecursionError):
        return None
    return mark if isinstance(mark, dict) else None


def damage(folder: Path) -> str | None:
    """What a model folder lacks to be loaded, in words; None where nothing does."""
    if simple.is_simple(folder):
        return simple.damage(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return f"{folder.name}/{vet.WEIGHTS} is gone"
    mark = read_mark(folder)
    own = mark.get(FILES, []) if mark else []
    named = [name for name in own if isinstance(name, str) and Path(name).name == name]
    parts = [*dict.fromkeys([folder / CONFIG, *weights, *(folder / name for name in named)])]
    index = folder / vet.INDEX
    if index.exists():
        if not checkpoint.well_formed(index):
            return f"{folder.name}/{index.name} is cut"
        names = _parts(json.loads(_schema.read(index)))
        if names is None:
            return f"{folder.name}/{index.name} is cut"
        parts += [folder / name for name in names]
    for part in parts:
        whole = checkpoint.well_formed(part)
        if not whole or (part.name == CONFIG and not isinstance(json.loads(_schema.read(part)), dict)):
            return f"{folder.name}/{part.name} is {'cut' if part.exists() else 'gone'}"
    return None


def _parts(index: object) -> set[str] | None:
    """The files that an index of weights names, all of its own folder; None where it is no index."""
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return None
    return {*names.values()} if all(Path(name).name == name for name in names.values()) else None
