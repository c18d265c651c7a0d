"""Whose a folder is: PATS replaces and deletes only what it wrote itself.

A folder of ours holds ``pats.json``, which says what is in it: a run, a study, or pages. Folders that version
0.1.0 made have none; they are known by their own files, and get one. Beside exported weights ``pats.json`` is
the model's card.
"""

import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.run.folder.files import (
    CHECKPOINT,
    EVENTS,
    MARK,
    MODEL,
    PREDICTIONS,
    PROGRESS,
    RESULT,
    beside,
    refuse_link,
    write_atomic,
)

FORMAT = 1
RUN, STUDY, PAGE = "run", "study", "page"

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, or a file's largest size (ulimit -f)

_NOTHING, _WEIGHTS = "nothing", "model"
_TOLD = {RUN: "a run", STUDY: "a study", _WEIGHTS: "a model"}
_STUDY = ("study.json", "coordinator.json", "table1.md", "table1.csv", "runs.csv", "sweep.json")
_REPLACED = (MARK, RESULT, PREDICTIONS, EVENTS, CHECKPOINT, MODEL, *_STUDY, "data_size.json")
_BELOW = ("runs", "rows", "data")  # folders of a study in which files are written
_INNER = (MODEL, CHECKPOINT, "runs")  # folders that are replaced or deleted in one of ours
_SYSTEM = (".DS_Store", "Thumbs.db", "lost+found", ".snapshot")  # of file systems, not of users
_LARGEST = 1 << 28  # bytes of a file that is read to know a folder by


