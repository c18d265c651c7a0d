"""Real tables: how they are cut and split, how predictions are scored, how systems are run."""

import csv
import dataclasses
import json
import shutil
import sys
import time
from collections import Counter
from random import Random

import psutil
import pytest

from benchmarks import real_tables, record, rivals
from benchmarks.real import fetch, rival, score, systems, table
from benchmarks.real.sources import SOURCES, entries
from benchmarks.real.table import About, Example
from support.rival_rows import rows

CLASSES = About("fruit", "classes", "made here", "none", "2 classes", "made", 100)
SCORES = dataclasses.replace(CLASSES, kind="scores")
LABELS = dataclasses.replace(CLASSES, kind="labels")


def examples(count, kind="classes"):
    cells = {
        "classes": lambda n: "pear" if n % 4 else "fig",
        "scores": lambda n: f"{n / 7:.2f}",
        "labels": lambda n: "pear, ripe" if n % 3 else "fig",
    }
    return [Example((f"text number {n}",), cells[kind](n)) for n in range(count)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("Apple  pie", "a"), ("apple pie", "a")], ["Apple  pie"]),
        ([("apple", "a"), ("Apple", "b"), ("pear", "a")], ["pear"]),
        ([("ｆｉｇ", "a"), ("fig", "a"), (" ", "a"), ("x", "")], ["fig"]),
        ([("fig 1", "a"), ("fig 2", "b")], ["fig 1", "fig 2"]),
    ],
)
def test_a_text_counts_once_and_with_one_label(given, expected):
    found = table.cleaned(Example((text,), label) for text, label in given)
    assert [example.texts[0] for example in found] == expected


def test_a_table_is_drawn_alike_from_rows_in_any_order_without_rare_classes_and_test_rows():
    rows = [*examples(300), *(Example((f"rare {n}",), "plum") for n in range(9))]
    held = rows[:50]
    first = table.cut(CLASSES, rows, held)
    Random(1).shuffle(rows)
    assert table.cut(CLASSES, rows, held) == first
    assert {row.label for row in first} == {"pear", "fig"}
    assert not {*first} & {*held}
    assert 90 <= len(first) <= CLASSES.rows


def test_of_several_labels_the_rare_ones_go_and_the_row_stays():
    rows = [Example((f"a {n}",), "pear, ripe" if n < 5 else "pear") for n in range(60)]
    assert {row.label for row in table.cut(LABELS, rows)} == {"pear"}


@pytest.mark.parametrize("about", [CLASSES, SCORES, LABELS], ids=lambda about: about.kind)
@pytest.mark.parametrize("held", [0, 30])
def test_a_split_has_every_row_once_by_its_seed(about, held):
    rows = examples(100, about.kind)
    test = [Example((f"held {n}",), rows[n].label) for n in range(held)]
    parts = table.divide(about, rows, test, 3)
    assert sorted(row for part in parts.values() for row in part) == sorted([*rows, *test])
    expected = {"train": 85, "dev": 15, "test": 30} if held else {"train": 70, "dev": 15, "test": 15}
    assert {name: len(part) for name, part in parts.items()} == expected
    assert table.divide(about, rows, test, 3) == parts
    assert table.divide(about, rows, test, 4) != parts
    if about.kind == "classes":
        shares = Counter(row.label for row in parts["dev"])
        assert shares["fig"] in (3, 4)


@pytest.mark.parametrize(
    ("labels", "kind", "metric", "classes"),
    [
        (["a"] * 50 + ["b"] * 50, "classes", "accuracy", 2),
        (["a"] * 80 + ["b"] * 20, "classes", "macro-F1", 2),
        (["a, b"] * 60 + ["c"] * 40, "labels", "micro-F1", 3),
        (["0.5", "1.5"] * 50, "scores", "Spearman", None),
    ],
)
def test_the_metric_follows_the_labels(labels, kind, metric, classes):
    rows = [Example((f"one two {n}",), label) for n, label in enumerate(labels)]
    found = table.described(dataclasses.replace(CLASSES, kind=kind), rows, "0")
    assert (found.metric, found.classes, found.words) == (metric, classes, 3)


