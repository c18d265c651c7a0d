import numpy as np
import pytest

from pats.tasks.thresholds import GRID, decided, tuned


def column(probabilities, labels):
    return np.array([probabilities]).T, np.array([labels], np.float32).T


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.1] * 5 + [0.9] * 5, [0] * 5 + [1] * 5, 0.5),  # of equal ones the middle
        ([0.1] * 5 + [0.22] * 5, [0] * 5 + [1] * 5, 0.2),
        ([0.7] * 5 + [0.82] * 5, [0] * 5 + [1] * 5, 0.75),
        ([0.3] * 10, [0] * 10, 0.5),  # nothing to find
    ],
)
def test_the_threshold_with_the_best_f1(probabilities, labels, expected):
    assert tuned(*column(probabilities, labels)) == (expected,)


def test_a_label_with_few_texts_takes_the_shared_one():
    many, marks = column([0.1] * 10 + [0.22] * 10, [0] * 10 + [1] * 10)
    rare = np.array([[0.9] * 4 + [0.01] * 16]).T
    few = np.array([[1] * 4 + [0] * 16], np.float32).T
    limits = tuned(np.hstack([many, rare]), np.hstack([marks, few]))
    assert limits == (0.2, 0.2)
    assert set(limits) <= set(GRID)


def test_a_label_is_given_from_its_threshold_on():
    assert decided(np.array([[0.5, 0.5], [0.49, 0.8]]), (0.5, 0.75)).tolist() == [[1, 0], [0, 1]]
