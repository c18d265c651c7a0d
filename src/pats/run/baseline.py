"""A run of a baseline that is no fine-tuning: fitted, scored and exported within seconds."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pats import baselines
from pats.run import batches, environment, outcome
from pats.run.folder.events import Journal
from pats.run.folder.files import MARK, MODEL, PREDICTIONS, RESULT, remove, write_atomic
from pats.run.model import exported, simple
from pats.run.model.embeddings import Embedder
from pats.run.result import Epoch, Result
from pats.run.spec import Run
from pats.tasks import Split, TaskData, calibration
from pats.tasks.metrics import sign

STEP = 1  # a baseline is fitted in one


def perform(
    run: Run, data: TaskData, folder: Path, journal: Journal, notes: Sequence[str], keep_model: bool
) -> Result:
    """Fit on train with the strength that is best on dev, score dev and test, export a refit on all rows.

    Raises:
        InputError: The encoder cannot be used.
    """
    started = time.perf_counter()
    device = environment.device()
    kind = baselines.registry()[run.method]
    embed = None
    if kind.encoder:
        embed = Embedder(run.model, run.max_length, device, run.revision, run.allow_missing_weights)
    journal.emit(
        "start",
        run_id=run.id,
        task=data.name,
        method=run.method,
        notes=list(notes),
        fresh=[],
        examples=len(data.splits["train"]),
        epochs=1,
        resumed_at=0,
        device=str(device),
        precision="fp32",
    )
    train = batches.subset(data.splits["train"], run.fraction, run.data_seed, data.regression)
    splits = {**data.splits, "train": train}
    classes, balanced = len(data.labels), run.class_weights is not None
    dev = [splits[name] for name in data.dev_splits]
    bounds = np.cumsum([len(split) for split in dev])[:-1]

    def on_dev(outputs: NDArray[np.float32]) -> tuple[dict[str, float], bool]:
        return outcome.judge(data, dict(zip(data.dev_splits, np.split(outputs, bounds), strict=True)))

    fitted = baselines.fit(
        kind(embed),
        train,
        joined(dev),
        classes,
        lambda outputs: sign(data.metric) * on_dev(outputs)[0][data.metric],
        balanced,
        data.sets,
    )
    names = [*data.dev_splits, *(["test"] if "test" in splits else [])]
    outputs = {name: fitted.outputs(splits[name]) for name in names}
    limits = outcome.tuned(data, outputs)
    metrics, constant = outcome.judge(data, {name: outputs[name] for name in data.dev_splits}, limits)
    test = outcome.judge(data, {"test": outputs["test"]}, limits)[0] if "test" in outputs else None
    loss = _loss(data, fitted.outputs(train), train)
    seconds = {"train": time.perf_counter() - started}
    digest = outcome.write_predictions(folder / PREDICTIONS, data, outputs, limits)
    if keep_model:
        labelled = joined([split for split in splits.values() if split.label is not None])
        refitted = baselines.refit(kind(embed), labelled, classes, fitted.strength, balanced, data.sets)
        _export(run, data, folder / MODEL, refitted, temperature(data, outputs), embed, limits)
    seconds["total"] = time.perf_counter() - started
    result = Result(
        run=run,
        run_id=run.id,
        status="done",
        metric=data.metric,
        epochs=(Epoch(1.0, STEP, loss, metrics, constant),),
        best_epoch=0,
        test=test,
        sizes={name: len(split) for name, split in splits.items()},
        labels=data.labels,
        predictions={"file": PREDICTIONS, "blake2b": digest},
        timings={name: round(value, 3) for name, value in seconds.items()},
        environment=environment.describe(device, False),
        about_method=_about(kind, fitted, data),
    )
    journal.emit(
        "epoch",
        epoch=1.0,
        step=STEP,
        steps=STEP,
        train_loss=loss,
        metrics=metrics,
        best=True,
        degenerate=constant,
    )
    write_atomic(folder / RESULT, result.to_json().encode())
    journal.emit("end", status="done", best=result.best, error=None)
    return result


def joined(splits: Sequence[Split]) -> Split:
    """The rows of several splits one after another, without their groups."""
    pair = splits[0].text_pair is not None
    return Split(
        tuple(text for split in splits for text in split.text),
        tuple(text for split in splits for text in split.text_pair or ()) if pair else None,
        tuple(label for split in splits for label in split.label or ()),
    )


def temperature(data: TaskData, outputs: Mapping[str, NDArray[np.float32]]) -> float:
    """The temperature that fits the outputs on dev; 1 for scores and several labels."""
    if data.regression or data.multilabel:  # of several labels, thresholds are fitted instead
        return 1.0
    return calibration.temperature(
        [(outputs[name], np.asarray(data.splits[name].label)) for name in data.dev_splits]
    )


def _loss(data: TaskData, outputs: NDArray[np.float32], train: Split) -> float:
    """What fine-tuning calls the training loss: mean log-loss, or squared error in the unit of the scores."""
    labels = np.asarray(train.label)
    if data.regression:
        return float(np.mean((outputs[:, 0] - labels) ** 2))
    if data.multilabel:
        logits = outputs.astype(np.float64)
        return float(np.mean(np.logaddexp(0, logits) - logits * data.marks(labels)))
    return outcome.computed(data, ["log_loss"], outputs, labels)["log_loss"]


def _about(kind: type[baselines.Baseline], fitted: baselines.Fitted, data: TaskData) -> dict[str, Any]:
    sentence = kind.sentence
    if kind.linear:
        what = "alpha" if data.regression else "C"
        value = 1 / fitted.strength if data.regression else fitted.strength
        sentence += f" ({what} {value:g}, tuned on dev)"
    return {"sentence": sentence, "source": kind.source, "changes": [], "noisy": False}


def _export(
    run: Run,
    data: TaskData,
    folder: Path,
    fitted: baselines.Fitted,
    temperature: float,
    embed: Embedder | None,
    limits: Sequence[float],
) -> None:
    """Write the model's folder in one move."""
    temporary = folder.with_name(f".{folder.name}.new")
    remove(temporary)
    temporary.mkdir(parents=True)
    longest = run.max_length if embed is None else embed.max_length
    mark = exported.mark(run, data, STEP, longest, temperature, limits)
    encoder = None if embed is None else simple.encoder(run.model, run.revision, embed.max_length)
    about = {
        "labels": list(data.labels),
        "pair": mark["pair"],
        "temperature": temperature,
        "encoder": encoder,
        **({"thresholds": list(limits)} if data.multilabel else {}),
    }
    simple.save(fitted, about, temporary)
    (temporary / MARK).write_text(json.dumps(mark, indent=1, ensure_ascii=False) + "\n", "utf-8")
    remove(folder)
    temporary.rename(folder)
