"""The tables of a folder, by split: ``train.csv``, ``reviews_train.csv``, shards, texts by class."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pats._errors import InputError
from pats.tasks.audit.finding import SHOWN
from pats.tasks.reading import SUFFIXES, WARNING, Table, open_table, readable, stem, text_folder
from pats.tasks.reading.text_folder import entries
from pats.tasks.split_names import NAMES

_TEXT = ".txt"  # which may be a table, but gives way to what surely is one
_UNSURE = (_TEXT, ".json")  # a text may be anything, and JSON what is known of a table
_ENDING = re.compile(r"[_. -]([a-z]+)$")
_SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?$")  # as the datasets library and the hub name files
_DATA = "data"  # the folder in which the hub has them
_SPLITS = ("train", "dev", "test")

Part = list[Path]  # the files of a split, or a folder that holds a folder of texts for each class


def tables_in(folder: Path, quoting: str | None = None, sheet: str | None = None) -> dict[str | None, Table]:
    """The tables of a folder by split, train first; a single one is under no split.

    The splits are files and folders that are named for them, here or in the folder ``data``. Without any, it
    is a folder of text files for each class, or its only table, or those in its only folder with splits.

    Args:
        folder: The folder.
        quoting: As ``open_table`` takes it.
        sheet: As ``open_table`` takes it.

    Raises:
        InputError: There is none for train, or two for a split; or one cannot be read.
    """
    parts, unread = _parts(folder)
    if "train" not in parts:
        parts, unread = _elsewhere(folder, parts, unread)
    if "train" not in parts:
        raise InputError(
            f"{folder} has no train table: put train.csv there (or {', '.join(SUFFIXES)}), or a folder of "
            "text files for each class, or name the task if this is a GLUE folder"
        )
    ordered = [split for split in _SPLITS if split in parts]
    tables = [_opened(parts[split], quoting, sheet) for split in ordered]
    others = _others(folder, [file for part in parts.values() for file in part])
    if others and len(ordered) < len(_SPLITS):
        first = ", ".join(others[:SHOWN]) + (" ..." if len(others) > SHOWN else "")
        note = f"{folder} also holds {first}, not read here: call it dev or test if it is one of these."
        tables[0].notes.append(WARNING + note)
    tables[0].notes.extend(
        f"{WARNING}{place} is named for a split, but not read: it holds no table, and no texts by class."
        for place in unread
    )
    return {None: tables[0]} if len(tables) == 1 else dict(zip(ordered, tables, strict=True))


def _elsewhere(
    folder: Path, parts: dict[str, Part], unread: list[Path]
) -> tuple[dict[str, Part], list[Path]]:
    """What else a folder without a train split may be."""
    inner = folder / _DATA
    if inner.is_dir():
        more, also = _parts(inner)
        for split in sorted(parts.keys() & more.keys()):
            raise _two(folder, parts[split][0], more[split][0])
        if "train" in more:
            return parts | more, [*unread, *also]
    if not parts and text_folder.holds_classes(folder):
        return {"train": [folder]}, []
    if not parts and not unread:
        only = _tables(folder)
        within = [place for place in entries(folder) if place.is_dir() and "train" in _named(place)]
        if only:
            return {"train": only}, []
        if len(within) == 1:
            return _named(within[0]), []
        if within:
            listed = ", ".join(place.name for place in within[:SHOWN])
            raise InputError(f"{folder} has several folders with splits ({listed}): pass one of them")
    return parts, unread


def _parts(folder: Path) -> tuple[dict[str, Part], list[Path]]:
    """Files and folders that are named for splits, and those folders that hold neither tables nor classes."""
    parts, unread = _named(folder), []
    for place in entries(folder):
        split = NAMES.get(place.name.lower())
        if split is None or not place.is_dir():
            continue
        own = _tables(place) or ([place] if text_folder.holds_classes(place, 1) else [])
        if own and split in parts:
            raise _two(folder, parts[split][0], own[0])
        if own:
            parts[split] = own
        else:
            unread.append(place)
    for place in unread if "train" in parts else ():
        if several := [file.name for file in _readable(place) if file.suffix.lower() != _TEXT]:
            raise InputError(f"{place} holds {', '.join(several[:SHOWN])}: keep one table of this split")
    return parts, unread


def _two(folder: Path, one: Path, other: Path) -> InputError:
    names = [str(path.relative_to(folder)) for path in (one, other)]
    return InputError(f"{folder} has {names[0]} and {names[1]}: keep one")


def _named(folder: Path) -> dict[str, Part]:
    """Files named for splits: ``train.csv`` and its shards; else ``reviews_train.csv`` or ``x.train``."""
    found = sorted(_readable(folder), key=lambda file: file.suffix.lower() == _TEXT)
    named = {file: _SHARD.sub("", stem(file).lower()) for file in found}
    ends = {file: ending[1] for file, name in named.items() if (ending := _ENDING.search(name))}
    ends |= {file: end for file in found if (end := file.suffix[1:].lower()) in NAMES}
    parts: dict[str, Part] = {}
    for file, name in (named if any(name in NAMES for name in named.values()) else ends).items():
        split = NAMES.get(name)
        if split is not None and not (split in parts and file.suffix.lower() == _TEXT):
            parts.setdefault(split, []).append(file)
    for own in parts.values():
        _check_shards(folder, own)
    return parts


def _tables(folder: Path) -> Part:
    """The shards of a folder, or its one table; none where it holds several."""
    found = list(_readable(folder))
    shards = [file for file in found if _SHARD.search(stem(file))]
    if shards and len({_SHARD.sub("", stem(file)) for file in shards}) == 1:
        _check_shards(folder, shards)
        return shards
    sure = [file for file in found if file.suffix.lower() not in _UNSURE]
    whole = sure or [file for file in found if file.suffix.lower() != _TEXT]
    return whole if len(whole) == 1 and not shards else []


def _readable(folder: Path) -> Iterator[Path]:
    """Tables by their names, and fastText's by a split's, without what Macs and Excel put beside them."""
    return (
        file
        for file in entries(folder)
        if not file.name.startswith("~$")
        and file.is_file()
        and (readable(file) or file.suffix[1:].lower() in NAMES)
    )


def _check_shards(folder: Path, files: Sequence[Path]) -> None:
    """Refuse two tables for one split, and shards that are not all those of one table.

    Raises:
        InputError: They are.
    """
    marks = {file: _SHARD.search(stem(file)) for file in files}
    whole = [file for file, mark in marks.items() if mark is None]
    if whole and len(files) > 1:
        raise _two(folder, whole[0], next(file for file in files if file is not whole[0]))
    numbers = [(int(mark[1]), int(mark[2]), file.suffix) for file, mark in marks.items() if mark]
    for i, number in enumerate(numbers):
        same = next((other for other in range(i) if numbers[other][0] == number[0]), None)
        if same is not None or number[1:] != numbers[0][1:]:
            raise _two(folder, files[same or 0], files[i])
    if numbers and len(numbers) != numbers[0][1]:
        raise InputError(
            f"{folder} has {len(files)} of {numbers[0][1]} files such as {files[0].name}: get the others, too"
        )


def _opened(part: Part, quoting: str | None, sheet: str | None) -> Table:
    """The table of a split; shards are below each other, in the columns of the first one.

    Raises:
        InputError: They have other columns, or one cannot be read.
    """
    if part[0].is_dir():
        return text_folder.table(part[0])
    tables = [open_table(file, quoting=quoting, sheet=sheet) for file in part]
    first = tables[0]
    if len(tables) == 1:
        return first
    other = next((table for table in tables if table.columns != first.columns), None)
    if other is not None:
        raise InputError(f"{first.name} and {other.name} have other columns: they are no parts of one table")
    cells = {name: [cell for table in tables for cell in table.cells[name]] for name in first.columns}
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    name, size = str(part[0].parent), sum(map(len, tables))
    return Table(name, cells, range(1, size + 1), "row", [*notes, f"{len(tables)} files are one table."])


def _others(folder: Path, read: Sequence[Path]) -> list[str]:
    """Names of tables beside those that are read which have their format; beside texts, all tables."""
    if any(_SHARD.search(stem(file)) for file in read):
        return []  # a library that writes shards leaves other files beside them
    formats = {file.suffix.lower() for file in read if not file.is_dir()}
    beside = [file for file in _readable(folder) if file not in read and file.suffix.lower() not in _UNSURE]
    return [file.name for file in beside if not formats or file.suffix.lower() in formats]
