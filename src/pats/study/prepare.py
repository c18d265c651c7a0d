"""What is checked before the first run starts, so that bad input fails at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from pats import baselines, methods
from pats._errors import InputError
from pats.run.folder import owned
from pats.run.folder.files import MODEL, RESULT
from pats.study.place import sharing
from pats.study.place.protocol import Placer
from pats.study.plan.grid import Study
from pats.study.store.files import write
from pats.study.store.results import Store
from pats.tasks import Split, TaskData
from pats.tasks.inspect import Inspection

TRIED = 1000  # steps and examples of a training of which a few steps are timed
TABLES = "data.json"  # what is known of the tables of a study, by task


@dataclass(frozen=True)
class StudyData:
    """What was detected of a study's tasks.

    Args:
        fingerprints: Of the data, by task and data seed; the seeds of a study share one split.
        labels: Names of the classes by task; empty for regression.
        notes: What was detected, in sentences.
        tables: What is known of the tables, by task.
        metric: What decides on a table if nobody names it and it is not the usual one, as on uneven classes.
        kind: The kind of labels, where a run has to name it: where a row may have several.
        targets: What models learn of scores, where it is not the scores as they are.
        tasks: The loaded tasks by name.
    """

    fingerprints: Mapping[tuple[str, int], str]
    labels: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    tables: Mapping[str, Inspection] = field(default_factory=dict)
    metric: str | None = None
    kind: str | None = None
    targets: str | None = None
    tasks: Mapping[str, TaskData] = field(default_factory=dict)


def load_tasks(study: Study, searched: Iterable[int] = ()) -> StudyData:
    """Load every task once: the data do not depend on the seeds of the runs.

    Args:
        study: The study.
        searched: Seeds that are run beside those that are reported.

    Raises:
        InputError: A task is unknown, or its data are missing or damaged.
    """
    from pats.run.data import inspect_data, load_data, settled

    seeds = (*study.seed_list, *searched)
    fingerprints: dict[tuple[str, int], str] = {}
    labels: dict[str, tuple[str, ...]] = {}
    loaded: dict[str, TaskData] = {}
    base = study.run
    notes: list[str] = []
    tables: dict[str, Inspection] = {}
    for task in study.task_list:
        run = study.base(task, study.model_list[0])
        data = loaded[task] = load_data(run)
        base = settled(run, data)
        fingerprints |= {(task, seed): data.fingerprint for seed in seeds}
        labels[task] = data.labels
        found: Sequence[object] = data.notes
        if data.source == "table":  # a second look, now that it is known to be usable: also at its tokens
            tables[task] = inspect_data(run)
            found = tables[task].findings
        notes += [f"{task}: {note}" for note in found]
    said = tuple(dict.fromkeys(notes))
    return StudyData(fingerprints, labels, said, tables, base.metric, base.kind, base.targets, loaded)


def write_tables(store: Store, data: StudyData) -> None:
    """Write what is known of the study's tables into its folder, for readers of its page."""
    if data.tables:
        content = {task: table.to_dict() for task, table in data.tables.items()}
        write(store.root / TABLES, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def show_notes(data: StudyData, console: Console | None) -> None:
    """Show what was detected, before anything is trained on it."""
    if console is None:
        return
    for note in data.notes:
        style = "bold" if ": Warning: " in note else "dim"
        if console.is_jupyter and style == "dim":
            continue  # a notebook has the report, and its cells no room
        console.print(note, style=style, markup=False, highlight=False, soft_wrap=True)


def check_methods(study: Study) -> None:
    """Check every row's method and options.

    Raises:
        InputError: A method is unknown, or one of its options is unknown or out of its range.
    """
    for label, method in study.rows:
        if baselines.is_simple(method):
            baselines.check_options(method, study.options.get(label))
        else:
            methods.create(method, study.options.get(label))


def check_trackers(names: Sequence[str]) -> None:
    """Check that trackers are there.

    Raises:
        InputError: One is not.
    """
    if names:
        from pats.run import trackers

        trackers.check_installed(names)


def check_sharing(study: Study, engine: Placer) -> None:
    """Check that the processes of a run can share its batches.

    Raises:
        InputError: The batch is no multiple of their number.
    """
    batch, processes = study.run.batch_size, getattr(engine, "processes", 1)  # one of the user's own has none
    if batch % processes:
        raise InputError(
            f"batch_size is {batch}, but must be a multiple of the {processes} processes that share a batch"
        )


def check_models(
    study: Study,
    labels: Mapping[str, tuple[str, ...]],
    sample: Split | None = None,
    threads: int | None = None,
    data: TaskData | None = None,
) -> tuple[int | None, dict[tuple[str, str], float]]:
    """Load every model once, and let every row build its optimizer and attach itself.

    Args:
        study: The study.
        labels: Names of the classes by task.
        sample: Rows of the first task to time a step of every row on; None times none.
        threads: Threads for that; None is as many as there are.
        data: The first task, which knows whether a row may have several labels.

    Returns:
        Bytes of a GPU that a run of the largest model takes, None where a model does not tell; and seconds of
        a step by model and method.

    Raises:
        InputError: A model cannot be used, or a scope matches nothing in it.
    """
    from pats.run.model import classifier
    from pats.run.seeds import own_generators
    from pats.study.step_time import seconds_of

    seconds: dict[tuple[str, str], float] = {}
    classes, needs = next(iter(labels.values())), []
    for name in study.model_list:
        run = replace(study.run, model=name)
        with own_generators():
            loaded = classifier.load(
                *(name, classes, run.max_length, run.init_seed, run.revision, run.allow_missing_weights),
                several=data is not None and data.multilabel,
            )
        training = methods.Training(
            optimizer=run.optimizer,
            lr=study.lr or run.lr,
            fresh=loaded.fresh,
            steps=TRIED,
            examples=TRIED,
            regression=not classes,
        )
        for label, method_name in study.rows:
            if baselines.is_simple(method_name):
                continue
            method = methods.create(method_name, study.options.get(label))
            if sample is not None:
                seconds[name, method_name] = seconds_of(run, loaded, method, training, sample, threads, data)
                continue
            method.prepare_(loaded.model, training)
            method.optimizer(loaded.model, training)
            with method.attached(loaded.model, training, methods.PassClock()):
                pass
        numel = sum(parameter.numel() for parameter in loaded.model.parameters())
        sizes = loaded.model.config.to_dict()
        needs.append(sharing.need(numel, sizes, run.batch_size, loaded.max_length))
    known = [need for need in needs if need is not None]
    return max(known) if len(known) == len(needs) else None, seconds


def take_folder(store: Store, study: Study, data: StudyData) -> None:
    """Make the study's folder PATS's own, and keep another study's results and model from being replaced.

    A study that grows, by seeds, rows, models or tasks, goes on in its folder; one of other data does not.

    Raises:
        InputError: The folder holds what is not ours, or a study of other data; it cannot be written to; a
            model that is to be trained lies where the chosen one is put.
    """
    target = store.root / MODEL
    for name in study.model_list:
        if owned.inside(name, target):
            raise InputError(
                f"the model {name!r} lies where this study puts its own, in {target}: name another --out"
            )
    owned.claim(store.root, owned.STUDY)
    if not target.exists() and not any(store.root.glob(f"runs/*/{RESULT}")):
        return  # nothing is there yet
    try:
        cells = store.planned()
    except InputError:
        return  # cut short: the study writes it again, and finds results by their runs
    before = {(cell.task, run.data_seed): run.fingerprint for cell in cells for run in cell.runs}
    tasks = dict.fromkeys(cell.task for cell in cells)
    if not set(tasks) & set(study.task_list):
        raise InputError(
            f"{store.root} holds a study of {', '.join(tasks)}, but this one is of "
            f"{', '.join(study.task_list)}: name another --out"
        )
    for (task, seed), fingerprint in data.fingerprints.items():
        if before.get((task, seed)) not in (None, fingerprint):
            raise InputError(
                f"{store.root} holds a study of other data named {task!r} (or they have changed since): name "
                "another --out"
            )
