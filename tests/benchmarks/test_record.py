import re

import pytest

from benchmarks import record
from pats._schema import Misfit, build

ROWS = [{"size": 1, "ms": 1.5}, {"size": 2, "ms": 2.5}]


def values(results):
    return [{name: value for name, value in row.items() if name != "origin"} for row in results.rows]


def stored():
    return record.read("two", record.RESULTS)


def test_a_row_names_what_it_was_measured_on(checkout, capsys):
    record.start("two", ["numpy"], threads=3).put(ROWS, settings={"rounds": 4}, summary={"most": 2.5})
    results = stored()
    assert (results.claim, results.settings, results.summary) == (
        "two is more than one",
        {"rounds": 4},
        {"most": 2.5},
    )
    assert values(results) == ROWS
    (origin,) = results.origins
    assert re.fullmatch("[0-9a-f]{40}", origin.commit)
    assert origin.dirty is False
    assert origin.sources == record.fingerprint("two")
    assert {"python", "torch", "transformers", "numpy"} <= origin.versions.keys()
    assert origin.conditions["threads"] == 3
    assert origin.machine.cores > 0
    assert origin.machine.memory_gb > 0
    assert capsys.readouterr().out == "2 rows in benchmarks/results/two.json\n"


CHANGES = {"changed": "README.md", "new": "code/three.py"}


@pytest.mark.parametrize("name", CHANGES.values(), ids=CHANGES)
def test_changes_are_refused_before_anything_is_measured(checkout, name):
    checkout.write(name, "other\n")
    with pytest.raises(SystemExit, match=rf"^two is measured .* {name} has some: .*PATS_TRY=1[^\n]*$"):
        record.start("two")


def test_results_are_no_changes(checkout):
    checkout.write("benchmarks/results/three.json", "{}")
    record.start("two").put(ROWS)
    record.start("two").put(ROWS)


@pytest.mark.parametrize("changed", [True, False])
def test_trying_out_never_writes_to_the_results(checkout, monkeypatch, changed):
    monkeypatch.setenv(record.TRY, "1")
    if changed:
        checkout.write("two.py", "other\n")
    record.start("two").put(ROWS)
    assert stored() is None
    (origin,) = record.read("two", record.TRIED).origins
    assert origin.dirty is changed


@pytest.mark.parametrize("committed", [True, False])
def test_rows_of_a_checkout_that_changed_meanwhile_are_kept_apart(checkout, committed):
    recording = record.start("two")
    checkout.write("two.py", "other\n")
    if committed:
        checkout.commit()
    with pytest.raises(SystemExit, match=r"^the checkout changed .* out/results/two\.json alone"):
        recording.put(ROWS)
    assert stored() is None
    assert values(record.read("two", record.TRIED)) == ROWS


NEW = [{"size": 2, "ms": 9.0}, {"size": 3, "ms": 3.5}]
MERGED = {
    "by key, in place": (["size"], {}, [ROWS[0], *NEW]),
    "without a key": ([], {}, NEW),
    "with other settings": (["size"], {"rounds": 5}, NEW),
}


@pytest.mark.parametrize(("key", "settings", "expected"), MERGED.values(), ids=MERGED)
def test_rows_take_the_place_of_those_of_equal_key(checkout, key, settings, expected):
    record.start("two", load=1.0).put(ROWS, key=key)
    record.start("two", load=2.0).put(NEW, key=key, settings=settings)
    results = stored()
    assert values(results) == expected
    loads = [record.origin_of(row, results).conditions["load"] for row in results.rows]
    assert loads == [1.0 if row in ROWS else 2.0 for row in expected]
    assert len(results.origins) == len(set(loads))


def test_what_is_no_number_is_not_written(checkout):
    record.start("two").put(ROWS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.start("two").put([{"ms": float("nan")}])
    assert values(stored()) == ROWS


def test_a_file_that_does_not_fit_is_not_overwritten(checkout):
    path = record.RESULTS / "two.json"
    path.write_text("[]")
    with pytest.raises(SystemExit, match=r"two\.json is no result file: "):
        record.start("two").put(ROWS, key=["size"])
    assert path.read_text() == "[]"


def test_the_hash_of_the_sources_follows_their_contents_alone(checkout):
    before = record.fingerprint("two")
    checkout.git("mv", "code/one.py", "code/moved.py")
    checkout.write("README.md", "other\n")
    checkout.commit()
    assert record.fingerprint("two") == before
    checkout.write("code/moved.py", "3\n")
    assert record.fingerprint("two") == before
    checkout.commit()
    assert record.fingerprint("two") != before
    assert record.fingerprint("two", "HEAD~1") == before


TYPED = {
    "a benchmark": (["{root}/benchmarks/two.py", "--rounds", "3"], {}, "python -m benchmarks.two --rounds 3"),
    "a folder": (
        ["{root}/benchmarks/two.py", "--data", "/a/glue"],
        {},
        "python -m benchmarks.two --data GLUE",
    ),
    "a soak": (
        ["/x/pytest/__main__.py", "-m", "soak"],
        {},
        "python -m pytest -m soak tests/soak/test_two.py",
    ),
    "variables": (
        ["{root}/benchmarks/two.py"],
        {"OMP_NUM_THREADS": "1", "PATS_KILLS": "4", "PATS_GLUE": "/a/glue", "PATS_TRY": "1", "HOME": "/a"},
        "OMP_NUM_THREADS=1 PATS_KILLS=4 python -m benchmarks.two",
    ),
}


@pytest.mark.parametrize(("argv", "variables", "expected"), TYPED.values(), ids=TYPED)
def test_the_command_is_told_as_typed(checkout, monkeypatch, argv, variables, expected):
    monkeypatch.setattr("sys.argv", [word.format(root=checkout.root) for word in argv])
    monkeypatch.setattr("os.environ", variables)
    assert record.typed("two") == expected


ORIGIN = {"commit": None}
BAD = {
    "another schema": {"schema": 2},
    "no claim": {"claim": None},
    "an unknown field": {"machine": "mine"},
    "a row without an origin": {"rows": [{"ms": 1}]},
    "an origin that is not there": {"rows": [{"ms": 1, "origin": 1}]},
    "an origin without a row": {"origins": [ORIGIN, ORIGIN]},
    "a machine in words": {"origins": [{"machine": "mine"}]},
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_the_schema_refuses(wrong):
    good = {"schema": 1, "claim": "a", "rows": [{"ms": 1, "origin": 0}], "origins": [ORIGIN]}
    assert build(record.Results, good).rows == ({"ms": 1, "origin": 0},)
    with pytest.raises(Misfit):
        build(record.Results, good | wrong)
