"""From a job of the plan to a run of PATS, and to results through a study's store and engine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import collect
from benchmarks.evidence.agenda import Job, Row
from benchmarks.evidence.plan import Plan
from pats import methods
from pats._errors import InputError
from pats.run import Run
from pats.run.result import Result
from pats.study import Study, prepare
from pats.study.identity import identify
from pats.study.place.coordinator import execute
from pats.study.place.protocol import Placer
from pats.study.plan.planned import PlannedCell
from pats.study.store.results import Store


def check_arms(plan: Plan, arms: Iterable[str]) -> None:
    """Check every arm's method and options.

    Raises:
        SystemExit: One is not there, or has an option that it cannot have.
    """
    for arm in arms:
        try:
            methods.create(plan.arms[arm].method, plan.arms[arm].options)
        except InputError as error:
            raise SystemExit(f"the arm {arm} of the plan cannot be run: {error}") from None


@dataclass
class Maker:
    """Makes the runs of a plan's jobs.

    Args:
        plan: The plan.
        store: Where results are.
        data: Folder of GLUE.
        folders: Folders of models by their names in the plan.
    """

    plan: Plan
    store: Store
    data: str | None
    folders: Mapping[str, str]
    _studies: dict[tuple[str, str], tuple[Study, Mapping[tuple[str, int], str]]] = field(default_factory=dict)

    def run(self, job: Job) -> Run:
        """The run of a job.

        Raises:
            InputError: Its data or model cannot be used.
        """
        study, fingerprints = self._study(job)
        place = (study.task_list[0], study.model_list[0], job.arm)
        marks = {(place[0], job.seed): next(iter(fingerprints.values()))}
        return study.make(place, self._method(job.arm), job.rate, job.seed, marks)

    def cells(self, jobs: Sequence[Job]) -> list[PlannedCell]:
        """The cells of jobs, so that ``pats watch`` shows them."""
        runs: dict[Job, list[Run]] = {}
        for job in jobs:
            runs.setdefault(replace(job, seed=0), []).append(self.run(job))
        return [
            PlannedCell(one.task, one.model, one.arm, self._method(one.arm), one.rate, tuple(made))
            for one, made in runs.items()
        ]

    def _method(self, arm: str) -> str:
        """An arm's method; a simple row is its own."""
        return self.plan.arms[arm].method if arm in self.plan.arms else arm

    def _study(self, job: Job) -> tuple[Study, Mapping[tuple[str, int], str]]:
        """A study of one task, whose data are loaded once, and with the hash of its model."""
        key = job.model, job.task
        if key not in self._studies:
            task = self.plan.tasks[job.task]
            run = Run(
                **self.plan.run,
                data=self.data,
                fraction=task.fraction,
                epochs=task.epochs,
                steps=task.steps,
                task_options=task.options,
            )
            arms = self.plan.arms
            study = Study(
                tasks=(task.task or job.task,),
                models=(self.folders.get(job.model, job.model),),
                methods=tuple(f"{name}={arm.method}" for name, arm in arms.items()),
                options={name: arm.options for name, arm in arms.items() if arm.options},
                seeds=(0,),
                run=run,
                baselines=(),
            )
            identified, _ = identify(study, self.store)
            self._studies[key] = identified, prepare.load_tasks(identified).fingerprints
        return self._studies[key]


def row(job: Job, result: Result | None, error: str | None = None) -> dict[str, Any]:
    """What a job's run found, or that it failed."""
    found = (
        {"best": None, "last": None, "status": "failed", "seconds": None, "error": error}
        if result is None
        else collect.row(result)
        | {"seconds": result.timings.get("cpu", result.timings.get("total"))}  # of a core, not of the clock
        | ({"error": result.error} if result.error else {})
    )
    own = {"model": job.model, "arm": job.arm, "task": job.task, "seed": job.seed, "lr": job.rate}
    return own | {key: value for key, value in found.items() if key not in own}


def conduct(
    make: Maker,
    engine: Placer,
    todo: Callable[[], Sequence[Job]],
    ended: Callable[[Job, Result | None, str | None], None],
) -> None:
    """Run jobs until none is left.

    Args:
        make: Makes their runs.
        engine: Who runs them.
        todo: What is still to run, by what has ended.
        ended: Called once for every job that has ended, with its result, or with why it failed.
    """
    store, jobs, told = make.store, dict[str, Job](), set[str]()

    def runs() -> list[Run]:
        made = {run.id: (run, job) for job in todo() for run in [make.run(job)]}
        jobs.update({run_id: job for run_id, (_, job) in made.items()})
        return [run for run, _ in made.values()]

    def tell(run_id: str, result: Result | None, error: str | None) -> None:
        told.add(run_id)
        ended(jobs[run_id], result, error)
        store.drop(run_id, model=True)

    def changed(run: Run) -> None:
        if (result := store.result(run.id)) is not None:
            tell(run.id, result, None)

    def more(errors: Mapping[str, str]) -> list[Run]:
        for run_id in set(errors) - told:
            tell(run_id, None, errors[run_id])
        return runs()

    first = runs()
    for run in first:  # of an earlier call that was stopped before it wrote them down
        changed(run)
    execute(runs(), store, engine, on_change=changed, more=more)


def same(one: Row, result: Result | None) -> bool:
    """Whether a run that was made again gave what is committed, to the bit."""
    return result is not None and (result.best, result.last) == (one["best"], one["last"])
