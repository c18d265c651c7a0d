"""``Result``: what one run found, as ``result.json`` holds it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypedDict

from pats import _html, _schema
from pats.run.spec import Run
from pats.tasks.metric_names import about

ROUNDING = 1e-6  # by which a score may be beyond its metric's limits


@dataclass(frozen=True)
class Epoch:
    """Measurements at the end of one epoch.

    Args:
        epoch: Passes over the training data so far.
        step: Optimizer steps so far.
        train_loss: Mean training loss since the last evaluation, of what the model learned: of standardized
            scores it is in units of their variance. A baseline's is in the table's own unit.
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

    Source: PATS's own.

    Args:
        run: The run, with the data's fingerprint filled in.
        run_id: Its id.
        status: ``"done"`` or ``"failed"``.
        metric: Name of the metric that chose the best epoch.
        epochs: One entry an evaluation, in order; one more at the end where the method made a blend of the
            weights of several, which is then the best.
        best_epoch: Index into ``epochs`` of the first best one on dev, or of the blend; None where there is
            none.
        test: Metrics of the best epoch's weights on the test split; None where there is none.
        error: Why a failed run failed, in one sentence; None for one that is done.
        sizes: Examples of every split as used.
        labels: Names of the classes; empty for regression.
        fresh: How many tensors the model lacked and were drawn at random, and names of the first.
        sensitivity: Summary of the perturbed parameters' sensitivities at the end.
        telemetry: The method's own measurements, such as the noise added.
        predictions: File name and hash of the predictions.
        timings: Seconds of the parts of the run: ``load`` (model, tokens, optimizer), ``train``,
            ``evaluate``, ``save`` (checkpoints, and weights that are better than before) and ``predict``;
            ``total``; ``cpu``, the processor time of the run's first process, all its threads together,
            within ``total`` (not in rows that are no fine-tuning); on an accelerator ``waited``, the seconds
            of ``train`` in which the host waited for it; and ``examples_per_second`` of ``train``.
        environment: Versions, hardware, threads, peak memory, git state, time of the end.
        about_method: What the method said of itself, so that a reader need not know it; empty in results of
            earlier versions.
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
    about_method: Mapping[str, Any] = field(default_factory=dict)

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

    def _repr_html_(self) -> str:
        """What the run was and what it found, for a notebook; scores are × 100."""
        scores = {f"best {self.metric} on dev": self.best, "at the last epoch": self.last}
        if self.test is not None:
            scores["on test"] = self.test[self.metric]
        told = {
            "method": self.run.method,
            "model": self.run.model,
            "data": self.run.task or self.run.data,
            "lr": self.run.lr,
            "status": self.status,
            **{name: f"{100 * score:.1f}" for name, score in scores.items() if score is not None},
            **({"error": self.error} if self.error else {}),
        }
        return _html.table(f"Run {self.run_id}", told)

    def to_json(self) -> str:
        """The text of ``result.json``; keys in a fixed order, NaN refused."""
        content = asdict(self) | {"run": self.run.to_dict()}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """The result that ``to_json`` wrote; entries that this version does not know are left out.

        Raises:
            Misfit: It does not fit, or contradicts itself.
        """
        values = _schema.parse(text)
        if isinstance(values, dict):
            values = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        result = _schema.build(cls, values)
        for name, shape in _SHAPES.items():
            part = getattr(result, name)
            try:
                if part or name != "sensitivity":
                    _schema.build(shape, part)
            except _schema.Misfit as misfit:
                raise misfit.under(name) from None
        result._check()
        return result

    def _check(self) -> None:
        """Raise ``Misfit`` where entries that fit by themselves do not fit each other."""
        if self.best_epoch is not None and not 0 <= self.best_epoch < len(self.epochs):
            raise _schema.Misfit(f"is {self.best_epoch}, which is none of {len(self.epochs)}", "best_epoch")
        if self.status == "done" and self.epochs and self.best_epoch is None:
            raise _schema.Misfit("is missing, though there were evaluations", "best_epoch")
        scored = [(f"epochs[{place}].metrics", epoch.metrics) for place, epoch in enumerate(self.epochs)]
        scored += [] if self.test is None else [("test", self.test)]
        for place, metrics in scored:
            if self.metric not in metrics:
                raise _schema.Misfit(f"has no {self.metric!r}, which is what decides", place)
            for name, value in metrics.items():
                low, high = about(name.rpartition("/")[2]).limits
                if not low - ROUNDING <= value <= high + ROUNDING:
                    raise _schema.Misfit(f"is {value}, which no metric reaches", f"{place}.{name}")
        if "time" in self.environment:
            try:
                datetime.fromisoformat(self.environment["time"])
            except ValueError:
                raise _schema.Misfit("is no time", "environment.time") from None


class _Git(TypedDict, total=False):
    commit: str | None
    dirty: bool


class _Environment(TypedDict, total=False):
    """What readers use of ``Result.environment``."""

    time: str
    python: str
    packages: Mapping[str, str | None]
    system: str
    cpu: str
    cores: int | None
    threads: int
    processes: int
    device: str
    accelerator: str | None
    precision: str
    peak_memory_mb: Mapping[str, float] | None
    git: _Git | None


class _AboutMethod(TypedDict, total=False):
    """What readers may use of ``Result.about_method``; see ``pats.methods.Method.about``."""

    sentence: str
    source: str
    changes: list[str]
    noisy: bool


class _Averages(TypedDict):
    """What readers use of ``Result.sensitivity``, where it is not empty."""

    mean: float
    cv: float
    gini: float
    insensitive: float


_SHAPES: Mapping[str, Any] = {
    "status": Literal["done", "failed"],
    "sensitivity": _Averages,
    "telemetry": Mapping[str, Mapping[str, float]],
    "environment": _Environment,
    "about_method": _AboutMethod,
}
