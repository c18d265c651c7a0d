"""Files of a study with every kind of damage, through every verb that reads them: never a traceback."""

import copy
import json
import random
import warnings
from collections import Counter
from pathlib import Path

import pytest

from pats import InputError, Run, Study, compare
from pats.cli import main
from pats.study import prepare
from pats.study.place import coordinator
from pats.study.store.attempt import end
from pats.study.store.files import write
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.made_results import make_result

STUDY = Study(
    tasks=("rte",), models=("m",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, run=Run(), baselines=()
)
PRINTS = {("rte", seed): "f" for seed in range(2)}
NOISE = {"noise_over_weight": 1e-2, "noise_over_update": 2.0, "gated": 0.2, "zero": 0.1, "skipped": 0}
ENVIRONMENT = {
    "time": "2026-11-24T01:42:23+00:00",
    "packages": {"torch": "2.13.0", "peft": None},
    "cpu": "a processor",
    "cores": 2,
    "accelerator": None,
    "peak_memory_mb": {"process": 900.0},
    "git": {"commit": "0123456789abcdef", "dirty": True},
}
EVENTS = [
    {"event": "start", "time": 1.0, "run_id": "x", "notes": ["a note"]},
    {"event": "progress", "time": 2.0, "step": 5, "steps": 20, "epoch": 2.5, "loss": 0.25},
    {"event": "heartbeat", "time": 3.0},
    {"event": "epoch", "time": 4.0, "step": 6, "steps": 20, "epoch": 3.0, "train_loss": 0.2},
]
WRONG = (None, True, -1, 0, 3.5, 1e308, 10**400, "x", "\ud800", "", [], {}, [[1]], {"a": {"a": []}})


class Instant(InlinePlacer):
    """An engine whose runs need no training."""

    def train(self, run, attempt):
        (attempt / "result.json").write_text(result(run).to_json())


def result(run):
    return make_result(
        run,
        [0.5 + run.data_seed / 10, 0.4],
        0.55,
        telemetry={"encoder.layer.*.output.dense.weight": NOISE},
        sensitivity={"entries": 10, "mean": 1e-6, "cv": 2.0, "gini": 0.6, "insensitive": 0.1},
        timings={"train": 10.0, "evaluate": 1.0, "total": 12.0, "examples_per_second": 50.0},
        environment=ENVIRONMENT,
        sizes={"train": 100, "dev": 50},
        labels=("no", "yes"),
        predictions={"file": "predictions.csv.gz", "blake2b": "0" * 32},
    )


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Three runs done, one under way."""
    monkeypatch.setattr(coordinator, "TICK", 0.0)
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(
        prepare, "load_tasks", lambda *_: prepare.StudyData(PRINTS, {"rte": ("no", "yes")}, ())
    )
    monkeypatch.setattr(prepare, "check_models", lambda *_: (None, {}))
    monkeypatch.setattr("pats.study.keep.Keeper.export", lambda *_: None)  # no model to export
    store, cells = Store(tmp_path / "out"), STUDY.cells(PRINTS)
    store.save_study({"study": STUDY.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    *done, last = [run for cell in cells for run in cell.runs]
    for run in done:
        attempt = store.claim(run)
        (attempt / "result.json").write_text(result(run).to_json())
        store.commit(attempt, run.id)
        end(attempt, "done")
    attempt = store.claim(last)
    (attempt / "spec.json").write_text("{}")  # nobody is at it
    write(attempt / "events.jsonl", "\n".join(map(json.dumps, EVENTS)) + "\n")
    return store


def places(content, at=()):
    """Where something stands in JSON, every place once."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in entries:
        yield (*at, key)
        if isinstance(value, dict | list) and value:
            yield from places(value, (*at, key))


def change(content, place, value):
    """A copy with another value at a place; ``KeyError`` takes it out."""
    changed = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def texts(content, draw, many):
    """Mutations of one JSON file: every kind of damage, at drawn places."""
    whole = json.dumps(content, indent=1)
    yield from ("", "[]", "null", "3", "NaN", '"x"', "{" * 100_000, "[" * 100_000, "\x00" * 100, whole * 2)
    yield from (whole[: draw.randrange(len(whole))] for _ in range(5))
    found = list(places(content))
    for _ in range(many):
        value = draw.choice((*WRONG, KeyError, float("nan"), float("-inf")))
        yield json.dumps(change(content, draw.choice(found), value))


LOOKS = ("watch OUT --json", "watch OUT --once", "export OUT FOLDER/runs.csv")
VERBS = ("report OUT", "watch OUT --once", "export OUT FOLDER/runs.parquet")


def outcomes(store, folder, verbs):
    """The exit codes of the verbs and of the study continued; any exception goes through."""
    argvs = [verb.replace("OUT", str(store.root)).replace("FOLDER", str(folder)).split() for verb in verbs]
    codes = [main(argv) for argv in argvs]
    try:
        found = compare(STUDY, store.root, engine=Instant())
        codes.append(1 if found.failures else 0)
    except InputError:
        codes.append(2)
    return codes


def damaged(store, path, text, tmp_path, capsys, verbs=VERBS):
    """What the verbs say of a study with one damaged file; the study is mended afterwards."""
    before = {file: file.read_bytes() for file in store.root.rglob("*") if file.is_file()}
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = outcomes(store, tmp_path, verbs)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert all(code in (0, 2) for code in codes), codes
    assert said.err.count("\n") == sum(code == 2 for code in codes[:-1])  # each bad input is one sentence
    for file in [file for file in store.root.rglob("*") if file.is_file()]:
        if file not in before:
            file.unlink()
    for file, content in before.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return codes


@pytest.mark.parametrize(
    ("name", "part"), [*(("study", part) for part in range(2)), *(("result", part) for part in range(4))]
)
def test_damaged_results_and_studies(name, part, store, tmp_path, capsys):
    first = STUDY.cells(PRINTS)[1].runs[0].id
    path = store.root / "study.json" if name == "study" else store.folder(first) / "result.json"
    content, seen = json.loads(path.read_text()), Counter()
    for text in texts(content, random.Random(part), 25):
        seen[tuple(damaged(store, path, text, tmp_path, capsys))] += 1
    assert seen.total() == 40
    assert len(seen) > (1 if name == "study" else 0)


@pytest.mark.parametrize("part", range(2))
def test_damaged_events(part, store, tmp_path, capsys):
    last = STUDY.cells(PRINTS)[1].runs[1].id
    (attempt,) = store.attempts(last)
    path = attempt / "events.jsonl"
    lines, draw = path.read_text().splitlines(), random.Random(part)
    for text in texts(EVENTS[-1], draw, 30):
        content = "\n".join(
            [*lines[: draw.randrange(4)], text.replace("\n", " "), *draw.choice(([], lines[:1]))]
        )
        assert set(damaged(store, path, content, tmp_path, capsys, LOOKS)) == {0}


@pytest.mark.parametrize("name", ["spec.json", "worker.json", "error.json", "handle.json", "ended"])
def test_damaged_files_of_an_attempt(name, store, tmp_path, capsys):
    last = STUDY.cells(PRINTS)[1].runs[1].id
    (attempt,) = store.attempts(last)
    for text in (
        "",
        "[]",
        '{"lease": 3, "pid": true, "error": "\\ud800", "handle": []}',
        "{" * 10_000,
        "\udcff",
    ):
        assert set(damaged(store, attempt / name, text, tmp_path, capsys, LOOKS)) == {0}


def test_what_does_not_fit_is_named(store, tmp_path, capsys):
    first = STUDY.cells(PRINTS)[1].runs[0].id
    path = store.folder(first) / "result.json"
    content = json.loads(path.read_text())
    content["epochs"][0]["metrics"]["accuracy"] = "high"
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"epochs\[0\].metrics.accuracy is 'high', but must be a number"):
        assert main(["report", str(store.root)]) == 0
    page = (store.root / "report.md").read_text()
    assert (
        f"{path} is not a whole result (epochs[0].metrics.accuracy is 'high', but must be a number)" in page
    )
    assert list(Path(path).parent.glob("result.json.broken-*"))
