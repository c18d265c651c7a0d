import json

import pytest

from benchmarks import collect, figure2, record

MACHINE = {
    "system": "a",
    "cpu": "b",
    "cores": 2,
    "python": "3",
    "packages": {},
    "peak_memory_mb": {"process": 1.0},
}


@pytest.fixture
def models(study, checkout, monkeypatch):
    """Gives the runs of these methods their weights; the words of the command that measures them."""
    words = []
    monkeypatch.setattr(figure2, "FOLDERS", collect.FOLDERS)
    monkeypatch.setattr(record, "CLAIMS", {"figure2": record.CLAIMS["two"]})
    monkeypatch.setattr("sys.argv", ["figure2", "--data", "/a/glue"])

    def measure(argv):
        words.extend(argv)
        state = {"commit": record.git("rev-parse", "HEAD"), "dirty": False}
        told = MACHINE | {"time": "2026-11-24T10:00:00+00:00", "git": state}
        rows = [{"label": label, "cv": 1.5, "environment": told} for label in ("vanilla", "pats")]
        checkout.write("out/figure2/sensitivity.json", json.dumps({"models": rows}))
        return 0

    monkeypatch.setattr(figure2.cli, "main", measure)

    def give(*methods):
        for method in methods:
            run_id = study(0, hour=3, folder="minilm_glue", method=method)
            folder = checkout.root / "out" / "minilm_glue" / "runs" / run_id / "attempts" / "1-a" / "model"
            folder.mkdir(parents=True)
            (folder / "config.json").touch()
        study(1, hour=3, folder="minilm_glue", method="vanilla")
        return words

    return give


def test_both_models_of_the_first_seed_are_measured(models):
    words = models("vanilla", "pats-paper")
    figure2.main()
    labels = {word.partition("=")[0] for word in words if word.endswith("/model")}
    assert labels == {"vanilla", "pats"}
    results = record.read("figure2")
    assert [(row["label"], row["cv"], row["peak_memory_mb"]) for row in results.rows] == [
        ("vanilla", 1.5, {"process": 1.0}),
        ("pats", 1.5, {"process": 1.0}),
    ]
    assert [origin.date for origin in results.origins] == ["2026-11-24T10:00:00+00:00"]


def test_a_model_that_is_not_there_is_told(models):
    models("vanilla")
    with pytest.raises(SystemExit, match="needs the models of minilm_glue"):
        figure2.main()
