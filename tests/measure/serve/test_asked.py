import pytest

from pats import InputError
from pats.measure.serve.asked import Limits


def test_limits_that_are_not_given_stay():
    assert Limits.of(texts=3, body=None) == Limits(texts=3)


@pytest.mark.parametrize("given", [{"texts": 0}, {"seconds": -1.0}, {"seconds": float("nan")}, {"body": -5}])
def test_limits_are_above_zero(given):
    with pytest.raises(InputError, match=r"must be a number above 0$"):
        Limits.of(**given)
