"""A folder of text files, one a text, in a folder for each class: as aclImdb and 20 Newsgroups are."""

import re
from collections.abc import Mapping
from pathlib import Path

from pats._errors import InputError
from pats.tasks.reading.encoding import decode
from pats.tasks.reading.table import WARNING, Table
from pats.tasks.split_names import NAMES

# A file that is numbered, or named for what is in it, has an ending that says nothing of its format.
_TEXT = re.compile(r"|\.(txt|text|\d+|[0-9a-f]{16,})", re.IGNORECASE)
_DOCUMENT = re.compile(
    r"\.(md|markdown|rst|html?|xhtml|eml)", re.IGNORECASE
)  # beside texts it may be a README
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # folders of texts that nobody labelled


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order, without what is hidden.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return sorted(part for part in folder.iterdir() if not part.name.startswith((".", "__")))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from None


def holds_classes(folder: Path, least: int = 2) -> bool:
    """Whether a folder holds folders of texts for so many classes that are not all called as splits are."""
    classes = _classes(folder)
    return len(classes) >= least and not {name.lower() for name in classes} <= {*NAMES}


def table(folder: Path) -> Table:
    """The texts of every class, in the columns ``file``, ``text`` and ``label``, which is the folder's name.

    Raises:
        InputError: A file is no text, or cannot be read.
    """
    cells: dict[str, list[str]] = {"file": [], "text": [], "label": []}
    odd: list[str] = []
    classes = _classes(folder)
    for name, files in classes.items():
        for file in files:
            try:
                text, said = decode(file.read_bytes(), str(file))
            except OSError as error:
                raise InputError(f"{file} cannot be read: {error.strerror or error}") from None
            odd += [file.name] if any(note.startswith(WARNING) for note in said) else []
            cells["file"].append(f"{name}/{file.name}")
            cells["text"].append(text)
            cells["label"].append(name)
    notes = ["Each text is a file, and its label the folder that it is in."]
    others = [place.name for place in entries(folder) if place.is_dir() and place.name not in classes]
    notes += [f"The folder {name!r} holds no class, and is not read." for name in others]
    left = sum(file.is_file() for name in classes for file in entries(folder / name)) - len(cells["text"])
    if left:
        notes.append(f"{WARNING}{left} files beside the texts are not read: call texts .txt, or nothing.")
    if odd:
        notes.append(
            f"{WARNING}{len(odd)} texts are not UTF-8, such as {odd[0]}, and are read as Windows-1252: look "
            "whether their accents are right."
        )
    return Table(str(folder), cells, range(1, len(cells["text"]) + 1), "text", notes)


def _classes(folder: Path) -> Mapping[str, list[Path]]:
    """The text files of every class; documents as they are where none has any."""
    places = [place for place in entries(folder) if place.is_dir() and place.name.lower() not in _UNLABELLED]
    texts = {place.name: files for place in places if (files := _files(place, _TEXT))}
    return texts or {place.name: files for place in places if (files := _files(place, _DOCUMENT))}


def _files(folder: Path, ending: re.Pattern[str]) -> list[Path]:
    return [file for file in entries(folder) if ending.fullmatch(file.suffix) and file.is_file()]
