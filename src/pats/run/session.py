"""``finetune``: one run from its settings to its result, resumable."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, set_seed

from pats import baselines, methods, setups, tasks
from pats._errors import InputError
from pats.run import baseline, batches, environment, outcome, ranks, targets, trackers, weighting
from pats.run.data import load_data, settled
from pats.run.folder import checkpoint, owned, resume
from pats.run.folder.checkpoint import Progress
from pats.run.folder.events import Journal, Listener
from pats.run.folder.files import CHECKPOINT, EVENTS, MODEL, PREDICTIONS, RESULT, SEAL, remove, write_atomic
from pats.run.forecast import forecast
from pats.run.judge import Judge
from pats.run.losses import Diverged
from pats.run.model import classifier
from pats.run.model.weights import identified
from pats.run.result import Result
from pats.run.seeds import own_generators
from pats.run.spec import Run
from pats.run.timings import Timings
from pats.run.trainer import Monitor, RunTrainer, arguments

FRESH = 20  # names of weights drawn at random that a result lists


def finetune(
    run: Run,
    out: str | Path | None = None,
    *,
    on_event: Listener | None = None,
    keep_model: bool = True,
    save_steps: int | None = None,
    report_to: Sequence[str] = (),
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Fine-tune a model as ``run`` says.

    The folder ``out`` gets ``result.json`` (written last, in one move), ``predictions.csv.gz``,
    ``events.jsonl``, ``model/`` (the best epoch's weights on dev, which
    ``AutoModelForSequenceClassification`` and ``pats predict`` load) and, until the end,
    ``checkpoint/``. Called again on the folder of

    - a finished run, it returns that result;
    - a run that was stopped or killed, it continues from the last checkpoint and ends, on the same
      machine, with the same weights as an undisturbed run; if that checkpoint is damaged, as after a power
      failure, from the one before or from the start, which the first event's notes say;
    - a failed run, it tries again from the last checkpoint.

    ``out`` must be new, empty, or a folder of PATS's own, which ``pats.json`` marks.

    The global random generators of Python, numpy and torch are seeded for the run and put back
    afterwards. A method does not touch them, so runs that differ in the method alone share the
    fresh head (``init_seed``), the order of the data and dropout (``data_seed``).

    Under ``torchrun`` or ``accelerate launch`` every process calls it alike: they share each batch (or, with
    FSDP2, the model too), the first one writes, and all get the result.

    Source: Section 3 of the paper for the protocol; the rest is PATS's own.

    Args:
        run: The settings.
        out: Folder for everything, the same one on every process; None keeps nothing but the result.
        on_event: Called with every event, a dict with ``event`` (``start``, ``progress``, ``epoch``,
            ``end``); see ``pats.run.folder.events``. None calls nobody.
        keep_model: False deletes the weights at the end.
        save_steps: Makes a checkpoint after every so many optimizer steps; None makes one after every epoch.
        report_to: Trackers of Trainer's to which it reports losses, rates and metrics, such as
            ``"tensorboard"``, whose files are put in ``OUT/tensorboard``. They change no result.
        stop: Asked after every step; where it says True, the run makes a checkpoint and raises ``Stopped``.
            Called again, it continues from there. None never stops.

    Returns:
        The result, with ``run.fingerprint`` filled in. Its status is ``"failed"`` where the loss or a
        weight became non-finite; the last good checkpoint then stays. On a GPU that is found at most one step
        late.

    Raises:
        InputError: The data, model or method cannot be used as asked; ``out`` holds another run, or what is
            not PATS's, or cannot be written to; the batch cannot be divided among the processes.
        OSError: The disk is full.
        Stopped: ``stop`` said so.
    """
    check_sharing(run, save_steps)
    if out == "":
        raise InputError("out is empty: name a folder, or leave it out")
    with ExitStack() as stack:
        ranks.join(environment.device())
        made = None if out is not None else stack.enter_context(TemporaryDirectory(prefix="pats-"))
        folder = Path(ranks.first(lambda: str(made if out is None else out)))
        simple = baselines.is_simple(run.method)
        if simple:
            baselines.check_options(run.method, run.options)
        method = methods.create("vanilla" if simple else run.method, run.options)
        data = load_data(run)
        run = ranks.first(partial(identified, settled(run, data), data.fingerprint, folder))
        finished = ranks.first(lambda: resume.finished(folder, run, keep_model))
        if finished is not None:
            return finished
        progress, damages = ranks.first(lambda: resume.begin(folder, run))
        writes = ranks.is_first()
        file = folder / EVENTS if writes and out is not None else None
        journal = Journal(file, on_event if writes else None)
        stack.enter_context(journal)  # before the model, whose download may take long
        stack.enter_context(own_generators())
        stack.enter_context(owned.full_disk_as_oserror(folder))
        resumable, notes = out is not None, (*damages, *data.notes)
        if simple:
            fit = partial(baseline.perform, run, data, folder, journal, notes, keep_model)
            return ranks.first(fit)
        session = _Session(
            run, method, data, folder, progress, journal, notes, resumable, save_steps, tuple(report_to), stop
        )
        return session.perform(keep_model)


