"""The files of a study, results above all, through the verbs that read them."""

import gzip
import json
import os

import pytest
from hypothesis import strategies as st

from pats.study.store.results import Store
from support.fuzzing.damage import TEXTS, bytes_of, cut, json_of
from support.fuzzing.door import Fault, fuzzed
from support.fuzzing.studies import PRINTS, STUDY, Kept, make_study

DOOR = "result files"

PART = {"entries": 9, "mean": 1e-6, "cv": 2.0, "gini": 0.6, "insensitive": 0.1}
WHOLE = {"first": 0, "counts": [1, 2], "sums": [1.0, 2.0], "window": [0, 2], "squares": 5.0}
WHOLE |= {"zeros": 1, "below": 0, "above": 0, "not_finite": 0}
MODEL = {"label": "a", "task": "rte", "reduce": "batch", "batches": 2, "batch_size": 4, "whole": WHOLE}
MODEL |= {"by_layer": {"0": PART}, "by_kind": {"dense": PART}}
POINT = {"method": "pats", "fraction": 0.1, "examples": 9, "seed": 0, "score": 0.5, "std": 0.1, "cv": 2.0}
POINT |= {"gini": 0.5, "insensitive": 0.1}
FIGURES = {
    "sensitivity.json": {"models": [MODEL]},
    "data_size.json": {"task": "rte", "labels": ["no", "yes"], "points": [POINT, POINT | {"fraction": 0.5}]},
}
PREDICTIONS = "split,row,label,prediction,p_no,p_yes\n" + "".join(
    f"dev,{i},{'no' if i % 2 else 'yes'},no,0.75,0.25\n" for i in range(12)
)
FILES = ("study", "result", "result", "result", "predictions", "figure", "sweep", "rows", "pats")
VERBS = ("report", "watch", "watch", "export", "export")


@st.composite
def inputs(draw):
    """Which file becomes what, whether that is a part of it, and which verb reads it."""
    which = draw(st.sampled_from(FILES))
    verb = "report" if which in ("figure", "predictions") else draw(st.sampled_from(VERBS))
    kind = draw(st.sampled_from(("json", "json", "json", "bytes", "cut")))
    return which, kind, draw(st.randoms(use_true_random=False)), draw(contents(which, kind)), verb


@st.composite
def contents(draw, which, kind):
    """A function's worth of content: what the file becomes, given what it was."""
    if which == "predictions":
        rows = [[*line.split(",")] for line in PREDICTIONS.splitlines()]
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.sampled_from(rows))
            row[draw(st.integers(0, len(row) - 1))] = draw(TEXTS)
        text = "\n".join(",".join(row) for row in rows).encode()
        packed = gzip.compress(text if kind == "json" else PREDICTIONS.encode(), mtime=0)
        return packed if kind == "json" else draw(cut(packed) if kind == "cut" else bytes_of(packed))
    content = SOUND[which] if which != "figure" else draw(st.sampled_from([*FIGURES.items()]))
    if which == "figure":
        name, told = content
        return name, draw(json_of(told)) if kind == "json" else draw(bytes_of(json.dumps(told).encode()))
    whole = json.dumps(content, indent=1).encode()
    return draw(json_of(content) if kind == "json" else cut(whole) if kind == "cut" else bytes_of(whole))


def run_ids():
    return [run.id for cell in STUDY.cells(PRINTS) for run in cell.runs]


def sound():
    """What the files hold, without a study on the disk."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        store = make_study(folder)
        first = json.loads((store.folder(run_ids()[0]) / "result.json").read_text())
        study = json.loads((store.root / "study.json").read_text())
    trials = {"points": [{"lam": 1e-6}], "scores": [0.5]}
    return {
        "study": study,
        "result": first,
        "sweep": trials,
        "rows": {"a": 1},
        "pats": {"kind": "study", "format": 1},
    }


SOUND = sound()


@pytest.fixture(scope="module")
def study(door):
    store = make_study(door.root / "study")
    for run_id in run_ids()[:3]:
        (store.folder(run_id) / "predictions.csv.gz").write_bytes(gzip.compress(PREDICTIONS.encode()))
    for name, content in FIGURES.items():
        (store.root / name).write_text(json.dumps(content))
    return store.root, Kept(store.root)


@fuzzed(inputs())
def test_a_study_is_read_or_refused(door, study, tried):
    root, kept = study
    which, kind, random, content, verb = tried
    victim = random.choice(run_ids()[:3])
    folder = root / "runs" / victim
    path = {
        "study": root / "study.json",
        "result": folder / "result.json",
        "predictions": folder / "predictions.csv.gz",
        "sweep": root / "sweep.json",
        "rows": root / "rows" / "rte.csv.gz",
        "pats": root / "pats.json",
    }.get(which)
    if which == "figure":
        path, content = root / content[0], content[1]
    if which == "result":
        content = content.replace(SOUND["result"]["run_id"].encode(), victim.encode())
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)  # an attempt has it under another name
    if random.random() < 0.05:
        os.mkfifo(path)  # in which nothing ever comes
    else:
        path.write_bytes(content)
    argv = {
        "report": ["report", str(root)],
        "watch": ["watch", str(root), "--json"],
        "export": ["export", str(root), str(door.out / "runs.csv")],
    }[verb]
    try:
        door.out.mkdir()
        code = door.command(argv, [root])
        if which == "result" and kind == "cut" and code == 0 and Store(root).result(victim) is not None:
            raise Fault("a part of a result was taken for a whole one")
    finally:
        kept.put_back()
