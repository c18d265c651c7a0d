"""The list of skips: what is not on it fails ``make test``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import skips

TESTS = Path(__file__).parent
LIST = skips.read(TESTS / "skips.toml")

LISTED = """
[[skip]]
message = "no camera*"
reason = "few have one"
[[skip]]
message = "could not import 'no_such_package'*"
tests = "test_module.py*"
reason = "nobody has it"
[[skip]]
message = "elsewhere only"
where = ["another_system *"]
reason = "that system lacks it"
"""
CONFTEST = "from support.skips import pytest_addoption, pytest_configure"
TWICE = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): pytest.skip('{}')"

# Test files, the exit code, and lines of the summary.
SUITES = {
    "all are listed": (
        [
            "def test_a(): pass",
            TWICE.format("no camera here"),
            "import pytest\n@pytest.mark.xfail\ndef test_a(): 1 / 0",
        ],
        0,
        ["skipped 2: no camera here: few have one"],
    ),
    "some are not": (
        [
            TWICE.format("lazy"),
            "import pytest\npytest.importorskip('no_such_package')",
            TWICE.format("elsewhere only"),
            TWICE.format("no camera here"),
        ],
        1,
        [
            "ON THE LIST: test_0.py::test_a[1] (and 1 more): lazy",
            "ON THE LIST: test_1.py: could not import 'no_such_package': No module named 'no_such_package'",
            "ON THE LIST: test_2.py::test_a[1] (and 1 more): elsewhere only",
            "skipped 2: no camera here: few have one",
        ],
    ),
}


def suite(folder, files, *flags):
    """Run a suite of its own; returns the exit code and the output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "skips.toml").write_text(LISTED)
    for number, content in enumerate(files):
        (folder / f"test_{number}.py").write_text(content)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(TESTS)}, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("name", SUITES)
def test_a_skip_that_is_not_listed_fails(tmp_path, name, workers):
    files, code, lines = SUITES[name]
    found, out = suite(tmp_path, files, "-n", workers, "--skips", "skips.toml")
    assert found == code, out
    assert all(line in out for line in lines), out
    assert out.count("ON THE LIST") == sum("ON THE LIST" in line for line in lines)


def test_without_the_option_skips_are_pytest_s_own_matter(tmp_path):
    files, _, _ = SUITES["some are not"]
    code, out = suite(tmp_path, files)
    assert code == 0
    assert "ON THE LIST" not in out


@pytest.mark.parametrize("entry", LIST, ids=lambda entry: entry.message)
def test_an_entry_is_what_some_test_says(entry):
    """What no test says any more leaves the list."""
    said = entry.message.rstrip("*").replace("could not import ", "importorskip(").replace("'", '"')
    sources = [path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)]
    assert any(said in source.replace("'", '"') for source in sources)
    assert len(entry.reason) > len("no GPU")


@pytest.mark.parametrize(
    "message", ["the C kernel has not been built", "no kernel here", "could not import 'torch'"]
)
def test_the_kernel_is_never_excused(message):
    assert not any(entry.allows("tests/kernels/test_cpu.py::test_words", message) for entry in LIST)
