"""What runs found, as a study and a page read it."""

from pats.measure.distribution import LOWEST, PER_DECADE, WINDOW_BINS, Distribution
from pats.results.cell import PLAIN, Cell, Doubt, Outcome, preferred
from pats.run.result import Epoch, Result
from pats.run.spec import Run

__all__ = [
    "LOWEST",
    "PER_DECADE",
    "PLAIN",
    "WINDOW_BINS",
    "Cell",
    "Distribution",
    "Doubt",
    "Epoch",
    "Outcome",
    "Result",
    "Run",
    "preferred",
]
