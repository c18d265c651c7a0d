import shlex

import pytest

from pats.cli import _flags, _parser, _study
from pats.run import Run
from pats.study import Study
from pats.study.command import command

STUDIES = {
    "the least": Study(tasks=("rte",)),
    "a table": Study(run=Run(data="my reviews.csv", text="body", label="stars")),
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
    assert _study.build(values) == study


def parsed(argv):
    """As the verb reads it."""
    parser = _parser.Parser("compare", "", "")
    for name in ("tasks", "models", "methods", "baselines", "option"):
        parser.add_argument(f"--{name}", nargs="+", action="extend" if name == "option" else "store")
    parser.add_argument("--seeds", nargs="+", type=_flags.whole)
    parser.add_argument("--lr-grid", nargs="+", type=_flags.number)
    parser.add_argument("--tuning-seed", type=_flags.whole)
    parser.add_argument("--no-control", action="store_true")
    parser.add_argument("--out")
    _flags.add_run(parser, ["task", "model", "init_seed", "data_seed", "noise_seed"])
    return parser.read(argv)


def test_other_verbs_have_their_own_flags():
    typed = command(Study(tasks=("rte",), control=False), "o", "data-size", {"fractions": (0.05, 1.0)})
    assert typed == "pats data-size --fractions 0.05 1 --tasks rte --out o"
