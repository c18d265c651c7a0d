"""What the verdict says first: one answer for all, and models that are no fine-tuning."""

import pytest

from pats.page.content.summary import summary_of
from pats.page.numbers import tables
from support.made_results import make_cell

PLAIN = [0.80, 0.82]


def one(method, score, label=None, **more):
    return make_cell(label or method, [(score, score)], method=method, task="t", **more)


def tuned(label, scores, **more):
    return make_cell(label, [(score, score) for score in scores], task="t", **more)


def told(*cells):
    return summary_of(tables.groups(cells))


LABELLED = one("majority", 0.7, labels=("a", "b"))


def costs(*scores):
    """Rows whose metric is an error."""
    plain, *rest = scores
    return [tuned("vanilla", plain, metric="mae"), *(one(name, s, metric="mae") for name, s in rest)]


UNLEARNED = tuned("vanilla", [0.7, 0.7], degenerate=True)
ANSWER = one("majority", 0.7, degenerate=True)
WINS = "(accuracy × 100) without fine-tuning, and no fine-tuned model beats it (the best,"

CASES = {
    "fine-tuning wins": (
        [tuned("vanilla", PLAIN), one("tfidf", 0.75), one("majority", 0.7)],
        "1 method fine-tuned bert-base-uncased on t with 2 seeds each, beside 2 baselines without fine-tun",
    ),
    "a simple model is better": (
        [tuned("vanilla", PLAIN), tuned("pats", [0.83, 0.84]), one("tfidf", 0.9), LABELLED],
        f"Use the simple model tfidf: it scores 90.0 {WINS} pats: 83.5, a mean over 2 seeds); always "
        "answering the most frequent class scores 70.0.",
    ),
    "a simple model is as good": (
        [tuned("vanilla", [0.9]), one("frozen", 0.9)],
        f"Use the simple model frozen: it scores 90.0 {WINS} vanilla: 90.0).",
    ),
    "the one that dev chooses is named": (
        [tuned("vanilla", [0.8]), one("frozen", 0.9), make_cell("tfidf", [(0.95, 0.85)], task="t")],
        f"Use the simple model tfidf: it scores 85.0 {WINS} vanilla: 80.0).",
    ),
    "dev and test disagree": (
        [make_cell("vanilla", [(0.95, 0.8)], task="t"), one("frozen", 0.9)],
        f"Fine-tuning did not pay beside the simple model frozen: it scores 90.0 {WINS} vanilla: 80.0); on "
        "dev, which chooses, vanilla was ahead.",
    ),
    "lower is better": (
        costs(PLAIN, ("majority", 0.9), ("tfidf", 0.5)),
        "Use the simple model tfidf: it scores 50.0 (mean absolute error × 100) without fine-tuning",
    ),
    "nothing beats one answer": (
        [tuned("vanilla", [0.6, 0.7]), one("tfidf", 0.65), LABELLED],
        "No method beats always answering the most frequent class (70.0): train longer",
    ),
    "an error that nothing lowers": (
        costs(PLAIN, ("majority", 0.6)),
        "No method beats always answering the mean or median (60.0): train longer",
    ),
    "constants beside a simple model": (
        [UNLEARNED, ANSWER, one("tfidf", 0.9)],
        "Nothing was learned by fine-tuning: its 2 runs all predict one constant; to mend that, train longer",
    ),
    "constants alone": (
        [UNLEARNED, ANSWER],
        "Nothing was learned: all 2 runs predict one constant, so the scores tell nothing of the methods,",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_sentence(name):
    cells, said = CASES[name]
    assert told(*cells).verdict[0].startswith(said)


def test_a_simple_row_is_one_number_for_all_seeds():
    plain = [0.80, 0.82, 0.84, 0.86, 0.88, 0.90]
    ours = [score + 0.01 * k for k, score in enumerate(plain, 1)]
    cells = [tuned("vanilla", plain), tuned("pats", ours)]
    before = tables.groups(cells)[0]
    group = tables.groups([*cells, one("majority", 0.7, degenerate=True), one("tfidf", 0.75)])[0]
    assert (group.family, group.lines[1].p) == (before.family, before.lines[1].p) == (1, 0.03125)
    assert [line.cell.label for line in group.tested] == ["pats"]
    line = group.lines[3]
    assert (line.std, line.p, line.significant) == (None, None, False)
    assert line.difference.mean == pytest.approx(75 - 85)
    assert (line.difference.interval, line.difference.p, line.difference.detectable) == (None, None, None)
    assert [line.degenerate for line in group.lines] == [0, 0, 0, 0]
    rows = {row[0]: row for row in told(*cells, one("tfidf", 0.75)).grids[0].rows}
    assert rows["tfidf"][1:5] == ("", "one fit", "75.0", "75.0")
    assert "-10.0" in rows["tfidf"]


def test_over_tasks_the_better_one_is_the_lower_error():
    cells = [
        *[make_cell("vanilla", [0.5, 0.5], task=task, metric="mae") for task in ("x", "y")],
        *[make_cell("pats", [0.4, 0.3], task=task, metric="mae") for task in ("x", "y")],
        make_cell("tfidf", [0.2], task="x", metric="mae"),
    ]
    rows = {row.label: row for row in tables.overall(tables.groups(cells))}
    assert rows["pats"].improvement == 1.0
    assert rows["pats"].iqm[0] > rows["vanilla"].iqm[0]
    assert rows["pats"].average == pytest.approx(35)
    assert "tfidf" not in rows
    said = summary_of(tables.groups(cells)).verdict
    assert any("better than it on 2 of 2 tables" in sentence for sentence in said)
