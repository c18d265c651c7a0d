"""From a table, in a file or held by Python, to a study of it and to the folder that it goes to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

from pats._errors import InputError, did_you_mean
from pats.run import ranks
from pats.run.folder import owned
from pats.run.spec import Run
from pats.study.plan.grid import Study
from pats.study.store.files import write
from pats.study.store.results import Store
from pats.tasks.reading import is_frame, open_table

OUT = Path("out")  # where folders are made that nobody names
KEPT = "data"  # folder of a study's folder for a table that Python holds

_OF_STUDY = {one.name for one in fields(Study)} - {"run", "weights"}
_OF_RUN = {one.name for one in fields(Run)} - _OF_STUDY
_OWN = {"data", "method", "options", "fingerprint", "weights", "init_seed", "data_seed", "noise_seed"}
_LISTS = ("tasks", "models", "methods", "lr_grid", "baselines")


def study_of(data: Any, out: str | Path | None, settings: Mapping[str, Any]) -> tuple[Study, Path]:
    """The study of a table, and its folder.

    A table that Python holds is written into the folder, so that other processes, and a study that goes on
    tomorrow, read the same. Nothing is written before the table is known to be usable.

    Args:
        data: A path, a frame of pandas, a table of Arrow, a list of records or a mapping of columns.
        out: The folder; None is ``out/NAME``, or ``out/NAME-2`` and so on where that holds other data.
        settings: Fields of ``Study``, and of its ``run``, by name.

    Raises:
        InputError: A setting is unknown or out of its range, or the table cannot be used.
    """
    known = _OF_STUDY | _OF_RUN - _OWN
    for name in settings:
        if name not in known:
            raise InputError(
                f"there is no setting {name!r} of a comparison{did_you_mean(name, known)}: the settings are "
                f"those of pats.Study and pats.Run: {', '.join(sorted(known))}"
            )
    own = {name: value for name, value in settings.items() if name in _OF_STUDY}
    own |= {name: (own[name],) for name in _LISTS if isinstance(own.get(name), str | float)}
    own |= {name: tuple(own[name]) for name in _LISTS if isinstance(own.get(name), list)}
    of_run = {name: value for name, value in settings.items() if name not in _OF_STUDY}

    def made(path: Any) -> Study:
        return Study(**own, run=Run(data=str(path), **of_run))

    study = made("table" if is_frame(data) else data)
    if not study.on_a_table:
        if is_frame(data):
            raise InputError(f"the task {study.task_list[0]!r} has data of its own: leave out the table")
        return study, Path("out" if out is None else out)
    from pats.run.data import load_data

    loaded = load_data(replace(study.run, data=data if is_frame(data) else str(data)))
    folder = _free(loaded.name, loaded.fingerprint) if out is None else Path(out)
    return (made(_kept(data, folder)) if is_frame(data) else study), folder


def _free(name: str, fingerprint: str) -> Path:
    """The first folder of this name that is new, or holds a study of these data."""
    if ranks.count() > 1:
        raise InputError("several processes share this comparison: name its folder with out")
    names = (OUT / (name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(folder for folder in names if not folder.exists() or fingerprint in _fingerprints(folder))


def _fingerprints(folder: Path) -> Iterator[str | None]:
    try:
        cells = Store(folder).cells()
    except InputError:  # what is there is no study, and stays
        return
    for cell in cells:
        yield from (run.fingerprint for run in cell.runs)


def _kept(frame: Any, folder: Path) -> Path:
    """The file of a table that Python holds, under a name of its content: it replaces no other one."""
    rows = open_table(frame).rows()
    lines = "".join(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in rows)
    digest = blake2b(lines.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    path = folder / KEPT / digest / "table.jsonl"
    owned.claim(folder, owned.STUDY)
    if not path.exists() and ranks.is_first():
        write(path, lines)
    return path
