"""The house: imports point one way, in no circle, and no room reaches into another's private things."""

import ast
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pats"

# From the ground up: a module may import what stands in its own line or in a line above it here.
STOREYS = (
    "_errors _html _imports _noise philox _scope _budget _last _preset _schema _registry paper",
    "kernels",
    "step",
    "optim",
    "_transient",
    "_perturb",
    "hf",
    "methods setups tasks baselines",
    "run",
    "measure",
    "results",
    "page",
    "study",
    "cli __main__",
)
HEIGHT = {room: height for height, storey in enumerate(STOREYS) for room in storey.split()}
MODELS = {"run", "measure", "study"}  # what a page does not know: it reads results
MOST_LINES = 400


class Import(NamedTuple):
    """One imported name: who imports it, from which module, and whether that happens while Python loads."""

    by: str
    module: str
    name: str
    loading: bool


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: dict[str, Path]) -> list[Import]:
    """Every import of one module of ours by another, also those inside functions and for types alone."""
    found = []
    for by, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                named = [(node.module or "", alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                named = [(alias.name, "") for alias in node.names]
            else:
                continue
            for module, name in named:
                if module.partition(".")[0] == "pats":
                    whole = f"{module}.{name}"
                    target = whole if whole in known else module
                    found.append(Import(by, target, name, id(node) not in for_types))
    return found


def room(module: str) -> str:
    """The part of the house that a module is in."""
    return module.split(".")[1] if "." in module else ""


def upward(found: list[Import]) -> list[str]:
    """Imports of something that stands higher."""
    return [
        f"{one.by} imports {one.module}"
        for one in found
        if room(one.by) and room(one.module) and HEIGHT[room(one.module)] > HEIGHT[room(one.by)]
    ]


def private(found: list[Import]) -> list[str]:
    """Imports of another room's private module or name; the foundations are everybody's."""
    return [
        f"{one.by} imports {one.name or one.module} of {one.module}"
        for one in found
        if room(one.by) != room(one.module)
        and HEIGHT.get(room(one.module), -1) > 0
        and (any(part.startswith("_") for part in one.module.split(".")[2:]) or one.name.startswith("_"))
    ]


def circles(found: list[Import]) -> list[tuple[str, ...]]:
    """Sets of modules that import each other, directly or not."""
    graph: dict[str, set[str]] = {}
    for one in found:
        if one.loading and room(one.by):
            graph.setdefault(one.by, set()).add(one.module)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for module in graph.get(waiting.pop(), set()) - seen:
                seen.add(module)
                waiting.append(module)
        return seen

    reach = {module: reached(module) for module in graph}
    rings = ([b for b in reach[a] if a in reach.get(b, ())] for a in reach if a in reach[a])
    return sorted({tuple(sorted(ring)) for ring in rings})


OURS = imports(modules())


def test_every_room_has_its_storey():
    assert {room(module) for module in modules()} - {""} == set(HEIGHT)


def test_no_import_points_up():
    assert upward(OURS) == []


def test_no_room_reaches_into_another():
    assert private(OURS) == []


def test_no_circle():
    assert circles(OURS) == []


def test_a_page_reads_results_alone():
    assert [one for one in OURS if room(one.by) == "page" and room(one.module) in MODELS] == []


@pytest.mark.parametrize(
    ("by", "text", "check"),
    [
        ("kernels/bad.py", "from pats.step import shard", upward),
        ("kernels/bad.py", "def late():\n    from pats.cli import main", upward),
        ("cli/bad.py", "from pats.methods._method import Method", private),
        ("cli/bad.py", "from pats.step.shard import _merged", private),
        ("cli/bad.py", "import pats.cli.bad", circles),
    ],
)
def test_the_checks_find_what_they_are_for(tmp_path, by, text, check):
    """A house with one wrong import, beside ours, which the same checks pass."""
    path = tmp_path / "pats" / by
    path.parent.mkdir(parents=True)
    path.write_text(text)
    known = modules() | modules(tmp_path / "pats")
    assert len(check(imports(known))) > len(check(OURS))


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples"])
def test_no_file_is_long(folder):
    files = [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.[ch]")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n >= MOST_LINES} == {}


TESTS = ROOT / "tests"
APART = {"benchmarks", "fuzz", "soak"}  # folders of tests that mirror no package


def mirrors(modules: set[str]) -> dict[str, list[str]]:
    """Of every module with content, the test files that would be its own."""
    found = {}
    for module in modules:
        path = PurePosixPath(module)
        if path.stem == "__init__":
            name = f"test_{path.parent.name}.py"
            found[module] = [str(path.parent / name), str(path.parent.parent / name)]
        else:
            found[module] = [str(path.with_name(f"test_{path.stem.lstrip('_')}.py"))]
    return found


def unmirrored(modules: set[str], tests: set[str]) -> tuple[set[str], set[str]]:
    """The modules without a test file of their own, and the test files that are no module's own."""
    own = mirrors(modules)
    lonely = {module for module, files in own.items() if not tests & set(files)}
    return lonely, tests - {file for files in own.values() for file in files}


def package_files() -> set[str]:
    """The modules with more than a docstring."""
    paths = {path: len(ast.parse(path.read_text(encoding="utf-8")).body) for path in PACKAGE.rglob("*.py")}
    return {path.relative_to(PACKAGE).as_posix() for path, statements in paths.items() if statements > 1}


def files_of_tests() -> set[str]:
    """The test files, but for the folders that mirror nothing."""
    found = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    return {path.as_posix() for path in found if path.parts[0] not in APART}


def test_the_tests_mirror_the_package():
    """Where they do not, tests/mirror.toml says why."""
    listed = tomllib.loads((TESTS / "mirror.toml").read_text(encoding="utf-8"))
    lonely, others = unmirrored(package_files(), files_of_tests())
    assert sorted(lonely ^ set(listed["elsewhere"])) == []
    assert sorted(others ^ set(listed["shows"])) == []
    named = [file for reason in listed["elsewhere"].values() for file in re.findall(r"[\w/]+\.py", reason)]
    assert [file for file in named if not (TESTS / file).exists()] == []


@pytest.mark.parametrize(
    ("modules", "tests", "lonely", "others"),
    [
        ({"a/_b.py"}, {"a/test_b.py"}, set(), set()),
        ({"a/__init__.py"}, {"a/test_a.py"}, set(), set()),
        ({"a/b/__init__.py"}, {"a/test_b.py"}, set(), set()),
        ({"a/b.py"}, {"c/test_b.py"}, {"a/b.py"}, {"c/test_b.py"}),
        ({"a/b.py"}, {"a/test_b.py", "a/test_gone.py"}, set(), {"a/test_gone.py"}),
    ],
)
def test_the_mirror_is_compared_by_folder_and_name(modules, tests, lonely, others):
    assert unmirrored(modules, tests) == (lonely, others)
