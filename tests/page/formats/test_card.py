from dataclasses import replace

import pytest
import yaml

from pats.page.formats import card
from pats.page.numbers import tables
from support.made_results import make_cell


def text(cells, row=1, seed=0, **about):
    groups = tables.groups(cells)
    run_id = groups[0].lines[row].cell.outcomes[seed].run_id
    return card.card({"run_id": run_id, "pair": False, "max_length": 64} | about, groups)


def labelled(one, labels=("no", "yes")):
    outcomes = tuple(
        replace(o, result=o.result and replace(o.result, labels=labels, sizes={"train": 1234}))
        for o in one.outcomes
    )
    return replace(one, outcomes=outcomes)


CELLS = [
    labelled(make_cell("vanilla", [0.60, 0.61, 0.62], metric="matthews")),
    labelled(make_cell("pats", [0.70, 0.71, 0.735], metric="matthews")),
]


def test_front_matter_is_yaml():
    _, front, body = text(CELLS).split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["library_name"] == "transformers"
    assert about["base_model"] == "bert-base-uncased"
    (result,) = about["model-index"][0]["results"]
    assert result["dataset"]["name"] == "cola"
    assert result["metrics"] == [{"type": "matthews", "value": 0.7, "name": "dev"}]
    assert body.lstrip().startswith("# bert-base-uncased fine-tuned on cola")


def test_it_says_what_it_is_and_what_it_cannot_claim():
    told = text(CELLS)
    assert "2 classes: `no`, `yes`" in told
    assert "1,234 examples" in told
    assert "| pats | 71.5 ± 1.8 | 70.0 71.0 73.5 | +10.5" in told
    assert "expect less on new data" in told
    assert "is not shown by these 3 seeds" in told
    assert "they are no claim about this model" in told


def test_the_method_is_called_what_the_result_says():
    """Older results say nothing: the method's name is all that is known."""
    assert "Made by `pats compare` with pats, seed 0" in text(CELLS)
    said = {"sentence": "PATS (noise according to sensitivity)"}
    told = text([CELLS[0], labelled(make_cell("pats", [0.7] * 3, metric="matthews", about_method=said))])
    assert "Made by `pats compare` with PATS (noise according to sensitivity), seed 0" in told
    assert "| method | PATS (noise according to sensitivity), its default settings |" in told


def test_a_model_of_one_constant_says_so_first():
    flat = [labelled(make_cell("vanilla", [0.5] * 2, degenerate=True)), CELLS[1]]
    told = text(flat, row=0).split("# bert-base-uncased fine-tuned on cola")[1].strip()
    assert told.startswith("**Nothing was learned: on dev this model predicts one constant.**")
    assert "Nothing was learned" not in text(CELLS)


def test_a_model_judged_on_test_and_with_pairs():
    cells = [
        labelled(make_cell("vanilla", [(0.9, 0.5), (0.9, 0.6)])),
        labelled(make_cell("pats", [(0.8, 0.7), (0.8, 0.8)])),
    ]
    told = text(cells, pair=True)
    assert "dev accuracy 80.0 (best of 2 epochs); test accuracy 70.0" in told
    assert "the test set was not used for any choice" in told
    assert 'tokenizer("first text", "second text"' in told


def test_plain_fine_tuning_and_a_shown_difference_claim_nothing_missing():
    assert "is not shown" not in text(CELLS, row=0)
    flat = [
        labelled(make_cell("vanilla", [0.5] * 6)),
        labelled(make_cell("pats", [0.6 + s / 100 for s in range(6)])),
    ]
    assert "is not shown" not in text(flat)


@pytest.mark.parametrize("model", ["minilm", "./here", "/there", "~/home"])
def test_a_folder_is_no_base_model(model):
    told = text([replace_model(one, model) for one in CELLS])
    assert "base_model" not in told


def replace_model(one, model):
    outcomes = tuple(
        replace(o, result=replace(o.result, run=replace(o.result.run, model=model))) for o in one.outcomes
    )
    return replace(one, outcomes=outcomes)


def test_regression():
    cells = [
        labelled(one, ())
        for one in (make_cell("vanilla", [0.8] * 3, metric="pearson"), make_cell("pats", [0.9] * 3))
    ]
    assert "one score" in text(cells)


def test_a_model_of_another_study_has_no_card():
    assert card.card({"run_id": "0" * 16}, tables.groups(CELLS)) is None
