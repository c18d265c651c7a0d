"""CONTRIBUTING.md and AGENTS.md name what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
GUIDES = ["AGENTS.md", "CONTRIBUTING.md"]


def there(name, *folders):
    """Whether a path or module is in the folders, the repository or the package; a bare file anywhere."""
    endings = [name.rstrip("/") + end for end in ("", ".py")]
    bare = "/" not in name and any(any((ROOT / top).rglob(name)) for top in ("src", "tests"))
    return bare or any(
        any(place.glob(end)) for place in [*folders, ROOT, ROOT / "src/pats"] for end in endings
    )


def tree(text):
    """The names of the tree: its first column."""
    block = re.search(r"^    src/pats/.*\n(?:    .*\n)+", text, re.M)[0]
    return [re.split(r" {2,}", line.strip())[0].split() for line in block.splitlines()]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_name_of_the_tree_is_there(guide):
    rows = tree((ROOT / guide).read_text())
    assert len(rows) > 9
    for first, *others in rows:
        assert there(first), first
        for other in others:
            assert there(other, (ROOT / first).parent), other


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_is_named_is_there(guide):
    named = re.findall(r"`([\w./*-]*(?:/|\.(?:py|md|toml|h|js)))[` ]", (ROOT / guide).read_text())
    files = {name for name in named if not name.startswith(("src/pats/x", "tests/x"))}
    assert len(files) > 8
    assert [name for name in files if not there(name)] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_is_there(guide):
    targets = re.findall(r"^    make (\w+)", (ROOT / guide).read_text(), re.M)
    assert {"setup", "lint", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", MAKEFILE, re.M) for target in targets)


def test_the_assistants_guide_is_short():
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) < 80
