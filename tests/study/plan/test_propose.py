import random
import sys

import pytest

from pats import InputError
from pats.study.plan.propose import Proposer, expected_maximum
from pats.study.plan.space import Range

pytest.importorskip("optuna")

SPACE = {"lr": (1e-5, 1e-4, 1e-3), "p": (0.1, 0.2)}


def search(name, count, space=SPACE, seed=0, score=lambda point: -abs(point["p"] - 0.2) - point["lr"]):
    proposer = Proposer(space, name, seed)
    points = []
    for _ in range(count):
        number, point = proposer.ask()
        points.append(point)
        proposer.tell(number, score(point))
    return proposer, points


@pytest.mark.parametrize("name", ["tpe", "random", "grid"])
def test_the_same_answers_lead_to_the_same_questions(name):
    assert search(name, 14)[1] == search(name, 14)[1]
    assert search(name, 14)[1] != search(name, 14, seed=1)[1]
    assert all(point[key] in SPACE[key] for point in search(name, 14)[1] for key in SPACE)


def test_a_grid_is_gone_through_once_and_then_again():
    points = [tuple(point.values()) for point in search("grid", 12)[1]]
    assert len(set(points[:6])) == 6
    assert points[6:] == points[:6]


def test_tpe_finds_the_good_part_of_a_range_and_random_does_not():
    space = {"x": Range(-1.0, 1.0)}
    late = {
        name: [
            abs(point["x"] - 0.6) for point in search(name, 40, space, score=lambda p: -abs(p["x"] - 0.6))[1]
        ]
        for name in ("tpe", "random")
    }
    assert sum(late["tpe"][20:]) < 0.5 * sum(late["random"][20:])


def test_points_that_failed_or_were_stopped_early():
    proposer = Proposer(SPACE, "tpe", 0)
    for told in (None, 0.5, None):
        number, _ = proposer.ask()
        proposer.tell(number, told, {1.0: 0.3, 3.0: 0.4} if told is None else None)
    number, _ = proposer.ask()
    proposer.tell(number, None)
    assert [trial.state.name for trial in proposer._study.trials] == ["PRUNED", "COMPLETE", "PRUNED", "FAIL"]
    assert proposer.importance() == {}


def test_what_matters():
    space = {"lr": Range(1e-5, 1e-3), "p": Range(0.1, 0.9)}
    proposer, _ = search("random", 60, space, score=lambda point: -abs(point["p"] - 0.5))
    shares = proposer.importance()
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "p"
    assert shares["p"] > 0.8
    # Where scores are noise, no parameter stands out as it does above.
    draw = random.Random(0)
    shares = search("random", 60, space, score=lambda point: draw.random())[0].importance()
    assert max(shares.values()) < 0.8 or len(shares) < 2


@pytest.mark.parametrize(
    ("name", "space", "said"),
    [
        ("best", SPACE, "proposer is 'best'"),
        ("grid", {"x": Range(0.1, 1)}, "x is a range, which has no grid"),
    ],
)
def test_bad_values(name, space, said):
    with pytest.raises(InputError, match=said):
        Proposer(space, name)


@pytest.mark.parametrize("scores", [[1.0], [3.0, 1.0, 2.0], [0.5, 0.5, 0.7, 0.1]])
def test_expected_maximum_against_drawing(scores):
    found = expected_maximum(scores)
    draw = random.Random(0)
    for n, value in enumerate(found, start=1):
        mean = sum(max(draw.choices(scores, k=n)) for _ in range(20_000)) / 20_000
        assert value == pytest.approx(mean, abs=0.02)
    assert found[0] == pytest.approx(sum(scores) / len(scores))
    assert found == sorted(found)


def test_expected_maximum_of_nothing_and_of_nan():
    assert expected_maximum([]) == []
    with pytest.raises(ValueError, match="NaN"):
        expected_maximum([1.0, float("nan")])


def test_input_error_of_missing_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pats-finetune\[sweep\]"):
        Proposer({"lr": (1e-4,)})
