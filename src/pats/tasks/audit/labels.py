"""Labels that may not mean what they say."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import unescape

from pats.tasks._text import key, shown
from pats.tasks.audit.finding import SHOWN, WARNING, Finding, Row, count

_ZEROS = re.compile(r"^([+-]?)0+(?=\d+$)", re.ASCII)
_POINT_ZERO = re.compile(r"^([+-]?\d+)\.0+$", re.ASCII)
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_LETTER = r"[^\W\d_]"
_BETWEEN = re.compile(rf"(?<={_LETTER})[\s_-]+(?={_LETTER})")  # letters: 1-2 is another label than 12
_BEFORE_A_NUMBER = re.compile(rf"(?<={_LETTER})(?:[\s_]+|-)(?=\d)")
_AROUND = re.compile(r"\s*([/%.&+:])\s*")  # blanks beside a sign
_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")  # of a hand's skin
_LETTERS = str.maketrans("аеорсухіјѕ", "aeopcyxijs")  # Cyrillic ones that look as Latin ones do
_TRUTH = ({"true", "1", "yes", "t", "y"}, {"false", "0", "no", "f", "n"})
_ELSEWHERE = (("wahr", "falsch"), ("ja", "nein"), ("vrai", "faux"), ("oui", "non"), ("verdadero", "falso"))
_ERRORS = {"#name?", "#ref!", "#value!", "#div/0!", "#num!", "#null!"}  # of a spreadsheet's formulas
LOST = {"nan", "null", "n/a", "n.a.", "<na>", "#n/a", r"\n", *_ERRORS}  # what programs write for none
_UNDONE = {"todo", "tbd", "unlabeled", "unlabelled"}  # what people write where a label is still to come
NO_GOLD = "-"  # what SNLI has where its annotators do not agree
_DOUBTFUL = LOST | _UNDONE | {"none", "na", "nil", "missing", "?", "-", "."}  # and what may be a class, too
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MADE = re.compile(rf"\d\d?[- ]({_MONTH})|({_MONTH})[- ]\d\d", re.IGNORECASE | re.ASCII)  # of 1/5 and 5-1
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]00:00:00)?|\d\d?/\d\d?/(\d\d){1,2}|\d\d?\.\d\d?\.\d{4}", re.ASCII)
_RANGE = re.compile(r"\d+ ?[-–/] ?\d+|\d+\+", re.ASCII)  # beside which a date was one, too
MANY = 200  # classes up to which PATS is tried
_MOSTLY = 0.8  # the share of rows from which a class is called large


def spellings(rows: Sequence[Row], classes: Sequence[str]) -> list[Finding]:
    """Labels that differ in case, blanks, dashes, quotes, accents, Unicode form, zeros or like letters alone.

    Args:
        rows: The rows.
        classes: The class of every row.
    """
    groups: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row, name in zip(rows, classes, strict=True):
        groups[alike(name)][name, row.cell] += 1
    lookalikes: list[str] = []
    apart = 0
    for group in groups.values():
        names = {name for name, _ in group}
        if len(group) > 1:
            apart += len(names) > 1
            end = f"stay {len(names)} classes" if len(names) > 1 else f"are read as {shown(*names)}"
            lookalikes.append(f"{_listed({cell: rows for (_, cell), rows in group.items()})} {end}")
    if not lookalikes:
        return []
    more = f"; and {len(lookalikes) - SHOWN} more such groups" if len(lookalikes) > SHOWN else ""
    message = (
        f"Some labels look alike: {'; '.join(lookalikes[:SHOWN])}{more}. Blanks around labels are removed "
        "and Unicode forms are unified (NFC), but case is never folded."
    )
    if apart:
        message += " Where classes mean the same, write them alike."
    return [Finding("label-spellings", message, {"groups": len(lookalikes), "apart": apart}, WARNING)]


def dates(classes: Sequence[str]) -> list[Finding]:
    """Labels that are dates, as a spreadsheet makes of 1/5 or 5-1.

    Args:
        classes: The names of the classes.
    """
    made = [name for name in classes if _MADE.fullmatch(name)]
    iso = [name for name in classes if _DATE.fullmatch(name)]
    ranges = [name for name in classes if _RANGE.fullmatch(name)]
    dated = [*made, *iso] if made or len(iso) + len(ranges) == len(classes) else []
    if not dated or len(classes) < 2:
        return []
    message = (
        f"{count(len(dated), 'class is a date', 'classes are dates')}, such as {shown(dated[0])}. A "
        "spreadsheet makes dates of labels such as 1/5 or 5-1: look at the table that it was made from."
    )
    return [Finding("date-labels", message, {"classes": len(dated)}, WARNING)]


@lru_cache(4096)
def alike(name: str) -> str:
    """What labels have in common that a reader takes for the same one."""
    folded = _unaccented(_TONE.sub("", key(unescape(name)))).translate(_LETTERS).strip("'\"“”‘’")
    folded = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in folded)
    folded = folded[:-1] if folded[-1:] in (".", ":") and len(folded) > 2 else folded
    folded = _BEFORE_A_NUMBER.sub(" ", _BETWEEN.sub("", _AROUND.sub(r"\1", _DASHES.sub("-", folded))))
    return _POINT_ZERO.sub(r"\1", _ZEROS.sub(r"\1", folded)) or key(name)


def _unaccented(text: str) -> str:
    """The text without the marks on Latin and Arabic letters; those of other scripts make other letters."""
    if text.isascii():
        return text
    kept: list[str] = []
    for one in unicodedata.normalize("NFD", text):
        marked = unicodedata.combining(one) and kept
        if not (marked and unicodedata.name(kept[-1], "").startswith(("LATIN", "ARABIC"))):
            kept.append(one)
    return unicodedata.normalize("NFC", "".join(kept))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{shown(cell)} ({count(rows, 'row', 'rows')})" for cell, rows in counts.items())


def mixed_truth(classes: Sequence[str]) -> list[Finding]:
    """True and false that are written in several ways.

    Args:
        classes: The names of the classes.
    """
    held = {*map(key, classes)}
    more = [pair for pair in _ELSEWHERE if held >= {*pair}]  # words of one language go together
    sides = [
        [name for name in classes if key(name) in words | {pair[i] for pair in more}]
        for i, words in enumerate(_TRUTH)
    ]
    apart = [{key(name) for name in side} for side in sides]
    if not all(sides) or max(map(len, apart)) < 2:
        return []
    listed = ", ".join(shown(name) for side in sides for name in side)
    message = (
        f"True and false are written in several ways: {listed} stay {sum(map(len, sides))} classes. Write "
        "each in one way."
    )
    return [Finding("mixed-booleans", message, {"classes": sum(map(len, sides))}, WARNING)]


def lost(label: str) -> bool:
    """Whether a label is what programs write where a value is missing."""
    return label.strip().lower() in LOST


def doubtful(label: str) -> bool:
    """Whether a label may mean that there is none."""
    return label.strip().lower() in _DOUBTFUL


def missing_words(classes: Sequence[str]) -> list[Finding]:
    """Classes whose names read as if the label were missing.

    Args:
        classes: The class of every row.
    """
    signs = {"-"} if "+" in classes else set()  # plus and minus
    named = Counter(name for name in classes if doubtful(name) and name not in signs)
    if not named or len(named) == len(set(classes)):
        return []
    listed = ", ".join(f"{shown(name)} ({count(rows, 'row', 'rows')})" for name, rows in named.items())
    dropped = [shown(name) for name in named if lost(name) or name == NO_GOLD]
    message = f"Read as a class of its own, but perhaps a missing label: {listed}."
    if dropped:
        message += f" --drop-unlabelled leaves out the rows of {', '.join(dropped)}."
    return [Finding("missing-words", message, {"rows": named.total()}, WARNING)]


def many(classes: Sequence[str]) -> list[Finding]:
    """More classes than PATS is tried with.

    Args:
        classes: The names of the classes.
    """
    if len(classes) <= MANY:
        return []
    message = (
        f"There are {len(classes)} classes; PATS is tried with up to {MANY}. Check that this is the label, "
        "and no name or number of each row; tables and charts of so many classes are long."
    )
    return [Finding("many-classes", message, {"classes": len(classes)}, WARNING)]


def uneven(classes: Sequence[str]) -> list[Finding]:
    """A class that has most of the rows.

    Args:
        classes: The class of every row.
    """
    name, rows = next(iter(Counter(classes).most_common(1)), ("", 0))
    if not _MOSTLY * len(classes) <= rows < len(classes):
        return []
    share = rows / len(classes)
    message = (
        f"{100 * share:.4g} % of the rows are of class {shown(name)}: a model that says nothing else has "
        "this accuracy."
    )
    return [Finding("uneven", message, {"rows": rows}, WARNING)]
