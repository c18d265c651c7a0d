"""Rows with several labels: recognised in every form, trained, and used."""

import csv
import gzip
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pats import InputError, Run
from pats.cli import main
from pats.measure.predict import predict
from pats.page.numbers import examples
from pats.page.numbers.judged import per_label
from pats.run import finetune
from pats.tasks import load, multilabel
from support.tables import write_table

NAMES = ("rude", "spam", "threat")
SETS = [("rude",), ("rude", "spam"), (), ("threat",), ("spam", "threat"), ("spam",)]


def words(i):
    """A text whose words tell its labels."""
    return f"{' '.join(name.upper() for name in SETS[i % len(SETS)])} text {i}"


def marks(i):
    return {name: int(name in SETS[i % len(SETS)]) for name in NAMES}


FORMS = {
    "columns": ("a.csv", marks, {}),
    "columns that are named": ("a.csv", lambda i: {**marks(i), "label": i}, {"label": NAMES}),
    "columns of true and false": ("a.parquet", lambda i: {n: bool(v) for n, v in marks(i).items()}, {}),
    "lists": ("a.jsonl", lambda i: {"labels": list(SETS[i % 6])}, {}),
    "lists in Parquet": ("a.parquet", lambda i: {"labels": list(SETS[i % 6])}, {}),
    **{
        f"separated by {one}": ("a.tsv", lambda i, one=one: {"label": one.join(SETS[i % 6]) or "[]"}, {})
        for one in (",", ";", "|", "\n", "\r\n", "\uff0c")
    },
    "in angle brackets": (
        "a.csv",
        lambda i: {"label": "".join(f"<{name}>" for name in SETS[i % 6]) or "[]"},
        {},
    ),
    **{
        f"by {one!r}, as said": (
            "a.tsv",
            lambda i, one=one: {"label": one.join(SETS[i % 6]) or "[]"},
            {"kind": "multilabel"},
        )
        for one in ("#", "/", " & ", "+", " and ", "_", "-", " ")
    },
    "lists written out": ("a.csv", lambda i: {"label": str(list(SETS[i % 6]))}, {}),
    "lists written out, as said": (
        "a.csv",
        lambda i: {"label": json.dumps(list(SETS[i % 6]))},
        {"kind": "multilabel"},
    ),
}


def table(path, cells, rows=120):
    return write_table(path, [{"text": words(i), **cells(i)} for i in range(rows)])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_labels(tmp_path, form):
    name, cells, given = FORMS[form]
    data = load(data=table(tmp_path / name, cells), **given)
    assert data.labels == NAMES
    assert data.multilabel
    assert not data.regression
    assert data.metric == "micro_f1"
    assert any("multi-label" in note for note in data.notes)
    for split in data.splits.values():
        for text, own in zip(split.text, data.marks(split.label), strict=True):
            assert [name.upper() in text.split() for name in NAMES] == own.astype(bool).tolist()
        shares = data.marks(split.label).mean(axis=0)
        assert np.abs(shares - [1 / 3, 1 / 2, 1 / 3]).max() < 0.15  # every split has its share of each


