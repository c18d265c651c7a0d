from dataclasses import replace

import pytest

from pats import InputError
from pats.run.spec import Run, value_of

# As they were before there was a split seed, when the literal reading was called pats.
IDS = {
    "32a87ca5a2a038fc": {},
    "a47faa0890dcfef4": {"data": "a.csv", "kind": "regression", "data_seed": 3},
    "7bc14c0354f7de27": {"data": "a.csv", "fingerprint": "f" * 32, "label": "stars"},
}


@pytest.mark.parametrize("id", IDS)
def test_ids_of_stored_results_stay(id):
    run = Run(method="pats-paper", **IDS[id])
    assert run.id == id
    younger = ("split_seed", "allow_missing_weights", "record", *(name for name in TABLE if name != "text"))
    old = {name: value for name, value in run.to_dict().items() if name not in younger}
    assert Run.from_dict(old | {"method": "pats"}) == run
    assert Run(**IDS[id]).id != id


def test_records_of_the_literal_reading_are_read_under_its_new_name():
    old = {"method": "noisytune+pats", "options": {"pats.lam": 1e-6, "noisytune.intensity": 0.1}}
    read = Run.from_dict(old)
    assert read.method == "noisytune+pats-paper"
    assert read.options == {"pats-paper.lam": 1e-6, "noisytune.intensity": 0.1}
    assert Run.from_dict(read.to_dict()) == read
    assert Run.from_dict(Run(method="pats").to_dict()).method == "pats"


def test_the_split_seed_is_part_of_the_id_where_it_is_given():
    assert len({Run(data="a.csv", split_seed=seed).id for seed in range(3)}) == 3
    assert Run(split_seed=5).with_seed(7) == Run(init_seed=7, data_seed=7, noise_seed=7, split_seed=5)


def test_runs_on_several_labels_have_new_ids_since_their_head_starts_at_the_shares():
    """Old results are not mixed with new ones."""
    before = "bded48b6a5500ed2"
    assert Run(data="a.csv", kind="multilabel", fingerprint="f" * 32).id == "efbbd200c46a7531" != before


TABLE = {"quoting": "none", "sheet": "s", "drop_rare": True, "drop_unlabelled": True, "text": ["a", "b"]}


@pytest.mark.parametrize("name", TABLE)
def test_how_a_table_is_read_is_part_of_the_id_where_it_is_given(name):
    plain, asked = Run(data="a.csv"), Run(data="a.csv", **{name: TABLE[name]})
    assert plain.id != asked.id
    assert Run.from_dict(asked.to_dict()) == asked
    assert Run(data="a.csv", text=["a"]) == Run(data="a.csv", text="a")


def test_a_split_seed_out_of_its_range_is_refused():
    with pytest.raises(InputError, match="split_seed is -1"):
        Run(split_seed=-1)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("None", None), ("3", 3), ("1e-3", 1e-3), ("encoder", "encoder"), ("1_x", "1_x")],
)
def test_value_of(text, value):
    assert (value_of(text), type(value_of(text))) == (value, type(value))


def test_metric_and_weights_of_classes_are_in_no_id_unless_they_are_named():
    plain = Run(task="rte")
    assert plain.id == "7347476813333e88"  # as it was before there were such settings
    others = {Run(task="rte", metric="macro_f1").id, Run(task="rte", class_weights="balanced").id}
    assert len(others | {plain.id}) == 3
    with pytest.raises(InputError, match="metric is 'bleu', but must be one of: accuracy"):
        Run(task="rte", metric="bleu")
    with pytest.raises(InputError, match="class_weights is 'even', but must be one of: balanced"):
        Run(task="rte", class_weights="even")


@pytest.mark.parametrize(
    ("settings", "rows", "steps"),
    [
        ({}, 100, 40),  # 4 steps an epoch
        ({"epochs": 2.5}, 100, 10),
        ({"min_steps": 150}, 100, 150),
        ({"min_steps": 150}, 10_000, 3130),
        ({"max_steps": 1500}, 10_000, 1500),
        ({"min_steps": 150, "max_steps": 1500}, 1000, 320),
        ({"steps": 7, "min_steps": 150}, 1000, 7),
    ],
)
def test_total_steps_have_a_floor_and_a_cap(settings, rows, steps):
    assert Run(task="rte", **settings).total_steps(rows) == steps


@pytest.mark.parametrize("name", ["min_steps", "max_steps", "evaluations"])
def test_bounds_of_steps_are_in_the_id_where_they_are_given(name):
    plain = Run(task="rte")
    assert replace(plain, **{name: None}).id == plain.id
    assert replace(plain, **{name: 9}).id != plain.id
    with pytest.raises(InputError, match=f"{name} is 0, but must be a whole number from 1"):
        replace(plain, **{name: 0})


def test_a_floor_above_the_cap_is_refused():
    with pytest.raises(InputError, match="min_steps is 9, which is more than max_steps, 8"):
        Run(task="rte", min_steps=9, max_steps=8)