def test_tables_are_written_and_listed(tmp_path, monkeypatch, capsys):
    for part, count in (("train", 400), ("dev", 60)):
        (tmp_path / "CoLA").mkdir(exist_ok=True)
        lines = (f"gj04\t{n % 2}\t\tThe {part} sentence has number {n}." for n in range(count))
        (tmp_path / "CoLA" / f"{part}.tsv").write_text("\n".join(lines))
    out = tmp_path / "out"
    given = ["--data", str(tmp_path), "--out", str(out), "--splits", "2", "--tables", "cola-200", "rte-200"]
    monkeypatch.setattr("sys.argv", ["real_tables", *given])
    assert real_tables.main() == 1
    told = capsys.readouterr()
    assert told.err.startswith("rte-200 is not built: ")
    (known,) = table.index(out).values()
    assert (known.rows, sum(known.counts.values()), known.pair) == (260, 260, False)
    with table.split_file(out, "cola-200", 1).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert Counter(row["split"] for row in rows) == {"train": 170, "dev": 30, "test": 60}
    assert {row["label"] for row in rows} == {"no", "yes"}
    assert all(("dev sentence" in row["text"]) == (row["split"] == "test") for row in rows)


def test_every_table_says_what_it_is():
    names = [source.about.name for source in SOURCES]
    assert len({*names}) == len(names) >= 10
    for about in (source.about for source in SOURCES):
        assert all(str(value) for value in dataclasses.asdict(about).values())
        assert "tweet" not in f"{about.name} {about.source}".lower()


def test_an_index_of_debian_is_read_with_its_continued_lines():
    text = "Package: a\nTag: use::editing,\n use::viewing\nSection: text\n\nPackage: b\n"
    assert [*entries(text)] == [
        {"Package": "a", "Tag": "use::editing, use::viewing", "Section": "text"},
        {"Package": "b"},
    ]


FAILS = "import sys; sys.stderr.write({!r}); sys.exit(1)"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            [sys.executable, "-c", FAILS.format("no route\n")],
            r"^it cannot be downloaded \(no route\): connect",
        ),
        (
            [sys.executable, "-c", FAILS.format("THESE PACKAGES DO NOT MATCH THE HASHES\n\n")],
            "its hash is not the expected one",
        ),
        (["no-such-command"], "^it: no-such-command is not installed here"),
    ],
)
def test_a_download_that_fails_is_a_sentence(command, expected):
    with pytest.raises(SystemExit, match=expected):
        fetch.run(command, "it")


