"""README, docs, help and comments: short sentences, the field's terms, links to something, code that runs."""

import ast
import pkgutil
import re
import tokenize
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from pats.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = {
    path.name if path.parent == ROOT else f"docs/{path.name}": path
    for path in [README, *sorted((ROOT / "docs").glob("*.md"))]
}
SOURCES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "src").rglob("*.py"))}
LONGEST = 30  # words of a sentence in the README

# Words that a reader stumbles over, and what to write in their place.
BANNED = {
    r"\bguess": "detect",
    r"\blikewise\b": "see also, or the same words again",
    r"\b(is|are|and|was|were) said\b": "reported",
    r"\bsays? so\b": "reports it",
    r"\btold\b": "reported, given or found",
    r"\bstands?\b": "is, must pass",
    r"\bone's own\b": "your own",
    r"\bwith a sentence\b": "says why",
    r"\banew\b": "again, or new",
    r"\bhence\b": "so",
    r"\bwhoever\b": "anybody who",
}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(page):
    """The text of a page without code, tables and markup; every kind of paragraph ends with a blank line."""
    text = re.sub(r"<!--.*?-->|<[^>]+>", "", FENCE.sub("", page), flags=re.DOTALL)
    text = re.sub(r"^(    |\|).*$", "", text, flags=re.MULTILINE)  # indented code, rows of tables
    text = re.sub(r"^(#+ .*)$", r"\n\1\n", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(?:[-*]|\d+\.) ", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"`[^`]+`", "code", text)


def sentences(page):
    """The sentences of a page, as lists of words."""
    for paragraph in re.split(r"\n\s*\n", prose(page)):
        for sentence in re.split(r"[.!?](?=[*)]*\s)", paragraph.strip() + " "):
            if words := [word for word in sentence.split() if re.search(r"\w", word)]:
                yield words


def slugs(page):
    """The anchors that a page's headings have."""
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def links(page):
    """The targets of a page's links and pictures."""
    text = FENCE.sub("", page)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def missing(path):
    """The relative links of a page that lead nowhere."""
    for link in links(path.read_text("utf-8")):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and anchor not in slugs(target.read_text("utf-8"))):
            yield link


def banned(text):
    return [match[0] for words in BANNED for match in re.finditer(words, text, re.IGNORECASE)]


def remarks(path):
    """The docstrings and comments of a module, without code in backquotes."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield re.sub(r"`[^`]+`", "code", ast.get_docstring(node) or "")
    with path.open("rb") as file:
        tokens = tokenize.tokenize(file.readline)
        yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


def test_no_sentence_of_the_readme_is_long():
    assert [" ".join(words) for words in sentences(README.read_text("utf-8")) if len(words) > LONGEST] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_uses_the_terms_of_the_field(name):
    assert banned(prose(PAGES[name].read_text("utf-8"))) == []


@pytest.mark.parametrize("name", SOURCES)
def test_docstrings_and_comments_use_the_terms_of_the_field(name):
    assert [word for remark in remarks(SOURCES[name]) for word in banned(remark)] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name):
    assert list(missing(PAGES[name])) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_files_and_names_of_a_page_are_there(name):
    text = FENCE.sub("", PAGES[name].read_text("utf-8"))
    paths = re.findall(r"`((?:src|tests|benchmarks|examples|docs)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    for dotted in re.findall(r"`(pats(?:\.(?!json)\w+)+)[`(]", text):
        assert found(dotted), dotted


def found(dotted):
    """Whether a dotted name leads to something in the package: a module, or what one holds."""
    with suppress(ImportError, AttributeError):
        return pkgutil.resolve_name(dotted) is not None
    return False


def test_the_map_of_the_docs_has_every_page():
    index = ROOT / "docs" / "README.md"
    assert {path.name for path in index.parent.glob("*.md")} - {index.name} <= set(
        links(index.read_text("utf-8"))
    )


WORDS = " ".join(["word"] * LONGEST)


@pytest.mark.parametrize(
    ("page", "long"),
    [
        (f"{WORDS}.", 0),
        (f"{WORDS} more.", 1),
        (f"- {WORDS}\n  more. Short.", 1),
        (f"{WORDS}. {WORDS}.", 0),
        (f"```\n{WORDS} more.\n```", 0),
        (f"| {WORDS} more. |", 0),
        (f"[{WORDS}](more.md) more.", 1),
        (f"{WORDS[5:]} `one piece of code`.", 0),
    ],
)
def test_what_a_long_sentence_is(page, long):
    assert sum(len(words) > LONGEST for words in sentences(page)) == long


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("other.md", True),
        ("other.md#a-heading-of-c", True),
        ("#here", True),
        ("https://example.org/nowhere", True),
        ("nowhere.md", False),
        ("other.md#nowhere", False),
        ("#nowhere", False),
    ],
)
def test_what_a_link_that_leads_nowhere_is(link, leads, tmp_path):
    (tmp_path / "other.md").write_text("## A heading, of `C`!\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\nSee [it]({link}).\n")
    assert list(missing(page)) == ([] if leads else [link])


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("Columns are guessed and said.", ["guess", "and said"]),
        ("The label likewise.", ["likewise"]),
        ("PATS detects the columns and reports them.", []),
    ],
)
def test_what_words_are_banned(text, bad):
    assert banned(text) == bad


def test_what_remarks_are(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        '''"""Module."""\nA = "text, # text"  # comment\nclass C:\n    """C `code`."""\n    """text"""\n'''
        '''    async def f(self):\n        """F."""\n        def g():\n            """G."""\n'''
    )
    assert sorted(filter(None, remarks(module))) == ["# comment", "C code.", "F.", "G.", "Module."]


def help_of(capsys, *argv):
    with suppress(SystemExit):
        main([*argv, "--help"])
    return capsys.readouterr().out


def test_help_uses_the_terms_of_the_field(capsys):
    first = help_of(capsys)
    verbs = re.findall(r"^  ([a-z-]+) ", first, re.MULTILINE)
    assert len(verbs) > 10
    for text in [first, *(help_of(capsys, verb) for verb in verbs)]:
        assert banned(text) == [], text[:40]
