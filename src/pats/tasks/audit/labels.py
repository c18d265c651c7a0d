"""Labels that may not mean what they say."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from pats.tasks._text import key, shown
from pats.tasks.audit.finding import SHOWN, WARNING, Finding, Row, count

_ZEROS = re.compile(r"^([+-]?)0+(?=\d+$)", re.ASCII)
_POINT_ZERO = re.compile(r"^([+-]?\d+)\.0+$", re.ASCII)
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_BETWEEN = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")  # letters: 1-2 is another label than 12
_LETTERS = str.maketrans("аеорсухіјѕ", "aeopcyxijs")  # Cyrillic ones that look as Latin ones do
_TRUTH = ({"true", "1", "yes", "t", "y"}, {"false", "0", "no", "f", "n"})
_ERRORS = {"#name?", "#ref!", "#value!", "#div/0!", "#num!", "#null!"}  # of a spreadsheet's formulas
LOST = {"nan", "null", "n/a", "n.a.", "<na>", "#n/a", r"\n", *_ERRORS}  # what programs write for none
_UNDONE = {"todo", "tbd", "unlabeled", "unlabelled"}  # what people write where a label is still to come
_DOUBTFUL = LOST | _UNDONE | {"none", "na", "nil", "missing", "?", "-", "."}  # and what may be a class, too
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d\d?[- ]({_MONTH})|({_MONTH})[- ]\d\d|\d{{4}}-\d\d-\d\d([ T]00:00:00)?"
    r"|\d\d?[/.]\d\d?[/.](\d\d){1,2}",
    re.IGNORECASE | re.ASCII,
)
_WORD, _RARE = 5, 0.25  # letters of a word that may have a slip, and its rows as a share of the right one's
MANY = 200  # classes up to which PATS is tried
_MOSTLY = 0.8  # the share of rows from which a class is called large


def spellings(rows: Sequence[Row], classes: Sequence[str]) -> list[Finding]:
    """Labels that differ in case, blanks, dashes, quotes, Unicode form, zeros or like letters alone.

    Args:
        rows: The rows.
        classes: The class of every row.
    """
    groups: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row, name in zip(rows, classes, strict=True):
        groups[_alike(name)][name, row.cell] += 1
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


def slips(classes: Sequence[str]) -> list[Finding]:
    """A rare label that is a common one but for one letter, and labels of which one is the other's plural.

    Args:
        classes: The class of every row.
    """
    counts = Counter(classes)
    rarest = sorted(counts, key=lambda name: (counts[name], name))
    pairs = [
        (rare, common)
        for rare, common in (combinations(rarest, 2) if len(rarest) <= MANY else ())
        if _slipped(rare, common, counts[rare] <= _RARE * counts[common]) and _alike(rare) != _alike(common)
    ]
    if not pairs:
        return []
    listed = "; ".join(_listed({name: counts[name] for name in pair}) for pair in pairs[:SHOWN])
    more = f"; and {len(pairs) - SHOWN} more such pairs" if len(pairs) > SHOWN else ""
    message = (
        f"Some labels differ in one letter: {listed}{more}. They stay classes of their own: where both mean "
        "the same, write them alike."
    )
    return [Finding("label-slips", message, {"pairs": len(pairs)}, WARNING)]


def _slipped(one: str, other: str, rare: bool) -> bool:
    """Whether two labels differ in one word, and that in a letter or an s at its end."""
    words, others = _WORDS.findall(key(one)), _WORDS.findall(key(other))
    apart = [pair for pair in zip(words, others, strict=False) if pair[0] != pair[1]]
    if len(words) != len(others) or len(apart) != 1:
        return False
    short, long = sorted(apart[0], key=len)
    if len(short) >= len("bug") and long == f"{short}s":
        return True
    return rare and len(short) >= _WORD and short[0] == long[0] and _one_letter(short, long)


def _one_letter(short: str, long: str) -> bool:
    """Whether a word becomes another one by one letter more, another one, or two that change places."""
    pairs = zip(short, long, strict=False)
    start = next((place for place, (one, other) in enumerate(pairs) if one != other), len(short))
    if len(short) < len(long):
        return len(long) == len(short) + 1 and short[start:] == long[start + 1 :]
    return short[start + 1 :] == long[start + 1 :] or (
        short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    )


def dates(classes: Sequence[str]) -> list[Finding]:
    """Labels that are dates, as a spreadsheet makes of 1/5 or 5-1.

    Args:
        classes: The names of the classes.
    """
    if len(classes) < 2 or not all(map(_DATE.fullmatch, classes)):
        return []
    message = (
        f"The labels are dates, such as {shown(classes[0])}. A spreadsheet makes dates of labels such as 1/5 "
        "or 5-1: look at the table that it was made from."
    )
    return [Finding("date-labels", message, {"classes": len(classes)}, WARNING)]


def _alike(name: str) -> str:
    """What labels have in common that a reader takes for the same one."""
    folded = key(name).translate(_LETTERS).strip("'\"“”‘’")
    folded = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in folded)
    folded = folded[:-1] if folded[-1:] in (".", ":") and len(folded) > 2 else folded
    folded = _BETWEEN.sub(" ", _DASHES.sub("-", folded))
    return _POINT_ZERO.sub(r"\1", _ZEROS.sub(r"\1", folded)) or key(name)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{shown(cell)} ({count(rows, 'row', 'rows')})" for cell, rows in counts.items())


def mixed_truth(classes: Sequence[str]) -> list[Finding]:
    """True and false that are written in several ways.

    Args:
        classes: The names of the classes.
    """
    sides = [[name for name in classes if key(name) in words] for words in _TRUTH]
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
    dropped = [shown(name) for name in named if lost(name)]
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
