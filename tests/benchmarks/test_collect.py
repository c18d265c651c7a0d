import json

import pytest

from benchmarks import collect, record


def test_a_row_a_run_with_its_own_origin(study, checkout):
    first = record.git("rev-parse", "HEAD")
    study(1, hour=3)
    study(0, hour=5)
    checkout.write("two.py", "other\n")
    checkout.commit()
    study(2, hour=7)
    study(3, hour=8, commit="f" * 40)
    collect.main()
    results = record.read("two")
    assert [(row["seed"], row["best"], row["last"]) for row in results.rows] == [
        (seed, 0.5 + seed / 10, 0.5 + seed / 10) for seed in range(4)
    ]
    assert {row["noise_over_weight"] for row in results.rows} == {0.3}
    assert [row["origin"] for row in results.rows] == [0, 0, 1, 2]
    told = [(one.commit, one.sources, one.date[11:13]) for one in results.origins]
    now = record.git("rev-parse", "HEAD")
    assert told == [
        (first, record.fingerprint("two", first), "05"),
        (now, record.fingerprint("two"), "07"),
        ("f" * 40, None, "08"),
    ]


def test_points_of_a_study_of_sizes(study, checkout):
    ids = [study(0, hour=3, folder="two/0.1"), study(1, hour=4, folder="two/0.5")]
    points = [{"fraction": share, "run_id": run_id} for share, run_id in zip((0.1, 0.5), ids, strict=True)]
    checkout.write("out/two/data_size.json", json.dumps({"task": "cola", "points": points}))
    collect.main()
    results = record.read("two")
    assert results.rows == tuple(point | {"origin": 0} for point in points)
    assert results.settings == {"task": "cola"}


def test_a_run_of_code_with_changes_is_refused(study, monkeypatch):
    run_id = study(0, hour=3, dirty=True)
    with pytest.raises(SystemExit, match=rf"^run {run_id} was not made from a commit without changes"):
        collect.main()
    assert record.read("two") is None
    monkeypatch.setenv(record.TRY, "1")
    collect.main()
    (origin,) = record.read("two", record.TRIED).origins
    assert origin.dirty is True


def test_a_folder_without_runs_is_refused(study):
    with pytest.raises(SystemExit, match="holds no finished run"):
        collect.main()
