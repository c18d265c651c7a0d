"""From a table, in a file or held by Python, to a study of it and to the folder that it goes to."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from pats import setups
from pats._errors import InputError, did_you_mean
from pats.run import ranks
from pats.run.folder import owned
from pats.run.folder.files import write_atomic
from pats.run.spec import Run
from pats.study.plan.grid import Study
from pats.study.store.results import Store
from pats.tasks.reading import STDIN, WARNING, is_frame, open_table

OUT = Path("out")  # where folders are made that nobody names
KEPT = "data"  # folder of a study's folder for a table that Python holds

_OF_STUDY = {one.name for one in fields(Study)} - {"run", "weights"}
_OF_RUN = {one.name for one in fields(Run)} - _OF_STUDY
_OWN = {"data", "fold", "method", "options", "fingerprint", "weights", "init_seed", "data_seed", "noise_seed"}
_LISTS = ("tasks", "models", "methods", "lr_grid", "baselines")


class Planned(NamedTuple):
    """A study of a table, its folder, of its preset the time and whether all seeds are made, and warnings."""

    study: Study
    folder: Path
    time_limit: float | None
    all_seeds: bool = True
    notes: tuple[str, ...] = ()  # of reading what Python holds, which its file does not show again


def study_of(data: Any, out: str | Path | None, settings: Mapping[str, Any]) -> Planned:
    """The study of a table, and its folder.

    A table that Python holds is written into the folder, so that other processes, and a study that goes on
    tomorrow, read the same. Nothing is written before the table is known to be usable.

    Args:
        data: A path, a frame of pandas, a table of Arrow, a list of records or a mapping of columns.
        out: The folder; None is ``out/NAME``, or ``out/NAME-2`` and so on where that holds other data.
        settings: Fields of ``Study``, and of its ``run``, by name, and ``preset``, else ``"table"``.

    Raises:
        InputError: A setting is unknown or out of its range, or the table cannot be used.
    """
    if isinstance(data, str) and data == STDIN:  # which can be read once
        out = OUT / "stdin" if out is None else out
        data = str(_piped(Path(out)))
    known = (_OF_STUDY | _OF_RUN | {"preset"}) - _OWN
    settings = _with_lists(settings)
    preset = _preset(settings)
    for name in settings:
        if name not in known:
            raise InputError(
                f"there is no setting {name!r} of a comparison{did_you_mean(name, known)}: the settings are "
                f"those of pats.Study and pats.Run: {', '.join(sorted(known))}"
            )
    given = {**preset, **settings}
    splits = {name: given[name] for name in ("dev", "test") if given.get(name) is not None}
    own = {name: value for name, value in given.items() if name in _OF_STUDY}
    of_run = {name: value for name, value in given.items() if name in _OF_RUN}
    how = given.get("time_limit"), given.get("all_seeds", True)

    def made(keep: Callable[[Any], Any]) -> Study:
        paths = {name: str(keep(table)) for name, table in {"data": data, **splits}.items()}
        return Study(**own, run=Run(**of_run | paths))

    study = made(lambda table: "table" if is_frame(table) else table)
    if not study.on_a_table:
        if is_frame(data):
            raise InputError(f"the task {study.task_list[0]!r} has data of its own: leave out the table")
        return Planned(study, OUT if out is None else Path(out), *how)
    from pats.run.data import load_data

    held = {name: table for name, table in {"data": data, **splits}.items() if is_frame(table)}
    loaded = load_data(replace(study.run, **held))
    folder = _free(loaded.name, loaded.fingerprint) if out is None else Path(out)
    study = made(lambda table: _kept(table, folder) if is_frame(table) else table)
    read = [note for table in held.values() for note in open_table(table).notes]
    return Planned(study, folder, *how, tuple(note for note in read if note.startswith(WARNING)))


def with_piped(study: Study, folder: str | Path) -> Study:
    """The study with the table that standard input holds in a file of its folder, which can be read again.

    Raises:
        InputError: Standard input is closed, several processes share it, or the folder cannot be used.
    """
    if study.run.data != STDIN:
        return study
    return replace(study, run=replace(study.run, data=str(_piped(Path(folder)))))


def _piped(folder: Path) -> Path:
    if sys.stdin is None or ranks.count() > 1:
        raise InputError("standard input is closed, or shared by several processes: name a file")
    return _stored(sys.stdin.buffer.read(), folder, "")


def _with_lists(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with one name where a list may be, as a list of it."""
    alone = {name: (settings[name],) for name in _LISTS if isinstance(settings.get(name), str | float)}
    return {**settings, **alone}


def _preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset sets, without what a given rate or a given number of epochs is in place of."""
    named = settings.get("task") or settings.get("tasks")
    name = settings.get("preset", "paper" if named else "table")
    if name not in setups.presets():
        raise InputError(f"preset is {name!r}, but must be one of: {', '.join(setups.presets())}")
    preset = setups.presets()[name].beside(settings)
    return {**preset.settings, **preset.study}


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
    return _stored(lines.encode("utf-8", "replace"), folder, ".jsonl")


def _stored(content: bytes, folder: Path, suffix: str) -> Path:
    digest = blake2b(content, digest_size=8).hexdigest()
    path = folder / KEPT / digest / f"table{suffix}"
    owned.claim(folder, owned.STUDY)
    if not path.exists() and ranks.is_first():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return path
