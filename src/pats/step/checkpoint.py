"""How the state of a checkpoint, or of a copy, comes to an optimizer with PATS."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._budget import KEYS, MEAN
from pats._errors import InputError
from pats._last import KEY as LAST
from pats._last import ROW
from pats._noise import GROUP_KEYS, PREFIX, RNG_KEY, Noise, state_dtype
from pats._scope import canonical_name
from pats.philox import RNG_VERSION
from pats.step.form import refuse_malformed, refuse_other_sizes, refuse_strays
from pats.step.matrices import Target
from pats.step.state import AVERAGES, OURS, SENSITIVITY, SHAPED, Names, knows, miscounted, misfit, on_device

Groups = Sequence[dict[str, Any]]
_FAR = 2.0**500  # the squares of an account's numbers stay finite


def fitted(optimizer: Optimizer, state_dict: dict[str, Any], known: Names = dict) -> dict[str, Any]:
    """A state dict about to be loaded, its parameters in the optimizer's order.

    They are matched by name where both sides have names, else by position.

    Args:
        optimizer: The optimizer; it is not changed.
        state_dict: What it is to load.
        known: Names of parameters whose groups have none.

    Raises:
        InputError: It is malformed, the parameters are others, or a state does not fit its parameter.
    """
    refuse_malformed(optimizer, state_dict)
    here, there = optimizer.param_groups, state_dict["param_groups"]
    names, loaded = _names(here, known), _names(there)
    if names is not None and loaded is not None:
        there = _by_name(here, names, there, loaded)
    elif names is not None and all("param_names" in group for group in there):
        raise InputError(
            "the state dict has a parameter's name twice: load one that the optimizer has written"
        )
    else:
        refuse_other_sizes(here, there)
    refuse_strays(optimizer, there, state_dict["state"])
    state_dict = {**state_dict, "param_groups": there}
    _check(optimizer, state_dict, names)
    return state_dict


def follow_loading(optimizer: Optimizer, known: Names = dict) -> list[Any]:
    """Take part in every ``load_state_dict`` of an optimizer; the last to follow comes first.

    Args:
        optimizer: The optimizer.
        known: Names of parameters whose groups have none.

    Returns:
        The handles of the hooks.
    """
    loading: list[dict[str, Any]] = []  # a hook after the load sees only what torch has cast already

    def before(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
        loading[:] = [fitted(optimizer, state_dict, known)]
        return merged(optimizer, loading[0])

    def after(optimizer: Optimizer) -> None:
        if loading:
            restore(optimizer, loading.pop())

    return [
        optimizer.register_load_state_dict_pre_hook(before, prepend=True),
        optimizer.register_load_state_dict_post_hook(after),
    ]


def _names(groups: Groups, known: Names = dict) -> list[list[str]] | None:
    """Canonical names, group by group; None where they are missing or two are alike."""
    canonical = []
    others = {} if all(group.get("param_names") for group in groups) else known()
    for group in groups:
        names = group.get("param_names") or [others.get(id(parameter)) for parameter in group["params"]]
        if len(names) != len(group["params"]) or not all(isinstance(name, str) for name in names):
            return None
        canonical.append([canonical_name(name) for name in names])
    every = [*chain.from_iterable(canonical)]
    return canonical if len(set(every)) == len(every) else None


def _by_name(
    here: Groups, names: Sequence[Sequence[str]], there: Groups, loaded: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """The loaded groups as the optimizer has them."""
    place = {name: (group, i) for group, members in enumerate(loaded) for i, name in enumerate(members)}
    wanted = {*chain.from_iterable(names)}
    lacks = [name for members in names for name in members if name not in place]
    more = [name for name in place if name not in wanted]
    if lacks or more:
        sides = (("it lacks", lacks), ("only it has", more))
        difference = " and ".join(f"{verb} {_some(which)}" for verb, which in sides if which)
        raise InputError(
            f"the state dict belongs to other parameters: {difference}; load it into an optimizer of the "
            "same ones"
        )
    reordered = []
    for position, (group, members) in enumerate(zip(here, names, strict=True)):
        source = {place[name][0] for name in members} or {position}
        number = min(source)
        if len(source) > 1 or number >= len(there) or len(loaded[number]) != len(members):
            raise InputError(
                f"the state dict groups the parameters in another way: {_some(members)} are one group here; "
                "build the groups as they were when it was saved"
            )
        ids = [there[number]["params"][place[name][1]] for name in members]
        held = group.get("param_names") or [there[number]["param_names"][place[name][1]] for name in members]
        reordered.append({**there[number], "params": ids, "param_names": [*held]})
    return reordered


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def _check(optimizer: Optimizer, state_dict: dict[str, Any], names: Sequence[Sequence[str]] | None) -> None:
    entries = [
        (names[g][i] if names is not None else f"{i} of group {g}", parameter, state_dict["state"][index])
        for g, (group, loaded) in enumerate(
            zip(optimizer.param_groups, state_dict["param_groups"], strict=False)
        )
        for i, (parameter, index) in enumerate(zip(group["params"], loaded["params"], strict=False))
        if isinstance(state_dict["state"].get(index), Mapping)
    ]
    shaped = SHAPED if knows(optimizer) else _shaped([(p, state) for _, p, state in entries])
    for name, parameter, state in entries:
        for key, value in state.items():
            why = misfit(key, value, parameter) if key in shaped else None
            if key == LAST:
                why = _misrow(value)
            elif key == "step" or str(key).startswith(OURS):
                why = miscounted(value, parameter) or _misnumber(value, signed=key == KEYS[MEAN])
            elif isinstance(value, Tensor) and value.is_meta and not parameter.is_meta:
                why = "has no data"
            if why is not None:
                what = repr(name) if names is not None else f"parameter {name}"
                raise InputError(
                    f"the state dict does not fit the model: {key!r} of {what} {why}; nothing was loaded"
                )


def _shaped(states: Iterable[tuple[Tensor, Mapping[str, Any]]]) -> set[str]:
    """Which entries of somebody else's optimizer have their parameter's shape, by all that lie beside an s̄.

    GaLore's moments are those of a projected gradient, for one.
    """
    beside: set[str] = set()
    other: set[str] = set()
    for parameter, state in states:
        average = state.get(SENSITIVITY)
        if isinstance(average, Tensor) and average.shape == parameter.shape:
            for key, value in state.items():
                fits = isinstance(value, Tensor) and value.shape == parameter.shape
                (beside if fits else other).add(key)
    return (beside - other) & SHAPED | {SENSITIVITY}


def _misnumber(value: object, signed: bool) -> str | None:
    if isinstance(value, Tensor):
        if on_device(value):
            return None  # to read it would make the host wait
        value = value.item()
    if not isinstance(value, int | float) or not abs(value) < _FAR:  # true for NaN
        return f"is {value!r}, but must be a finite number"
    if value < 0 and not signed:
        return f"is {value!r}, but must be at least 0"
    return None


def _misrow(value: object) -> str | None:
    if not isinstance(value, Tensor) or value.shape != (len(ROW),):
        return f"must be a tensor of {len(ROW)} numbers"
    if value.is_meta:
        return "has no data"
    return "must hold no NaN" if value.isnan().any() else None


def merged(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """A state dict about to be loaded, with the settings that its groups lack.

    Raises:
        InputError: It belongs to another noise stream, or a setting is out of its range. Other settings that
            differ warn, and win.
    """
    groups: list[dict[str, Any]] = []
    for current, loaded in zip(optimizer.param_groups, state_dict["param_groups"], strict=False):
        ours = {key: current[key] for key in GROUP_KEYS if key in current}
        loaded = {**earlier(loaded), **loaded}
        if ours:
            compare(ours, loaded)
        # A checkpoint of the plain optimizer lacks our settings: the present ones stay.
        groups.append({**{k: v for k, v in current.items() if k != "params"}, **loaded})
        _check_noise(groups[-1])
    rest = state_dict["param_groups"][len(groups) :]  # torch itself refuses another number
    return {**state_dict, "param_groups": [*groups, *rest]}


def _check_noise(group: Mapping[str, Any]) -> None:
    if not any(key in group for key in GROUP_KEYS):
        return
    try:
        Noise.from_group(group)
    except InputError as error:
        raise InputError(f"the checkpoint's noise settings cannot be: {error}; nothing was loaded") from None


def earlier(group: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a checkpoint of an earlier version lacks, as ``Noise.from_group`` takes them: not set."""
    if RNG_KEY not in group:
        return {}
    return {PREFIX + f.name: f.default for f in fields(Noise) if PREFIX + f.name not in group}


