import pytest

from pats import InputError
from pats.study.plan import space
from pats.study.plan.space import Range

# As the paper prints it.
TABLE_3 = {
    "lr": (1e-5, 3e-5, 5e-5, 7e-5, 8e-5, 1e-4, 2e-4, 3e-4, 5e-4),
    "lam": (5e-7, 8e-7, 1e-6, 2e-6, 3e-6),
    "gamma": (1e-3, 2e-3, 3e-3, 5e-3, 8e-3, 2e-2),
    "beta": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85),
}


def test_table_3():
    assert space.default("vanilla", {}) == {"lr": TABLE_3["lr"]}
    ours = space.default("pats-paper", {})
    assert ours == TABLE_3
    assert list(ours) == list(TABLE_3)  # the order in which a proposer draws
    assert space.size(ours) == 9 * 5 * 6 * 8
    assert "lam" not in space.default("pats-paper", {"lam": 1e-6})
    assert "lam" in space.default("noisytune+pats-paper", {})
    assert "lam" not in space.default("noisytune+pats-paper", {"pats-paper.lam": 1e-6})
    assert "lr" not in space.default("pats-paper", {}, lr=1e-4)
    assert "lam" not in space.default("pats-paper", {"scale": "lr", "kappa": 1.0})


def test_a_budget_is_searched_in_place_of_lam():
    assert list(space.default("pats", {})) == ["lr", "budget", "gamma", "beta"]
    assert "budget" not in space.default("pats", {"budget": 0.1})
    assert list(space.default("pats", {"scale": "constant"}))[:2] == ["lr", "lam"]
    assert {"budget", "lam"}.isdisjoint(space.default("noisytune+pats", {"pats.scale": "lr"}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1e-5,3e-5", (1e-5, 3e-5)),
        ("[1e-05, 3]", (1e-5, 3)),
        ("true,false,none", (True, False, None)),
        ("variance, std", ("variance", "std")),
        ("1e-5..1e-3", Range(1e-5, 1e-3)),
        ("0..0.5", Range(0.0, 0.5)),
    ],
)
def test_parse(text, found):
    assert space.parse("x", text) == found


def test_a_range_from_zero_is_linear():
    assert Range(1e-5, 1e-3).log
    assert not Range(0, 0.5).log


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "different values"), ("1,1", "different values"), ("a..b", "two numbers"), ("2..1", "must rise")],
)
def test_bad_texts(text, said):
    with pytest.raises(InputError, match=said):
        space.parse("x", text)


@pytest.mark.parametrize(
    ("dimensions", "said"),
    [
        ({"lam": (-1.0,)}, "lam is -1.0"),
        ({"nothing": (1,)}, "no option 'nothing'"),
        ({"lr": (1e-4, -1.0)}, "lr is -1.0"),
        ({"beta": Range(0.5, 1.5)}, "beta is 1.5"),
        ({}, "nothing to search"),
    ],
)
def test_check_space(dimensions, said):
    with pytest.raises(InputError, match=said):
        space.check_space("ours", "pats", {}, dimensions)


def test_split():
    assert space.split({"lr": 1.0, "lam": 2.0}) == ({"lr": 1.0}, {"lam": 2.0})