@pytest.mark.parametrize(
    ("cells", "given", "said"),
    [
        (lambda i: {"a": i % 2, "b": 0.5}, {"label": ("a", "b")}, "'0.5' in column 'b'.* 0 and 1"),
        (lambda i: {"label": "ab"[i % 2]}, {"kind": "multilabel"}, "no row has several labels"),
        (
            lambda i: {"label": ["a", "b"][: i % 3]},
            {"kind": "regression"},
            "0 labels, but regression has one",
        ),
        (lambda i: {"label": [{"span": [0, 3]}]}, {}, "each whole text"),
        (marks, {"class_weights": "balanced"}, "several a row, not classes"),
        (marks, {"metric": "auroc"}, "'auroc' is not for several labels.* micro_f1"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, cells, given, said):
    path = table(tmp_path / "a.jsonl", cells)
    with pytest.raises(InputError, match=said) as error:
        finetune(Run(data=str(path), method="majority", **given))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("between", ["#", "/", " / ", " & ", "+", " and ", " und ", "::", " "])
def test_what_may_be_several_labels_is_asked(tmp_path, between):
    path = table(tmp_path / "a.csv", lambda i: {"label": between.join(SETS[i % 6]) or "rude"})
    with pytest.raises(
        InputError, match=r": 40 labels are made of others with .* between them, such as 'rude"
    ):
        load(data=path)
    assert len(load(data=path, kind="classification").labels) == 5
    assert load(data=path, kind="multilabel").labels == NAMES


@pytest.mark.parametrize(
    ("last", "given"),
    [(" and ", {}), (", and ", {}), (" & ", {}), ("; ", {}), ("|", {}), (" und ", {"kind": "multilabel"})],
)
def test_the_last_of_a_list_in_a_sentence_is_a_label_of_its_own(tmp_path, last, given):
    cells = ["rude", f"rude, spam{last}threat", "spam, threat", "rude, spam", "threat", "spam, rude"]
    path = table(tmp_path / "a.csv", lambda i: {"label": cells[i % 6]})
    data = load(data=path, **given)
    assert data.labels == NAMES
    assert any("separated by ',' and other signs or 'and'" in note for note in data.notes)
    assert sum(data.marks(split.label).sum() for split in data.splits.values()) == 120 * 11 / 6


WITH_WORDS = {
    "a half that is no label": ["food", "food, arts and crafts", "crafts", "arts and crafts, crafts"],
    "alone in a cell": ["rock", "roll", "rock & roll", "jazz, rock & roll", "jazz, rock", "roll, jazz"],
    "at the start": ["en route", "route, delayed", "delayed, en route", "route"],
    "commas within": [
        "Law; Arts, Humanities",
        "Law; Tax",
        "Tax; Health, Safety",
        "Sports",
        "Arts, Humanities; Health, Safety",
        "Sports; Law",
    ],
}


@pytest.mark.parametrize("kind", [None, "multilabel"])
@pytest.mark.parametrize("name", WITH_WORDS)
def test_a_name_with_such_a_word_stays_one_label(tmp_path, name, kind):
    cells = WITH_WORDS[name]
    separator = "; " if name == "commas within" else ", "
    path = table(tmp_path / "a.tsv", lambda i: {"label": cells[i % len(cells)]})
    assert {*load(data=path, kind=kind).labels} == {one for cell in cells for one in cell.split(separator)}


def test_numbers_that_are_labels_of_their_own_are_asked_about(tmp_path):
    cells = ["1", "2", "1/2", "3", "2/3"]
    path = table(tmp_path / "a.csv", lambda i: {"label": cells[i % 5]})
    with pytest.raises(InputError, match=r": 48 labels are made of others with '/' between them"):
        load(data=path)
    assert load(data=path, kind="multilabel").labels == ("1", "2", "3")


@pytest.mark.parametrize("between", [";", ",", "|", "\n", "\r\n", "/", " - ", "\u3001"])
def test_votes_in_one_cell_are_asked_about(tmp_path, between):
    cells = [("good", "good", "bad"), ("bad", "good", "bad"), ("good",) * 3, ("bad", "fair", "good")]
    path = table(tmp_path / "a.csv", lambda i: {"label": between.join(cells[i % 4])})
    with pytest.raises(
        InputError, match=r"90 labels name one twice, such as .* as the votes of several people"
    ):
        load(data=path)
    assert load(data=path, kind="multilabel").labels == ("bad", "fair", "good")


@pytest.mark.parametrize(
    "names",
    [
        ("New York", "Los Angeles", "New Orleans", "San Diego", "Los Gatos"),
        ("FOOD#PRICES", "FOOD#QUALITY", "SERVICE#GENERAL", "DRINKS#PRICES"),
        ("positive", "negative", "very positive", "very negative"),
        ("arts", "food & drink", "style & beauty", "style"),
        ("1/5", "2/5", "5/5"),
        ("01/02", "02/01", "01/03", "03/02"),  # dates
        ("C#", "F#", "C"),
        ("north", "east", "north-east", "north_east"),  # as in many names
        ("1/5", "1/1", "5/5"),
        ("sci.med", "sci.space", "talk.religion"),
    ],
)
def test_names_of_several_words_stay_classes(tmp_path, names):
    path = table(tmp_path / "a.csv", lambda i: {"label": names[i % len(names)]})
    data = load(data=path)
    assert (data.labels, data.multilabel) == (tuple(sorted(names)), False)


def test_one_label_a_row_in_columns_or_lists_is_classification(tmp_path):
    for name, cells in (
        ("a.csv", lambda i: {"u": i % 2, "v": 1 - i % 2}),
        ("a.jsonl", lambda i: {"label": ["vu"[i % 2]]}),
    ):
        path = table(tmp_path / name, cells)
        data = load(data=path)
        assert data.labels == ("u", "v")
        assert not data.multilabel
        assert load(data=path, kind="multilabel").multilabel


def test_rare_labels_are_dropped_and_their_rows_stay(tmp_path):
    def cells(i):
        return {"labels": [*SETS[i % 6], *(["once"] if i == 0 else [])]}

    path = table(tmp_path / "a.jsonl", cells)
    with pytest.raises(InputError, match=r"'once' has 1 different text .* --drop-rare"):
        load(data=path)
    data = load(data=path, drop_rare=True)
    assert data.labels == NAMES
    assert sum(map(len, data.splits.values())) == 120


def test_other_sets_are_other_data(tmp_path):
    data = load(data=table(tmp_path / "a.csv", marks))
    assert replace(data, sets=data.sets[::-1]).fingerprint != data.fingerprint


@pytest.mark.parametrize("names", [("a", "b"), ("a,b", "c"), ("a,b", "c;d", "e|f")])
def test_names_in_one_cell_are_taken_apart_again(names):
    for chosen in (names, names[1:], ()):
        assert multilabel.split(multilabel.joined(chosen, names), names) == list(chosen)


@pytest.mark.parametrize("method", ["majority", "tfidf", "frozen", "vanilla", "pats", "r3f", "smart"])
def test_every_method_learns_several_labels(tmp_path, tiny_bert, method):
    path = table(tmp_path / "a.csv", marks, rows=60)
    run = Run(
        model=str(tiny_bert),
        data=str(path),
        method=method,
        epochs=1,
        lr=1e-3,
        max_length=16,
        batch_size=16,
        precision="fp32",
    )
    result = finetune(run, tmp_path / "out")
    assert result.status == "done"
    assert result.run.kind == "multilabel"
    assert set(result.test) == {"micro_f1", "macro_f1", "subset_accuracy"}
    if method == "tfidf":
        assert result.test["micro_f1"] > 0.95
    card = json.loads((tmp_path / "out/model/pats.json").read_text())
    assert len(card["thresholds"]) == 3
    with gzip.open(tmp_path / "out/predictions.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    (answers,) = examples.read(tmp_path / "out/predictions.csv.gz", NAMES, "test", several=True)
    assert examples.measured(answers, "micro_f1") == pytest.approx(result.test["micro_f1"])
    assert [one.count for one in per_label(NAMES, [answers])] == answers.true.sum(axis=0).tolist()
    # What is exported says the same of the same texts; a baseline is refitted on all rows.
    found = predict(tmp_path / "out/model", path)
    assert len(found) == 60
    limits = card["thresholds"]
    for one in found:
        given = [n for n, least in zip(NAMES, limits, strict=True) if one.scores[n] >= least]
        assert one.label == ",".join(given)
    if method not in ("majority", "tfidf", "frozen"):
        data = load(data=path)
        said = dict(zip((one.texts[0] for one in found), found, strict=True))
        tests = [row for row in rows if row["split"] == "test"]
        for text, row in zip(data.splits["test"].text, tests, strict=True):
            assert said[text].label == row["prediction"]
            assert said[text].scores["rude"] == pytest.approx(float(row["p_rude"]), abs=1e-5)


def test_on_the_command_line(tmp_path, tiny_bert, capsys):
    path, out = table(tmp_path / "a.csv", marks, rows=60), tmp_path / "out"
    flags = ["--data", str(path), "--model", str(tiny_bert), "--label", *NAMES, "--max-length", "16"]
    assert main(["run", *flags, "--method", "tfidf", "--out", str(out), "--quiet"]) == 0
    assert main(["predict", str(out / "model"), str(path), "--out", str(tmp_path / "p.csv"), "--quiet"]) == 0
    first, *rest = csv.DictReader((tmp_path / "p.csv").open())
    assert first["prediction"] == "rude"
    assert {"p_rude", "p_spam", "p_threat"} <= set(first)
    sets = [[name for name in NAMES if name in row["prediction"]] for row in (first, *rest)]
    counted = Counter(name for names in sets for name in names or [multilabel.NOTHING])
    assert any(len(names) > 1 for names in sets)
    shares = capsys.readouterr().out.splitlines()[-1].partition(": ")[2].split(", ")
    assert dict(share.rsplit(" ", 1) for share in shares) == {k: str(v) for k, v in counted.items()}
    assert main(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "multilabel"
    assert {one["name"]: one["rows"] for one in told["classes"]} == {"spam": 30, "rude": 20, "threat": 20}
    assert next(one["share"] for one in told["classes"] if one["name"] == "spam") == 0.5
    assert (
        main(["predict", str(out / "model"), str(path), "--top-k", "2", "--out", str(tmp_path / "q.csv")])
        == 2
    )
    assert "several labels a text: leave out top_k" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda i, row: {**row, "joy": 40} if i == 59 else row, "line 61 of {path} has '40' in column 'joy'"),
        (lambda i, row: {name: ("no", "yes")[value] for name, value in row.items()}, "in column 'joy'"),
        (lambda i, row: {**row, "fear": "NA"} if i == 7 else row, "line 9 of {path} has 'NA'"),
    ],
)
def test_columns_that_nearly_mark_labels_are_named(tmp_path, change, part):
    emotions = [{"joy": i % 2, "fear": i // 2 % 2, "anger": i // 4 % 2} for i in range(60)]
    rows = [{"text": f"t {i}", **change(i, row)} for i, row in enumerate(emotions)]
    path = write_table(tmp_path / "a.csv", rows)
    with pytest.raises(InputError) as refused:
        load(data=path)
    assert "joy, fear, anger look like columns of labels" in str(refused.value)
    assert part.format(path=path) in str(refused.value)
