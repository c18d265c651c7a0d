import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from pats import baselines
from pats.baselines._fit import STRENGTHS
from pats.tasks import Split

DRAW = np.random.default_rng(0)
VECTORS = {f"text {i}": row for i, row in enumerate(DRAW.normal(size=(90, 6)).astype(np.float32))}
PLACES = DRAW.normal(size=6)


def embed(texts):
    return np.stack([VECTORS[text] for text in texts])


def rows(start, stop, classes):
    texts = tuple(f"text {i}" for i in range(start, stop))
    scores = embed(texts).astype(np.float64) @ PLACES
    labels = np.digitize(scores, np.linspace(-1, 1, classes + 1)[1:-1]) if classes else scores
    return Split(texts, label=tuple(labels.astype(float).tolist()))


def fitted(kind, classes, balanced=False, judge=None):
    train, dev = rows(0, 60, classes), rows(60, 90, classes)
    true = np.asarray(dev.label)

    def right(outputs):
        return np.mean(outputs.argmax(1) == true) if classes else -np.mean((outputs[:, 0] - true) ** 2)

    return baselines.fit(kind, train, dev, classes, judge or right, balanced)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classes_are_those_of_scikit_learn(classes, balanced):
    frozen = baselines.registry()["frozen"](embed)
    found = fitted(frozen, classes, balanced)
    train = rows(0, 60, classes)
    known = embed(train.text).astype(np.float64)
    scaled = (known - known.mean(0)) / known.std(0)
    by_hand = LogisticRegression(
        C=found.strength / 6, max_iter=500, class_weight="balanced" if balanced else None
    )
    expected = by_hand.fit(scaled, np.asarray(train.label, int)).predict_proba(scaled)
    outputs = found.outputs(train).astype(np.float64)
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    assert shares == pytest.approx(expected, abs=1e-5)


def test_scores_are_those_of_ridge_regression():
    found = fitted(baselines.registry()["frozen"](embed), 0)
    train = rows(0, 60, 0)
    known = embed(train.text).astype(np.float64)
    scaled = (known - known.mean(0)) / known.std(0)
    expected = Ridge(alpha=6 / found.strength).fit(scaled, train.label).predict(scaled)
    assert found.outputs(train)[:, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("worth", "strength"), [(lambda _: 0.0, STRENGTHS[0]), (None, STRENGTHS[-1])])
def test_dev_decides_the_strength_and_the_weakest_of_equals(worth, strength):
    spreads = []

    def by_spread(outputs):
        spreads.append(float(np.ptp(outputs)))
        return spreads[-1]

    found = fitted(baselines.registry()["frozen"](embed), 2, judge=worth or by_spread)
    assert found.strength == strength


@pytest.mark.parametrize(
    ("labels", "classes", "outputs"),
    [
        ((0.0, 0.0, 1.0, 0.0), 3, [np.log(0.75), np.log(0.25), -30]),
        ((1.0, 2.0, 9.0), 0, [2.0]),  # the judge below likes the median
    ],
)
def test_majority_gives_one_answer(labels, classes, outputs):
    split = Split(tuple("abcd"[: len(labels)]), label=labels)
    found = baselines.fit(
        baselines.registry()["majority"](), split, split, classes, lambda o: -abs(float(o[0, 0]) - 2), False
    )
    assert found.outputs(split) == pytest.approx(np.tile(outputs, (len(labels), 1)), abs=1e-6)


def test_a_class_without_a_row_in_train_is_never_predicted():
    train = Split(("text 0", "text 1", "text 2", "text 3"), label=(0.0, 2.0, 0.0, 2.0))
    found = baselines.refit(baselines.registry()["frozen"](embed), train, 3, 1.0, False)
    assert found.outputs(train)[:, 1].tolist() == [-30.0] * 4
    assert set(found.outputs(train).argmax(1)) == {0, 2}
