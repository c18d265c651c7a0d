"""What the flags mean: the settings of a run, and the options of its method."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pats import setups
from pats._errors import InputError, did_you_mean
from pats.run.spec import Run, Value, value_of

NOISE = "noise."  # marks the flags that are options of the first noisy method that is used
NOISE_RENAMED = {"budget": "noise-budget"}


def pairs(texts: Sequence[str], flag: str) -> dict[str, Value]:
    """``["key=value", ...]`` as a mapping.

    Raises:
        InputError: A text has no ``=``.
    """
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"{flag} is {text!r}, but must be key=value")
        values[key.strip()] = value_of(value.strip())
    return values


def run_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of a run out of the flags' values."""
    names = {field.name for field in fields(Run)}
    settings = dict(setups.presets()[values.pop("preset", "paper")].beside(values).settings)
    settings |= {key: values.pop(key) for key in list(values) if key in names}
    if "task_option" in values:
        settings["task_options"] = pairs(values.pop("task_option"), "--task-option")
    return settings


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """The flags' values with a preset, which is ``table`` for a table, and what it sets of a comparison.

    What was given wins.
    """
    on_table = "data" in values and not values.get("task") and not values.get("tasks")
    name = values.get("preset", "table" if on_table else "paper")
    return {**setups.presets()[name].beside(values).study, **values, "preset": name}


def noise_settings(values: dict[str, Any]) -> dict[str, Value]:
    """Take the settings of the noise out of the flags' values."""
    keys = [key for key in values if key.startswith(NOISE)]
    return {key.removeprefix(NOISE): values.pop(key) for key in keys}


def method_options(values: dict[str, Any], rows: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    """Options of every row: of the methods' own flags, and of ``--option ROW.key=value``, which wins.

    Args:
        values: The flags' values; those that are used are taken out.
        rows: Method by row. Where there is one row alone, ``--option key=value`` is its.

    Raises:
        InputError: An option is for no row, or there are flags of a method and no row of it.
    """
    from pats import methods

    noise = noise_settings(values)
    used = {part for method in rows.values() for part in methods.parts(method)}
    noisy = next((name for name in methods.noisy() if name in used), Run.method)
    if noisy in used:
        _check_size(noise, noisy)
    settings = {noisy: noise}
    for name in methods.registry():
        keys = [key for key in values if key.startswith(f"{name}.")]
        settings.setdefault(name, {}).update({key.partition(".")[2]: values.pop(key) for key in keys})
    options: dict[str, dict[str, Value]] = {}
    for name, given in settings.items():
        ours = [row for row, method in rows.items() if name in methods.parts(method)]
        if given and not ours:
            key = next(iter(given))
            flag = "--" + (NOISE_RENAMED.get(key, key) if name in methods.noisy() else f"{name}-{key}")
            flag = flag.replace("_", "-")
            raise InputError(
                f"{flag} is a setting of the method {name}, which is not used here: leave it out, or use "
                f"{name}"
            )
        for row in ours if given else ():
            prefix = f"{name}." if len(methods.parts(rows[row])) > 1 else ""
            options.setdefault(row, {}).update({prefix + key: value for key, value in given.items()})
    for name, value in pairs(values.pop("option", []), "--option").items():
        row, key = _row_of(name, rows)
        if row not in rows:
            perhaps = did_you_mean(name.partition(".")[0], rows)
            raise InputError(
                f"--option {name!r} is for no row{perhaps}: write ROW.key=value with a row of "
                f"{', '.join(rows)}"
            )
        options.setdefault(row, {})[key] = value
    return options


def _check_size(noise: Mapping[str, Value], method: str) -> None:
    """Refuse a size of the noise that its scale does not use, in the words of the flags."""
    from pats import methods
    from pats._noise import SIZES

    scale = noise.get("scale", methods.registry()[method].Options().scale)
    for other, (name, _) in SIZES.items():
        if other != scale and noise.get(name) is not None:
            instead = SIZES[str(scale)][0] if scale in SIZES else "budget"
            raise InputError(
                f"--{NOISE_RENAMED.get(name, name)} goes with --scale {other} only, and the scale of "
                f"{method} is {scale}: add --scale {other}, or set --{NOISE_RENAMED.get(instead, instead)}"
            )


def _row_of(name: str, rows: Mapping[str, str]) -> tuple[str, str]:
    """Row and key of ``ROW.key`` or, where there is one row alone, of ``key``; "" is no row."""
    owners = [row for row in rows if name.startswith(f"{row}.")]
    if owners:
        row = max(owners, key=len)
        return row, name[len(row) + 1 :]
    alone = next(iter(rows)) if len(rows) == 1 else ""
    from pats import methods

    head, dot, _ = name.partition(".")
    return (alone if not dot or (alone and head in methods.parts(rows[alone])) else ""), name
