import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from pats.page.content import document
from pats.page.formats import html
from pats.page.numbers import tables
from support.made_results import make_cell

ASSETS = files("pats.page.formats") / "assets"
EVIL = '</script><script>alert(1)</script> & "x" <b>'


class Page(HTMLParser):
    """Collects what a page has: elements, the ids they carry and refer to, texts of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.refers, self.scripts, self.sources = [], [], [], [], []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.refers += [found["aria-labelledby"]] if "aria-labelledby" in found else []
        self.refers += [found["href"][1:]] if found.get("href", "").startswith("#") else []
        self.sources += [found[key] for key in ("src", "data", "action") if key in found]
        self.sources += [found["href"]] if "href" in found and not found["href"].startswith("#") else []
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._script = False

    def handle_data(self, data):
        if self._script:
            self.scripts[-1] += data


def text(label="pats"):
    cells = [make_cell("vanilla", [0.60, 0.61, 0.62]), make_cell(label, [0.70, 0.71, 0.735], method="pats")]
    return html.html(document.document(tables.groups(cells), document.Source("pats compare")))


@pytest.fixture(scope="module")
def page():
    return Page(text())


def test_nothing_is_asked_from_elsewhere(page):
    assert page.sources == []
    assert "link" not in page.tags
    assert "url(" not in (ASSETS / "page.css").read_text()
    assert "@import" not in (ASSETS / "page.css").read_text()


def small():
    """The page of figure 3, which has no section of results."""
    point = {"method": "pats", "fraction": 1.0, "examples": 100, "seed": 0, "score": 50.0}
    spread = {"std": 1e-5, "cv": 2.0, "gini": 0.5, "insensitive": 0.1}
    return html.html(
        document.data_size_document([point | spread], ["pats"], "cola", "minilm", "pats data-size")
    )


@pytest.mark.parametrize("made", [text, small])
def test_ids_are_unique_and_found(made):
    page = Page(made())
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.refers) <= set(page.ids)
    assert "verdict" in page.ids


def test_every_chart_has_its_spec_and_its_words(page):
    specs = json.loads(page.scripts[0])
    drawn = re.findall(r'data-spec="([^"]+)"', text())
    assert sorted(specs) == sorted(drawn)
    assert len(drawn) >= 3
    for spec in specs.values():
        assert len(spec["description"]) > 20
        assert spec["width"] == "container"


def test_texts_are_escaped_everywhere():
    found = Page(text(EVIL))
    assert len(found.scripts) == len(Page(text()).scripts)
    assert EVIL in json.loads(found.scripts[0])["results-1"]["layer"][1]["data"]["values"][-1]["method"]
    assert "alert" not in "".join(script for script in found.scripts[1:])
    assert "<b>" not in re.sub(r"<script.*?</script>", "", text(EVIL), flags=re.DOTALL)


def test_same_results_give_the_same_page():
    assert text() == text()


def test_the_vendored_libraries_are_those_of_the_script():
    sums = dict(reversed(line.split()) for line in (ASSETS / "SHA256SUMS").read_text().splitlines())
    assert sorted(sums) == sorted(html.LIBRARY)
    for name, digest in sums.items():
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest
    licences = (ASSETS / "LICENSES.txt").read_text()
    assert licences.count("University of Washington Interactive Data Lab") >= 3
