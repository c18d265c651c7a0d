"""What the noise of a study's rows will accumulate to, said before the first run."""

from collections.abc import Mapping, Sequence
from typing import Any

from pats import methods
from pats.baselines import is_simple
from pats.run.spec import Run
from pats.study.plan.grid import Study
from pats.tasks import TaskData

BATCHES = 2  # measured for each task and model, where no formula says it


def lines(study: Study, tasks: Mapping[str, TaskData], measure: bool) -> list[str]:
    """A sentence for each row whose noise is that of PATS, over all tasks and models.

    Args:
        study: The study.
        tasks: The loaded tasks by name.
        measure: Measure on this machine what depends on the model; otherwise ``pats check`` is pointed to.
    """
    said, held = [], Held()
    for label, name in study.rows:
        if is_simple(name):
            continue
        method = methods.create(name, study.options.get(label))
        planned = method.noise(0)
        if planned is None or planned[0].silent:
            continue
        runs = _runs(study, label, name)
        if planned[0].scale == "budget":
            said.append(f"{label}: {_spent(method, runs, tasks, planned[0].keep == 'walk')}")
        elif measure:
            said.append(f"{label}: {_measured(runs, planned[0].keep == 'walk', held)}")
        else:
            said.append(f"{label}: pats check says what its noise will accumulate to.")
    return said


def _runs(study: Study, label: str, name: str) -> list[tuple[str, Run]]:
    """The first run of the row on each task and model; a rate that is to be found is the largest one."""
    places = [(task, model, label) for task in study.task_list for model in study.model_list]
    highest = max(study.lr_grid, default=study.run.lr)
    return [
        (place[0], study.make(place, name, study.rate(place, name) or highest, study.seed_list[0], {}))
        for place in places
    ]


def _spent(
    method: methods.Method[Any],
    runs: Sequence[tuple[str, Run]],
    tasks: Mapping[str, TaskData],
    stays: bool,
) -> str:
    """What a budget spends, whatever the model."""
    from pats.run import batches, forecast

    found, lengths = [], []
    for task, run in runs:
        data = tasks[task]
        train = batches.subset(data.splits["train"], run.fraction, run.data_seed, data.regression)
        lengths.append(run.total_steps(len(train)))
        planned = method.noise(run.noise_seed, lengths[-1], len(train))
        assert planned is not None
        found.append(forecast.spent(planned[0], lengths[-1]))
    return forecast.sentence(found, lengths, stays)


class Held:
    """Loads a model once, as the rows of a study measure the same one."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, *asked: Any, **more: Any) -> Any:
        """What ``classifier.load`` returns."""
        from pats.run.model import classifier

        key = repr((asked, sorted(more.items())))
        if key not in self._known:
            self._known = {key: classifier.load(*asked, **more)}  # one at a time: a model may be large
        return self._known[key]


def _measured(runs: Sequence[tuple[str, Run]], stays: bool, load: Held) -> str:
    from pats.measure.check import check
    from pats.run import forecast

    checks = [check(run, count=BATCHES, load=load) for _, run in runs]
    found = [value for checked in checks for value in checked.accumulated.values()]
    return forecast.sentence(found, [checked.steps for checked in checks], stays)
