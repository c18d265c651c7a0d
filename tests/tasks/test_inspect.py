import io
import json
import subprocess
import sys
import time

import pytest

from pats import _preset
from pats.cli import main
from pats.tasks import Asked, load
from pats.tasks.inspect import inspect
from support.tables import CSV, labelled_rows, write_table

AB = ["a", "b"]


def texts(*forms, column="text", label=lambda i: AB[i % 2]):
    return [{column: forms[i % len(forms)].format(i), "label": label(i)} for i in range(40)]


def pairs(second):
    return [{"sentence1": f"a {i}", "sentence2": second(i), "label": AB[i % 2]} for i in range(40)]


# Rows, and for every code that must be found its severity and a part of its message.
FOUND = {
    "long": (texts("{} " + "word " * 200), {"too-long": ("warning", "40 texts exceed the 128 tokens")}),
    "spellings": (
        labelled_rows(["Pos", "pos", "neg"] * 20),
        {"label-spellings": ("warning", "'Pos' (20 rows)")},
    ),
    "uneven": (labelled_rows(["spam"] * 4 + ["ham"] * 96), {"uneven": ("warning", "96 % of the rows")}),
    "booleans": (
        labelled_rows(["True", "False", "1"] * 20),
        {"mixed-booleans": ("warning", "'1', 'True', 'False' stay 3")},
    ),
    "lost": (labelled_rows(["a", "b", "NULL"] * 20), {"missing-words": ("warning", "'NULL' (20 rows)")}),
    "twins": (labelled_rows(AB * 20) * 2, {"twins": ("note", "80 rows hold 40 texts")}),
    "two labels": (
        labelled_rows(AB * 20) + labelled_rows(AB[::-1] * 20),
        {"two-labels": ("warning", "50 %")},
    ),
    "markup": (
        texts("we &amp; they<br />{}", "so {}"),
        {"markup": ("note", "20 texts hold markup of HTML (&amp;, ")},
    ),
    "no text": (texts(*["{}x"] * 9, " "), {"no-text": ("warning", "4 rows have no text")}),
    "numbers": (texts("{}", "{}.5"), {"numeric-text": ("warning", "40 of 40 texts are numbers")}),
    "script": (texts("это был фильм номер {}"), {"script": ("warning", "Cyrillic")}),
    "right to left": (texts("זה היה סרט {}"), {"script": ("warning", "Hebrew")}),
    "swapped": (
        [
            {"sentence1": f"a {(i, -i)[i % 2]}", "sentence2": f"a {(-i, i)[i % 2]}", "label": AB[i % 2]}
            for i in range(1, 31)
        ]
        + [{"sentence1": f"a {-i}", "sentence2": f"a {i}", "label": "a"} for i in range(2, 31, 2)],
        {"swapped": ("warning", "15 pairs are also there with the two texts swapped, with the same label")},
    ),
    "half pairs": (
        pairs(lambda i: "" if i % 4 == 0 else f"b {i}"),
        {"half-pairs": ("warning", "10 pairs lack one")},
    ),
    "left out": (
        [{"id": i, **row, "title": "x"} for i, row in enumerate(texts("film {}"))],
        {"left-out": ("note", "'id', 'title'. To read 'title', too, join the columns: --text text title.")},
    ),
    "unlabelled": (
        labelled_rows([*AB * 20, "", " "]),
        {"unlabelled": ("error", "line 42 of {path} has no label (and 1 more rows have none)")},
    ),
    "rare": (
        labelled_rows([*AB * 20, "c"]),
        {"splits": ("error", "class 'c' has 1 different text in {path}")},
    ),
    "the wrong label": (labelled_rows([f"c{i}" for i in range(40)]), {"splits": ("error", "--label")}),
    "few": (labelled_rows(AB * 6), {"too-few": ("error", "12 labelled rows")}),
    "classes or scores": (labelled_rows([18 + i % 60 for i in range(600)]), {"kind": ("error", "--kind")}),
    "per cent": (
        labelled_rows([f"{i}.5%" for i in range(40)]),
        {
            "marked-numbers": (
                "error",
                "40 labels are numbers with a unit or thousands separators, such as '0.",
            )
        },
    ),
    "thousands": (
        labelled_rows([f"{1 + i},{100 + i}.5" for i in range(40)]),
        {"marked-numbers": ("error", "'1,100.5'")},
    ),
    "prices": (labelled_rows([f"${i}" for i in range(40)]), {"marked-numbers": ("error", "'$0'")}),
    "per cent as classes": (labelled_rows(["10%", "20%"] * 20), {"kind": ("note", "2 different names")}),
    "one label": (
        labelled_rows(["yes"] * 40),
        {"kind": ("note", "are 1 name:"), "splits": ("error", "one label only")},
    ),
    "other names of splits": (
        labelled_rows(AB * 30, split=lambda i: ["training", "validation", "testing"][i // 2 % 3]),
        {"splits": ("note", "")},
    ),
    "several labels": (
        labelled_rows(["a", "b", "a;b"] * 10),
        {"multi-label": ("note", "10 rows have several")},
    ),
    "nan": (
        labelled_rows([*["1", "2"] * 20, "nan"]),
        {"labels": ("error", "line 42 of {path} has the label 'nan'")},
    ),
    "no usual name": (
        [{"id": i, "said": f"so it was {i}", "mood": AB[i % 2]} for i in range(40)],
        {"columns": ("error", "--label, perhaps 'mood'")},
    ),
    "no texts at all": (
        texts("{}x", " ", ""),
        {"no-text": ("error", "26 rows have no text; name the column of texts with --text")},
    ),
    "lost texts": (
        texts(*["film {}"] * 9, "nan"),
        {"lost-texts": ("warning", "4 texts are a word such as 'nan'")},
    ),
    "the same text twice": (pairs(lambda i: f"a {i}"), {"same-pairs": ("warning", "40 pairs hold")}),
    "all in another script": (
        texts("影评很好{}"),
        {"script": ("warning", "100 % of the letters are of the CJK")},
    ),
    "dashes": (
        labelled_rows(["non-toxic", "non_toxic", "toxic"] * 20),
        {"label-spellings": ("warning", "'")},
    ),
    "like letters": (labelled_rows(["cat", "\u0441at", "dog"] * 20), {"label-spellings": ("warning", "")}),
    "quotes": (labelled_rows(["good", "good.", "“good”", "bad"] * 20), {"label-spellings": ("warning", "")}),
    "minus signs": (labelled_rows(["-1", "\u22121", "0"] * 20), {"minus-sign": ("note", "")}),
    "another label": (
        [{**row, "sentiment": AB[i % 2]} for i, row in enumerate(texts("film {}"))],
        {"left-out": ("warning", "'sentiment' may be the label, too: --label names one")},
    ),
    "another text": (
        [{"abstract": f"we show how it was {i}", **row} for i, row in enumerate(texts("film {}"))],
        {"left-out": ("note", "--text abstract text")},
    ),
    "refused by somebody": (
        [{**row, "answer": "reject" if i < 3 else "accept"} for i, row in enumerate(texts("film {}"))],
        {"refused": ("warning", "3 rows have 'reject'")},
    ),
    "splits in another column": (
        labelled_rows(AB * 40, part=lambda i: "test" if i // 2 % 3 == 0 else "train"),
        {"splits": ("note", "The splits are those of column 'part'")},
    ),
    "splits that contradict": (
        labelled_rows(AB * 60, split=lambda i: ["train", "test"][i // 4 % 2], fold=lambda i: "train"),
        {"splits": ("warning", "Column 'fold' names other splits than column 'split'")},
    ),
    "marks of test rows": (
        labelled_rows(AB * 20, is_test=lambda i: i % 3 == 0),
        {"splits": ("warning", "Column 'is_test' seems to tell")},
    ),
    "a constant test split": (
        labelled_rows([*AB * 30, *["a"] * 30], split=lambda i: "train" if i < 60 else "test"),
        {"constant-split": ("warning", "All 30 rows of test have the same label, 'a'")},
    ),
    "a tiny test split": (
        labelled_rows(AB * 30, split=lambda i: "train" if i < 56 else "test"),
        {"tiny-split": ("warning", "test has 4 rows")},
    ),
    "hidden labels": (
        labelled_rows([*["0", "1"] * 30, *["-1"] * 30], split=lambda i: "train" if i < 60 else "test"),
        {"test-without-labels": ("note", "the label -1 alone, which stands for hidden ones: its 30 rows")},
    ),
    "C, C++ and -1": (labelled_rows(["C", "C++", "1", "-1", "1-2", "12"] * 20), {"kind": ("note", "6 diff")}),
    "marks": (
        [{"text": f"t {i}", "rude": i % 2, "kind": i % 3 % 2} for i in range(40)],
        {"multi-label": ("note", "multi-label, 2 labels")},
    ),
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_found_before_training(tmp_path, capsys, kind):
    rows, codes = FOUND[kind]
    path = write_table(tmp_path / "a.csv", rows)
    found = inspect(Asked(path))
    for code, (severity, part) in codes.items():
        fits = [one for one in found.findings if one.code == code and part.format(path=path) in one.message]
        assert [one.severity for one in fits] == [severity], [str(one) for one in found.findings]
    weights = [("error", "warning", "note").index(one.severity) for one in found.findings]
    assert weights == sorted(weights)
    if kind == "C, C++ and -1":  # the control
        assert "label-spellings" not in {one.code for one in found.findings}
    assert found.usable is not any(severity == "error" for severity, _ in codes.values())
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(part.format(path=path) in shown for _, part in codes.values())
    assert ("Nothing, before the errors are mended" in shown) is not found.usable
    assert main(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["code"] for one in told["findings"]} >= set(codes)
    assert (told["usable"], told["rows"]) == (found.usable, len(rows))


def test_a_clean_table_has_no_warning(tmp_path):
    found = inspect(Asked(write_table(tmp_path / "a.csv", texts("a fine film {}"))))
    assert {one.severity for one in found.findings} == {"note"}
    assert (found.kind, found.metric, found.classes) == ("classification", "accuracy", {"a": 20, "b": 20})
    assert found.splits == {"train": 28, "dev": 6, "test": 6}
    roles = [
        (column.name, column.role, column.why, column.filled, column.different) for column in found.columns
    ]
    assert roles == [("text", "text", "by its name", 40, 40), ("label", "label", "by its name", 40, 2)]


def test_scores_have_their_range(tmp_path):
    found = inspect(Asked(write_table(tmp_path / "a.csv", labelled_rows([i / 2 for i in range(40)]))))
    assert (found.kind, found.metric, found.scores, found.classes) == (
        "regression",
        "pearson",
        (0, 9.75, 19.5),
        {},
    )


def test_findings_come_before_training_in_order_of_weight(tmp_path):
    rows = [{"id": i, **row} for i, row in enumerate(labelled_rows(["Pos", "pos", "neg"] * 20))]
    notes = load(data=write_table(tmp_path / "a.csv", rows)).notes
    assert notes[0].startswith("Warning: Some labels look alike")
    assert not any(note.startswith("Warning") for note in notes[1:])


def test_two_texts_of_other_splits_are_counted(tmp_path):
    for name in ("reviews_train", "reviews-test"):
        write_table(tmp_path / f"{name}.csv", labelled_rows(AB * 20))
    found = inspect(Asked(tmp_path))
    assert set(found.splits) == {"train", "dev", "test"}
    assert [one.counts["rows"] for one in found.findings if one.code == "twins-across"] == [40]


@pytest.mark.parametrize(
    ("rows", "asked", "folds", "why"),
    [
        (labelled_rows(AB * 50), {}, 5, "accuracy on 15 test rows is open by up to 25 points either way, on"),
        (labelled_rows([*AB * 50, *"cccc"]), {}, 3, "16 test rows"),  # of class c, 5 folds cannot be made
        (labelled_rows(AB * 249), {}, 5, "on all 498 rows by 4"),
        (labelled_rows(AB * 250), {}, None, ""),  # rows enough
        (labelled_rows([i / 7 for i in range(60)]), {}, 5, "a score on 9 test rows is far less sure"),
        (labelled_rows(AB * 50), {"folds": 4}, None, ""),  # asked for
        (labelled_rows(AB * 50, day=lambda i: i), {"time": "day"}, None, ""),
        (labelled_rows(AB * 50, split=lambda i: ["train", "dev", "test"][i // 2 % 3]), {}, None, ""),
        (labelled_rows(AB * 50, who=lambda i: i % 9), {"group": "who"}, 5, "test rows"),
        (labelled_rows(AB * 6), {}, None, ""),  # nothing can be trained
    ],
)
def test_folds_are_proposed_for_few_rows(tmp_path, rows, asked, folds, why):
    found = inspect(Asked(write_table(tmp_path / "a.csv", rows), **asked))
    few = [one for one in found.findings if one.code == "few"]
    assert [one.counts["folds"] for one in few] == ([] if folds is None else [folds])
    for one in few:
        assert one.severity == "note"
        assert why in one.message
        assert f"--folds {folds} --seeds 1 tests every row once; each seed takes {folds} times" in one.message


def test_the_time_of_folds_is_told(tmp_path, capsys):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 50))
    assert main(["inspect", str(path)]) == 0
    assert "With --folds 5 a method's seed takes about a minute or less." in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds_in_folds"] == pytest.approx(5 * told["seconds_a_run"])
    assert "few" in [one["code"] for one in told["findings"]]
    assert main(["inspect", str(path), "--json", "--folds", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds_in_folds"] is None


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ([f"{i} was a film,{AB[i % 2]}" for i in range(40)], "'0 was a film', 'a'"),
        ([f"film,{i / 2}" for i in range(40)], "'film', '0.0'"),
        ([f"I have never seen such a film as number {i},c{i % 3}" for i in range(40)], "'c0'"),
    ],
)
def test_a_missing_header_is_told(tmp_path, capsys, lines, header):
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    found = inspect(Asked(tmp_path / "a.csv"))
    assert [(one.code, one.severity) for one in found.findings] == [("columns", "error")]
    assert "no header" in found.findings[0].message
    assert header in found.findings[0].message


def test_what_is_left_out_on_request(tmp_path):
    rows = labelled_rows([*AB * 20, "c", "", "NULL"])
    path = write_table(tmp_path / "a.csv", rows)
    assert not inspect(Asked(path)).usable
    found = inspect(Asked(path, drop_rare=True, drop_unlabelled=True))
    assert found.usable
    assert found.classes == {"a": 20, "b": 20}
    said = {one.code: one.message for one in found.findings}
    assert said["rare"] == "1 class is too rare, and left out with 1 row: 'c'."
    assert said["unlabelled"] == "2 rows have no label, and are left out."
    data = load(data=path, drop_rare=True, drop_unlabelled=True)
    assert (data.labels, sum(map(len, data.splits.values()))) == (("a", "b"), 40)


def test_columns_are_joined_on_request(tmp_path):
    rows = [{"title": f"t {i}", "body": "" if i % 2 else f"b {i}", "label": AB[i % 2]} for i in range(40)]
    data = load(data=write_table(tmp_path / "a.csv", rows), text=("title", "body"))
    assert {text for split in data.splits.values() for text in split.text} >= {"t 0\nb 0", "t 1"}
    assert data.columns == (("title", "body"),)
    assert "The text is columns 'title', 'body', joined by line feeds, as named." in data.notes


def test_standard_input_and_flags(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV.replace(",", "|").encode())))
    assert main(["inspect", "-", "--text", "text", "--label", "label", "--kind", "classification"]) == 0
    shown = capsys.readouterr().out
    assert "standard input: 40 rows, 2 columns" in shown
    assert "The separator is a vertical bar." in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.csv"], "does not exist"),
        (["https://example.org/a.csv"], "URL"),
        ([], "TABLE"),
        (["a.csv", "--kind", "ranking"], "ranking"),
    ],
)
def test_what_cannot_be_read_ends_with_2(capsys, arguments, said):
    assert main(["inspect", *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1


def test_help_is_quick():
    command = [sys.executable, "-X", "importtime", "-m", "pats.cli", "inspect", "--help"]
    start = time.process_time()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.process_time() - start < 5
    assert "--drop-unlabelled" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "transformers", "numpy", "pyarrow", "pats.tasks"}


@pytest.mark.parametrize(("rows", "steps"), [(1, 150), (480, 150), (481, 151), (2000, 625), (9000, 1500)])
def test_a_fine_tuning_has_the_steps_of_the_preset(rows, steps):
    assert _preset.steps_of(rows) == steps


@pytest.mark.parametrize(("flag", "value"), [("--folds", "1"), ("--folds", "-3"), ("--max-length", "0")])
def test_numbers_out_of_range_are_refused(tmp_path, capsys, flag, value):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 20))
    assert main(["inspect", str(path), flag, value]) == 2
    assert f"{flag} is {value}, but must be" in capsys.readouterr().err


def test_what_was_detected_while_reading_is_said_where_no_column_is_found(tmp_path):
    (tmp_path / "a.csv").write_bytes("said;mood\nschön;gut\n".encode("cp1252") * 30)
    found = inspect(Asked(tmp_path / "a.csv"))
    assert found.findings[0].code == "columns"
    assert any("Windows-1252" in one.message for one in found.findings)
