"""The site of the documentation: what is in it, and that what it quotes is true. `make docs` builds it."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import pats

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text("utf-8")


def pages(entry):
    """The files below an entry of the site's menu."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from (page for below in entry.values() for one in below for page in pages(one))


def test_the_menu_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = [page for entry in yaml.safe_load(text)["nav"] for page in pages(entry)]
    made_by_the_hook = {"contributing.md", "changelog.md", "security.md"}
    assert sorted(listed) == sorted({path.name for path in DOCS.glob("*.md")} | made_by_the_hook)


PUBLIC = [name for name in pats.__all__ if name != "optim"]
PUBLIC += [f"optim.{name}" for name in pats.optim.__all__]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_reference_has_every_public_name(name):
    assert re.search(rf"^::: pats\.{re.escape(name)}$", API, re.MULTILINE)


def value(name):
    found = pats
    for part in name.split("."):
        found = getattr(found, part)
    return found


def undocumented(function, text):
    """Parameters of a function whose docstring does not describe them."""
    open_ended = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    given = [
        one.name for one in inspect.signature(function).parameters.values() if one.kind not in open_ended
    ]
    return [name for name in given if not re.search(rf"^\s*\**{name}: ", text, re.MULTILINE)]


MADE_BY_OTHERS = ("InputError", "Perturbation", "Predictions")
CALLED = [name for name in PUBLIC if callable(value(name)) and name not in MADE_BY_OTHERS]


@pytest.mark.parametrize("name", CALLED)
def test_a_public_name_describes_its_parameters(name):
    found = value(name)
    text = inspect.getdoc(found) or ""
    if inspect.isclass(found):
        ours = [base for base in found.__mro__[1:] if base.__module__.startswith("pats")]
        text += "".join(inspect.getdoc(base) or "" for base in ours)
    assert undocumented(found, text) == []


def test_a_parameter_without_a_word_is_found():
    def function(told, silent):
        """Do it.

        Args:
            told: What is told.
        """

    assert undocumented(function, inspect.getdoc(function)) == ["silent"]


def joined():
    """The source of the package with strings over several lines put together."""
    texts = (path.read_text("utf-8") for path in sorted((ROOT / "src" / "pats").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))


def test_the_messages_of_the_questions_are_those_of_the_package():
    source = joined()
    quoted = re.findall(r"^### `([^`]+)`$", (DOCS / "faq.md").read_text("utf-8"), re.MULTILINE)
    assert len(quoted) > 10
    assert [message for message in quoted if message not in source] == []


def test_the_code_of_the_quickstart_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "quickstart.md").read_text("utf-8")
    table, loop = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    exec(table, {})
    assert len((tmp_path / "reviews.csv").read_text().splitlines()) == 61
    space = {}
    exec(loop, space)
    assert all(row["noise_rms"] >= 0 for row in space["perturbation"].stats().values())
    assert space["perturbation"].stats()


def test_the_citation_has_the_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == pats.__version__
    assert cited["license"] == "Apache-2.0"
