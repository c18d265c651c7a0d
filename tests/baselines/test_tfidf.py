import numpy as np
import pytest

from pats import baselines
from pats.tasks import Split

TEXTS = ("a fine day", "an awful day", "fine fine walk", "awful rain, dull", "lovely", "日本語 ☂", "", "x")
PAIRS = tuple(reversed(TEXTS))


def split(pair):
    return Split(TEXTS, PAIRS if pair else None, tuple(float(i % 2) for i in range(len(TEXTS))))


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("classes", [2, 0])
def test_what_is_restored_gives_the_same_scores(pair, classes):
    kind = baselines.registry()["tfidf"]
    found = baselines.refit(kind(), split(pair), classes, 10.0, False)
    arrays = {name: np.array(array) for name, array in found.arrays().items()}
    assert not any(array.dtype.hasobject for array in arrays.values())
    again = baselines.restore(kind(), arrays)
    new = Split(("fine rain", "unseen"), ("awful", "day") if pair else None)
    for texts in (split(pair), new):
        assert again.outputs(texts) == pytest.approx(found.outputs(texts), abs=1e-6)
    assert np.ptp(found.outputs(split(pair))[:, -1]) > 0.1


def test_the_second_text_of_a_pair_counts():
    found = baselines.refit(baselines.registry()["tfidf"](), split(True), 2, 10.0, False)
    one, other = (Split(("fine",), (second,)) for second in ("awful rain, dull", "lovely"))
    assert not np.allclose(found.outputs(one), found.outputs(other))


def test_texts_without_a_word_leave_the_shares_of_the_classes():
    empty = Split(("", " ", ""), label=(0.0, 1.0, 1.0))
    found = baselines.refit(baselines.registry()["tfidf"](), empty, 2, 1.0, False)
    assert np.exp(found.outputs(empty)[0]) == pytest.approx([1 / 3, 2 / 3])
