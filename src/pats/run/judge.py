"""The evaluations of a run: scores on dev, the best weights so far, and what is exported of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import TrainerState

from pats import methods, setups, tasks
from pats.run import baseline, batches, outcome, ranks
from pats.run.batches import Collate, Feature
from pats.run.folder import checkpoint
from pats.run.folder.checkpoint import Progress
from pats.run.folder.events import Journal
from pats.run.losses import check_weights
from pats.run.model import exported
from pats.run.model.classifier import Loaded
from pats.run.result import Epoch
from pats.run.spec import Run
from pats.run.targets import Targets
from pats.run.timings import Timings
from pats.tasks.metrics import sign


@dataclass(frozen=True)
class Judge:
    """Evaluates a model while it is trained, and keeps the weights that are the best.

    Args:
        run: The settings.
        method: May put other weights in place, to be evaluated or exported.
        data: The task's data.
        loaded: The model.
        setup: The set-up, which knows what an exported model needs.
        targets: What the model learns of scores; judged and exported is what it gives in their own unit.
        features: Encoded examples by split.
        collate: Pads a batch.
        in_bf16: Compute under bf16 autocast.
        checkpoints: Folder for the best weights.
        progress: Gets the evaluations.
        journal: Gets an event for each.
        timings: Where their time counts.
    """

    run: Run
    method: methods.Method[Any]
    data: tasks.TaskData
    loaded: Loaded
    setup: setups.Setup
    targets: Targets
    features: Mapping[str, list[Feature]]
    collate: Collate
    in_bf16: bool
    checkpoints: Path
    progress: Progress
    journal: Journal
    timings: Timings

    def evaluate(self, state: TrainerState, train_loss: float) -> dict[str, float]:
        """Evaluate on every dev split; keep the weights where they are the first best ones."""
        model = self.loaded.model
        with self.timings.part("evaluate"):
            check_weights(model, state.global_step)
            with self.method.evaluated(model):
                metrics = self._evaluate(state, train_loss)
                self.method.judged(model, self._worth(metrics), state.global_step)
        return metrics

    def blend(self, state: TrainerState) -> None:
        """After the last evaluation: keep what the method makes of the weights of several, if it does."""
        with self.timings.part("evaluate"):
            if self.method.blend_(self.loaded.model, self._score):
                self._evaluate(state, self.progress.epochs[-1].train_loss, blended=True)

    def scores(self, module: torch.nn.Module, split: str) -> NDArray[np.float32]:
        """A model's outputs for every example of a split."""
        return batches.scores(
            module, self.features[split], self.collate, 4 * self.run.batch_size, self.in_bf16
        )

    def _evaluate(self, state: TrainerState, train_loss: float, blended: bool = False) -> dict[str, float]:
        outputs = self._outputs()
        limits = outcome.tuned(self.data, outputs)
        metrics, degenerate = outcome.judge(self.data, outputs, limits)
        epoch = Epoch(state.epoch or 0.0, state.global_step, train_loss, metrics, degenerate)
        epochs, best = self.progress.epochs, self.progress.best
        epochs.append(epoch)
        improved = blended or best is None or self._worth(metrics) > self._worth(epochs[best].metrics)
        if improved:
            self.progress.best = len(epochs) - 1
            with self.timings.part("save"):
                self._export(epoch.step, baseline.temperature(self.data, outputs), limits)
        self.journal.emit(
            "epoch",
            epoch=round(epoch.epoch, 4),
            step=epoch.step,
            steps=state.max_steps,
            train_loss=train_loss,
            metrics=metrics,
            best=improved,
            degenerate=degenerate,
        )
        return metrics

    def _outputs(self) -> dict[str, NDArray[np.float32]]:
        model, restored = self.loaded.model, self.targets.restored
        return {name: restored(self.scores(model, name)) for name in self.data.dev_splits}

    def _score(self) -> float:
        outputs = self._outputs()
        metrics, _ = outcome.judge(self.data, outputs, outcome.tuned(self.data, outputs))
        return self._worth(metrics)

    def _worth(self, metrics: Mapping[str, float]) -> float:
        """What decides, larger where it is better."""
        return sign(self.data.metric) * metrics[self.data.metric]

    def _export(self, step: int, temperature: float, limits: Sequence[float]) -> None:
        loaded = self.loaded
        mark = exported.mark(self.run, self.data, step, loaded.max_length, temperature, limits)
        mark |= {} if self.targets.raw else {"targets": asdict(self.targets)}
        weights = self.setup.exported(loaded.model, exported.whole_weights(loaded.model))
        weights = self.targets.exported(loaded.model, weights)
        if ranks.is_first():
            self.checkpoints.mkdir(exist_ok=True)
            folder = self.checkpoints / f"best-{step}"
            exported.export(loaded.model, loaded.tokenizer, mark, folder, weights)
            checkpoint.seal(folder)
        ranks.wait()
