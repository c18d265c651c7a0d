"""Two studies of a tiny model that earlier code made: read, reported, repeated and continued.

``golden/study`` holds the model, the table, ``out`` of ``pats compare``, and ``out-0.1.0`` of version 0.1.0,
which called the paper's literal reading ``pats``. ``golden/study.json`` holds what was read of them.
``python tests/golden/make_study.py`` makes ``out`` and ``study.json`` anew.
"""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pats.cli import main

FOLDER = Path(__file__).parents[1] / "golden" / "study"
GOLDEN = FOLDER.with_suffix(".json")

STUDIES = ("out", "out-0.1.0")
ARGUMENTS = {
    "--preset": "paper",
    "--data": "texts.csv",
    "--models": "bert",
    "--methods": "vanilla pats pats-paper",
    "--lr": "1e-2",
    "--epochs": "12",
    "--batch-size": "8",
    "--out": "out",
}


def told(argv, capsys):
    """What a verb writes on stdout as JSON."""
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out)


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(path):
    """The numbers with a point in the tables of a Markdown page, and how often each stands there."""
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return dict(sorted(Counter(re.findall(r"[-+]?\d+\.\d+", "\n".join(lines))).items()))


def page(out, capsys):
    """What ``pats report`` and ``pats export`` make of a study, prose left out."""
    told(["report", out, "--json"], capsys)
    told(["export", out, "export.csv", "--json"], capsys)
    told(["export", out, "epochs.csv", "--epochs", "--json"], capsys)
    return {
        "report.md": numbers(f"{out}/report.md"),
        "report.csv": table(f"{out}/report.csv"),
        "runs.csv": table(f"{out}/runs.csv"),
        "export.csv": table("export.csv"),
        "epochs.csv": table("epochs.csv"),
        "watch": told(["watch", out, "--json"], capsys),
    }


def again(capsys, seeds=2):
    """What ``pats compare`` tells of a study that it finds finished, or makes larger; prose left out."""
    flags = [word for flag, value in ARGUMENTS.items() for word in (flag, *value.split())]
    found = told(
        ["compare", *flags, "--seeds", str(seeds), "--baselines", "none", "--quiet", "--json"], capsys
    )
    return {key: found[key] for key in ("cells", "chosen", "unscored")}


def differences(found, recorded, place=""):
    """Where what was recorded is missing or has another value; what is new is none."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        pairs = [(key, found.get(key), one) for key, one in recorded.items()]
    elif isinstance(recorded, list) and isinstance(found, list) and len(found) == len(recorded):
        pairs = [(key, *both) for key, both in enumerate(zip(found, recorded, strict=True))]
    else:
        return [] if same(found, recorded) else [f"{place}: {found!r} was {recorded!r}"]
    return [one for key, *both in pairs for one in differences(*both, f"{place}/{key}")]


def same(found, recorded):
    """Whether two values are equal, numbers up to what libraries may compute differently."""
    try:
        return found == recorded or float(found) == pytest.approx(float(recorded), rel=1e-9, abs=1e-9)
    except (TypeError, ValueError):
        return False


def files(*patterns):
    """Files below here by name, with what they hold."""
    return {str(path): path.read_bytes() for one in patterns for path in sorted(Path().glob(one))
            if path.is_file()}  # fmt: skip


def attempts():
    return [path.name for path in Path("out").glob("runs/*/attempts/*")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A copy of the studies, with the model and the table under the names that they were made with."""
    shutil.copytree(FOLDER, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("out", STUDIES)
def test_a_study_is_reported_and_exported_with_the_same_numbers(here, golden, capsys, out):
    found, recorded = page(out, capsys), dict(golden[out])
    assert Counter(recorded.pop("report.md")) <= Counter(found.pop("report.md"))
    assert not differences(found, recorded)


def test_a_study_that_is_repeated_runs_nothing(here, golden, capsys):
    kept = "out/runs/**/*", "out/model/*"
    before = files(*kept)
    assert not differences(again(capsys), golden["repeated"])
    assert {name: files(*kept)[name] for name in before} == before
    assert {*files(*kept)} - {*before} == {"out/model/README.md"}  # the card, which older versions lack


@pytest.mark.usefixtures("inline")
def test_a_study_that_grows_runs_what_is_missing(here, golden, capsys):
    kept = "out/runs/*/result.json", "out/runs/*/predictions.csv.gz"
    before, begun = files(*kept), attempts()
    found = again(capsys, seeds=3)
    after = files(*kept)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * 3
    assert set(begun) < set(attempts())
    assert len(attempts()) == len(begun) + 3
    for cell, recorded in zip(found["cells"], golden["repeated"]["cells"], strict=True):
        assert list(cell["scores"]) == ["0", "1", "2"]
        assert not differences(cell["scores"], recorded["scores"])


def test_a_model_that_was_exported_predicts_the_same(here, golden, capsys):
    found = told(["predict", "out/model", "texts.csv", "--json"], capsys)
    recorded = golden["predicted"]
    assert [row["label"] for row in found] == [row["label"] for row in recorded]
    for ours, theirs in zip(found, recorded, strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-3)
