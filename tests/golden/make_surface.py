"""Writes ``surface.json`` anew: ``python tests/golden/make_surface.py``."""

import contextlib
import io
import json
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "cli"), str(Path(__file__).parent)]

import test_golden_surface as golden  # noqa: E402
from captured import Captured  # noqa: E402


def main():
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        found = golden.surface(Captured(told))
    golden.GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


main()