@dataclass
class _Session:
    """What the steps of one run share."""

    run: Run
    method: methods.Method[Any]
    data: tasks.TaskData
    folder: Path
    progress: Progress
    journal: Journal
    notes: tuple[str, ...]
    resumable: bool
    save_steps: int | None = None
    report_to: tuple[str, ...] = ()
    stop: Callable[[], bool] | None = None
    timings: Timings = field(default_factory=Timings)
    resumed_at: int = 0

    def __post_init__(self) -> None:
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        self.setup = setups.setups()[self.run.setup]
        with self.timings.part("load"):
            self.device = environment.device()
            self.in_bf16 = environment.bf16(self.run.precision, self.device)
            self.loaded = classifier.load(
                self.run.model,
                self.data.labels,
                self.run.max_length,
                self.run.init_seed,
                self.run.revision,
                self.run.allow_missing_weights,
                self.data.multilabel,
            )
            fresh = self.setup.draw_(self.loaded.model, self.run.init_seed)
            self.loaded = replace(self.loaded, fresh=self.loaded.fresh | fresh)
            self.collate = batches.collator(self.loaded.tokenizer)
            whole = self.data.splits["train"]
            self.splits = {
                **self.data.splits,
                "train": batches.subset(whole, self.run.fraction, self.run.data_seed, self.data.regression),
            }
            self.targets = targets.begin_(self.run, self.data, self.loaded, self.splits["train"])
            self.features = {
                name: batches.encode_of(
                    self.loaded.tokenizer, self.data, self.targets.learned(split), self.loaded.max_length
                )
                for name, split in self.splits.items()
            }
        self.judge = Judge(
            self.run,
            self.method,
            self.data,
            self.loaded,
            self.setup,
            self.targets,
            self.features,
            self.collate,
            self.in_bf16,
            self.folder / CHECKPOINT,
            self.progress,
            self.journal,
            self.timings,
        )

    def perform(self, keep_model: bool) -> Result:
        """Train, score the best epoch's weights, write everything down."""
        with self.timings.part("load"):
            trainer = self._trainer()
        error = None
        try:
            self._train(trainer)
        except Diverged as diverged:
            error = str(diverged)
        if trainer.args.device.type != "cpu":
            self.timings.seconds["waited"] = trainer.losses.waited
        optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        trained_steps = trainer.state.global_step - self.resumed_at
        sensitivity: dict[str, Any] = {}
        telemetry: dict[str, Any] = {}
        if optimizer is not None and error is None:
            sensitivity = outcome.sensitivities(optimizer)
            telemetry = outcome.by_kind(self.method.telemetry(optimizer))
        del trainer, optimizer  # the exported weights are loaded next
        best = ranks.first(lambda: resume.best_weights(self.folder, self.progress.best_step))
        test: Mapping[str, float] | None = None
        predictions: dict[str, str] = {}
        if error is None:
            assert best is not None
            test, predictions = self._predict(best)
        if best is not None and best.name != MODEL and ranks.is_first():
            remove(self.folder / MODEL)
            best.rename(self.folder / MODEL)
            (self.folder / MODEL / SEAL).unlink(missing_ok=True)
        seconds = self.timings.seconds | {
            "total": time.perf_counter() - self.began,
            "cpu": time.process_time() - self.cpu_began,
        }
        train_seconds = seconds.get("train", 0.0)
        examples = trained_steps * self.run.batch_size
        made = Result(
            run=self.run,
            run_id=self.run.id,
            status="done" if error is None else "failed",
            metric=self.data.metric,
            epochs=tuple(self.progress.epochs),
            best_epoch=self.progress.best,
            test=test,
            error=error,
            sizes={name: len(split) for name, split in self.splits.items()},
            labels=self.data.labels,
            fresh={"count": len(self.loaded.fresh), "names": sorted(self.loaded.fresh)[:FRESH]},
            sensitivity=sensitivity,
            telemetry=telemetry,
            predictions=predictions,
            timings={name: round(value, 3) for name, value in seconds.items()}
            | {"examples_per_second": round(examples / train_seconds, 2) if train_seconds else 0.0},
            environment=environment.describe(self.device, self.in_bf16),
            about_method=self.method.about(),
        )
        result = ranks.first(lambda: made)
        if ranks.is_first():
            write_atomic(self.folder / RESULT, result.to_json().encode())
            if result.status == "done":
                resume.settle(self.folder, keep_model)
        self.journal.emit("end", status=result.status, best=result.best, error=error)
        ranks.wait()
        return result

    def _trainer(self) -> RunTrainer:
        run = self.run
        training = methods.Training(
            optimizer=run.optimizer,
            lr=run.lr,
            betas=run.betas,
            eps=run.eps,
            weight_decay=run.weight_decay,
            seed=run.noise_seed,
            fresh=self.loaded.fresh,
            steps=run.total_steps(len(self.features["train"])),
            examples=len(self.features["train"]),
            regression=self.data.regression,
            anchors=methods.anchors(self.loaded.model) if self.method.anchored else {},
            batches=partial(
                batches.shuffled, self.features["train"], self.collate, run.batch_size, run.data_seed
            ),
            init_seed=run.init_seed,
        )
        checkpoints = self.folder / CHECKPOINT
        monitor = Monitor(
            self.journal,
            self.progress,
            checkpoints,
            run.batch_size,
            self.method,
            evaluations=run.evaluations,
            resumable=self.resumable,
            stop=self.stop,
        )
        self.method.prepare_(self.loaded.model, training)
        with ranks.accelerated():
            trainer = RunTrainer(
                self.loaded.model,
                arguments(
                    run,
                    checkpoints,
                    self.device,
                    self.in_bf16,
                    self.resumable,
                    self.save_steps,
                    self.report_to,
                    training.steps,
                ),
                run,
                self.features["train"],
                self.collate,
                self.method,
                training,
                judge=self.judge.evaluate,
                callback=monitor,
                progress=self.progress,
                timings=self.timings,
            )
        monitor.trainer = trainer
        trackers.place(trainer, self.folder)
        return trainer

    def _train(self, trainer: RunTrainer) -> None:
        checkpoints = self.folder / CHECKPOINT
        source = self.progress.checkpoint and str(checkpoints / self.progress.checkpoint)
        self.resumed_at = self.progress.step if source else 0
        ahead: list[str] = []
        if self.journal.heard and not self.resumed_at:
            train = self.targets.learned(self.splits["train"])
            ahead = forecast(self.method, self.run, self.loaded, train, self.data)
        self.journal.emit(
            "start",
            run_id=self.run.id,
            task=self.data.name,
            method=self.run.method,
            notes=[*self.notes, *([self.loaded.note] if self.loaded.note else []), *ahead],
            fresh=sorted(self.loaded.fresh)[:FRESH],
            examples=len(self.splits["train"]),
            epochs=self.run.epochs,
            resumed_at=self.resumed_at,
            device=str(self.device),
            precision="bf16" if self.in_bf16 else "fp32",
        )
        set_seed(self.run.data_seed)
        with ExitStack() as stack:
            stack.enter_context(trainer.attached())
            stack.enter_context(weighting.attached(self.loaded.model, self._class_weights()))
            if source:
                checkpoint.load_state(self.method, Path(source))
            stack.enter_context(classifier.quiet())
            stack.enter_context(self.timings.part("train"))
            trainer.train(resume_from_checkpoint=source)
            self.judge.blend(trainer.state)

    def _class_weights(self) -> tuple[float, ...] | None:
        if self.run.class_weights is None:
            return None
        return weighting.balanced(self.splits["train"], len(self.data.labels))

    def _predict(self, best: Path) -> tuple[Mapping[str, float] | None, dict[str, str]]:
        """Score dev and test with the exported weights, which also proves that they load."""
        with self.timings.part("predict"), classifier.quiet():
            module = AutoModelForSequenceClassification.from_pretrained(
                best, dtype=torch.float32, use_safetensors=True
            ).to(self.device)
            # In bf16 the last layer would round scores of 150 to whole numbers.
            self.targets.out_of_(module)
            names = [*self.data.dev_splits, *(["test"] if "test" in self.splits else [])]
            outputs = {name: self.targets.restored(self.judge.scores(module, name)) for name in names}
            limits = outcome.tuned(self.data, outputs)
            test = None
            if "test" in outputs:
                test, _ = outcome.judge(self.data, {"test": outputs["test"]}, limits)
            file = self.folder / PREDICTIONS
            digest = ranks.first(lambda: outcome.write_predictions(file, self.data, outputs, limits))
        return test, {"file": PREDICTIONS, "blake2b": digest}


def check_sharing(run: Run, save_steps: int | None) -> None:
    """Refuse what cannot be divided.

    Raises:
        InputError: The batch is no multiple of the number of processes, or ``save_steps`` is below 1.
    """
    if run.batch_size % ranks.count():
        raise InputError(
            f"batch_size is {run.batch_size}, but must be a multiple of the {ranks.count()} processes that "
            "share each batch"
        )
    if save_steps is not None and not (isinstance(save_steps, int) and save_steps >= 1):
        raise InputError(f"save_steps is {save_steps!r}, but must be a whole number from 1")
