"""The command line that makes a study, from the study itself."""

import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pats import setups
from pats.run.spec import Run
from pats.study.plan.grid import Study

# Flags of a run's fields that are not called as the field.
RENAMED = {"eps": "optimizer-eps"}  # --eps is the ε of PATS

_LISTS = ("tasks", "models", "methods", "lr_grid")
_SKIPPED = (
    "options",
    "task_options",
    "fingerprint",
    "weights",
    "method",
    "init_seed",
    "data_seed",
    "noise_seed",
)


def command(study: Study, out: str, verb: str = "compare", extra: Mapping[str, Any] | None = None) -> str:
    """What to type to make the study; settings with their default values are left out.

    Args:
        study: The study.
        out: Its folder.
        verb: The verb.
        extra: More flags and their values, put first.
    """
    words = ["pats", verb]
    for flag, value in (extra or {}).items():
        words += [f"--{flag}", *(f"{one:g}" if isinstance(one, float) else str(one) for one in value)]
    plain = Study(tasks=("grammar",))
    if verb == "compare" and not study.tasks and study.run.task is None:  # a table, which has a preset
        name = "table" if _is_of(study, "table") else "paper"
        words += [] if name == "table" else ["--preset", name]
        plain = _with(plain, name)
        if study.lr is not None or (study.lr_grid, study.halving) != (plain.lr_grid, plain.halving):
            plain = replace(plain, lr_grid=(), halving=None)  # rates that are given leave the preset's out
    for name in _LISTS:
        value = getattr(study, name)
        if value and (name == "tasks" or value != getattr(plain, name)):
            words += [f"--{name.replace('_', '-')}", *(_text(one) for one in value)]
    if study.lr is not None:
        words += ["--lr", _text(study.lr)]
    if study.seeds != study.enough_seeds():
        seeds = study.seeds if isinstance(study.seeds, tuple) else (study.seeds,)
        words += ["--seeds", *map(str, seeds)]
    if study.tuning_seed != plain.tuning_seed:
        words += ["--tuning-seed", str(study.tuning_seed)]
    if study.baselines is not None and verb == "compare":
        words += ["--baselines", *(study.baselines or ("none",))]
    if verb == "compare":  # no other verb has control rows, or trials of a grid
        if study.control != plain.control:
            words.append("--control" if study.control else "--no-control")
        if study.halving != plain.halving:
            words += ["--halving", _text(study.halving)]
    for field in fields(Run):
        value = getattr(study.run, field.name)
        if field.name in _SKIPPED or value == getattr(plain.run, field.name):
            continue
        flag = "--" + RENAMED.get(field.name, field.name).replace("_", "-")
        words += [flag, *(_text(one) for one in value)] if isinstance(value, tuple) else [flag, _text(value)]
    for key, value in study.run.task_options.items():
        words += ["--task-option", f"{key}={_text(value)}"]
    for row, options in study.options.items():
        words += [
            part for key, value in options.items() for part in ("--option", f"{row}.{key}={_text(value)}")
        ]
    return shlex.join([*words, "--out", out])


def _is_of(study: Study, preset: str) -> bool:
    """Whether a study has a preset's settings of a run, and rates from somewhere."""
    settings = setups.presets()[preset].settings
    return (study.lr is not None or bool(study.lr_grid)) and all(
        getattr(study.run, name) == value for name, value in settings.items()
    )


def _with(study: Study, preset: str) -> Study:
    """A study with a preset's settings."""
    of_run, of_study = setups.presets()[preset].settings, setups.presets()[preset].study
    own = {field.name for field in fields(Study)}
    of_study = {name: value for name, value in of_study.items() if name in own}
    return replace(study, run=replace(study.run, **of_run), **of_study)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)
