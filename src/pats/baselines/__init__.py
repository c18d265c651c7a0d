"""Baselines that are no fine-tuning, fitted in seconds; adding one is a file here with one ``Baseline``."""

from collections.abc import Mapping
from functools import cache

from pats._errors import InputError
from pats._registry import members
from pats.baselines._baseline import Baseline, Embed
from pats.baselines._fit import Fitted, fit, refit, restore

__all__ = ["Baseline", "Embed", "Fitted", "check_options", "fit", "is_simple", "refit", "registry", "restore"]


@cache
def registry() -> Mapping[str, type[Baseline]]:
    """Every baseline by its name, the plainest first."""
    return {one.name: one for one in sorted(members(__name__, Baseline), key=lambda one: one.rank)}


def is_simple(method: str) -> bool:
    """Whether a method is a baseline that is no fine-tuning."""
    return method in registry()


def check_options(method: str, options: Mapping[str, object] | None) -> None:
    """Refuse options: baselines tune themselves.

    Raises:
        InputError: There are some.
    """
    if options:
        raise InputError(
            f"the method {method!r} is tuned on dev and takes no option, but {next(iter(options))!r} was "
            "given: leave it out"
        )
