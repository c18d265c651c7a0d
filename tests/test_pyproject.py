"""What pyproject.toml says of the project, against the project."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]

# Modules that bear another name than their packages; plugins and tools are named by what calls them.
MODULES = {
    "pyyaml": "yaml",
    "types-PyYAML": "yaml",
    "scikit-learn": "sklearn",
    "pre-commit": "pre-commit",
    "mkdocs-material": "material",
    "pip-licenses": "pip-licenses",
    "pytest-timeout": "timeout",
    "pytest-xdist": "pytest -n",
}


def named():
    """The packages of the extras, each with the files that its comment names."""
    found = []
    extras = TEXT[TEXT.index("[project.optional-dependencies]") : TEXT.index("[project.urls]")]
    for line in extras.splitlines():
        requirement, _, comment = line.partition("#")
        packages = re.findall(r'"([A-Za-z][\w-]*)[^"]*"', requirement)
        files = re.findall(r"[\w./-]+\.(?:py|toml|md|yml)\b|\bMakefile\b", comment)
        for package in packages:
            if package != PROJECT["name"]:
                found.append(pytest.param(package, files, id=package))
    return found


def needs(path, module):
    """Whether a file imports a module or names it in a string; of other files, whether the text has it."""
    if path.suffix != ".py":
        return module in path.read_text()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return any(name.partition(".")[0] == module for name in found)


@pytest.mark.parametrize(("package", "files"), named())
def test_the_comment_beside_a_package_names_files_that_need_it(package, files):
    module = MODULES.get(package, package.replace("-", "_"))
    assert files, f"{package} has no file beside it"
    for file in files:
        path = ROOT / file if (ROOT / file).exists() else ROOT / "src/pats" / file
        assert needs(path, module), f"{file} does not need {module}"


def test_every_package_of_the_extras_was_looked_at():
    wanted = {
        re.match(r"[\w-]+", one)[0] for extra in PROJECT["optional-dependencies"].values() for one in extra
    }
    assert {parameters.values[0] for parameters in named()} == wanted - {PROJECT["name"]}


def test_the_addresses_are_those_of_one_repository():
    urls = PROJECT["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Repository", "Issues", "Changelog"}
    assert all(url.startswith(urls["Repository"]) for url in urls.values())
    for name in ("Documentation", "Changelog"):
        assert (
            ROOT / re.sub(r"^/(tree|blob)/main/", "", urls[name].removeprefix(urls["Repository"]))
        ).exists()


def test_one_classifier_a_version_of_python():
    found = re.findall(r"Python :: 3\.(\d+)", "\n".join(PROJECT["classifiers"]))
    oldest = int(PROJECT["requires-python"].removeprefix(">=3."))
    assert [int(minor) for minor in found] == [*range(oldest, oldest + len(found))]
    assert f"Python :: 3.{oldest}" in "\n".join(PROJECT["classifiers"])
