import argparse
import shlex
from dataclasses import replace

import pytest

from pats import setups
from pats.cli import _flags, _parser, _settings, _study
from pats.run import Run
from pats.study import Study
from pats.study.command import command

GRID = setups.presets()["table"].study["lr_grid"]
TABLE = Run(data="my reviews.csv", **setups.presets()["table"].settings)

STUDIES = {
    "the least": Study(tasks=("rte",)),
    "a table": Study(run=Run(data="my reviews.csv", text="body", label="stars")),
    "a table with its preset": Study(run=TABLE, lr_grid=GRID, halving=3, control=False),
    "its preset with controls": Study(run=TABLE, lr_grid=GRID, halving=3),
    "its preset with a rate": Study(run=replace(TABLE, evaluations=6), lr=1e-4, control=False),
    "its preset with rates of one's own": Study(run=TABLE, lr_grid=(1e-5, 1e-3), halving=2, control=False),
    "its preset with whole trials": Study(run=TABLE, lr_grid=GRID, control=False),
    "its preset without trials": Study(run=TABLE),
    "other steps": Study(run=replace(TABLE, min_steps=7), lr_grid=GRID, halving=3, control=False),
    "lists": Study(tasks=("cola", "rte"), models=("a/b", "c"), methods=("vanilla", "std=pats"), seeds=(3, 5)),
    "baselines": Study(run=Run(data="a.csv"), baselines=("tfidf",)),
    "no baselines": Study(run=Run(data="a.csv", metric="mae"), baselines=()),
    "rates": Study(tasks=("cola",), lr_grid=(1e-5, 3e-4), tuning_seed=7, control=False, seeds=3),
    "settings": Study(
        tasks=("cola",),
        lr=3e-4,
        run=Run(epochs=2.5, steps=7, betas=(0.8, 0.99), eps=1e-6, clip=0.0, fraction=0.25, precision="bf16"),
    ),
    "the seeds of another default": Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=7),
    "options": Study(
        tasks=("grammar",),
        methods=("vanilla", "a, b=pats", "sage"),
        options={"a, b": {"signed": True, "eps": 1e-12, "intensity": "std"}, "sage": {"beta3": 0.5}},
        run=Run(task_options={"size": 100}),
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_typed_is_the_study(name):
    study = STUDIES[name]
    words = shlex.split(command(study, "out/x"))
    assert words[:2] == ["pats", "compare"]
    values = parsed(words[2:])
    assert values.pop("out") == "out/x"
    of_the_way = ("time_limit", "all_seeds")
    values = {key: value for key, value in _settings.with_preset(values).items() if key not in of_the_way}
    assert _study.build(values) == study


def parsed(argv):
    """As the verb reads it."""
    parser = _parser.Parser("compare", "", "")
    for name in ("tasks", "models", "methods", "baselines", "option"):
        parser.add_argument(f"--{name}", nargs="+", action="extend" if name == "option" else "store")
    parser.add_argument("--seeds", nargs="+", type=_flags.integer)
    parser.add_argument("--lr-grid", nargs="+", type=_flags.number)
    parser.add_argument("--tuning-seed", type=_flags.integer)
    parser.add_argument("--control", action=argparse.BooleanOptionalAction)
    parser.add_argument("--halving", type=_flags.integer)
    parser.add_argument("--out")
    _flags.add_run(parser, ["task", "model", "init_seed", "data_seed", "noise_seed"])
    return parser.read(argv)


def test_other_verbs_have_their_own_flags():
    typed = command(Study(tasks=("rte",), control=False), "o", "data-size", {"fractions": (0.05, 1.0)})
    assert typed == "pats data-size --fractions 0.05 1 --tasks rte --out o"
