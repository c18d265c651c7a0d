"""The form of a state dict: what torch and PATS take for granted of one before they read it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from pats._errors import InputError
from pats.step.state import knows

_COUNTERS = (torch.float32, torch.float64)  # of which torch's optimizers make groups
_COUNTED = frozenset({"step"})
# What torch's optimizers read of a state that is not empty, ours of their subclasses among them.
_READ: Mapping[type[Optimizer], frozenset[str]] = {
    torch.optim.Adam: _COUNTED | {"exp_avg", "exp_avg_sq"},
    torch.optim.Adamax: _COUNTED | {"exp_avg", "exp_inf"},
    torch.optim.RMSprop: _COUNTED | {"square_avg"},
}


def refuse_malformed(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> None:
    """Refuse a state dict that is none, or one of an optimizer of another kind.

    Args:
        optimizer: The optimizer that is about to load it.
        state_dict: What it is to load.

    Raises:
        InputError: A part is missing or of another type, or a state lacks what the optimizer reads.
    """
    groups, states = state_dict.get("param_groups"), state_dict.get("state")
    if not isinstance(groups, list | tuple) or not isinstance(states, Mapping):
        raise _none("it has no list 'param_groups', or no mapping 'state'")
    for place, group in enumerate(groups):
        why = _group(group)
        if why is not None:
            raise _none(f"group {place} {why}")
    numbers = [number for group in groups for number in group["params"]]
    if len(set(numbers)) < len(numbers):
        raise _none("a parameter is in it twice")
    read = _read(optimizer)
    for number in numbers:
        state = states.get(number, {})
        if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
            raise _none(f"the state of parameter {number!r} is no mapping from names")
        lacking = sorted(key for key in read if state.get(key) is None) if state else []
        if lacking:
            raise InputError(
                f"the state dict is of another kind of optimizer: the state of parameter {number!r} has no "
                f"{lacking[0]!r}, which {type(optimizer).__name__} reads; load one that it has written"
            )
        step = state.get("step")
        if "step" in read and isinstance(step, torch.Tensor) and step.dtype not in _COUNTERS:
            raise _none(
                f"the step of parameter {number!r} is {step.dtype}, but must be torch.float32 or float64"
            )


def refuse_strays(
    optimizer: Optimizer, groups: Sequence[Mapping[str, Any]], states: Mapping[Any, Any]
) -> None:
    """Refuse states of no parameter, which torch would keep.

    Raises:
        InputError: There is one, and the optimizer is not somebody else's, which may keep others.
    """
    members = {number for group in groups for number in group["params"]}
    stray = next((key for key in states if key not in members), None)
    if stray is not None and knows(optimizer):
        raise _none(f"it has the state of {stray!r:.40}, which is in no group")


def refuse_other_sizes(here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> None:
    """Refuse groups that cannot be matched by position.

    Raises:
        InputError: They are more, fewer, or of other sizes.
    """
    ours, theirs = ([len(group["params"]) for group in side] for side in (here, there))
    if ours != theirs:
        raise InputError(
            f"the state dict has groups of {theirs} parameters, but the optimizer of {ours}: build the "
            "groups as they were when it was saved"
        )


def _group(group: object) -> str | None:
    if not isinstance(group, Mapping):
        return f"is a {type(group).__name__}, but must be a mapping"
    members, names = group.get("params"), group.get("param_names")
    if not isinstance(members, list | tuple) or not all(isinstance(one, int | str) for one in members):
        return "has no list 'params' of numbers"
    if "param_names" not in group:
        return None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return "has 'param_names' that are no list of names"
    if len(names) != len(members):
        return f"has {len(members)} parameters, but {len(names)} names"
    return None


def _read(optimizer: Optimizer) -> frozenset[str]:
    ours: frozenset[str] | None = getattr(optimizer, "reads", None)
    if ours is not None:
        return ours
    return next((keys for kind, keys in _READ.items() if isinstance(optimizer, kind)), frozenset())


def _none(why: str) -> InputError:
    return InputError(f"the state dict is none, or damaged: {why}; nothing was loaded")
