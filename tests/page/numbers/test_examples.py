import csv
import gzip
import io

import numpy as np
import pytest

from pats.page.numbers import examples
from pats.tasks import metrics

LABELS = ("no", "yes", "maybe")


def write(path, rows):
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["split", "row", "label", "prediction", "p_no"])
    table.writerows([split, row, label, predicted, 0.5] for row, (split, label, predicted) in enumerate(rows))
    path.write_bytes(gzip.compress(text.getvalue().encode()))
    return path


def measure(path, metric, labels, split):
    return examples.resampled(examples.read(path, labels, split), metric, labels)


def answers(n=400, classes=2, seed=0, wrong=0.3):
    draw = np.random.default_rng(seed)
    true = draw.choice(classes, n, p=np.array([0.5, 0.3, 0.2][:classes]) / sum([0.5, 0.3, 0.2][:classes]))
    return true, np.where(draw.random(n) < wrong, draw.integers(0, classes, n), true)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews"])
@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_of_counts_are_those_of_the_tasks(metric, classes):
    for seed in range(3):
        true, predicted = answers(60, classes, seed)
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (true, predicted), 1)
        expected = metrics.METRICS[metric](predicted, true)
        assert examples.of_counts(metric, counts[None])[0] == pytest.approx(expected)
    constant = np.zeros((1, classes, classes), np.int64)
    constant[0, :, 0] = 7
    expected = metrics.METRICS[metric](np.zeros(7 * classes), np.repeat(range(classes), 7))
    assert examples.of_counts(metric, constant)[0] == pytest.approx(expected)


def test_of_counts_refuses_what_is_no_metric_of_counts():
    with pytest.raises(ValueError, match="'pearson' is no metric"):
        examples.of_counts("pearson", np.ones((1, 2, 2), np.int64))


def test_accuracy_over_examples_is_the_binomials(tmp_path):
    true, predicted = answers()
    rows = [("dev", LABELS[a], LABELS[b]) for a, b in zip(true, predicted, strict=True)]
    found = measure(write(tmp_path / "p.gz", rows), "accuracy", LABELS[:2], "dev")
    share = np.mean(true == predicted)
    assert (found.count, found.score) == (400, pytest.approx(100 * share))
    half = 1.96 * 100 * np.sqrt(share * (1 - share) / 400)
    assert found.interval == pytest.approx((100 * share - half, 100 * share + half), abs=1)
    assert found.majority == pytest.approx(100 * max(np.mean(true), 1 - np.mean(true)))


def test_several_dev_splits_are_averaged_and_other_splits_left_out(tmp_path):
    rows = [("dev_matched", "yes", "yes")] * 10 + [("dev_mismatched", "yes", "no")] * 10
    rows += [("test", "no", "no")] * 10
    path = write(tmp_path / "p.gz", rows)
    found = measure(path, "accuracy", LABELS[:2], "dev")
    assert (found.count, found.score, found.interval) == (20, 50.0, (50.0, 50.0))
    assert measure(path, "accuracy", LABELS[:2], "test").score == 100.0
    assert measure(path, "accuracy", LABELS[:2], "other") is None


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_regression(metric, tmp_path):
    draw = np.random.default_rng(0)
    true = draw.normal(size=300)
    predicted = true + draw.normal(size=300)
    rows = [("dev", f"{a:.6f}", f"{b:.6f}") for a, b in zip(true, predicted, strict=True)]
    found = measure(write(tmp_path / "p.gz", rows), metric, (), "dev")
    assert found.score == pytest.approx(100 * metrics.METRICS[metric](predicted, true), abs=1e-3)
    # Fisher's interval, to which the bootstrap's is close for normal data.
    z, half = np.arctanh(found.score / 100), 1.96 / np.sqrt(297)
    assert found.interval == pytest.approx((100 * np.tanh(z - half), 100 * np.tanh(z + half)), abs=2.5)
    assert found.majority is None


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is cut or damaged"),
        (lambda path: path.write_bytes(b"nothing of the kind"), "is cut or damaged"),
        (lambda path: write(path, [("dev", "yes", "perhaps")]), "is cut or damaged"),
        (lambda path: path.write_bytes(gzip.compress(b"split\ndev,0\n")), "is cut or damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "is cut or damaged"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, damage, why):
    path = write(tmp_path / "p.gz", [("dev", "yes", "yes")] * 50)
    damage(path)
    with pytest.raises(examples.Damaged, match=why):
        measure(path, "accuracy", LABELS, "dev")


def test_numbers_that_are_not_finite_and_metrics_that_nobody_knows(tmp_path):
    path = write(tmp_path / "p.gz", [("dev", "1.0", "nan")])
    with pytest.raises(examples.Damaged, match="not finite"):
        measure(path, "pearson", (), "dev")
    assert measure(write(path, [("dev", "yes", "yes")]), "bleu", LABELS, "dev") is None


@pytest.mark.parametrize(("right", "ends"), [(9, (66.37, 100)), (0, (0, 33.63)), (5, None)])
def test_an_accuracy_of_all_or_none_has_the_exact_interval(right, ends):
    true = np.arange(9) % 2
    predicted = np.where(np.arange(9) < right, true, 1 - true)
    answers = examples.Answers(true.astype(float), predicted.astype(float), None, "test")
    found = examples.resampled([answers], "accuracy", ("a", "b"))
    assert found.plausible == found.interval
    if ends is not None:
        assert found.interval == pytest.approx(ends, abs=0.01)


def test_where_all_resamples_agree_nothing_is_plausible():
    true = np.arange(9) % 2
    answers = examples.Answers(true.astype(float), true.astype(float), None, "test")
    found = examples.resampled([answers], "macro_f1", ("a", "b"))
    assert found.plausible is None or found.interval[0] < found.interval[1]
