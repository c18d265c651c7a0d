"""The site of the documentation: what is in it, and that what it quotes is true. `make docs` builds it."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import pats
from pats import InputError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text("utf-8")


def pages(entry):
    """The files below an entry of the site's menu."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for below in entry.values():
            yield from (page for one in ([below] if isinstance(below, str) else below) for page in pages(one))


def test_the_menu_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = [page for entry in yaml.safe_load(text)["nav"] for page in pages(entry)]
    made_by_the_hook = {"contributing.md", "changelog.md", "security.md"}
    assert sorted(listed) == sorted({path.name for path in DOCS.glob("*.md")} | made_by_the_hook)


# What a reader looks for in the menu, by the words that it has there.
ANSWERS = {
    "In five minutes": "quickstart.md",
    "The method in pictures": "how-it-works.md",
    "Questions and messages": "faq.md",
    "I have a training loop": "loop.md",
    "I have a Trainer": "trainer.md",
    "I have a table of texts": "tables.md",
    "I have a cluster": "cluster.md",
    "Which method should I use?": "which-method.md",
    "Choosing noise": "noise.md",
    "Reading a report": "report.md",
    "Reproducing the paper": "reproducing.md",
    "Adding a method, a task or an engine": "extending.md",
    "Design and decisions": "design.md",
}


def test_the_menu_answers_questions_by_its_titles():
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    sections = [one for entry in menu if isinstance(entry, dict) for one in next(iter(entry.values()))]
    titled = {title: page for one in sections if isinstance(one, dict) for title, page in one.items()}
    assert {title: titled.get(title) for title in ANSWERS} == ANSWERS


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_no_page_is_longer_than_a_reader_bears(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


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
MORE = [
    "hf.optimizer_cls_and_kwargs",
    "hf.NoiseSteps",
    "philox.words",
    "philox.draw",
    "optim.reference.PATSAdamax",
]
CALLED = [name for name in [*PUBLIC, *MORE] if callable(value(name))]


def told(found):
    """What a name's docstring says, and those of its bases in the package."""
    ours = [base for base in getattr(found, "__mro__", [])[1:] if base.__module__.startswith("pats")]
    return "\n".join(inspect.getdoc(one) or "" for one in [found, *ours])


def lacking(found):
    """What the docstring of a public name should say and does not."""
    text, faults = told(found), []
    made = [one for one in inspect.signature(found).parameters.values() if one.default is None]
    for name in undocumented(found, text):
        faults.append(f"{name} is not described")
    for one in made:
        entry = re.search(rf"^( *){one.name}: .*(?:\n\1 +.*)*", text, re.MULTILINE)
        if entry and "None" not in re.sub(r"\W", " ", entry[0]).split():
            faults.append(f"what None is for {one.name}")
    if not inspect.isclass(found) and inspect.signature(found).return_annotation not in (None, "None"):
        faults += [] if "Returns:" in text else ["what it returns"]
    maker = found.__init__ if inspect.isclass(found) else found
    checked = [maker, getattr(found, "__post_init__", None)]
    bodies = "".join(
        inspect.getsource(one)
        for one in checked
        if inspect.isfunction(one) and one.__code__.co_filename != "<string>"
    )
    if "raise InputError" in bodies and "Raises:" not in text:
        faults.append("what it raises")
    return faults


@pytest.mark.parametrize("name", [name for name in CALLED if name not in MADE_BY_OTHERS])
def test_a_public_name_tells_arguments_defaults_results_and_errors(name):
    assert lacking(value(name)) == []


SOURCE = r"^Source: [A-Z].*"  # of the paper, of another paper, of somebody's code, or PATS's own


@pytest.mark.parametrize("name", [name for name in CALLED if callable(value(name))])
def test_a_public_name_tells_its_source(name):
    assert re.search(SOURCE, inspect.getdoc(value(name)) or "", re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in CALLED if inspect.isclass(value(name))])
def test_the_public_methods_of_a_class_have_a_docstring(name):
    own = {key: one for key, one in vars(value(name)).items() if not key.startswith("_")}
    ours = [key for key, one in own.items() if inspect.isfunction(one) or isinstance(one, property)]
    assert [key for key in ours if not inspect.getdoc(getattr(value(name), key))] == []


def test_what_a_docstring_lacks_is_found():
    def function(told, silent, default=None, other=None) -> int:
        """Do it.

        Args:
            told: What is told.
            default: A number.
            other: A number; None is 3.
        """
        raise InputError("never")

    assert lacking(function) == [
        "silent is not described",
        "what None is for default",
        "what it returns",
        "what it raises",
    ]


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


def test_the_citation_has_the_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == pats.__version__
    assert cited["license"] == "Apache-2.0"
