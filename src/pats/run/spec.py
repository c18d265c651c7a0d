"""``Run``: everything that determines one fine-tuning, and nothing else."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from pats import setups
from pats._errors import InputError, did_you_mean
from pats.tasks import multilabel
from pats.tasks.columns import text_of
from pats.tasks.labels import KINDS
from pats.tasks.metric_names import ABOUT
from pats.tasks.reading import QUOTINGS

RAW, STANDARDIZED = "raw", "standardized"  # what a model learns of scores

SCHEMA = 1  # part of every id: a change of meaning of any field starts new results
# Younger than the schema: with these values they are in no id.
_ADDED = {
    **{
        "allow_missing_weights": False,
        "split_seed": 0,
        "weights": None,
        "metric": None,
        "class_weights": None,
        "targets": None,
    },
    **{"quoting": None, "sheet": None, "drop_rare": False, "drop_unlabelled": False},
    **{"min_steps": None, "max_steps": None, "evaluations": None},
    **{"group": None, "time": None, "folds": None, "fold": None},
    **{"dev": None, "test": None},
}

# Until version 0.1.0 the paper's literal reading was called ``pats``. Its records are read under its new
# name, and keep their ids.
RECORD = 2  # of what ``to_dict`` gives; before, there was no number
_NEW_NAMES = {"pats": "pats-paper"}
_NAMES_IN_IDS = {"pats-paper": "pats", "pats": "pats-budget"}

Value = int | float | bool | str | None

_COUNTS = ("steps", "min_steps", "max_steps", "evaluations")  # None, or at least 1

_CHOICES: Mapping[str, Callable[[], Iterable[str | None]]] = {
    "optimizer": setups.optimizers,
    "schedule": setups.schedules,
    "setup": setups.setups,
    "precision": lambda: ("auto", "fp32", "bf16"),
    "kind": lambda: (None, *KINDS),
    "quoting": lambda: (None, *QUOTINGS),
    "metric": lambda: (None, *ABOUT),
    "class_weights": lambda: (None, "balanced"),
    "targets": lambda: (None, STANDARDIZED, RAW),
}


@dataclass(frozen=True)
class Run:
    """One fine-tuning: model, data, method, optimisation and its seeds.

    The defaults are preset ``paper`` (section 3 and appendix A.2 of the paper), completed where the
    paper is silent: clipping of the global gradient norm at 1.0, no weight decay, the checkpoint's
    dropout, 128 tokens.

    Source: Section 3 and appendix A.2 of the paper; what completes them is PATS's own.

    Args:
        model: ``"minilm"`` (the embedded model), a folder, or a name on the hub.
        revision: Revision of a model on the hub; None is its default branch.
        allow_missing_weights: Draw weights at random that the model's files lack or have in another shape,
            also in the encoder and the embeddings; else only a new head and pooler are drawn.
        task: One of ``pats.tasks.registry()``, a class of your own as ``"my_module:MyTask"``, or None where
            ``data`` is a table.
        data: A task's folder, such as GLUE's, or a table; None takes GLUE from the hub.
        dev: The table of the dev split, where ``data`` is the table of train; None makes one from it.
        test: The table of the test split, where ``data`` is the table of train; None makes one from it.
        text: Column of the first text of a table, or several whose cells are joined by line feeds; None
            detects it, as it does ``text_pair`` and ``label``.
        text_pair: Column of the second text; None detects it, where there is one.
        label: Column of the label, or several of 0 and 1, one for each label; None detects it.
        kind: ``"classification"``, ``"regression"``, or ``"multilabel"`` where a row may have several
            labels; None detects it. If whole numbers may be classes or scores, it must be given.
        group: Column of a table whose rows of one cell, such as an author, stay in one split; None makes
            no groups.
        time: Column of a table that says when a row was written: train has the oldest rows, test the newest;
            None divides by no time.
        folds: K parts of a table, each of which is test once, in place of one split, for tables of a few
            hundred rows; None is one split.
        fold: Which of them is test, from 1; None takes all rows for train and dev, as for the model that
            is exported.
        quoting: What quotes mean in a CSV or TSV: ``"double"`` (they are doubled within a cell),
            ``"backslash"``, or ``"none"`` (they are plain characters); None detects it.
        sheet: Sheet of a workbook; None takes the first that holds anything.
        drop_rare: Leave out the classes of a table that are too rare to be in every split.
        drop_unlabelled: Leave out the rows of a table that have no label.
        metric: What decides on a table: which epoch, which method, what is exported; accuracy, macro_f1,
            weighted_f1, balanced_accuracy, f1, matthews, auroc, average_precision or log_loss of classes,
            pearson, spearman, mae, rmse or r2 of scores, micro_f1, macro_f1, weighted_f1 or
            subset_accuracy of several labels a row. None is accuracy, macro_f1 if the most frequent class
            has at least 1.5 times the rows of the rarest, pearson, or micro_f1.
        class_weights: ``"balanced"`` weights every class in the loss by the inverse of its share; None
            weights none.
        targets: What a model learns of scores: ``"raw"`` as they are, or ``"standardized"`` with mean 0 and
            spread 1 on train; scores and exported models are in the table's unit all the same. None is
            standardized for a table and raw for GLUE and custom tasks.
        task_options: Options of a task that makes its examples, such as ``{"size": 1000}``.
        fingerprint: Hash of the loaded data. Where given, it replaces ``data`` in the id, and a run
            on other data is refused; None asks for none.
        weights: Hash of a local model's weights, architecture and tokenizer. None asks for none. If given, it
            is part of the id, and a run from others is refused; ``finetune`` and ``compare`` fill it in.
        method: Name of a method in ``pats.methods``.
        options: The method's own options; missing ones take its defaults.
        optimizer: ``"adamax"``, ``"adamw"``, or MT-DNN's Adamax of either era, ``"mtdnn-a"`` and
            ``"mtdnn-b"``, each with its own ε.
        lr: Peak learning rate.
        weight_decay: Weight decay of all but biases and norms.
        betas: Decay rates of the optimizer's moments.
        eps: The optimizer's ε.
        schedule: Shape of the learning rate after warm-up: ``"linear"``, ``"constant"``, ``"cosine"``,
            or MT-DNN's, ``"mtdnn-a"`` and ``"mtdnn-b"``.
        warmup: Share of all steps with a linearly rising learning rate, in [0, 1).
        epochs: Passes over the training data. ``steps``, where given, ends the run earlier or later.
        steps: Optimizer steps; None follows from ``epochs``.
        min_steps: Fewest optimizer steps where they follow from ``epochs``, for data of few rows; None is no
            limit.
        max_steps: Most optimizer steps where they follow from ``epochs``; None is no limit.
        evaluations: Evaluations on dev, evenly over the run; None is one after every epoch.
        batch_size: Examples a step.
        max_length: Longest input in tokens; longer ones are truncated.
        clip: Largest global norm of the gradient; 0 switches clipping off.
        precision: ``"auto"`` is bf16 autocast where the machine computes in bf16, else fp32.
        setup: ``"plain"``, or ``"mtdnn"``: head, dropout and fixed batches as MT-DNN's code.
        fraction: Share of the training data, in (0, 1]; smaller shares are subsets of larger ones.
        init_seed: Seeds the weights that the checkpoint lacks, such as the head.
        data_seed: Seeds subset, order and dropout.
        noise_seed: Seeds the method's own noise, and nothing else.
        split_seed: Seeds the split of a table that brings none: one for all runs that are to be compared.

    Raises:
        InputError: A value is out of its range.
    """

    model: str = "minilm"
    revision: str | None = None
    allow_missing_weights: bool = False
    task: str | None = None
    data: str | None = None
    text: str | tuple[str, ...] | None = None
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    kind: str | None = None
    group: str | None = None
    time: str | None = None
    quoting: str | None = None
    sheet: str | None = None
    drop_rare: bool = False
    drop_unlabelled: bool = False
    metric: str | None = None
    class_weights: str | None = None
    task_options: Mapping[str, Value] = field(default_factory=dict)
    fingerprint: str | None = None
    weights: str | None = None
    method: str = "pats"
    options: Mapping[str, Value] = field(default_factory=dict)
    optimizer: str = "adamax"
    lr: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "linear"
    warmup: float = 0.1
    epochs: float = 10
    steps: int | None = None
    batch_size: int = 32
    max_length: int = 128
    clip: float = 1.0
    precision: str = "auto"
    setup: str = "plain"
    fraction: float = 1.0
    init_seed: int = 0
    data_seed: int = 0
    noise_seed: int = 0
    split_seed: int = 0
    min_steps: int | None = None
    max_steps: int | None = None
    evaluations: int | None = None
    folds: int | None = None
    fold: int | None = None
    dev: str | None = None
    test: str | None = None
    targets: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "task_options", dict(self.task_options))
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "betas", tuple(self.betas))
        for name in ("text", "label"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, text_of(getattr(self, name)))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in tuple(allowed()):
                choices = ", ".join(choice for choice in allowed() if choice is not None)
                raise InputError(f"{name} is {getattr(self, name)!r}, but must be one of: {choices}")
        self._check("lr", 0, math.inf)
        self._check("weight_decay", 0, math.inf)
        self._check("eps", 0, math.inf)
        self._check("warmup", 0, 1, open_end=True)
        self._check("epochs", 0, math.inf, open_start=True)
        self._check("clip", 0, math.inf)
        self._check("fraction", 0, 1, open_start=True)
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise InputError(f"betas are {self.betas}, but each must be at least 0 and below 1")
        given = [name for name in _COUNTS if getattr(self, name) is not None]
        for name in ("batch_size", "max_length", *given):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1):
                raise InputError(f"{name} is {getattr(self, name)!r}, but must be a whole number from 1")
        if self.min_steps and self.max_steps and self.min_steps > self.max_steps:
            raise InputError(
                f"min_steps is {self.min_steps}, which is more than max_steps, {self.max_steps}: lower one"
            )
        self._check_folds()
        for name in ("init_seed", "data_seed", "noise_seed", "split_seed"):
            value = getattr(self, name)
            if not (isinstance(value, int) and 0 <= value < 2**32):
                raise InputError(f"{name} is {value!r}, but must be a whole number from 0 to 2**32-1")

    def _check_folds(self) -> None:
        if self.folds is not None and not (isinstance(self.folds, int) and self.folds >= 2):
            raise InputError(f"folds is {self.folds!r}, but must be a whole number from 2")
        inside = isinstance(self.fold, int) and 1 <= self.fold <= (self.folds or 0)
        if self.fold is not None and not inside:
            raise InputError(f"fold is {self.fold!r}, but must be one of folds, from 1 to {self.folds}")

    def _check(
        self, name: str, low: float, high: float, open_start: bool = False, open_end: bool = False
    ) -> None:
        value = getattr(self, name)
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        fine = fine and math.isfinite(value) and low <= value <= high
        fine = fine and not (open_start and value == low) and not (open_end and value == high)
        if not fine:
            start = f"above {low}" if open_start else f"at least {low}"
            end = "" if high == math.inf else (f" and below {high}" if open_end else f" and at most {high}")
            raise InputError(f"{name} is {value!r}, but must be a number {start}{end}")

    @cached_property
    def id(self) -> str:
        """Hash of the run's content, 16 hexadecimal digits; a known fingerprint replaces the path."""
        content = self.to_dict() | {"schema": SCHEMA}
        del content["record"]
        content |= _renamed(self.method, self.options, _NAMES_IN_IDS)
        if self.fingerprint is not None:
            content |= dict.fromkeys(("data", "dev", "test"))
        for name, value in _ADDED.items():
            if content[name] == value:
                del content[name]
        if self.kind == multilabel.KIND:
            content["head"] = "shares"  # its head started at one half before
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        # Not asdict, whose deep copies take most of the time of reading thousands of runs.
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        copied = {"task_options": dict(self.task_options), "options": dict(self.options)}
        return named | copied | {"betas": list(self.betas), "record": RECORD}

    @classmethod
    def upgraded(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """What ``to_dict`` gave in an earlier version, as it would give it now, without its number."""
        values = dict(values)
        if values.pop("record", 1) < RECORD and "method" in values:
            values |= of_now(values["method"], values.get("options", {}))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Run":
        """The run that ``to_dict`` described.

        Raises:
            InputError: A key is not a field of ``Run``.
        """
        values = cls.upgraded(values)
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"unknown setting {unknown[0]!r} of a run{did_you_mean(unknown[0], known)}; the settings "
                f"are: {', '.join(sorted(known))}"
            )
        return cls(**values)

    def total_steps(self, rows: int) -> int:
        """Optimizer steps of the whole run on so many rows of training data."""
        if self.steps is not None:
            return self.steps
        steps = math.ceil(self.epochs * math.ceil(rows / self.batch_size))
        steps = max(steps, self.min_steps or 0)
        return min(steps, self.max_steps or steps)

    def shortened(self, share: float) -> "Run":
        """A run of a share of the length, with its own schedule and as many evaluations as go with it."""
        if share == 1.0:
            return self
        counts = {name: max(1, round(share * value)) for name in _COUNTS if (value := getattr(self, name))}
        return replace(self, epochs=share * self.epochs, **counts)

    def with_seed(self, seed: int) -> "Run":
        """The same run with its own three seeds set to ``seed``; the split stays."""
        return replace(self, init_seed=seed, data_seed=seed, noise_seed=seed)


def value_of(text: str) -> Value:
    """What an option's text means: true, false, none, a number, else itself."""
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def of_now(method: str, options: Mapping[str, Value]) -> dict[str, Any]:
    """Method and options of a record of an earlier version, under the names that they have now."""
    return _renamed(method, options, _NEW_NAMES)


def _renamed(method: str, options: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Any]:
    """A method, perhaps of several parts, and its options with the parts' names replaced."""
    parts = "+".join(names.get(part.strip(), part.strip()) for part in method.split("+"))
    keys = (key.rpartition(".") for key in options)
    new = [names.get(part, part) + dot + name for part, dot, name in keys]
    return {"method": parts, "options": dict(zip(new, options.values(), strict=True))}
