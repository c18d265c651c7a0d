"""When PATS passes on a real table, and the page that shows it beside other systems."""

import dataclasses

import pytest

from benchmarks import docs, record
from benchmarks.real import accept
from benchmarks.real.page import page
from benchmarks.real.table import About
from support.rival_rows import rows

CLASSES = About("fruit", "classes", "made here", "none", "2 classes", "made", 100)


FLAT = [0.8] * 5


@pytest.mark.parametrize(
    ("ours", "tfidf", "frozen", "passed"),
    [
        ([0.9] * 5, FLAT, FLAT, True),
        (FLAT, FLAT, FLAT, True),
        ([0.79] * 5, FLAT, FLAT, False),  # the same gap on every split: an error of 0
        ([0.75, 0.83, 0.78, 0.82, 0.80], FLAT, FLAT, True),  # 0.004 below, and an error of 0.014
        ([0.75, 0.83, 0.76, 0.80, 0.78], FLAT, FLAT, False),  # 0.016 below, and an error of 0.0144
        ([0.9] * 5, FLAT, [0.95] * 5, False),
        ([("tfidf", 0.7)] * 5, FLAT, FLAT, True),
        ([("tfidf", 0.7)] * 4 + [("pats", 0.7)], FLAT, FLAT, False),
        ([0.9] * 4, FLAT, FLAT, None),
        ([0.9] * 4 + [None], FLAT, FLAT, None),
        ([0.9] * 5, FLAT, FLAT[:3], None),
    ],
)
def test_the_verdict(ours, tfidf, frozen, passed):
    (judged,) = accept.judge(rows(pats=ours, tfidf=tfidf, frozen=frozen))
    assert judged.passed is passed
    assert judged.in_time
    assert accept.cells(judged)[-1] == {True: "yes", False: "NO"}.get(passed, judged.missing)


def test_one_split_gives_no_verdict():
    (judged,) = accept.judge(rows(pats=[0.9], tfidf=[0.8], frozen=[0.8]), 1)
    assert (judged.passed, judged.missing) == (None, "one split shows no error")


def test_the_gap_is_paired_by_split():
    found = accept.gap({0: 0.5, 1: 0.9, 2: 0.7}, {0: 0.4, 1: 0.8, 3: 0.1})
    assert found == accept.Gap(pytest.approx(0.1), pytest.approx(0.0, abs=1e-9), 2)
    assert accept.gap({0: 0.5}, {1: 0.5}) is None


def test_the_page_shows_the_verdict_the_scores_and_failures():
    about = {**dataclasses.asdict(CLASSES), "classes": 2}
    text = page([*rows(pats=[0.9] * 5, tfidf=FLAT, frozen=FLAT, setfit=[None] * 5)], [about])
    assert "PATS passes on 1 of 1 tables" in text
    assert "So far" not in text
    assert "`pats compare` had `--data` and no other flag." in text
    assert "| fruit | 90.0 ± 0.0 | 80.0 ± 0.0 | 80.0 ± 0.0 | out of time |" in text
    assert "| fruit | accuracy | +10.0 ± 0.0 | +10.0 ± 0.0 | pats 5 | 5 | yes | yes |" in text
    assert "<!-- results: rivals.json -->" in text
    assert "| setfit | SetFit on MiniLM" in text
    assert "the train and dev rows | 5 |" in text
    assert "which learned from the train rows | 20 |" in text
    assert "**pats**, fruit, split 0:" in text
    assert "first of" not in text  # the last lines alone, and each of a width that fits
    assert "last of 0, " in text
    assert max(map(len, text.split("```text")[1].split("```")[0].splitlines())) < 210


def test_a_page_tells_how_far_it_is_and_what_pats_was_given():
    found = rows(pats=[0.9] * 2, tfidf=FLAT, frozen=FLAT)
    found = [row | {"flags": ["--time-limit", "5min"]} if row["system"] == "pats" else row for row in found]
    text = page(found, [{**dataclasses.asdict(CLASSES), "classes": 2}])
    assert "on 0 of 0 tables measured in full. So far every table has 2 of 5 splits or more." in text
    assert "had `--data` and `--time-limit 5min`" in text
    assert "| fruit | 90.0 ± 0.0 (2) | 80.0 ± 0.0 | 80.0 ± 0.0 |" in text


def test_a_page_compares_with_whole_systems_on_the_splits_that_both_have():
    found = rows(pats=[0.9, 0.8, 0.7], tfidf=FLAT, frozen=FLAT, setfit=[0.8, 0.6], autogluon=[None] * 2)
    text = page(list(found), [{**dataclasses.asdict(CLASSES), "classes": 2}])
    assert "| table | PATS − setfit | PATS − autogluon |" in text
    assert "| fruit | +15.0 ± 5.0 (2) |  |" in text


@pytest.mark.parametrize("path", docs.WHOLE, ids=lambda path: path.name)
def test_a_page_made_as_a_whole_stands_if_its_results_do(path):
    assert path.exists() == (record.read(docs.WHOLE[path][0]) is not None)
    assert not path.exists() or docs.written(path) == path.read_text("utf-8")
