from dataclasses import replace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from pats.page.formats import card
from pats.page.numbers import tables
from pats.page.numbers.examples import Examples
from pats.page.numbers.reading import Reading
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
    assert 'classify({"text": "first text", "text_pair": "second text"}, truncation=True' in told


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


HOSTILE = 'a`b``|<script>alert(1)</script>\n# x\x85 "y" \\ [z](http://w) 👍'


def renamed(one, task, labels):
    outcomes = tuple(replace(o, result=replace(o.result, labels=labels)) for o in one.outcomes)
    return replace(one, task=task, outcomes=outcomes)


def test_hostile_names_stay_text():
    told = text([renamed(one, HOSTILE, (HOSTILE, "ok")) for one in CELLS])
    _, front, body = told.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["tags"][2] == HOSTILE
    assert about["model-index"][0]["results"][0]["dataset"]["name"] == HOSTILE
    lines = body.lstrip().splitlines()
    assert lines[0].startswith("# bert-base-uncased fine-tuned on a\\`b")
    assert [line for line in lines if line.startswith("# ")] == lines[:1]
    for line in lines:
        outside = line.replace("\\<", "").replace("\\[", "")
        if "script" in line:  # within a code span, or escaped
            assert "```" in line or "<script" not in outside


def test_the_hub_reads_the_front_matter():
    data = ModelCard(text(CELLS)).data
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("matthews", 0.7, "cola")
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"


READ = {
    ("cola", "bert-base-uncased"): Reading(
        labels=("no", "yes", "may|be"),
        counts={"pats": [np.array([[90, 5, 0], [20, 10, 0], [5, 5, 0]])] * 2},
        first={"pats": Examples(135, 74.1, (66.0, 81.2), 70.4)},
    )
}


def read_card(cells=CELLS, row=1, **about):
    groups = tables.groups(cells)
    run_id = groups[0].lines[row].cell.outcomes[0].run_id
    return card.card({"run_id": run_id, "pair": False, "max_length": 64} | about, groups, READ)


def test_what_it_is_good_for_stands_beside_simpler_answers():
    simple = labelled(make_cell("tfidf", [0.5], metric="matthews"))
    told = read_card([*CELLS, simple])
    assert "| this method, first seed, 135 rows | 74.1 [95 % over rows: 66.0, 81.2] |" in told
    assert "| always the most frequent class | 70.4 |" in told
    assert "| tfidf, no fine-tuning | 50.0 |" in told


def test_weak_classes_come_first():
    told = read_card()
    assert "over 2 seeds. Do not rely on it for `may|be`, `yes`." in told
    rows = [line for line in told.splitlines() if line.startswith("| `")]
    assert rows[0] == "| `may\\|be` | 10 | 0.0 | never said | 0.0 |"
    assert rows[1:] == ["| `yes` | 30 | 33.3 | 50.0 | 40.0 |", "| `no` | 95 | 94.7 | 78.3 | 85.7 |"]


def test_without_predictions_the_mean_is_told():
    assert "| this method, mean over seeds | 71.5 |" in text(CELLS)


@pytest.mark.parametrize("warmth", [1, 1.75])
def test_how_it_is_used(warmth):
    told = text(CELLS, temperature=warmth, text="review", text_pair=None)
    (lines,) = told.split("```python\n")[1].split("\n```")[:1]
    assert len(lines.splitlines()) == 3
    assert 'classify("a text", truncation=True, max_length=64)' in lines
    assert "It reads the table's column `review`, as in training." in told
    assert ("the temperature 1.75" in told) == (warmth != 1)
    assert "It reads the first 64 tokens of an input" in told


def test_a_simple_model_is_no_network():
    told = text([*CELLS, labelled(make_cell("tfidf", [0.8], metric="matthews"))], row=2)
    front = yaml.safe_load(told.split("---\n")[1])
    assert front["library_name"] == "pats-finetune"
    assert "base_model" not in front
    assert "```python" not in told
    assert "# tfidf fitted on cola" in told


def test_the_three_lines_load_a_model(tiny_bert, tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    for pair in (False, True):
        lines = (
            text(CELLS, pair=pair).split("```python\n")[1].split("\n```")[0].replace("MODEL", str(tmp_path))
        )
        *first, last = lines.splitlines()
        known = {}
        exec("\n".join(first), known)
        found = eval(last, known)
        assert (found[0] if isinstance(found, list) else found)["label"] in ("LABEL_0", "LABEL_1")
