"""How the texts fit a model: their lengths in tokens, and what its vocabulary does not know."""

import re
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pats.tasks.audit.finding import NOTE, WARNING, Finding, count, percent

_WORD = re.compile(r"\w+")
SPECIAL = 2  # tokens around a text; a pair has one more between its texts
_A_WORD = 1.3  # tokens, where there is no tokenizer to count them: of English text in a vocabulary of 30,000
_SPLINTERED = 2.2  # tokens a word from which a vocabulary fits a language badly
_UNKNOWN = 0.01


class Counts(NamedTuple):
    """Tokens of every text, of how many words, and how many of the tokens are unknown."""

    tokens: list[int]
    words: int
    unknown: int


Counter = Callable[[Sequence[str]], Counts]


def words_of(text: str) -> int:
    """How many words there are in a text, whatever is between them."""
    return len(_WORD.findall(text))


def estimated(texts: Sequence[str]) -> Counts:
    """Tokens by the number of words, where no tokenizer is at hand."""
    words = [words_of(text) for text in texts]
    return Counts([round(_A_WORD * number) for number in words], sum(words), 0)


class Measured(NamedTuple):
    """Texts as a model reads them.

    Args:
        totals: Tokens of every row, those around its texts included.
        tokens: Tokens of the texts alone.
        words: Words of the texts.
        unknown: Tokens that the model does not know.
    """

    totals: list[int]
    tokens: int
    words: int
    unknown: int


def measure(texts: Sequence[tuple[str, ...]], counter: Counter | None = None) -> Measured:
    """Measure the rows' texts; without a counter, tokens are estimated by words."""
    counts = [(counter or estimated)(column) for column in zip(*texts, strict=True)]
    around = SPECIAL + len(counts) - 1
    totals = [sum(row) + around for row in zip(*(one.tokens for one in counts), strict=True)]
    tokens = sum(sum(one.tokens) for one in counts)
    return Measured(totals, tokens, sum(one.words for one in counts), sum(one.unknown for one in counts))


def lengths(read: Measured, limit: int, exact: bool) -> list[Finding]:
    """How many texts are longer than the model reads, and what of them it does not know.

    Args:
        read: The texts.
        limit: Tokens that the model reads, those around a text included.
        exact: Tokens were counted, and not estimated.
    """
    findings = []
    over = [total - limit for total in read.totals if total > limit]
    about = "" if exact else "about "
    if over:
        share = 100 * len(over) / len(read.totals)
        middle, most = statistics.median(over), max(over)
        excess = f"{most}" if middle == most else f"{middle:.0f} at the median and {most} at most"
        message = (
            f"{about}{count(len(over), 'text exceeds', 'texts exceed')} the {limit} tokens that the model "
            f"reads ({percent(share)}), by {excess}: what is beyond is cut off (--max-length)."
        )
        numbers = {"rows": len(over), "most": most, "longest": max(read.totals)}
        severity = WARNING if share >= 1 else NOTE
        findings.append(Finding("too-long", message[0].upper() + message[1:], numbers, severity))
    if read.unknown and read.unknown / read.tokens >= _UNKNOWN:
        message = (
            f"{percent(100 * read.unknown / read.tokens)} of the tokens are unknown to the model: look "
            "whether it was trained on this language (--model names another)."
        )
        findings.append(Finding("unknown-tokens", message, {"tokens": read.unknown}, WARNING))
    if exact and read.words >= 100 and read.tokens / read.words > _SPLINTERED:
        message = (
            f"The model needs {read.tokens / read.words:.1f} tokens for a word: its vocabulary hardly has "
            "the words of these texts, perhaps because they are in another language (--model names another)."
        )
        findings.append(Finding("splintered", message, {"tokens": read.tokens, "words": read.words}, WARNING))
    return findings
