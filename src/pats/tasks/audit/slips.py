"""Labels that differ in one letter, as a slip makes them, or in the s of a plural."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from pats.tasks._text import key, shown
from pats.tasks.audit.finding import NOTE, SHOWN, WARNING, Finding, count
from pats.tasks.audit.labels import MANY, alike

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_LONG, _SHORT = 5, 3  # letters of a word that may have a slip, and of one that has a plural
_RARE = 0.25  # the rows of a slip, at most, as a share of those of the right label


def slips(classes: Sequence[str]) -> list[Finding]:
    """A rare label that is a common one but for one letter, and labels of which one is the other's plural.

    Two common labels may be singular and plural of another meaning, such as new and news: that is a note.

    Args:
        classes: The class of every row.
    """
    counts = Counter(classes)
    if len(counts) > MANY:
        return []
    rarest = sorted(counts, key=lambda name: (counts[name], name))
    words = {name: tuple(_WORDS.findall(key(name[:200]))) for name in rarest}
    pairs = [
        (one, other)
        for one, other in combinations(rarest, 2)
        if _slipped(words[one], words[other], _is_rare(counts, one, other)) and alike(one) != alike(other)
    ]
    if not pairs:
        return []
    told = {name: f"{shown(name)} ({count(rows, 'row', 'rows')})" for name, rows in counts.items()}
    listed = "; ".join(f"{told[one]}, {told[other]}" for one, other in pairs[:SHOWN])
    more = f"; and {len(pairs) - SHOWN} more such pairs" if len(pairs) > SHOWN else ""
    message = (
        f"Some labels differ in one letter: {listed}{more}. They stay classes of their own: where both mean "
        "the same, write them alike."
    )
    severity = WARNING if any(_is_rare(counts, *pair) for pair in pairs) else NOTE
    return [Finding("label-slips", message, {"pairs": len(pairs)}, severity)]


def _is_rare(counts: Counter[str], one: str, other: str) -> bool:
    return counts[one] <= _RARE * counts[other]


def _slipped(words: Sequence[str], others: Sequence[str], rare: bool) -> bool:
    """Whether two labels differ in one word of letters, and that in one of them or in an s at its end."""
    if len(words) != len(others):
        return False
    apart = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    if len(apart) != 1 or not "".join(apart[0]).isalpha():
        return False
    short, long = sorted(apart[0], key=len)
    if len(short) >= _SHORT and long == f"{short}s":
        return True
    return rare and len(short) >= _LONG and short[0] == long[0] and _one_letter(short, long)


def _one_letter(short: str, long: str) -> bool:
    """Whether a word becomes another one by one letter more, another one, or two that change places."""
    pairs = zip(short, long, strict=False)
    start = next((place for place, (one, other) in enumerate(pairs) if one != other), len(short))
    if len(short) < len(long):
        return len(long) == len(short) + 1 and short[start:] == long[start + 1 :]
    return short[start + 1 :] == long[start + 1 :] or (
        short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    )
