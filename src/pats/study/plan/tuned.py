"""Studies of what is trained: baselines, which are fitted, are left out."""

from dataclasses import replace

from pats import baselines
from pats._errors import InputError
from pats.study.plan.grid import Study


def without_baselines(study: Study, what: str) -> Study:
    """The study without the baselines of a table, for what is about fine-tuning alone.

    Raises:
        InputError: One is named among the methods, or the rows are to be in folds.
    """
    if study.run.folds is not None:
        raise InputError(f"folds are for comparisons, and {what} has one split: leave them out")
    rows = replace(study, baselines=()).rows
    named = [label for label, method in rows if baselines.is_simple(method)]
    if named:
        raise InputError(
            f"{named[0]!r} is no fine-tuning, and {what} is not for it: compare it with pats compare"
        )
    return replace(study, baselines=())
