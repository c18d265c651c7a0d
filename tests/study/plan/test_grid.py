import json
from dataclasses import replace

import pytest

from pats import InputError, _schema
from pats.run.spec import Run
from pats.study import Study
from pats.study.plan.planned import PlannedCell
from pats.study.plan.tuned import without_baselines

BERT = "bert-base-uncased"


def study(**values):
    return Study(**({"tasks": ("rte",), "models": (BERT,), "seeds": 2, "baselines": ()} | values))


def rates(made, tuned=()):
    return {cell.label: cell.lr for cell in made.cells(tuned=dict(tuned))}


def test_grid_is_tasks_models_methods_seeds():
    made = study(tasks=("cola", "rte"), models=("a", "b"), methods=("vanilla", "pats"), seeds=3, lr=1e-4)
    runs = made.runs()
    assert len(runs) == len({run.id for run in runs}) == 24
    assert [run.data_seed for run in runs] == [0] * 8 + [1] * 8 + [2] * 8
    for run in runs:
        assert run.init_seed == run.data_seed == run.noise_seed


@pytest.mark.parametrize(
    ("methods", "tasks", "seeds"),
    [
        (("vanilla", "pats"), ("rte",), 6),
        (("vanilla", "noisytune", "sage", "pats"), ("rte",), 7),
        (("vanilla", "noisytune", "sage", "pats"), ("rte", "cola"), 5),  # tested together, too
        (("pats",), ("rte",), 5),  # nothing to compare
    ],
)
def test_without_a_number_there_are_seeds_enough_to_show_something(methods, tasks, seeds):
    made = study(methods=methods, tasks=tasks, seeds=None)
    assert (made.seeds, made.seed_list) == (seeds, tuple(range(seeds)))


def test_methods_share_everything_else():
    plain, ours = study(methods=("vanilla", "pats"), lr=1e-4, seeds=(7,)).runs()
    assert plain.to_dict() | {"method": "pats"} == ours.to_dict()
    assert plain.data_seed == 7


def test_rates_common():
    assert set(rates(study(lr=3e-5)).values()) == {3e-5}


def test_rates_of_table_2_with_control_row():
    assert rates(study()) == {
        "vanilla": 1e-4,
        "vanilla at pats-paper's rate": 3e-4,
        "noisytune": 1e-4,
        "sage": 1e-4,
        "pats": 1e-4,
        "pats-paper": 3e-4,
    }
    assert "vanilla at pats-paper's rate" not in rates(study(control=False))
    assert "vanilla at pats-paper's rate" not in rates(study(tasks=("cola",)))  # the two rates are the same


def test_rates_of_table_2_are_adamaxs():
    assert set(rates(study(run=Run(optimizer="adamw", lr=2e-5))).values()) == {2e-5}


def test_rates_where_nothing_is_known():
    assert set(rates(study(models=("minilm",), run=Run(lr=7e-5))).values()) == {7e-5}


def test_rates_tuned_on_a_seed_that_is_not_reported():
    made = study(lr_grid=(1e-5, 1e-4))
    plan = made.tuning()
    assert [place[2] for place in plan] == ["noisytune", "sage", "pats"]  # the others have cells in Table 2
    for runs in plan.values():
        assert [run.lr for run in runs] == [1e-5, 1e-4]
        assert {run.data_seed for run in runs} == {made.tuning_seed}
    found = rates(made, dict.fromkeys(plan, 1e-5))
    assert (found["noisytune"], found["vanilla"]) == (1e-5, 1e-4)
    assert len(study(models=("minilm",), lr_grid=(1e-5, 1e-4)).tuning()) == 5


def test_control_cell_is_plain_fine_tuning():
    cell = next(cell for cell in study().cells() if cell.control)
    assert {(run.method, run.lr) for run in cell.runs} == {("vanilla", 3e-4)}


def test_variants_of_a_method():
    options = {"std": {"intensity": "std"}}
    made = study(methods=("vanilla", "pats", "std=pats"), options=options, lr=1e-4)
    cells = {cell.label: cell for cell in made.cells()}
    assert cells["std"].method == "pats"
    assert cells["std"].runs[0].options == {"intensity": "std"}
    assert cells["pats"].runs[0].options == {}


def test_fingerprints_stand_for_the_data():
    prints = {("rte", 0): "f", ("rte", 1): "f"}
    ids = [{run.id for run in study(run=Run(data=folder)).runs(prints)} for folder in ("here", "elsewhere")]
    assert ids[0] == ids[1]


def test_the_embedded_task_takes_no_folder():
    runs = study(tasks=("rte", "grammar"), run=Run(data="glue"), seeds=1, methods=("vanilla",)).runs()
    assert [run.data for run in runs] == ["glue", None]


