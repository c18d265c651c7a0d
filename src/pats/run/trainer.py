"""``transformers.Trainer`` as the engine of a run: what differs from Trainer's defaults, and only that."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from pats import methods, setups
from pats.run import ranks, trackers
from pats.run.batches import Collate, Feature
from pats.run.folder import checkpoint
from pats.run.folder.checkpoint import Progress
from pats.run.folder.events import Journal
from pats.run.losses import Losses, check_weights
from pats.run.model import masks
from pats.run.spec import Run
from pats.run.stopping import Stopped
from pats.run.timings import Timings

PROGRESS = 2.0  # seconds between two progress events, at least
CHECKPOINTS = 30.0  # seconds between two checkpoints where a run's evaluations are counted, at least


class Order(LengthGroupedSampler):
    """Examples of similar length together, in an order that a resume in the middle of an epoch finds again.

    The order comes from the global generator. Its state at the start of the epoch is remembered, and taken
    from the first process where there are several: they must divide the same order among them.
    """

    start: torch.Tensor | None = None
    resumed: torch.Tensor | None = None

    def __iter__(self) -> Iterator[int]:
        """The order of one epoch."""
        if self.resumed is not None:
            torch.set_rng_state(self.resumed)
            self.resumed = None
        elif ranks.count() > 1:
            torch.set_rng_state(ranks.first(torch.get_rng_state))
        self.start = torch.get_rng_state()
        order: Callable[[], Iterator[int]] = super().__iter__
        return order()


class RunTrainer(Trainer):
    """Trainer with the method's optimizer, our evaluation, and a stop at what is not finite.

    On an accelerator a training step waits for nothing: the host prepares the next one while this one runs.

    Args:
        model: The classifier.
        arguments: From ``arguments``.
        run: The run's settings.
        train: Encoded examples.
        collate: Pads a batch.
        method: Makes the optimizer and the loss.
        training: What the method may know.
        judge: Evaluates at the end of an epoch, given the mean training loss.
        callback: Progress and checkpoints.
        progress: Of a run that is resumed.
        timings: Where the time of checkpoints counts.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        run: Run,
        train: list[Feature],
        collate: Collate,
        method: methods.Method[Any],
        training: methods.Training,
        judge: Callable[[TrainerState, float], dict[str, float]],
        callback: TrainerCallback,
        progress: Progress,
        timings: Timings,
    ) -> None:
        self._method, self._training, self._judge, self.classifier = method, training, judge, model
        self._run, self._setup, self.clock = run, setups.setups()[run.setup], methods.PassClock()
        self.losses, self.timings = Losses(progress.losses), timings
        self.order = Order(arguments.train_batch_size, lengths=[len(row["input_ids"]) for row in train])
        if progress.order is not None:
            self.order.resumed = torch.frombuffer(bytearray.fromhex(progress.order), dtype=torch.uint8)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=[],
            data_collator=masks.marked(collate),
            callbacks=[callback],
        )
        # The loss of a micro-batch is its own mean, so that a method can add to it.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # it prints Trainer's logs where the bar is off
        self._weights = model.num_parameters(exclude_embeddings=True)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """The method's optimizer, once."""
        if self.optimizer is None:
            self.optimizer = self._method.optimizer(model or self.classifier, self._training)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Trainer's, or one that Trainer does not know."""
        schedule = setups.schedules()[self._run.schedule]
        if self.lr_scheduler is None and schedule.of_trainer is None:
            factor = schedule.factor(self._run.warmup, num_training_steps)
            given: Any = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(given, factor)
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Trainer's, or the set-up's own."""
        rows: Any = self.train_dataset
        batches = self._setup.batches(len(rows), self.args.train_batch_size, self._run.data_seed)
        if batches is None:
            return super().get_train_dataloader()
        loader = DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Within, the method and the set-up act on the model's training passes."""
        model = self.classifier
        with ExitStack() as stack:
            stack.enter_context(self._setup.attached(model, self._run.task))
            stack.enter_context(self.clock.attached(model))
            stack.enter_context(self._method.attached(model, self._training, self.clock))
            yield

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The method's, of one or more passes."""
        accelerator, micro_batches = self.accelerator, self.current_gradient_accumulation_steps
        padded = inputs.pop(masks.PADDED)
        self.clock.begin(self.state.global_step + 1, self.state.max_steps, accelerator.process_index)
        batch = methods.MicroBatch(
            model,
            inputs,
            self.clock,
            self._training.seed,
            self._training.regression,
            backward=lambda loss: accelerator.backward(loss / micro_batches),
            unsynced=lambda: accelerator.no_sync(model),
        )
        with masks.known(padded):
            return self._method.loss(batch)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Trainer's estimate, without counting the weights again at every step."""
        return 6 * int(inputs["input_ids"].numel()) * self._weights

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return self.order

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's, and a stop at a loss that is not finite: on a CPU before the optimizer sees it.

        On an accelerator the loss of the step before is read while this one runs: the stop is one step late.
        """
        loss = super().training_step(*args, **kwargs)
        self.losses.add(loss, self.state.global_step + 1)
        return loss

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's, of losses and weights that are finite: a diverged run goes back to it."""
        self.losses.settle()
        check_weights(self.classifier, self.state.global_step)
        with self.timings.part("save"):
            super()._save_checkpoint(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Our evaluation of every dev split in place of Trainer's."""
        self.losses.settle()
        values = self.losses.values
        mean = math.fsum(values) / max(len(values), 1)
        values.clear()
        metrics = self._judge(self.state, mean)
        if self.args.report_to:
            self.log({f"eval_{name}": value for name, value in metrics.items()})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class Monitor(TrainerCallback):
    """Records how far a run is in the journal, and makes checkpoints resumable.

    Args:
        journal: Where events go.
        progress: The run's progress, filled by the evaluation.
        folder: Where Trainer puts checkpoints.
        batch_size: Examples a step.
        method: Its state goes into checkpoints.
        evaluations: Evaluations over the run; None leaves them to Trainer.
        resumable: The run makes checkpoints.
        stop: Whether the run is to stop; None never asks.
    """

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        folder: Path,
        batch_size: int,
        method: methods.Method[Any],
        *,
        evaluations: int | None = None,
        resumable: bool = True,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._evaluations, self._resumable, self._stop = evaluations, resumable, stop
        self._stopping, self._saved_at = False, time.monotonic()
        self._journal, self._progress, self._folder = journal, progress, folder
        self._method = method
        self._batch_size = batch_size
        self._due = False
        self._reported_at, self._reported_step = time.monotonic(), 0
        self.trainer: RunTrainer | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count from here: a resumed run starts in the middle."""
        self._reported_at, self._reported_step = time.monotonic(), state.global_step

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the method of every step that is made."""
        assert self.trainer is not None
        if not self.trainer.accelerator.optimizer_step_was_skipped:
            self._method.stepped(self.trainer.classifier)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Evaluate where it is time to, stop where that was asked, and record how far the run is.

        A checkpoint due at an epoch's end waits for the evaluation, which a resume would skip.
        """
        self._evaluate(state, control)
        self._end_early(state, control)
        self._report(state, kwargs["optimizer"])
        waits = self._evaluations is None and not _within_epoch(state)
        if state.global_step >= state.max_steps or waits:
            self._due, control.should_save = control.should_save, False
        return control

    def _evaluate(self, state: TrainerState, control: TrainerControl) -> None:
        """``evaluations`` of them, the last one at the end; they are where checkpoints are made."""
        many, step, last = self._evaluations, state.global_step, state.max_steps
        if many is None or step * many // last == (step - 1) * many // last:
            return
        control.should_evaluate = True
        due = time.monotonic() - self._saved_at >= CHECKPOINTS
        control.should_save |= self._resumable and due

    def _end_early(self, state: TrainerState, control: TrainerControl) -> None:
        """Stop with a checkpoint; where epochs are evaluated, at the end of one only once it is."""
        if self._stop is None or state.global_step >= state.max_steps:
            return
        self._stopping = self._stopping or ranks.first(self._stop)
        if self._stopping and not self._resumable:
            raise Stopped(f"stopped after step {state.global_step}")
        control.should_save |= self._stopping

    def _report(self, state: TrainerState, optimizer: Optimizer) -> None:
        """Record how far it is, at most every few seconds."""
        now = time.monotonic()
        seconds, steps = now - self._reported_at, state.global_step - self._reported_step
        if seconds < PROGRESS or self.trainer is None:
            return
        recent = self.trainer.losses.values[-steps:]
        if not recent:  # the first one is still on its way
            return
        self._journal.emit(
            "progress",
            step=state.global_step,
            steps=state.max_steps,
            epoch=round(state.epoch or 0.0, 4),
            loss=math.fsum(recent) / len(recent),
            lr=max(group["lr"] for group in optimizer.param_groups),
            examples_per_second=round(steps * self._batch_size / seconds, 2),
        )
        self._reported_at, self._reported_step = now, state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """The last epoch leaves no checkpoint: nothing would continue from it."""
        control.should_save = (control.should_save or self._due) and state.global_step < state.max_steps
        self._due = False
        return control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A checkpoint counts once ``progress.json`` names it."""
        assert self.trainer is not None
        self._progress.checkpoint = f"checkpoint-{state.global_step}"
        self._progress.step = state.global_step
        self._progress.losses = self.trainer.losses.values
        start = self.trainer.order.start if _within_epoch(state) else None
        self._progress.order = None if start is None else bytes(start.tolist()).hex()
        with self.trainer.timings.part("save"):
            ranks.wait()  # until every process has written its part
            if ranks.is_first():
                checkpoint.save(self._progress, self._method, self._folder)
        self._saved_at = time.monotonic()
        if self._stopping:
            ranks.wait()  # until the first process has named it
            raise Stopped(f"stopped after step {state.global_step}, to be continued")


def _within_epoch(state: TrainerState) -> bool:
    return bool((state.epoch or 0.0) % 1)


def arguments(
    run: Run,
    folder: Path,
    device: torch.device,
    in_bf16: bool,
    resumable: bool,
    save_steps: int | None,
    report_to: Sequence[str] = (),
    steps: int | None = None,
) -> TrainingArguments:
    """Trainer's arguments for a run; the processes share each batch."""
    trackers.check_installed(report_to)
    bounded = run.min_steps is not None or run.max_steps is not None
    strategy = "steps" if save_steps is not None else "epoch" if run.evaluations is None else "no"
    made = TrainingArguments(
        output_dir=str(folder),
        learning_rate=run.lr,
        # One that Trainer does not know is made by ``create_scheduler``, whatever is here.
        lr_scheduler_type=setups.schedules()[run.schedule].of_trainer or "linear",
        warmup_steps=run.warmup,
        num_train_epochs=run.epochs,
        max_steps=run.steps or (steps if bounded and steps else -1),
        per_device_train_batch_size=run.batch_size // ranks.count(),
        max_grad_norm=run.clip,
        average_tokens_across_devices=False,  # it multiplies the mean loss of a classifier by the processes
        bf16=in_bf16,
        seed=run.data_seed,
        data_seed=run.data_seed,
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch" if run.evaluations is None else "no",  # else as ``Monitor`` says
        save_strategy=strategy if resumable else "no",
        save_steps=save_steps or 500,
        logging_strategy="steps" if report_to else "no",
        logging_steps=trackers.SHARE,
        logging_nan_inf_filter=False,  # it would read every loss
        report_to=list(report_to) or "none",
        run_name=trackers.name(run),
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        accelerator_config={"non_blocking": device.type == "cuda"},  # from pinned memory: else a copy waits
    )
    ranks.allow_shards(made.distributed_state)
    made._n_gpu = min(made.n_gpu, 1)  # more would be DataParallel, with a larger batch than asked for
    return made
