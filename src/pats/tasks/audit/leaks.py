"""Texts that give their label away."""

import re
from collections.abc import Sequence

from pats.tasks._text import shown
from pats.tasks.audit.finding import WARNING, Finding, Row, percent

_MOSTLY = 0.9  # the share of the rows whose text names its label and no other
_LOOKED = 2000  # rows that are looked at
_LONG = 4000  # characters of a text that are looked at
_WORDS = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # scripts without blanks between words


def named_labels(rows: Sequence[Row], classes: Sequence[str]) -> list[Finding]:
    """Texts in which the name of their own label is, and that of no other.

    Args:
        rows: The rows.
        classes: The class of every row.
    """
    names = {name: _words(name) for name in sorted(set(classes), key=len, reverse=True)}
    if len(names) < 2 or not all(re.search(r"[^\W\d_]{2}", name) for name in names):
        return []
    step = -(-len(rows) // _LOOKED)
    looked = list(zip(rows, classes, strict=True))[::step]
    told = [row for row, own in looked if _named(row, names) == {own}]
    if len(told) < _MOSTLY * len(looked):
        return []
    message = (
        f"{percent(100 * len(told) / len(looked))} of the texts hold the name of their own label and of no "
        f"other, such as {shown(told[0].label)} in {told[0].place}: if it was put there with the label, new "
        "texts will lack it, and the scores say nothing."
    )
    return [Finding("named-labels", message, {"rows": len(told)}, WARNING)]


def _named(row: Row, names: dict[str, str]) -> set[str]:
    text = " ".join(row.texts)[:_LONG]
    spaced, found = _words(text), set()
    for name, words in names.items():  # long ones first: 'not toxic' holds 'toxic'
        if _UNSPACED.search(name):
            found |= {name} if name in text else set()
            text = text.replace(name, " ")
        elif words in spaced:
            found.add(name)
            spaced = spaced.replace(words, "  ")
    return found


def _words(text: str) -> str:
    """The words of a text, each between blanks, so that whole ones are found."""
    return f" {' '.join(_WORDS.findall(text.casefold().replace('_', ' ')))} "
