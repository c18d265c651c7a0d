"""Many runs: a ``Study`` or a ``Sweep``, the store of its results, and who places its runs."""

from pats.study.plan.grid import PlannedCell, Study

__all__ = ["PlannedCell", "Study"]