@pytest.mark.parametrize(
    ("kind", "pairs", "expected"),
    [
        (
            "classes",
            [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b")],
            {"accuracy": 0.75, "macro-F1": 11 / 15},
        ),
        ("classes", [("a", "a"), ("b", "a")], {"accuracy": 0.5, "macro-F1": 1 / 3}),
        ("scores", [("1", "0.1"), ("2", "0.5"), ("3", "0.4")], {"Spearman": 0.5}),
        ("scores", [("1", "2"), ("2", "2")], {"Spearman": 0.0}),
        ("labels", [("a, b", "a"), ("c", "c,d")], {"micro-F1": 2 / 3, "macro-F1": 0.5}),
    ],
)
def test_predictions_are_scored(kind, pairs, expected):
    assert score.scores(kind, pairs) == pytest.approx(expected)


# ------------------------------------------------------------------------------------ the systems


@pytest.mark.parametrize(
    ("code", "limit", "status"),
    [
        ("print('fine')", 20, "done"),
        ("import time; time.sleep(60)", 0.3, "out of time"),
        (f"import sys; sys.exit({rival.REFUSED})", 20, "no such task"),
        ("import sys; sys.exit(1)", 20, "failed (1)"),
    ],
)
def test_how_a_system_ended(code, limit, status):
    ended = systems.run([sys.executable, "-c", code], limit)
    assert systems.status(ended.code) == status
    assert ended.seconds < 20
    assert ended.out.strip() == ("fine" if status == "done" else "")


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(worker.pid, flush=True)
time.sleep(60)
"""


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_at_the_limit_workers_in_sessions_of_their_own_end_too(monkeypatch):
    monkeypatch.setattr(systems, "PATIENCE", 0.2)
    ended = systems.run([sys.executable, "-c", STUBBORN], 3)
    worker = int(ended.out)
    assert ended.code is None
    until = time.monotonic() + 10
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(worker)


def test_what_a_system_says_is_kept_without_bars_and_folders():
    told = systems.said("\x1b[1mgood\x1b[0m\n 40%|####  | 2/5\n\nsaved in /tmp/some/where/model.bin\n")
    assert told == "good\nsaved in .../model.bin"


@pytest.mark.parametrize("system", ["majority", "tfidf"])
@pytest.mark.parametrize("kind", ["classes", "scores", "labels"])
def test_rivals_learn_a_table(tmp_path, monkeypatch, system, kind):
    cells = {"classes": ("good", "bad"), "scores": ("1.5", "-1"), "labels": ("good, warm", "bad")}[kind]
    made = [
        Example((f"{'lovely' if n % 2 else 'awful'} thing number {n}",), cells[n % 2 == 0]) for n in range(80)
    ]
    known = table.write(tmp_path, dataclasses.replace(CLASSES, kind=kind), made, (), 1)
    given = [str(table.split_file(tmp_path, "fruit", 0)), str(tmp_path / "found.csv")]
    flags = ["--kind", kind, "--metric", known.metric, "--seconds", "60"]
    monkeypatch.setattr("sys.argv", ["rival.py", system, *given, *flags])
    assert rival.main() == 0
    reached = score.scores(kind, score.read(tmp_path / "found.csv"))[known.metric]
    assert (reached > 0.8) == (system == "tfidf")


def test_known_rows_are_not_measured_again(checkout, monkeypatch, capsys):
    """A stop loses no row; the file has one of every table, split and system."""
    monkeypatch.setattr(record, "CLAIMS", {"rivals": record.CLAIMS["two"]})
    checkout.commit() if record.changes() else None
    built, out = checkout.root / "out" / "tables", checkout.root / "out" / "rivals"
    made = table.write(built, CLASSES, examples(100), (), 2)
    table.enter(built, made)
    measured = []

    def measure(system, about, split, *more):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append((split, system))
        (row, *_) = rows(**{system: [0.5]})
        return row | {"split": split, "sha256": about.sha256, "told": ""}

    monkeypatch.setattr(rivals, "measure", measure)
    monkeypatch.setattr(rivals.environment, "python", lambda folder: folder)
    monkeypatch.setattr(rivals, "TABLES", built)
    given = ["--built", str(built), "--out", str(out), "--splits", "2", "--systems", "pats", "tfidf"]
    monkeypatch.setattr("sys.argv", ["rivals", *given])
    with pytest.raises(KeyboardInterrupt):
        rivals.main()
    results = checkout.root / "benchmarks" / "results"
    assert len(record.read("rivals", results).rows) == 3  # they are in the file as they come
    measured.clear()
    assert rivals.main() == 0
    assert measured == [(1, "tfidf")]
    results = record.read("rivals", checkout.root / "benchmarks" / "results")
    assert [(row["split"], row["system"]) for row in results.rows] == [
        (0, "pats"),
        (0, "tfidf"),
        (1, "pats"),
        (1, "tfidf"),
    ]
    assert results.summary["unfinished"] == ["fruit"]
    measured.clear()
    shutil.rmtree(out)  # another machine has the committed file alone
    assert rivals.main() == 0
    assert measured == []
    assert record.read("rivals", checkout.root / "benchmarks" / "results") == results


def test_rows_of_a_stopped_measurement_are_in_the_file(checkout, monkeypatch):
    monkeypatch.setattr(record, "CLAIMS", {"rivals": record.CLAIMS["two"]})
    checkout.commit() if record.changes() else None
    folder = checkout.root / "out" / "rivals"
    (folder / "rows").mkdir(parents=True)
    origin = record.here("rivals")
    (row, *_) = rows(pats=[0.5])
    rivals.keep(row | {"sha256": "0"}, origin, folder)
    rivals.put(record.Recording("rivals", origin), folder)
    (found,) = record.read("rivals", checkout.root / "benchmarks" / "results").rows
    assert found["system"] == "pats"
    newer = {**found, "scores": {"accuracy": 0.9}}
    rivals.keep({key: value for key, value in newer.items() if key != "origin"}, origin, folder)
    rivals.restore(folder, record.read("rivals", checkout.root / "benchmarks" / "results"))
    assert rivals.kept(folder)[0][0]["scores"] == {"accuracy": 0.9}  # what was measured here stays


def test_a_comparison_that_chose_nothing_is_a_row_without_scores(tmp_path, monkeypatch):
    told = {"chosen": {}, "verdict": ["Nothing was learned."], "notes": []}
    ended = systems.Ended(0, 1.0, 0.1, json.dumps(told), "")
    monkeypatch.setattr(systems, "run", lambda command, limit: ended)
    made = table.write(tmp_path, CLASSES, examples(100), (), 1)
    row = systems.measure("pats", made, 0, tmp_path, tmp_path, tmp_path, 60.0, tiny=False)
    assert (row["status"], row["recommended"], row["scores"]) == ("nothing chosen", None, {})
    assert row["told"] == "Nothing was learned."
