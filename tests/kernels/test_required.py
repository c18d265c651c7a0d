"""``PATS_REQUIRE_KERNEL=1``, which ``make test`` sets: no green suite without the fast path.

Nothing here may be skipped: without the C kernel hundreds of tests are.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pats import kernels
from pats.kernels.cpu import library

ROOT = Path(__file__).parents[2]
FOLDER = Path("src/pats/kernels/cpu")


def test_the_kernel_is_there_where_it_is_required(monkeypatch):
    monkeypatch.delenv("PATS_KERNEL", raising=False)
    assert (kernels.info().path == "cpu") == (library.LIBRARY is not None)
    if os.environ.get("PATS_REQUIRE_KERNEL") == "1":
        assert kernels.info().path == "cpu", kernels.info().why


def build(folder, added, required):
    """Compile ``kernel.c`` with a line added; returns the exit code and the libraries that came of it."""
    (folder / FOLDER).mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", folder)
    for source in [ROOT / FOLDER / "kernel.c", *(ROOT / FOLDER).glob("*.h")]:
        shutil.copy(source, folder / FOLDER)
    with (folder / FOLDER / "kernel.c").open("a") as file:
        file.write(added)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "built"]
    ours = ("PATS_REQUIRE_KERNEL", "PATS_WITHOUT_KERNEL")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(command, cwd=folder, env=kept | required, capture_output=True)
    return done.returncode, [path.name for path in folder.glob("built/**/_core*")]


# What is added to the source, the environment, whether the build succeeds, and whether a library comes of it.
BUILDS = {
    "sound": ("", {"PATS_REQUIRE_KERNEL": "1"}, True, True),
    "broken and required": ("int broken(", {"PATS_REQUIRE_KERNEL": "1"}, False, False),
    "sound and left out": ("", {"PATS_WITHOUT_KERNEL": "1"}, True, False),
    "broken": ("int broken(", {}, True, False),
    "broken and said not to be required": ("int broken(", {"PATS_REQUIRE_KERNEL": "0"}, True, False),
}


@pytest.mark.parametrize("case", BUILDS)
def test_a_build_that_fails_is_noticed_where_the_kernel_is_required(tmp_path, case):
    added, required, succeeds, library_is_there = BUILDS[case]
    code, built = build(tmp_path, added, required)
    assert (code == 0) == succeeds
    assert bool(built) == library_is_there
