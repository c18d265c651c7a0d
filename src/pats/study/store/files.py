"""Files of the store: whole or not at all, each created by one writer alone."""

import os
import shutil
from pathlib import Path
from typing import Any

from pats import _schema
from pats.run.folder.files import write_atomic


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none that can be read."""
    try:
        content = _schema.parse(_schema.read(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def link_once(source: Path, target: Path) -> bool:
    """Give ``source`` the name ``target`` unless that exists; True where it did."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        return _claim_and_copy(source, target)
    return True


def _claim_and_copy(source: Path, target: Path) -> bool:
    """``link_once`` for file systems without hard links: an exclusive file decides who may write."""
    try:
        os.close(os.open(target.with_name("result.lock"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if target.exists():
            return False  # a lock without a result was left by a crash between the two
    write(target, source.read_text(encoding="utf-8"))
    return True


def replace(source: Path, target: Path) -> None:
    """Copy a file to where it appears whole."""
    write_atomic(target, source.read_bytes())


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder as hard links to its files; as copies where the file system has no links."""
    shutil.copytree(source, target, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
