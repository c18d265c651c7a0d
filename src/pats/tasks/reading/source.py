"""From a path to the bytes of a table: what can be opened, and what is packed unpacked."""

import bz2
import gzip
import io
import lzma
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, Any, cast

from pats._errors import InputError
from pats._imports import try_import

STDIN = "-"
LARGEST = 4 << 30  # bytes that are read at once; a packed file may claim any number

_ZIP, _EMPTY_ZIP, _ZSTD = b"PK\x03\x04", b"PK\x05\x06", b"\x28\xb5\x2f\xfd"
_STREAMS: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (  # pattern of the first bytes, and reader
    (rb"\x1f\x8b", gzip.open),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", bz2.open),
    (rb"\xfd7zXZ\x00", lzma.open),
)
_URL = re.compile("[A-Za-z][A-Za-z0-9+.-]+:/")  # with one slash where it went through a Path
_PACKED = (".gz", ".gzip", ".zip", ".zst", ".zstd", ".bz2", ".xz")
_DEEPEST = 3  # packed files within each other
_LITTER = "__MACOSX"  # what a Mac adds to a zip file


@dataclass
class Source:
    """The bytes of a table.

    Args:
        name: What messages call it.
        suffix: What its name says of its format, in lower case; "" for standard input.
        file: The bytes, unpacked.
        plain: They lie on the disk as they are, and can be searched.
        notes: What was unpacked, in sentences.
    """

    name: str
    suffix: str
    file: IO[bytes]
    plain: bool = False
    notes: list[str] = field(default_factory=list)

    def start(self, size: int) -> bytes:
        """The first bytes, which stay to be read."""
        sample = self.file.read(size)
        if self.plain:
            self.file.seek(0)
            return sample
        self.file = io.BufferedReader(cast(io.RawIOBase, _Behind(sample, self.file)), 1 << 20)
        return sample

    def whole(self) -> bytes:
        """All bytes.

        Raises:
            InputError: They are too many, or damaged.
        """
        content = self.file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{self.name} holds more than {LARGEST >> 30} GiB: pass a part of it")
        return content


@contextmanager
def opened(path: str | Path) -> Iterator[Source]:
    """The table's file, unpacked; ``"-"`` is standard input.

    Raises:
        InputError: It is a URL, a folder, a pipe or a device, or missing; or what it is packed in is damaged.
    """
    piped = str(path) == STDIN
    name = "standard input" if piped else str(path)
    if piped and sys.stdin is None:
        raise InputError("standard input is closed: name a file, or redirect one with <")
    file = sys.stdin.buffer if piped else _file(str(path))
    try:
        yield _unpacked(Source(name, "" if piped else PurePath(path).suffix.lower(), file, not piped))
    except (
        *(EOFError, NotImplementedError, struct.error),
        *(zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile),
    ) as error:
        raise _damaged(name, error) from None
    except OSError as error:
        if error.errno is None:  # what bz2 raises
            raise _damaged(name, error) from None
        raise InputError(f"{name} cannot be read: {error.strerror or _reason(error)}") from None
    finally:
        if not piped:
            file.close()


def bare(path: str | PurePath) -> PurePath:
    """A path without the endings of what it is packed in: ``reviews.csv`` of ``reviews.csv.gz``."""
    path = PurePath(path)
    while path.suffix.lower() in _PACKED and path.stem:
        path = path.with_suffix("")
    return path


def _file(path: str) -> IO[bytes]:
    if _URL.match(path):
        raise InputError(f"{path} is a URL, and nothing is downloaded: get the file, and pass its path")
    place = Path(path)
    try:
        if not place.exists():
            raise InputError(f"{path} does not exist: check the path of your data")
        if not place.is_file():  # a pipe would be waited for, perhaps for ever
            raise InputError(f"{path} is a folder, a pipe or a device: pass a file that holds the table")
        return place.open("rb")
    except (OSError, ValueError) as error:  # a name with a NUL, or too long
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}") from None


def _unpacked(source: Source, depth: int = 0) -> Source:
    start = source.start(10)
    magic = start[:4]
    stream = next((reader for pattern, reader in _STREAMS if re.match(pattern, start)), None)
    packed = stream is not None or magic in (_ZIP, _EMPTY_ZIP, _ZSTD)
    if not packed:
        source.suffix = bare(source.name).suffix.lower() if source.suffix in _PACKED else source.suffix
    if not packed or (magic == _ZIP and _is_workbook(source)):
        return source
    if depth == _DEEPEST:
        raise InputError(
            f"{source.name} is packed more than {_DEEPEST} times: unpack it, and pass what is in it"
        )
    inner = bare(source.name).suffix.lower() if source.suffix in _PACKED else source.suffix
    file: Any
    if stream is not None:
        file = stream(source.file)
    elif magic == _ZSTD:
        pyarrow = try_import("pyarrow", "run")
        file = pyarrow.CompressedInputStream(pyarrow.PythonFile(source.file, mode="r"), "zstd")
    else:
        return _unpacked(_member(source), depth + 1)
    return _unpacked(
        Source(source.name, inner, io.BufferedReader(file, 1 << 20), notes=source.notes), depth + 1
    )


def seekable(source: Source) -> IO[bytes]:
    """The bytes from their start as a file that can be searched, as what ends with its index needs."""
    if not source.plain:
        source.file, source.plain = io.BytesIO(source.whole()), True
    source.file.seek(0)
    return source.file


def _is_workbook(source: Source) -> bool:
    with zipfile.ZipFile(seekable(source)) as archive:
        names = set(archive.namelist())
    source.file.seek(0)
    # The first is in every file of Office's, the second in every one of LibreOffice's.
    return "[Content_Types].xml" in names or "mimetype" in names


def _member(source: Source) -> Source:
    archive = zipfile.ZipFile(seekable(source))
    names = [
        one.filename
        for one in archive.infolist()
        if not one.is_dir()
        and not one.filename.startswith(_LITTER)
        and not PurePath(one.filename).name.startswith(".")
    ]
    if len(names) != 1:
        listed = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        held = f"{len(names)} files ({listed})" if names else "no file"
        raise InputError(f"{source.name} holds {held}: pass a zip file with one table in it")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise InputError(f"{source.name} is encrypted: unpack it with its password, and pass what is in it")
    notes = [*source.notes, f"The table is {names[0]!r} in {source.name}."]
    file = cast(io.RawIOBase, archive.open(names[0]))
    return Source(
        source.name, PurePath(names[0]).suffix.lower(), io.BufferedReader(file, 1 << 20), notes=notes
    )


def _damaged(name: str, error: BaseException) -> InputError:
    return InputError(
        f"{name} cannot be unpacked ({_reason(error)}): the file is damaged or cut, get it again"
    )


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


class _Behind(io.RawIOBase):
    """A file behind bytes that were read from it already."""

    def __init__(self, before: bytes, rest: IO[bytes]) -> None:
        self.rest = rest
        self._before = memoryview(before)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._before:
            size = min(len(buffer), len(self._before))
            buffer[:size] = self._before[:size]
            self._before = self._before[size:]
            return size
        content = self.rest.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