def test_a_table_is_named_by_its_file():
    assert Study(run=Run(data="some/reviews.csv")).task_list == ("reviews",)


def test_round_trip():
    made = study(methods=("vanilla", "std=pats"), options={"std": {"p": 0.1}}, lr_grid=(1e-4,), seeds=(1, 2))
    assert _schema.build(Study, json.loads(json.dumps(made.to_dict()))) == made
    for cell in made.cells(tuned=dict.fromkeys(made.tuning(), 1e-4)):
        assert _schema.build(PlannedCell, json.loads(json.dumps(cell.to_dict()))) == cell


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tasks": (), "models": ()}, "nothing to train on"),
        ({"tasks": "rte"}, "must be a list"),
        ({"tasks": ("rte", "rte")}, "'rte' twice"),
        ({"methods": ()}, "methods is empty"),
        ({"methods": ("pats", "pats=sage")}, "same label"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": (1, 1)}, "different whole numbers"),
        ({"seeds": (1, -1)}, "seeds is"),
        ({"seeds": True}, "seeds is True"),
        ({"seeds": 1.5}, r"seeds is 1\.5"),
        ({"seeds": "3"}, "seeds is"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr_grid": (1e-4, -1.0)}, r"lr is -1\.0"),
        ({"lr_grid": (1e-4,), "tuning_seed": 1}, "tuning_seed is 1"),
        ({"options": {"other": {}}}, "'other', which is not a row"),
    ],
)
def test_bad_values_are_one_sentence(values, said):
    with pytest.raises(InputError, match=said) as caught:
        study(**values)
    assert "\n" not in str(caught.value)


def test_unknown_setting():
    with pytest.raises(_schema.Misfit, match="task is unknown"):
        _schema.build(Study, {"task": "rte"})


TABLE = Run(data="texts.csv")


@pytest.mark.parametrize(
    ("study", "labels"),
    [
        (Study(methods=("vanilla",), run=TABLE), ["vanilla", "majority", "tfidf", "frozen"]),
        (Study(methods=("tfidf", "vanilla"), run=TABLE), ["tfidf", "vanilla", "majority", "frozen"]),
        (Study(methods=("vanilla",), run=TABLE, baselines=()), ["vanilla"]),
        (Study(methods=("vanilla",), run=TABLE, baselines=("tfidf",)), ["vanilla", "tfidf"]),
        (Study(tasks=("rte",), methods=("vanilla",)), ["vanilla", "majority", "tfidf", "frozen"]),
        (
            Study(tasks=("rte",), methods=("vanilla", "words=tfidf")),
            ["vanilla", "words", "majority", "frozen"],
        ),
        (Study(tasks=("rte",), methods=("vanilla",), baselines=()), ["vanilla"]),
        (Study(tasks=("grammar",), methods=("vanilla",)), ["vanilla"]),
        (Study(tasks=("grammar",), methods=("vanilla",), baselines=("tfidf",)), ["vanilla", "tfidf"]),
        (Study(tasks=("rte",), methods=("vanilla",), baselines=("frozen",)), ["vanilla", "frozen"]),
    ],
)
def test_rows_of_baselines(study, labels):
    assert [cell.label for cell in study.cells()] == labels
    assert study.family == 0
    simple = [cell for cell in study.cells() if cell.label != "vanilla"]
    assert [len(cell.runs) for cell in simple] == [1] * len(simple)
    assert study.runs()[: len(simple)] == [cell.runs[0] for cell in simple]
    assert len(study.runs()) == len(simple) + 5


def test_a_baseline_is_the_same_run_whatever_the_training():
    runs = [replace(TABLE, epochs=epochs, optimizer="adamw") for epochs in (1, 2)]
    studies = [Study(run=run, lr_grid=(1e-4,) * (run.epochs > 1)) for run in runs]
    ids = [[c.runs[0].id for c in study.cells(tuned=Always()) if c.label == "frozen"] for study in studies]
    assert ids[0] == ids[1]
    assert all(label != "frozen" for _, _, label in studies[1].tuning())


class Always(dict):
    def __missing__(self, place):
        return 1e-4


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Study(run=TABLE, baselines=("tfdif",)), r"no baseline 'tfdif' \(did you mean 'tfidf'\?\)"),
        (lambda: Study(run=TABLE, baselines="tfidf"), "baselines is 'tfidf', but must be a list"),
        (
            lambda: without_baselines(Study(run=TABLE, methods=("vanilla", "tfidf")), "a search"),
            "'tfidf' is no fine-tuning, and a search is not for it",
        ),
    ],
)
def test_baselines_that_cannot_be_rows(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.parametrize("none", ["none", ["none"], ("none",), ()])
def test_no_baselines_are_named_as_on_the_command_line(none):
    assert Study(methods=("vanilla",), run=TABLE, baselines=none).baselines == ()