def claim(folder: Path, what: str) -> None:
    """Make a folder PATS's own; then it is there, and can be written to.

    It must be new, or empty, or hold nothing but folders of ours, or what it is claimed for.

    Args:
        folder: The folder.
        what: ``RUN`` or ``STUDY``.

    Raises:
        InputError: It holds something else, or cannot be written to.
    """
    with writing(folder):
        held = _held(folder)
        if held is None:
            raise InputError(
                f"{folder} holds what is not of PATS's making, such as {_foreign(folder)!r}: name a new or "
                f"empty folder with --out, such as {folder / 'pats'}"
            )
        if held not in (_NOTHING, PAGE, what):
            raise InputError(
                f"{folder} holds {_TOLD[held]}, not {_TOLD[what]}: name another folder with --out"
            )
        for path in (*(folder / name for name in (*_REPLACED, *_BELOW)), *(folder / MODEL).glob("*")):
            refuse_link(path)
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise InputError(f"{path} is a pipe or a device: remove it, or choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        _mark(folder, {"what": what})


def page(folder: Path, names: Sequence[str]) -> None:
    """Make room for the files of a page, in a folder of ours or in one that has no such files.

    Raises:
        InputError: A file of one of these names is not ours, or the folder cannot be written to.
    """
    with writing(folder):
        held = _held(folder)
        if held == _WEIGHTS:
            raise InputError(f"{folder} holds a model, not a page: name another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        if held in (RUN, STUDY):
            _mark(folder, {"what": held})
            return
        ours = _listed(folder) or set(names if _is_page(folder) else ())
        for name in (MARK, *names):
            if os.path.lexists(folder / name) and name not in ours:
                raise InputError(
                    f"{folder / name} is there, and not of PATS's making: name another folder with --out, or "
                    "move that file"
                )
        _mark(folder, {"what": PAGE, "files": sorted({*ours, *names} - {MARK})})


def file(path: Path, ours: Callable[[Path], bool]) -> None:
    """Check that a file can be written, and that what it would replace is of our making.

    Args:
        path: The file.
        ours: Whether what is there is.

    Raises:
        InputError: It is not, or the file cannot be written.
    """
    with writing(path):
        refuse_link(path)
        if path.exists() and not (path.is_file() and ours(path)):
            raise InputError(
                f"{path} is there, and not of PATS's making: name another file, or move that one"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = beside(path)
        probe.touch(exist_ok=False)
        probe.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a file system says of a path into one sentence; a full disk stays an ``OSError``."""
    if "\0" in str(path):
        raise InputError(f"the path {str(path)!r} holds a NUL character: name another one")
    try:
        str(path).encode()
    except UnicodeEncodeError:  # a byte that is no UTF-8, which not every library writes
        raise InputError(f"the path {str(path)!r} is no UTF-8: name another one") from None
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(f"{path} cannot be written to ({error.strerror}): name another path") from None


@contextmanager
def full_disk_as_oserror(folder: Path) -> Iterator[None]:
    """Raise what libraries make of a full disk, each in its own way, as the ``OSError`` that it is."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        number = _full(folder)
        if number is not None:
            raise OSError(number, os.strerror(number), str(folder)) from error
        raise


def _full(folder: Path) -> int | None:
    """Why no more can be written: one of ``FULL``; None where more can."""
    largest = _largest_file()
    if largest is not None and any(p.stat().st_size >= largest for p in folder.rglob("*") if p.is_file()):
        return errno.EFBIG
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 20))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno if error.errno in FULL else None
    return None


def _largest_file() -> int | None:
    """The size that no file may pass; None where there is no such limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def inside(path: str | Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links followed."""
    try:
        return Path(os.path.expanduser(path)).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # no path at all, or links in a circle
        return False


def _mark(folder: Path, content: dict[str, Any]) -> None:
    """Write the mark every time: this shows whether the folder can be written to."""
    write_atomic(folder / MARK, (json.dumps({"format": FORMAT, **content}) + "\n").encode())


def _entries(folder: Path) -> list[Path]:
    if not os.path.lexists(folder):
        return []
    return sorted(
        path for path in folder.iterdir() if path.name not in _SYSTEM and not path.name.startswith(".nfs")
    )


def _held(folder: Path) -> str | None:
    """What of ours is in a folder; None where something is somebody else's."""
    entries, mark = _entries(folder), _content(folder / MARK)
    what = mark.get("what")
    if isinstance(mark.get("format"), int) and mark["format"] > FORMAT:
        raise InputError(f"{folder} was written by a newer version of PATS: update pats-finetune")
    if what == PAGE:
        return PAGE if {path.name for path in entries} <= _listed(folder) else None
    if what in (RUN, STUDY):
        return str(what)
    if "run_id" in mark:
        return _WEIGHTS
    if all(_is_inner(path) for path in entries):
        return _NOTHING
    return _of_the_first_version(folder)


def _is_inner(path: Path) -> bool:
    """Whether a folder may lie beside what we write: it is ours, and bears none of our folders' names."""
    named = path.name not in _INNER and path.is_dir() and not path.is_symlink()
    return named and _held(path) in (RUN, STUDY, PAGE, _NOTHING)


def _foreign(folder: Path) -> str:
    own = _listed(folder)
    return next(path.name for path in _entries(folder) if path.name not in own and not _is_inner(path))


def _listed(folder: Path) -> set[str]:
    """Names of our files in a folder with pages, its mark among them; none in other folders."""
    mark = _content(folder / MARK)
    files = mark.get("files")
    return {MARK, *map(str, files)} if mark.get("what") == PAGE and isinstance(files, list) else set()


def _of_the_first_version(folder: Path) -> str | None:
    """What a folder without a mark is, by the files that version 0.1.0 wrote; None for a foreign one."""
    if os.path.lexists(folder / MODEL) and not _wrote(folder / MODEL):
        return None
    result, spec = _content(folder / RESULT), _content(folder / "spec.json")
    if {"run", "run_id", "status"} <= set(result) or {"run", "lease"} <= set(spec):
        return RUN
    if _is_journal(folder / EVENTS) or _wrote(folder / CHECKPOINT):
        return RUN
    study, mark = _content(folder / "study.json"), _content(folder / "coordinator.json")
    if (
        {"study", "cells"} <= set(study)
        or {"host", "pid"} <= set(mark)
        or any(folder.glob("runs/*/attempts"))
    ):
        return STUDY
    if "points" in _content(folder / "data_size.json"):
        return STUDY
    return PAGE if _is_page(folder) else None


def _wrote(folder: Path) -> bool:
    """Whether a folder ``model`` or ``checkpoint`` is ours."""
    cards = [folder / MARK, *folder.glob(f"*/{MARK}")]
    return any("run_id" in _content(card) for card in cards) or "run_id" in _content(folder / PROGRESS)


def _is_journal(path: Path) -> bool:
    """Whether a file is a run's journal; one that was killed early is empty."""
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as stream:
        line = stream.readline(_LARGEST)
    try:
        return not line or {"event", "time"} <= set(json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return False


def _is_page(folder: Path) -> bool:
    """Whether a folder has pages of version 0.1.0."""
    if "models" in _content(folder / "sensitivity.json"):
        return True
    for path in filter(Path.is_file, folder.glob("*.html")):
        with path.open("rb") as stream:
            if b'name="generator" content="PATS ' in stream.read(1000):
                return True
    return False


def _content(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
