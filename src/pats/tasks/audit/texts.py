"""Texts that may not be what a model reads best."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice

from pats.tasks._text import shown
from pats.tasks.audit.finding import ERROR, NOTE, SHOWN, WARNING, Finding, Row, count
from pats.tasks.audit.labels import LOST

_MARKUP = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,6});|</?[a-zA-Z][^<>]{0,200}>")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt]")
_COMMAND = re.compile(r"\\(?![nrtux])[A-Za-z]|\\[nrt][a-z]+\{|[A-Za-z]:\\|\\\\\w")  # of LaTeX, or a path
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)*\s*")
_LETTERS = 20_000  # which show the script
_FEW, _SOME, _MANY = 0.05, 0.1, 0.5  # shares of the rows: a warning, a warning, an error
_CUT = 100  # characters of a text from which on a limit may have cut it
_FOREIGN = 0.3  # the share of letters of another script that is worth a word


def empty(rows: Sequence[Row]) -> list[Finding]:
    """Rows without a text, and pairs without one of them, or with the same one twice."""
    findings = []
    none = sum(not any(text.strip() for text in row.texts) for row in rows)
    if none:
        name = "; name the column of texts with --text if it is another" if none > _MANY * len(rows) else ""
        message = f"{count(none, 'row has', 'rows have')} no text{name}."
        findings.append(Finding("no-text", message, {"rows": none}, _weight(none, len(rows))))
    words = sum(any(text.strip().lower() in LOST for text in row.texts) for row in rows)
    if words:
        message = (
            f"{count(words, 'text is', 'texts are')} a word such as 'nan' or 'NULL', as programs write for a "
            "missing one: remove these rows, or leave the cells blank."
        )
        findings.append(Finding("lost-texts", message, {"rows": words}, _weight(words, len(rows))))
    half = sum(len({bool(text.strip()) for text in row.texts}) > 1 for row in rows)
    if half:
        message = f"{count(half, 'pair lacks', 'pairs lack')} one of the two texts."
        findings.append(
            Finding("half-pairs", message, {"rows": half}, NOTE if half < _FEW * len(rows) else WARNING)
        )
    same = sum(len(row.texts) == 2 and row.texts[0].strip() != "" and len({*row.key}) == 1 for row in rows)
    if same >= _SOME * len(rows) > 0:
        message = f"{count(same, 'pair holds', 'pairs hold')} the same text twice."
        findings.append(Finding("same-pairs", message, {"rows": same}, WARNING))
    return findings


def _weight(rows: int, of: int) -> str:
    """How much it weighs that so many rows have nothing to read."""
    return ERROR if rows > _MANY * of else WARNING if rows >= _FEW * of else NOTE


def markup(rows: Sequence[Row]) -> list[Finding]:
    """Texts with tags or entities of HTML."""
    found = [set(marks) for row in rows if (marks := _MARKUP.findall(" ".join(row.texts)))]
    if not found:
        return []
    common = ", ".join(one for one, _ in Counter(sorted(chain.from_iterable(found))).most_common(3))
    message = (
        f"{count(len(found), 'text holds', 'texts hold')} markup of HTML ({common}), which the model reads "
        "as text: remove it where it says nothing."
    )
    return [Finding("markup", message, {"rows": len(found)})]


def escapes(rows: Sequence[Row]) -> list[Finding]:
    """Texts with line ends or characters written as escapes of a programming language."""
    texts = (" ".join(row.texts) for row in rows)
    found = [marks for text in texts if (marks := _ESCAPE.findall(text)) and not _COMMAND.search(text)]
    if len(found) < _FEW * len(rows) or not found:
        return []
    common = ", ".join(one for one, _ in Counter(sorted(chain.from_iterable(found))).most_common(3))
    message = (
        f"{count(len(found), 'text holds', 'texts hold')} escapes ({common}), which the model reads as they "
        "are written: write the characters that they stand for."
    )
    return [Finding("escapes", message, {"rows": len(found)})]


def cut(rows: Sequence[Row]) -> list[Finding]:
    """Many texts of one length, than which none is longer: a program may have cut them."""
    found = []
    for place in range(len(rows[0].texts) if rows else 0):
        longest = max(len(row.texts[place]) for row in rows)
        texts = [row.texts[place] for row in rows if len(row.texts[place]) == longest]
        full, different = len(texts), {*texts}
        several = len(different) >= SHOWN and sum(" " in text for text in different) > len(different) / 2
        if longest >= _CUT and full >= _FEW * len(rows) and several:
            message = (
                f"{full} texts are {longest} characters long, and none is longer: a program may have cut "
                "them, so look whether whole ones are to be had."
            )
            found.append(Finding("cut-texts", message, {"rows": full}))
    return found


def damaged(rows: Sequence[Row]) -> list[Finding]:
    """Texts that were read in another encoding than they were written in: ``Ã¼`` for ``ü``, or U+FFFD."""
    words = (next(filter(_is_damaged, " ".join(row.texts).split()), None) for row in rows)
    found = [word for word in words if word is not None]
    if not found:
        return []
    message = (
        f"{count(len(found), 'text has', 'texts have')} damaged characters, such as {shown(found[0][:40])}: "
        "they were read in the wrong encoding before they came here. Export them again as UTF-8."
    )
    return [Finding("damaged-texts", message, {"rows": len(found)}, WARNING)]


def _is_damaged(word: str) -> bool:
    """Whether a word has U+FFFD, or becomes another one, which is UTF-8, as bytes of Windows-1252."""
    if word.isascii() or "\ufffd" in word:
        return not word.isascii()
    try:
        word.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return False
    return True


def numeric(rows: Sequence[Row]) -> list[Finding]:
    """Texts that are numbers."""
    numbers = sum(all(_NUMBER.fullmatch(text) for text in row.texts) for row in rows)
    if numbers < len(rows) / 2:
        return []
    message = (
        f"{numbers} of {count(len(rows), 'text is a number', 'texts are numbers')}: look whether this is "
        "the column of the texts (--text names another)."
    )
    return [Finding("numeric-text", message, {"rows": numbers}, WARNING)]


def script(rows: Sequence[Row]) -> list[Finding]:
    """Texts in another script than the Latin one, in which most models were trained."""
    letters = islice((one for row in rows for text in row.texts for one in text if one.isalpha()), _LETTERS)
    scripts = Counter(unicodedata.name(one, "?").partition(" ")[0] for one in letters)
    if not scripts:
        return []
    name, most = max(scripts.items(), key=lambda one: (one[0] != "LATIN", one[1]))
    share = most / scripts.total()
    if name == "LATIN" or share < _FOREIGN:
        return []
    script_name = name if len(name) == len("CJK") else name.title()
    message = (
        f"{100 * share:.0f} % of the letters are of the {script_name} script: look whether the model was "
        "trained on this language (--model names another)."
    )
    return [Finding("script", message, severity=WARNING)]
