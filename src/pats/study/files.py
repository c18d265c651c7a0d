"""Files of the store: whole or not at all, and made by one writer alone."""

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


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


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
