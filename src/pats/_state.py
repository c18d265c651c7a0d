"""What a checkpoint of an optimizer with PATS holds, and how it is loaded."""

import warnings
from itertools import chain
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pats._budget import KEYS
from pats._noise import GROUP_KEYS, RNG_KEY
from pats.philox import RNG_VERSION

SENSITIVITY = "sensitivity"


def merged(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """A state dict about to be loaded, with the entries of ours that it lacks.

    Raises:
        ValueError: It belongs to another noise stream. Other settings that differ warn, and win.
    """
    groups = []
    for current, loaded in zip(optimizer.param_groups, state_dict["param_groups"], strict=False):
        ours = {key: current[key] for key in GROUP_KEYS if key in current}
        loaded = {**_earlier(loaded), **loaded}
        if ours and loaded.get(RNG_KEY, RNG_VERSION) != RNG_VERSION:
            raise ValueError(
                f"the checkpoint's noise stream has rng_version {loaded[RNG_KEY]}, this version of "
                f"PATS draws rng_version {RNG_VERSION}: continue with the version that wrote it"
            )
        differ = [key for key in ours if key in loaded and loaded[key] != ours[key]]
        if differ:
            told = ", ".join(f"{key} {loaded[key]!r} instead of {ours[key]!r}" for key in differ)
            warnings.warn(f"the checkpoint's noise settings replace the present ones: {told}", stacklevel=4)
        # A checkpoint of the plain optimizer lacks our entries: the present ones stay.
        groups.append({**{k: v for k, v in current.items() if k != "params"}, **loaded})
    rest = state_dict["param_groups"][len(groups) :]  # torch itself refuses another number
    return {**state_dict, "param_groups": [*groups, *rest]}


def _earlier(group: dict[str, Any]) -> dict[str, Any]:
    """Settings that a checkpoint of an earlier version lacks, which knew no budget."""
    if RNG_KEY not in group:
        return {}
    return {key: None for key in ("noise_budget", "noise_steps") if key not in group}


def restore_dtypes(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """After ``load_state_dict``: torch has cast the state to the parameter's dtype; undo it.

    s̄ and the numbers of a budget always keep the dtype they were saved in, the moments where ``state_dtype``
    is set.

    Args:
        optimizer: The optimizer that has loaded ``saved``.
        saved: The state dict.
    """
    ids = chain.from_iterable(group["params"] for group in saved["param_groups"])
    every = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    for index, (group, parameter) in zip(ids, every, strict=True):
        for key, value in saved["state"].get(index, {}).items():
            kept = key == SENSITIVITY or key in KEYS or (group.get("state_dtype") and key != "step")
            if kept and isinstance(value, Tensor):
                optimizer.state[parameter][key] = value.to(device=parameter.device, copy=True)
