"""A folder of text files, one a text, in a folder for each class: as aclImdb and 20 Newsgroups are."""

from collections.abc import Iterator
from pathlib import Path

from pats.tasks.reading.encoding import detect
from pats.tasks.reading.table import WARNING, Table
from pats.tasks.split_names import NAMES

_SUFFIXES = (".txt", ".text", "")
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # folders of texts that nobody labelled


def tables(folder: Path) -> dict[str | None, Table]:
    """The table of a folder, or those of its splits; none where it holds no text files by class.

    Columns are ``file``, ``text`` and ``label``, which is the name of the folder of a class.

    Raises:
        InputError: A file is no text, or cannot be read.
    """
    splits: dict[str | None, Path] = {
        NAMES[part.name.lower()]: part for part in _folders(folder) if part.name.lower() in NAMES
    }
    found = {split: _table(part) for split, part in (splits if "train" in splits else {None: folder}).items()}
    ordered = (None, "train", "dev", "test")
    return {split: table for split in ordered if (table := found.get(split)) is not None}


def _table(folder: Path) -> Table | None:
    """The texts of every class; None where fewer than two classes have any."""
    classes = {part.name: files for part in _folders(folder) if (files := list(_files(part)))}
    known = {name: files for name, files in classes.items() if name.lower() not in _UNLABELLED}
    if len(known) < 2:
        return None
    cells: dict[str, list[str]] = {"file": [], "text": [], "label": []}
    odd: list[str] = []
    for name, files in known.items():
        for file in files:
            raw = file.read_bytes()
            encoding = detect(raw, str(file))
            odd += [file.name] if encoding.codec == "cp1252" else []
            cells["file"].append(f"{name}/{file.name}")
            cells["text"].append(raw.decode(encoding.codec))
            cells["label"].append(name)
    notes = ["Each text is a file, and its label the folder that it is in."]
    notes += [
        f"The folder {name!r} holds no class, and is not read." for name in classes if name not in known
    ]
    if odd:
        notes.append(
            f"{WARNING}{len(odd)} texts are not UTF-8, such as {odd[0]}, and are read as Windows-1252: look "
            "whether their accents are right."
        )
    return Table(str(folder), cells, range(1, len(cells["text"]) + 1), "text", notes)


def _folders(folder: Path) -> Iterator[Path]:
    return (
        part for part in sorted(folder.iterdir()) if part.is_dir() and not part.name.startswith((".", "__"))
    )


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix.lower() in _SUFFIXES and not file.name.startswith("."):
            yield file
