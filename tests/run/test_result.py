import json

import pytest

from pats import _schema, methods
from pats.run import Result, Run
from support.made_results import make_result


@pytest.mark.parametrize("name", [*methods.registry(), "noisytune+pats"])
def test_what_a_method_says_of_itself_is_kept(name):
    about = methods.create(name).about()
    result = make_result(Run(task="rte", method=name), [0.5], about_method=about)
    assert Result.from_json(result.to_json()).about_method == about
    assert about["sentence"]
    assert len(json.dumps(about)) < 1000
    assert about["noisy"] == ("pats" in name)


def test_results_of_earlier_versions_do_not_say_it():
    content = json.loads(make_result(Run(task="rte"), [0.5]).to_json())
    del content["about_method"]
    assert Result.from_json(json.dumps(content)).about_method == {}


@pytest.mark.parametrize(
    ("about", "place"),
    [(3, "about_method"), ({"sentence": 3}, "about_method.sentence"), ({"changes": "loss"}, "changes")],
)
def test_what_does_not_fit_is_refused(about, place):
    content = json.loads(make_result(Run(task="rte"), [0.5]).to_json()) | {"about_method": about}
    with pytest.raises(_schema.Misfit, match=place):
        Result.from_json(json.dumps(content))


def test_a_finished_run_with_evaluations_has_a_best_one():
    """Else a file that lost the line would count as a failed run."""
    content = json.loads(make_result(Run(task="rte"), [0.5]).to_json())
    del content["best_epoch"]
    with pytest.raises(_schema.Misfit, match="best_epoch"):
        Result.from_json(json.dumps(content))
    failed = content | {"status": "failed", "error": "the loss became nan"}
    assert Result.from_json(json.dumps(failed)).best is None
