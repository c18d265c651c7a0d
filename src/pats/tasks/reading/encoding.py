"""Which encoding the bytes of a text are in."""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pats._errors import InputError
from pats._imports import try_import
from pats.tasks.reading.table import WARNING

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig", None),
    (b"\xff\xfe\x00\x00", "utf-32", "UTF-32"),
    (b"\x00\x00\xfe\xff", "utf-32", "UTF-32"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
MARK = "\ufeff"  # of the byte order, also at the start of a file that was joined to another
_WIDE = {"utf-32-le": "UTF-32", "utf-32-be": "UTF-32", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_SAMPLE = 1 << 16
_NULS, _MOST = 0.002, 0.1  # shares of zero bytes: of a narrow text at most, and in any case
_ENDS = 0.1  # of the bytes of a wide text that look as line ends, the share that are some
_PLAIN = 0.3  # the share of ASCII in a wide text without line ends

_NO_TEXT = ("Cc", "Cn", "Cs")  # Unicode's categories: control, unassigned, half of a pair
_ODDS = 0.01  # the share of such characters that a text may have

# A character of several bytes in UTF-8; in Windows-1252 these would be pairs such as "Ã©".
_UTF8 = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# What is next to a letter, or in place of one, in no text of a language of Western Europe.
_ODD = re.compile(
    "[A-Za-z][¡¢£¤¥¦§¨¬¯±²³´µ¶¸¹¼½¾¿×÷ˆ‰‹†‡ƒ][A-Za-z]|[À-ÿ]{4}|[¡-¿×÷]{3}|[\x81\x8d\x8f\x90\x9d]"
)
_LETTERS = 0.3  # the share of letters beyond ASCII above which a text is not in a language of Western Europe


@dataclass(frozen=True)
class Encoding:
    """An encoding.

    Args:
        codec: Its name for Python.
        note: What to say of it; None where it needs no word.
    """

    codec: str
    note: str | None = None


def detect(raw: bytes, name: str, partial: bool = False, before: int = 0) -> Encoding:
    """The encoding of a text: a byte order mark says it, else wide ones by their zeros, UTF-8, Windows-1252.

    Args:
        raw: The text, or its beginning.
        name: What messages call it.
        partial: It is a part alone, which may end within a character.
        before: Lines before it.

    Raises:
        InputError: It is no text, in none of these encodings, or damaged.
    """
    for mark, codec, title in _MARKS:
        if raw.startswith(mark):
            return Encoding(codec, title and f"The text is in {title}.")
    wide = _wide(raw, name)
    if wide is not None:
        return Encoding(wide, f"The text is in {_WIDE[wide]}, without a byte order mark.")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if not (partial and error.reason == "unexpected end of data"):
            return _other(raw, name, error, before)
    return Encoding("utf-8")


def decode(raw: bytes, name: str) -> tuple[str, list[str]]:
    """A whole text, line ends as they are, and notes about its encoding.

    Raises:
        InputError: See ``detect``.
    """
    encoding = detect(raw, name)
    try:
        text = raw.decode(encoding.codec)
    except UnicodeDecodeError as error:
        raise damaged(_line(raw, error.start), name, encoding.codec) from None
    return text, [encoding.note] if encoding.note else []


def numbered_lines(file: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    """The lines of a file in UTF-8 that hold anything, with their numbers, as they are asked for.

    Raises:
        InputError: A line is not UTF-8.
    """
    for place, raw in enumerate(file, 1):
        if raw.strip():
            try:
                yield place, raw.decode("utf-8-sig" if place == 1 else "utf-8")
            except UnicodeDecodeError:
                raise damaged(place, name, "utf-8") from None


def damaged(line: int, name: str, codec: str) -> InputError:
    """The error that a text has bytes that its encoding has not."""
    title = "UTF-8" if codec.startswith("utf-8") else codec.upper()
    return InputError(f"line {line} of {name} holds bytes that are not {title}: save the file as UTF-8")


def _line(raw: bytes, place: int) -> int:
    return raw.count(b"\n", 0, place) + 1


def _is_odd(character: str) -> bool:
    return unicodedata.category(character) in _NO_TEXT and not character.isspace()


def _no_text(name: str) -> InputError:
    return InputError(f"{name} is no text: save the table as CSV in UTF-8, or pass it as .xlsx or .parquet")


def _wide(raw: bytes, name: str) -> str | None:
    """The encoding of a text without a byte order mark in which a character has two or four bytes, if it is.

    Blanks, commas and line ends have bytes of zero there, whatever the script. With the bytes of a character
    the other way round, or of a narrow text with a zero or two, these are other characters.

    Raises:
        InputError: There are such bytes, but in no encoding of these is it a text.
    """
    sample = raw[:_SAMPLE]
    if sample.count(0) <= _NULS * len(sample):
        return None
    found: dict[str, int] = {}
    for codec in _WIDE:
        try:
            text = codecs.getincrementaldecoder(codec)().decode(sample)
        except UnicodeDecodeError:
            continue
        plain = sum(map(str.isascii, text))
        ends = sum(map(text.count, "\n\r")) > _ENDS * sum(map(sample.count, (b"\n", b"\r")))
        odd = sum(many for one, many in Counter(text).items() if _is_odd(one))
        if odd <= _ODDS * len(text) and (ends or plain > _PLAIN * len(text)):
            found[codec] = plain
    if not found and sample.count(0) > _MOST * len(sample):
        raise _no_text(name)
    return max(found, key=found.__getitem__, default=None)


def _other(raw: bytes, name: str, error: UnicodeDecodeError, before: int) -> Encoding:
    sample = raw[max(0, error.start - _SAMPLE) : error.start + _SAMPLE]
    if sample.count(0) > _NULS * len(sample):
        raise _no_text(name)
    high = sum(byte > 127 for byte in sample)
    if 2 * sum(map(len, _UTF8.findall(sample))) > high:
        raise damaged(before + _line(raw, error.start), name, "utf-8")
    text = sample.decode("cp1252", "replace").replace("\ufffd", "\x81")
    line = before + _line(raw, error.start)
    letters = [one for one in text if one.isalpha()]
    foreign = sum(not one.isascii() for one in letters)
    if _ODD.search(text) or foreign > _LETTERS * len(letters):
        raise InputError(
            f"line {line} of {name} holds bytes that are neither UTF-8 nor "
            f"Windows-1252{_guess(sample)}: save the file as UTF-8"
        )
    return Encoding(
        "cp1252",
        f"{WARNING}The text is not UTF-8 (line {line}), and is read as Windows-1252: look whether its "
        "accents are right.",
    )


def _guess(sample: bytes) -> str:
    best: Any = try_import("charset_normalizer", "run").from_bytes(sample).best()
    return "" if best is None else f", perhaps {best.encoding.replace('_', '-')}"
