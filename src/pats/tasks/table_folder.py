"""The tables of a folder, by split: ``train.csv``, ``reviews_train.csv``, the shards of a data set."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pats._errors import InputError
from pats.tasks.audit.finding import SHOWN
from pats.tasks.reading import SUFFIXES, WARNING, Table, open_table, readable, stem, text_folder
from pats.tasks.split_names import NAMES

_TEXT = ".txt"  # which may be a table, but gives way to what surely is one
_ENDING = re.compile(r"[_. -]([a-z]+)$")
_SHARD = re.compile(r"-\d+-of-(\d+)(-[0-9a-f]{16})?$")  # as the datasets library and the hub name files
_DATA = "data"  # the folder in which the hub has them

Files = dict[str, list[Path]]  # of every split, in order


def tables_in(folder: Path, quoting: str | None = None, sheet: str | None = None) -> dict[str | None, Table]:
    """The tables of a folder by split, train first; a single one is under no split.

    They are in the folder, in its folder ``data``, or in a folder for each split; or they are a folder of
    text files for each class.

    Args:
        folder: The folder.
        quoting: As ``open_table`` takes it.
        sheet: As ``open_table`` takes it.

    Raises:
        InputError: There is none for train, or two for a split; or one cannot be read.
    """
    inner = folder / _DATA
    places = [folder, inner] if inner.is_dir() else [folder]
    every = [_named(place) or _by_folder(place) for place in places]
    files = next((one for one in every if "train" in one), None)
    if files is None:
        by_class = text_folder.tables(folder)
        if by_class:
            return by_class
        raise InputError(
            f"{folder} has no train table: put train.csv there (or {', '.join(SUFFIXES)}), or a folder of "
            "text files for each class, or name the task if this is a GLUE folder"
        )
    ordered = [split for split in ("train", "dev", "test") if split in files]
    opened = [[open_table(file, quoting=quoting, sheet=sheet) for file in files[split]] for split in ordered]
    joined = list(map(_joined, opened))
    others = _others(files)
    if others and len(ordered) < len({*NAMES.values()}):
        first = ", ".join(others[:SHOWN]) + (" ..." if len(others) > SHOWN else "")
        note = f"{folder} also holds {first}, not read here: call it dev or test if it is one of these."
        joined[0].notes.append(WARNING + note)
    return {None: joined[0]} if len(joined) == 1 else dict(zip(ordered, joined, strict=True))


def _named(folder: Path) -> Files:
    """Files that are named for splits: ``train.csv`` and its shards; else ``reviews_train.csv``."""
    found = sorted(folder.iterdir(), key=lambda file: (file.suffix.lower() == _TEXT, file))
    named = {file: _SHARD.sub("", stem(file).lower()) for file in found if file.is_file() and readable(file)}
    ends = {file: ending[1] for file, name in named.items() if (ending := _ENDING.search(name))}
    files: Files = {}
    for file, name in (named if any(name in NAMES for name in named.values()) else ends).items():
        split = NAMES.get(name)
        if split is not None and not (split in files and file.suffix.lower() == _TEXT):
            files.setdefault(split, []).append(file)
    for own in files.values():
        _check_shards(folder, own)
    return files


def _by_folder(folder: Path) -> Files:
    """The shards, or the one table, of folders that are named for splits; else those of the folder itself."""
    files: Files = {}
    for part in sorted(folder.iterdir()):
        split = NAMES.get(part.name.lower())
        if split is not None and part.is_dir() and (own := _tables(part)):
            files[split] = own
    own = _tables(folder)
    return files or ({"train": own} if own else {})


def _tables(folder: Path) -> list[Path]:
    """The one table of a folder, or the shards of one; none where it holds several."""
    found = sorted(file for file in folder.iterdir() if file.is_file() and _is_table(file))
    if len({_SHARD.sub("", stem(file)) for file in found}) != 1:
        return []
    _check_shards(folder, found)
    return found


def _is_table(file: Path) -> bool:
    """Whether a file is surely a table: a text may be anything, and JSON what is known of a table."""
    return readable(file) and (_is_shard(file) or file.suffix.lower() not in (_TEXT, ".json"))


def _is_shard(file: Path) -> bool:
    return _SHARD.search(stem(file)) is not None


def _check_shards(folder: Path, files: Sequence[Path]) -> None:
    """Refuse two tables for one split, and shards of which some are missing.

    Raises:
        InputError: They are.
    """
    marks = [_SHARD.search(stem(file)) for file in files]
    if len(files) > 1 and not all(marks):
        raise InputError(f"{folder} has {files[0].name} and {files[1].name}: keep one")
    total = int(marks[0][1]) if marks[0] else 1
    if len(files) != total:
        raise InputError(
            f"{folder} has {len(files)} of {total} files such as {files[0].name}: get the others, too"
        )


def _joined(tables: Sequence[Table]) -> Table:
    """Shards below each other, in the columns of the first one.

    Raises:
        InputError: They have other columns.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    other = next((table for table in tables if table.columns != first.columns), None)
    if other is not None:
        raise InputError(f"{first.name} and {other.name} have other columns: they are no parts of one table")
    cells = {name: [cell for table in tables for cell in table.cells[name]] for name in first.columns}
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    name, size = str(Path(first.name).parent), sum(map(len, tables))
    return Table(name, cells, range(1, size + 1), "row", [*notes, f"{len(tables)} files are one table."])


def _others(files: Mapping[str, Sequence[Path]]) -> list[str]:
    """Names of files beside those that are read which have their format."""
    read = [file for own in files.values() for file in own]
    folder, suffix = read[0].parent, files["train"][0].suffix.lower()
    if suffix == _TEXT:
        return []
    beside = sorted(file for file in folder.iterdir() if file not in read)
    return [file.name for file in beside if file.suffix.lower() == suffix]
