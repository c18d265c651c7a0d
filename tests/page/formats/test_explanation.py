import re
from html import unescape
from html.parser import HTMLParser

import pytest

from pats.page.formats.explanation import html, pieces

HOSTILE = "<script>alert(1)</script> & \"x\" 'y' {{ 7*7 }}"


def made(text="a fine day", labels=("bad", "good"), label="good", **changes):
    """An explanation of one token a word."""
    spans = [found.span() for found in re.finditer(r"\S+", text)]
    tokens = [{"token": "[CLS]", "text": None, "start": None, "end": None}]
    tokens += [{"token": text[a:b], "text": 0, "start": a, "end": b} for a, b in spans]
    values = {name: [0.5 - place for place in range(len(tokens))] for name in labels or ("score",)}
    return {
        "model": "m",
        "about": "What it is.",
        "texts": [text],
        "label": label,
        "scores": {name: (place + 1) / 3 for place, name in enumerate(values)},
        "outputs": dict.fromkeys(values, 1.25),
        "tokens": tokens,
        "attributions": values,
        "sums": {name: sum(own) for name, own in values.items()},
        "unread_characters": [0],
    } | changes


class Seen(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.values = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [value for name, value in attrs if name in ("src", "href") or name.startswith("on")]


def test_the_text_stands_as_it_is_and_nothing_is_fetched_or_run():
    page = html(made(HOSTILE, labels=(HOSTILE, "good"), model=HOSTILE))
    seen = Seen(page)
    assert "script" not in seen.tags
    assert seen.values == []
    assert "url(" not in page
    assert "@import" not in page
    assert "49" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)  # no template within a template
    words = re.search(r'<p class="words"[^>]*>(.*?)</p>', page, re.S)[1]
    assert unescape(re.sub("<[^>]+>", "", words)) == HOSTILE


def test_it_follows_the_screen_and_tells_signs_without_colour():
    page = html(made())
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "prefers-color-scheme: dark" in page
    assert {"solid", "dotted"} <= set(re.findall(r"solid|dotted", page))
    assert page.index("<h2>good") < page.index("<h2>bad")  # the most probable class first
    assert "The model says good (66.7 %)" in page
    assert "What it is." in page


def test_a_score_and_a_text_that_is_too_long():
    page = html(made(labels=(), label=None, unread_characters=[1234]))
    assert "The model gives 0.3333" in page
    assert "does not read the last 1,234 characters" in page


@pytest.mark.parametrize(
    ("spans", "values", "found"),
    [
        ([], [], [("abcdef", None)]),
        ([(0, 2), (2, 3)], [1, -2], [("ab", 1), ("c", -2), ("def", None)]),
        ([(1, 3), (1, 3), (2, 4)], [1, 2, 3], [("a", None), ("bcd", 6), ("ef", None)]),
        ([(0, 0), (4, 6)], [1, 2], [("abcd", None), ("ef", 2)]),
    ],
)
def test_a_text_is_cut_at_its_tokens(spans, values, found):
    tokens = [{"token": "x", "text": 0, "start": a, "end": b} for a, b in spans]
    cut = pieces("abcdef", 0, tokens, values, max(map(abs, values), default=0))
    assert [(piece.text, piece.value) for piece in cut] == found
    assert all(0 <= piece.strength <= 1 for piece in cut)
