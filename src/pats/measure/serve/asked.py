"""What a request may hold, and what it asks for."""

import math
from dataclasses import dataclass
from typing import Any

from pats._errors import InputError
from pats.measure.trained import Facts
from pats.tasks.reading import encodable


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Args:
        body: Bytes of a request.
        texts: Texts, or pairs, of a request.
        length: Characters of a text; the model reads fewer and ignores the rest.
        requests: Requests at a time, those that wait for the model among them.
        seconds: Until a request has arrived, and again until the model is free for it.
    """

    body: int = 4 << 20
    texts: int = 256
    length: int = 100_000
    requests: int = 16
    seconds: float = 30.0

    @classmethod
    def of(cls, **given: float | None) -> "Limits":
        """The limits that are given, and the usual ones in place of None.

        Raises:
            InputError: One is not above 0.
        """
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        for name, value in values.items():
            if not 0 < value < math.inf:
                raise InputError(f"the limit of {name} is {value}, but must be a number above 0")
        return cls(**values)


class Refused(Exception):
    """A request that gets no answer, with its status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def asked(content: Any, facts: Facts, limits: Limits) -> tuple[list[str], list[str] | None, int | None]:
    """First texts, second texts and the number of classes that a request's content asks for."""
    wanted = "pairs" if facts.pair else "texts"
    other = "texts" if facts.pair else "pairs"
    if not isinstance(content, dict):
        raise Refused(422, f'the request must be an object such as {{"{wanted}": [...]}}')
    if facts.pair is None and "pairs" in content:
        wanted, other = other, wanted
    if other in content:
        raise Refused(422, f'this model reads {expected(facts)}: send them as {{"{wanted}": [...]}}')
    unknown = [key for key in content if key not in (wanted, "top_k")]
    if unknown or wanted not in content:
        raise Refused(422, f'the request must have the key "{wanted}", and may have "top_k", but no other')
    items = content[wanted]
    if not isinstance(items, list) or not items:
        raise Refused(422, f'"{wanted}" must be a list that is not empty')
    if len(items) > limits.texts:
        raise Refused(413, f"a request has at most {limits.texts:,} texts, but this one has {len(items):,}")
    rows = items if wanted == "pairs" else [[item] for item in items]
    size = 2 if wanted == "pairs" else 1
    for place, row in enumerate(rows, 1):
        if not (isinstance(row, list) and len(row) == size and all(isinstance(one, str) for one in row)):
            raise Refused(422, f"number {place} is no {'pair of texts' if size == 2 else 'text'}")
        if max(map(len, row)) > limits.length:
            raise Refused(
                413, f"a text has at most {limits.length:,} characters, but number {place} has more"
            )
        if not all(map(encodable, row)):
            raise Refused(422, f"number {place} has half a character (a lone surrogate)")
    top_k = content.get("top_k")
    if top_k is not None and (type(top_k) is not int or top_k < 1 or facts.kind != "classification"):
        raise Refused(422, '"top_k" must be a whole number from 1, and is for models with classes alone')
    return [row[0] for row in rows], [row[1] for row in rows] if size == 2 else None, top_k


def expected(facts: Facts) -> str:
    """What a model reads, in words."""
    return {True: "pairs of texts", False: "texts", None: "texts or pairs of texts"}[facts.pair]
