"""An explanation of one prediction as an HTML file that asks no network."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

GENERATOR = '<meta name="generator" content="pats explain">'  # not a report's, which marks a folder as ours

_LONGEST_TABLE = 600  # rows


class Piece(NamedTuple):
    """Some of a text, and what its tokens add up to; None for what no token is made of."""

    text: str
    value: float | None
    strength: float  # of its colour, between 0 and 1


def html(explanation: Mapping[str, Any]) -> str:
    """The page.

    Args:
        explanation: What ``pats explain --json`` writes.
    """
    tokens = explanation["tokens"]
    read = [place for place, one in enumerate(tokens) if one["text"] is not None]
    values = explanation["attributions"]
    largest = max((abs(own[place]) for own in values.values() for place in read), default=0.0)
    sections = []
    for name, own in values.items():
        parts = [pieces(text, part, tokens, own, largest) for part, text in enumerate(explanation["texts"])]
        sections.append((name, explanation["scores"].get(name), parts))
    sections.sort(key=lambda section: -(section[1] or 0))
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["signed"] = lambda number: f"{number:+.3g}".replace("-", "−")
    return environment.from_string(_asset("explanation.html")).render(
        it=explanation,
        sections=sections,
        rows=[
            (one["token"], one["text"], [own[i] for own in values.values()]) for i, one in enumerate(tokens)
        ][:_LONGEST_TABLE],
        longest=_LONGEST_TABLE,
        generator=Markup(GENERATOR),
        css=Markup(_asset("page.css")),
    )


def pieces(
    text: str, part: int, tokens: Sequence[Mapping[str, Any]], values: Sequence[float], largest: float
) -> list[Piece]:
    """A text cut at its tokens; those of the same characters, as bytes of one are, become one piece."""
    spans: list[tuple[int, int, float]] = []
    for token, value in zip(tokens, values, strict=True):
        if token["text"] != part or token["start"] is None or token["start"] == token["end"]:
            continue
        if spans and token["start"] < spans[-1][1]:
            start, end, before = spans.pop()
            spans.append((start, max(end, token["end"]), before + value))
        else:
            spans.append((token["start"], token["end"], value))
    found, done = [], 0
    for start, end, value in spans:
        if start > done:
            found.append(Piece(text[done:start], None, 0.0))
        found.append(Piece(text[start:end], value, min(abs(value) / largest, 1.0) if largest else 0.0))
        done = end
    if done < len(text):
        found.append(Piece(text[done:], None, 0.0))
    return found


def _asset(name: str) -> str:
    return (files("pats.page.formats") / "assets" / name).read_text(encoding="utf-8")
