"""What a notebook shows of settings and runs: short tables, in which every text is escaped."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

import pats
from pats import _html
from support.made_results import make_result

EVIL = '<script>alert("1")</script>&'


class Read(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


TAGS = {"table", "caption", "tbody", "tr", "th", "td"}


def test_texts_are_escaped_and_numbers_short():
    read = Read(_html.table(EVIL, {EVIL: EVIL, "a": 1 / 3, "b": None}))
    assert read.tags == TAGS
    assert read.texts == [EVIL, EVIL, EVIL, "a", "0.333333"]


@pytest.mark.parametrize(
    ("noise", "there", "absent"),
    [
        (pats.Noise(steps=100), {"budget": "0.04", "steps": "100"}, {"lam", "kappa"}),
        (pats.Noise.paper(), {"lam": "2e-06", "scale": "constant"}, {"budget", "steps"}),
    ],
)
def test_noise_shows_the_settings_that_are_in_use(noise, there, absent):
    told = Read(noise._repr_html_()).texts
    shown = dict(zip(told[1::2], told[2::2], strict=True))
    assert there.items() <= shown.items()
    assert not absent & shown.keys()


def test_a_result_shows_what_it_found():
    result = make_result(pats.Run(task="cola"), [0.8125])
    read = Read(replace(result, error=EVIL)._repr_html_())
    assert read.tags == TAGS
    assert "81.2" in read.texts
    assert EVIL in read.texts
    assert result.run.method in read.texts
    assert "error" not in Read(result._repr_html_()).texts
