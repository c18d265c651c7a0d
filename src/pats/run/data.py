"""The data of a run, checked against what it was planned with, and how they are judged."""

from dataclasses import replace

from pats import tasks
from pats._errors import InputError
from pats.baselines import is_simple
from pats.run.spec import STANDARDIZED, Run
from pats.tasks import judging, multilabel
from pats.tasks.audit.tokenizer import counter
from pats.tasks.inspect import Inspection, inspect


def inspect_data(run: Run) -> Inspection:
    """What is to be known of the table that a run's settings name.

    Raises:
        InputError: Nothing can be read.
    """
    asked = tasks.Asked(
        *(run.data, run.text, run.text_pair, run.label, run.kind, run.split_seed),
        quoting=run.quoting,
        sheet=run.sheet,
        drop_rare=run.drop_rare,
        drop_unlabelled=run.drop_unlabelled,
        group=run.group,
        time=run.time,
        folds=run.folds,
        fold=run.fold,
        dev=run.dev,
        test=run.test,
    )
    return inspect(asked, run.max_length, counter(run.model, run.revision))


def load_data(run: Run) -> tasks.TaskData:
    """The data that a run's settings name, with the metric that decides on them.

    Raises:
        InputError: They cannot be read, have changed since the run was planned, or cannot be judged or
            weighted as asked.
    """
    data = tasks.load(
        run.task,
        run.data,
        text=run.text,
        text_pair=run.text_pair,
        label=run.label,
        kind=run.kind,
        quoting=run.quoting,
        sheet=run.sheet,
        drop_rare=run.drop_rare,
        drop_unlabelled=run.drop_unlabelled,
        group=run.group,
        time=run.time,
        folds=run.folds,
        fold=run.fold,
        dev=run.dev,
        test=run.test,
        seed=run.split_seed,
        options=run.task_options,  # type: ignore[arg-type]
    )
    if run.fingerprint not in (None, data.fingerprint):
        raise InputError(
            f"the data of {data.name!r} have changed since this run was planned (fingerprint "
            f"{data.fingerprint}, expected {run.fingerprint}): bring the old data back, or plan the run again"
        )
    if run.class_weights is not None and (data.regression or data.multilabel):
        what = "several a row" if data.multilabel else "scores"
        raise InputError(
            f"class_weights is {run.class_weights!r}, but the labels of {data.name!r} are {what}, not "
            "classes: leave it out"
        )
    if run.targets is not None and not data.regression:
        raise InputError(
            f"targets is {run.targets!r}, but the labels of {data.name!r} are classes, not scores: leave it "
            "out"
        )
    return _judged(run, data)


def _judged(run: Run, data: tasks.TaskData) -> tasks.TaskData:
    """The data with the metric that decides: the named one; of a planned run without one, the usual one."""
    if data.source != "table":
        if run.metric is not None:
            raise InputError(
                f"metric is {run.metric!r}, but the task {data.name!r} has its own ({data.metric}): a "
                "metric is for tables, leave it out"
            )
        return data
    metric = run.metric
    if metric is None and run.fingerprint is not None:
        metric = judging.usual(data.labels, data.multilabel)[0]
    if metric is None:
        return data
    return replace(
        data, metric=metric, metrics=judging.named(metric, data.metrics, data.labels, data.multilabel)
    )


def settled(run: Run, data: tasks.TaskData) -> Run:
    """The run with what follows from its data: a metric or kind that is not the usual one, the targets.

    Another metric is another run, and readers of a result know by its kind what its predictions are. The
    scores of a table are standardized.

    A run that was planned has a fingerprint, and is left as it is.
    """
    if run.fingerprint is not None:
        return run
    if data.multilabel:
        run = replace(run, kind=multilabel.KIND)
    scored = data.regression and data.source == "table"
    if scored and run.targets is None and not is_simple(run.method):
        run = replace(run, targets=STANDARDIZED)
    usual = data.source != "table" or data.metric == judging.usual(data.labels, data.multilabel)[0]
    return run if run.metric is not None or usual else replace(run, metric=data.metric)
