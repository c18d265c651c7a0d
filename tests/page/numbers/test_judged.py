import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from pats.page.numbers import judged
from pats.page.numbers.examples import Answers, confusion

LABELS = ("a", "b", "c")
DRAW = np.random.default_rng(0)
TRUE = DRAW.choice(3, 200, p=[0.6, 0.3, 0.1]).astype(float)


def answers(wrong, seed=1, classes=3):
    draw = np.random.default_rng(seed)
    return Answers(TRUE, np.where(draw.random(200) < wrong, draw.integers(0, classes, 200), TRUE) * 1.0)


@pytest.mark.parametrize("classes", [3, 2])
def test_classes_are_scikit_learns(classes):
    own = answers(0.4, classes=classes)
    if classes == 2:
        own = Answers(TRUE, np.minimum(own.predicted, 1))
    found = judged.per_class(LABELS, confusion((own.true, own.predicted), 3))
    expected = precision_recall_fscore_support(own.true, own.predicted, labels=[0, 1, 2], zero_division=0)
    for i, one in enumerate(found):
        values = [one.precision or 0.0, one.recall, one.f1]
        assert values == pytest.approx([100 * part[i] for part in expected[:3]])
        assert (one.label, one.count) == (LABELS[i], expected[3][i])
    assert (found[2].precision is None) is (classes == 2)


def test_confusions_by_hand():
    counts = np.array([[5, 2, 0], [1, 9, 0], [3, 0, 4]])
    assert judged.confusions(LABELS, counts) == [("c", "a", 3), ("a", "b", 2), ("b", "a", 1)]
    assert judged.confusions(LABELS, counts, most=1) == [("c", "a", 3)]


def test_a_difference_over_examples_is_paired():
    ours, theirs = answers(0.2), answers(0.4, seed=2)
    value, (low, high) = judged.paired_over_examples([ours], [theirs], "accuracy")
    gap = (ours.predicted == TRUE) * 1.0 - (theirs.predicted == TRUE)
    half = 1.96 * 100 * gap.std() / np.sqrt(200)
    assert value == pytest.approx(100 * gap.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=1.2)
    assert judged.paired_over_examples([ours], [ours], "macro_f1") == (0.0, (0.0, 0.0))


def test_the_standard_error_of_a_paired_difference_is_the_textbooks():
    ours, theirs = answers(0.2), answers(0.4, seed=2)
    gap = (ours.predicted == TRUE) * 1.0 - (theirs.predicted == TRUE)
    expected = 100 * gap.std() / np.sqrt(200)
    assert judged.error_over_examples([ours], [theirs], "accuracy") == pytest.approx(expected, rel=0.1)
    assert judged.error_over_examples([ours], [ours], "macro_f1") == 0.0
    assert judged.error_over_examples([], [theirs], "accuracy") is None


@pytest.mark.parametrize("metric", ["macro_f1", "balanced_accuracy"])
def test_other_metrics_are_resampled_too(metric):
    value, (low, high) = judged.paired_over_examples([answers(0.1)], [answers(0.7, seed=2)], metric)
    assert 0 < low < value < high


def test_no_difference_of_other_examples():
    other = Answers(1 - np.minimum(TRUE, 1), TRUE)
    assert judged.paired_over_examples([answers(0.1)], [other], "accuracy") is None
    assert judged.paired_over_examples([], [answers(0.1)], "accuracy") is None


def test_rows_that_all_miss():
    true = np.array([0.0, 1.0, 2.0, 0.0])
    rows = {
        "x": Answers(true, np.array([1.0, 0.0, 2.0, 1.0])),
        "y": Answers(true, np.array([2.0, 0.0, 0.0, 0.0])),
    }
    assert judged.missed_by_all(rows) == [(1, 1.0, 0.0, 2), (0, 0.0, 1.0, 1)]
    assert judged.missed_by_all({"x": rows["x"]}) == []


def test_parts():
    own = Answers(np.array([0.0] * 10 + [1.0] * 3), np.array([0.0] * 8 + [1.0] * 5))
    found = judged.by_part(own, ["p"] * 10 + ["q"] * 3, "accuracy")
    assert found == {"p": (10, pytest.approx(80.0))}  # three rows are too few for a score


def test_lengths_are_divided_where_they_differ():
    assert judged.length_parts([3, 3, 3]) == ["3 words"] * 3
    names = judged.length_parts([*range(1, 9), 8, 8, 8, 8])
    assert names[0] == names[1] != names[-1]
    assert {names[i] for i in (7, 8, 11)} == {names[-1]}
