"""All result files: one schema, one claim each, and facts that can be looked up."""

import re
from datetime import datetime

import pytest

from benchmarks import record
from benchmarks.claims import AWAITED, CLAIMS

NAMES = sorted(path.stem for path in record.RESULTS.glob("*.json"))


def test_every_claim_has_its_file_and_every_file_its_claim():
    assert set(NAMES) == set(CLAIMS) - AWAITED
    assert set(CLAIMS) >= AWAITED
    assert {path.suffix for path in record.RESULTS.iterdir()} == {".json"}


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_the_schema(name):
    results = record.read(name)
    assert results.claim == CLAIMS[name].claim
    assert results.rows
    assert results.origins
    for origin in results.origins:
        assert origin.command
        assert origin.commit is None or re.fullmatch("[0-9a-f]{40}", origin.commit)
        assert origin.sources is None or origin.commit
        assert origin.date is None or datetime.fromisoformat(origin.date)
        assert not re.search(r"(^|[ =])/", origin.command), "a folder of one machine"
