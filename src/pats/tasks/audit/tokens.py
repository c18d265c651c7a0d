"""How the texts fit a model: their lengths in tokens, and what its vocabulary does not know."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pats.tasks.audit.finding import WARNING, Finding, Row, count

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


def estimated(texts: Sequence[str]) -> Counts:
    """Tokens by the number of words, where no tokenizer is at hand."""
    words = [len(text.split()) for text in texts]
    return Counts([round(_A_WORD * number) for number in words], sum(words), 0)


def lengths(rows: Sequence[Row], limit: int, counter: Counter | None = None) -> list[Finding]:
    """How many texts are longer than the model reads, and what of them it does not know.

    Args:
        rows: The rows.
        limit: Tokens that the model reads, those around a text included.
        counter: Counts tokens; None estimates them by words.
    """
    pair = len(rows[0].texts) > 1
    counts = [(counter or estimated)([row.texts[part] for row in rows]) for part in range(1 + pair)]
    totals = [sum(parts) + SPECIAL + pair for parts in zip(*(one.tokens for one in counts), strict=True)]
    words, tokens = sum(one.words for one in counts), sum(sum(one.tokens) for one in counts)
    findings = []
    over = [total - limit for total in totals if total > limit]
    about = "" if counter else "about "
    if over:
        share = 100 * len(over) / len(rows)
        message = (
            f"{about}{count(len(over), 'text exceeds', 'texts exceed')} the {limit} tokens that the model "
            f"reads ({share:.2g} %), by {statistics.median(over):.0f} at the median and {max(over)} at "
            "most: what is beyond is cut off (--max-length)."
        )
        numbers = {"rows": len(over), "most": max(over), "longest": max(totals)}
        severity = WARNING if share >= 1 else "note"
        findings.append(Finding("too-long", message[0].upper() + message[1:], numbers, severity))
    unknown = sum(one.unknown for one in counts)
    if tokens and unknown / tokens >= _UNKNOWN:
        message = (
            f"{100 * unknown / tokens:.2g} % of the tokens are unknown to the model: look whether it was "
            "trained on this language (--model names another)."
        )
        findings.append(Finding("unknown-tokens", message, {"tokens": unknown}, WARNING))
    if counter and words >= 100 and tokens / words > _SPLINTERED:
        message = (
            f"The model needs {tokens / words:.1f} tokens for a word: its vocabulary hardly has the words "
            "of these texts, perhaps because they are in another language (--model names another)."
        )
        findings.append(Finding("splintered", message, {"tokens": tokens, "words": words}, WARNING))
    return findings
