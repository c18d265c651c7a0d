"""Many runs: a ``Study`` or a ``Sweep``, the store of its results, and who places its runs."""

from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell

__all__ = ["PlannedCell", "Study"]
