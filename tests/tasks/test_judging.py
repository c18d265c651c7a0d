import pytest

from pats import InputError
from pats.tasks import judging


@pytest.mark.parametrize(
    ("counts", "metric"),
    [((50, 50), "accuracy"), ((59, 41), "accuracy"), ((60, 40), "macro_f1"), ((59, 22, 19), "macro_f1")],
)
def test_macro_f1_decides_where_classes_are_uneven(counts, metric):
    classes = [f"c{i}" for i in range(len(counts))]
    values = [float(i) for i, many in enumerate(counts) for _ in range(many)]
    metrics, said = judging.chosen(classes, values)
    assert metrics[0] == metric
    assert sorted(metrics) == ["accuracy", "macro_f1"]
    told = [finding.message for finding in said]
    assert bool(told) is (metric == "macro_f1")
    if told:
        assert f"c0 has {counts[0]} rows" in told[0]
        assert f"would be right in {counts[0]} %" in told[0]


def test_scores_are_judged_by_pearson():
    assert judging.chosen([], [1.0, 1.0, 1.0, 1.0, 2.5]) == (("pearson", "spearman", "mae"), [])


@pytest.mark.parametrize(
    ("metric", "classes", "said"),
    [
        ("mae", ["a", "b"], "'mae' is not for classes: name one of accuracy, macro_f1"),
        ("auroc", [], "'auroc' is not for scores: name one of pearson"),
        ("f1", ["a", "b", "c"], "'f1' is not for 3 classes"),
    ],
)
def test_a_metric_must_fit_the_labels(metric, classes, said):
    with pytest.raises(InputError, match=said):
        judging.named(metric, judging.USUAL[not classes], classes)


def test_a_named_metric_comes_first_and_once():
    assert judging.named("macro_f1", ("accuracy", "macro_f1"), ["a", "b"]) == ("macro_f1", "accuracy")
    assert judging.named("auroc", ("accuracy",), ["a", "b"]) == ("auroc", "accuracy")
