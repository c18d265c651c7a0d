"""What of packages fails the check of style, and what does not."""

import json
import sys
import tomllib

import pytest

from benchmarks import packages

ALLOWED = tomllib.loads(packages.ALLOWED.read_text(encoding="utf-8"))


def says(out="", error="", code=0):
    script = f"import sys; sys.stdout.write({out!r}); sys.stderr.write({error!r}); sys.exit({code})"
    return [sys.executable, "-c", script]


def test_a_vulnerability_is_a_fault():
    flaw = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
    report = {
        "dependencies": [{"name": "a", "version": "1.0", "vulns": [flaw]}, {"name": "b", "skip_reason": "x"}]
    }
    found, unreached = packages.vulnerable(says(json.dumps(report), code=1))
    assert (found, unreached) == (["a 1.0 has PYSEC-1 (mended in 2.0)"], None)


@pytest.mark.parametrize(
    ("error", "fails"),
    [("requests.exceptions.ConnectionError: no route", False), ("usage: no such flag", True)],
)
def test_a_service_that_cannot_be_reached_is_told_and_fails_nothing(error, fails):
    found, unreached = packages.vulnerable(says(error=error, code=1))
    assert bool(found) is fails
    assert (unreached is None) is fails
    assert fails or unreached.count("\n") == 0


@pytest.mark.parametrize(
    ("name", "licence", "allowed"),
    [
        ("a", "MIT", True),
        ("a", "Apache-2.0 AND MIT", True),
        ("a", "GPL-3.0", False),
        ("a", "MIT AND GPL-3.0", False),
        ("a", "UNKNOWN", False),
        ("yattag", "GNU Library or Lesser General Public License (LGPL)", True),
    ],
)
def test_a_licence_is_allowed_or_its_package_has_a_reason(name, licence, allowed):
    found = packages.unlicensed([{"Name": name, "License": licence}], ALLOWED)
    assert (found == []) is allowed
    assert all(ALLOWED["exceptions"].values())