def compare(ours: Mapping[str, Any], loaded: Mapping[str, Any]) -> None:
    """Refuse another noise stream than this version's, and warn of settings that the loaded ones replace."""
    if loaded.get(RNG_KEY, RNG_VERSION) != RNG_VERSION:
        raise InputError(
            f"the checkpoint's noise stream has rng_version {loaded[RNG_KEY]}, this version of "
            f"PATS draws rng_version {RNG_VERSION}: continue with the version that wrote it"
        )
    differ = [key for key in ours if key in loaded and loaded[key] != ours[key]]
    if differ:
        changes = ", ".join(f"{key} {loaded[key]!r} instead of {ours[key]!r}" for key in differ)
        warnings.warn(f"the checkpoint's noise settings replace the present ones: {changes}", stacklevel=5)


def restore(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """After ``load_state_dict``: torch has cast the state to the parameter's dtype; undo it.

    Our own entries and a counter in float64 keep their dtype, and the moments where ``state_dtype`` is set.
    s̄ then lies in memory in the order of its indices, which the kernels rely on, and the moments as their
    parameter does.

    Args:
        optimizer: The optimizer that has loaded ``saved``.
        saved: The state dict, with the parameters in its order.
    """
    ids = chain.from_iterable(group["params"] for group in saved["param_groups"])
    every = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    for index, (group, parameter) in zip(ids, every, strict=True):
        for key, value in saved["state"].get(index, {}).items():
            if not isinstance(value, Tensor):
                continue
            state = optimizer.state[parameter]
            if key in AVERAGES:
                state[key] = as_sensitivity(value.to(device=parameter.device, copy=True), parameter)
            elif key == "step":
                if value.dtype == torch.float64 and not on_device(state[key]):
                    state[key] = value.to(device="cpu", copy=True)
            elif key == LAST:
                state[key] = value.to("cpu", torch.float64, copy=True)
            elif str(key).startswith(OURS) or group.get("state_dtype"):
                state[key] = value.to(device=parameter.device, copy=True)
            if key in SHAPED - AVERAGES:
                state[key] = _laid_out(state[key], parameter)


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """A moment in memory as its parameter lies there: torch's fused step does not look at strides."""
    if value.shape != parameter.shape or value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def as_sensitivity(value: Tensor, parameter: Tensor) -> Tensor:
    """s̄, or another average, in the order of its indices, in float32 or float64."""
    wide = value.dtype in (torch.float32, torch.float64)
    return (value if wide else value.to(state_dtype(parameter))).contiguous()


def settle(optimizer: Optimizer, targets: Iterable[Target], known: Names) -> None:
    """Take up a state that was loaded, or copied, before PATS was there to look after it.

    Raises:
        InputError: It does not fit the model; nothing has been changed.
    """
    averages, names = [], known()
    for _, parameter, name in targets:
        own = names.get(id(parameter), name)
        if own != name:
            raise InputError(
                f"the state of {name!r} was loaded onto {own!r}, since the parameters are in another "
                "order than when it was saved: attach PATS first, then load"
            )
        average = optimizer.state.get(parameter, {}).get(SENSITIVITY)
        if average is not None:
            averages.append((parameter, average))
    shaped = SHAPED if knows(optimizer) else {SENSITIVITY}
    for parameter, state in optimizer.state.items():
        for key in shaped & state.keys():
            why = misfit(key, state[key], parameter)
            if why is not None:
                raise InputError(
                    f"the state does not fit the model: {key!r} of {names.get(id(parameter))!r} {why}"
                )
    if any(average.dtype in (torch.bfloat16, torch.float16) for _, average in averages):
        warnings.warn(
            "the sensitivities were rounded to half precision when they were loaded before PATS was "
            "attached: to go on to the bit, attach PATS first, then load",
            stacklevel=5,
        )
    for parameter, average in averages:
        optimizer.state[parameter][SENSITIVITY] = as_sensitivity(average, parameter)
    _settle_rows(optimizer)
    spent = (state[key] for state in optimizer.state.values() for key in KEYS if key in state)
    if any(isinstance(value, Tensor) and value.dtype != torch.float64 for value in spent):
        warnings.warn(
            "what the noise has spent of its budget was rounded when it was loaded before PATS was attached: "
            "to go on to the bit, attach PATS first, then load",
            stacklevel=5,
        )


def _settle_rows(optimizer: Optimizer) -> None:
    """Forget rows of noise that torch has cast with the rest of the state: they draw another noise."""
    rounded = [
        state
        for state in optimizer.state.values()
        if LAST in state and (state[LAST].dtype != torch.float64 or state[LAST].shape != (len(ROW),))
    ]
    for state in rounded:
        del state[LAST]
    if rounded:
        warnings.warn(
            "the noise of the last step was rounded when it was loaded before PATS was attached, and is left "
            "as it is: to go on to the bit, attach PATS first, then load",
            stacklevel=6,
        )
