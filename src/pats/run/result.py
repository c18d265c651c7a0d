"""``Result``: what one run found, as it stands in ``result.json``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pats.run.spec import Run


@dataclass(frozen=True)
class Epoch:
    """Measurements at the end of one epoch.

    Args:
        epoch: Passes over the training data so far.
        step: Optimizer steps so far.
        train_loss: Mean training loss since the last evaluation.
        metrics: Dev metrics by name, in their own units (accuracy in [0, 1]), under the names of
            ``TaskData.metrics``: over several dev splits their mean, each split's own under
            ``"<split>/<metric>"``, each group's under ``"<group>/<metric>"``.
        degenerate: All predictions on dev were the same.
    """

    epoch: float
    step: int
    train_loss: float
    metrics: Mapping[str, float]
    degenerate: bool = False


@dataclass(frozen=True)
class Result:
    """One finished or failed run.

    Args:
        run: The run, with the data's fingerprint filled in.
        run_id: Its id.
        status: ``"done"`` or ``"failed"``.
        metric: Name of the metric that chose the best epoch.
        epochs: One entry an evaluation, in order.
        best_epoch: Index into ``epochs`` of the first best one on dev; None where there is none.
        test: Metrics of the best epoch's weights on the test split; None where there is none.
        error: Why a failed run failed, in one sentence.
        sizes: Examples of every split as used.
        labels: Names of the classes; empty for regression.
        fresh: How many tensors the model lacked and were drawn at random, and names of the first.
        sensitivity: Summary of the perturbed parameters' sensitivities at the end.
        telemetry: The method's own measurements, such as the noise added.
        predictions: File name and hash of the predictions.
        timings: Seconds of the parts of the run, and the training throughput.
        environment: Versions, hardware, threads, peak memory, git state, time of the end.
    """

    run: Run
    run_id: str
    status: str
    metric: str
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    test: Mapping[str, float] | None = None
    error: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    fresh: Mapping[str, Any] = field(default_factory=dict)
    sensitivity: Mapping[str, Any] = field(default_factory=dict)
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The deciding dev metric at the best epoch."""
        if self.best_epoch is None:
            return None
        return self.epochs[self.best_epoch].metrics[self.metric]

    @property
    def last(self) -> float | None:
        """The deciding dev metric at the last epoch."""
        return self.epochs[-1].metrics[self.metric] if self.epochs else None

    @property
    def degenerate(self) -> bool:
        """The best epoch predicted one constant."""
        return self.best_epoch is not None and self.epochs[self.best_epoch].degenerate

    def to_json(self) -> str:
        """The text of ``result.json``; keys in a fixed order, NaN refused."""
        content = asdict(self) | {"run": self.run.to_dict()}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """The result that ``to_json`` wrote."""
        values = json.loads(text)
        values = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        values["run"] = Run.from_dict(values["run"])
        values["epochs"] = tuple(Epoch(**epoch) for epoch in values["epochs"])
        values["labels"] = tuple(values["labels"])
        return cls(**values)
