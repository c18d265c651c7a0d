"""How numbers among labels are written: decimal commas, marks of thousands, units, another minus sign."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pats.tasks._text import shown
from pats.tasks.audit.finding import ERROR, WARNING, Finding, Row, count

RECUR = 3  # rows a label from which on marked numbers are classes
MINUS = "\N{MINUS SIGN}"

_PLAIN = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d+(,\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}(\1\d{3})*", re.ASCII)
_BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_CODES = "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HUF|INR|JPY|KRW|MXN|NOK|PLN|RUB|SEK|TRY|USD|ZAR"
_UNIT = rf"(?:[{_BLANKS}]?(?:[%€$£¥]|{_CODES})[{_BLANKS}]?)?"
_GROUPS = rf"\d{{1,3}}(?:[.,'’{_BLANKS}]\d{{2,3}})+"
_MARKED = re.compile(rf"[+-]?{_UNIT}(?:{_GROUPS}|\d+)(?:[.,]\d+)?{_UNIT}", re.ASCII)


def with_minus(rows: Sequence[Row]) -> tuple[list[Row], list[Finding]]:
    """The rows with a hyphen for the minus sign of numbers, if all labels are numbers then."""
    signed = [row for row in rows if row.label.startswith(MINUS)]
    new = [replace(row, label=row.label.replace(MINUS, "-", 1)) for row in rows]
    if not signed or not all(_NUMBER.fullmatch(row.label) for row in new):
        return list(rows), []
    message = (
        f"{count(len(signed), 'label has', 'labels have')} the minus sign U+2212 in place of a hyphen, such "
        f"as {shown(signed[0].label)}: it is read as a minus."
    )
    return new, [Finding("minus-sign", message, {"rows": len(signed)})]


def ambiguous_numbers(labels: Sequence[str]) -> list[Finding]:
    """Numbers of which a point or a comma may mean another thing than it does in Python."""
    return mixed_decimals(labels) or thousands(labels) or decimal_commas(labels)


def mixed_decimals(labels: Sequence[str]) -> list[Finding]:
    """Numbers of which some have a decimal comma and some a decimal point."""
    commas = [label for label in labels if "," in label]
    points = [label for label in labels if "." in label]
    if not commas or not points or not all(map(_NUMBER.fullmatch, labels)):
        return []
    message = (
        f"{count(len(commas), 'label has', 'labels have')} a comma, such as {shown(commas[0])}, and "
        f"{len(points)} a point, such as {shown(points[0])}: write all numbers with a decimal point, or say "
        "--kind classification if each is the name of a class"
    )
    return [Finding("mixed-decimals", message, {"commas": len(commas), "points": len(points)}, ERROR)]


def thousands(labels: Sequence[str]) -> list[Finding]:
    """Numbers such as 1.200 or 1,200 beside whole ones of three digits at most, such as 850."""
    marked = [label for label in labels if _GROUPED.fullmatch(label)]
    rest = [label for label in labels if not _GROUPED.fullmatch(label)]
    if not marked or not all(map(_PLAIN.fullmatch, rest)):
        return []
    digits = [len(label.lstrip("+-")) for label in rest]
    several = any(len(re.findall(r"[.,]", label)) > 1 for label in marked)
    if not several and (not digits or max(digits) != 3):
        return []
    mark = "comma" if "," in marked[0] else "point"
    plain = re.sub(r"[.,]", "", marked[0])
    message = (
        f"{count(len(marked), 'label has', 'labels have')} a {mark} that seems to stand between thousands, "
        f"such as {shown(marked[0])}"
        + (f" beside {shown(max(rest, key=len))}" if rest else "")
        + f": write {plain} for it, or all numbers with as many decimals; or say --kind classification if "
        "each is the name of a class"
    )
    return [Finding("thousands", message, {"rows": len(marked)}, ERROR)]


def decimal_commas(labels: Sequence[str]) -> list[Finding]:
    """Numbers with a comma, which may be decimal or between two labels: it has to be asked for."""
    if not has_decimal_commas(labels):
        return []
    found = [label for label in labels if "," in label]
    several = "" if len(found) == len(labels) else ", --kind multilabel if it is between two labels"
    grouped = all(map(_GROUPED.fullmatch, found))
    message = (
        f"{count(len(found), 'label has', 'labels have')} a comma, such as {shown(found[0])}; say --kind "
        f"regression if it is a decimal comma{several}, or --kind classification if each is the name of "
        "a class" + ("; write plain numbers if it stands between thousands" if grouped else "")
    )
    return [Finding("decimal-comma", message, {"rows": len(found)}, ERROR)]


def has_decimal_commas(labels: Sequence[str]) -> bool:
    """Whether numbers are written as in 3,5; the comma of 1,000.5 is another."""
    return all(map(_DECIMAL.fullmatch, labels)) and any("," in label for label in labels)


def marked_numbers(labels: Sequence[str]) -> list[Finding]:
    """Numbers with marks of thousands or a unit, which are read as words: scores that are not taken so."""
    marked = [label for label in labels if not _plain(label)]
    if len(marked) < len(labels) / 2 or not all(map(_MARKED.fullmatch, labels)):
        return []
    what = (
        f"{count(len(marked), 'label is a number', 'labels are numbers')} with a unit or thousands "
        f"separators, such as {shown(marked[0])}"
    )
    if len(labels) >= RECUR * len(set(labels)):  # such as 10%, 20%, 30%
        message = f"{what}: each is the name of a class. Write plain numbers to learn them as scores."
        return [Finding("marked-numbers", message, {"rows": len(marked)}, WARNING)]
    message = (
        f"{what}; write plain numbers to learn them as scores, or say --kind classification if each is the "
        "name of a class"
    )
    return [Finding("marked-numbers", message, {"rows": len(marked)}, ERROR)]


def _plain(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True
