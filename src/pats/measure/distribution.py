"""How the sensitivities of a model are distributed."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pats._errors import InputError
from pats.paper import WINDOW
from pats.run.numbers import gini, six_digits

WINDOW_BINS = 50
PER_DECADE = 20
LOWEST, HIGHEST = -20, 6  # decades; what lies outside is counted in the outermost bins
_CHUNK = 1 << 20  # entries binned at a time, so that no temporary is as large as a matrix


class Distribution:
    """How non-negative numbers are distributed, in a few hundred bins: built piece by piece, and added.

    Counts and sums are kept in bins of a twentieth of a decade, from 10⁻²⁰ to 10⁶; counts also in 50 equal
    bins over the paper's window [5·10⁻⁸, 10⁻⁵]. Zeros are counted apart, values that are not finite are
    counted and left out of everything else.
    """

    def __init__(self) -> None:
        bins = (HIGHEST - LOWEST) * PER_DECADE
        self.counts = torch.zeros(bins, dtype=torch.int64)
        self.sums = torch.zeros(bins, dtype=torch.float64)
        self.window = torch.zeros(WINDOW_BINS, dtype=torch.int64)
        self.zeros = self.below = self.above = self.not_finite = 0
        self.squares = 0.0

    def add(self, values: Tensor) -> None:
        """Count a tensor's absolute values, of any shape and floating type."""
        flat = values.detach().flatten()
        for start in range(0, flat.numel(), _CHUNK):
            self._add(flat[start : start + _CHUNK].cpu().double().abs())

    def _add(self, values: Tensor) -> None:
        finite = values[values.isfinite()]
        self.not_finite += values.numel() - finite.numel()
        positive = finite[finite > 0]
        self.zeros += finite.numel() - positive.numel()
        places = ((positive.log10() - LOWEST) * PER_DECADE).floor().long().clamp(0, len(self.counts) - 1)
        self.counts += torch.bincount(places, minlength=len(self.counts))
        self.sums += torch.bincount(places, weights=positive, minlength=len(self.sums))
        self.squares += float(positive.square().sum())
        low, high = WINDOW
        self.below += int((finite < low).sum())
        self.above += int((finite > high).sum())
        inside = finite[(finite >= low) & (finite <= high)]
        places = ((inside - low) / (high - low) * WINDOW_BINS).long().clamp(max=WINDOW_BINS - 1)
        self.window += torch.bincount(places, minlength=WINDOW_BINS)

    def __iadd__(self, other: "Distribution") -> "Distribution":
        self.counts += other.counts
        self.sums += other.sums
        self.window += other.window
        self.squares += other.squares
        for name in ("zeros", "below", "above", "not_finite"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def entries(self) -> int:
        """Finite values so far."""
        return int(self.counts.sum()) + self.zeros

    @property
    def mean(self) -> float:
        """Exact mean; 0 for none."""
        return float(self.sums.sum()) / self.entries if self.entries else 0.0

    @property
    def std(self) -> float:
        """Exact standard deviation over all entries; 0 for none."""
        if not self.entries:
            return 0.0
        return math.sqrt(max(self.squares / self.entries - self.mean**2, 0.0))

    @property
    def cv(self) -> float:
        """Coefficient of variation: standard deviation over mean; 0 where all are zero."""
        return self.std / self.mean if self.mean else 0.0

    @property
    def gini(self) -> float:
        """Gini's coefficient, from 0 (all equal) towards 1 (one entry holds everything).

        From the bins, as if a bin's entries were equal: below the exact value, by less than 0.002 for
        values that spread over a decade or more.
        """
        # Zeros come first and hold nothing.
        counts = torch.cat([torch.tensor([self.zeros]), self.counts])
        return gini(counts, torch.cat([torch.zeros(1, dtype=torch.float64), self.sums]))

    @property
    def insensitive(self) -> float:
        """Share below the paper's window, that is below 5·10⁻⁸; 0 for none."""
        return self.below / self.entries if self.entries else 0.0

    @property
    def beyond(self) -> float:
        """Share above the paper's window, that is above 10⁻⁵; 0 for none."""
        return self.above / self.entries if self.entries else 0.0

    def quantile(self, share: float) -> float:
        """The value below which a share of the entries lies, to a twentieth of a decade; 0 among zeros."""
        reached = self.zeros
        for place, count in enumerate(self.counts.tolist()):
            if reached >= share * self.entries:
                break
            reached += count
            if reached >= share * self.entries:
                return float(10 ** (LOWEST + (place + 0.5) / PER_DECADE))
        return 0.0

    def summary(self) -> dict[str, float]:
        """The concentration numbers, six digits each."""
        numbers = {
            "entries": self.entries,
            "mean": self.mean,
            "std": self.std,
            "cv": self.cv,
            "gini": self.gini,
            "median": self.quantile(0.5),
            "insensitive": self.insensitive,
            "beyond": self.beyond,
            "zeros": self.zeros,
            "not_finite": self.not_finite,
        }
        return {key: value if isinstance(value, int) else six_digits(value) for key, value in numbers.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the summary, and the bins that are not empty."""
        filled = self.counts.nonzero().flatten().tolist()
        first, last = (filled[0], filled[-1] + 1) if filled else (0, 0)
        return self.summary() | {
            "squares": self.squares,
            "below": self.below,
            "above": self.above,
            "window": self.window.tolist(),
            "first": first,
            "counts": self.counts[first:last].tolist(),
            "sums": [six_digits(value) for value in self.sums[first:last].tolist()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Distribution":
        """The distribution that ``to_dict`` described.

        Raises:
            InputError: Something is missing or of another shape.
        """
        made = cls()
        try:
            first, counts = int(values["first"]), torch.tensor(values["counts"], dtype=torch.int64)
            made.counts[first : first + len(counts)] = counts
            made.sums[first : first + len(counts)] = torch.tensor(values["sums"], dtype=torch.float64)
            made.window += torch.tensor(values["window"], dtype=torch.int64)
            made.squares = float(values["squares"])
            for name in ("zeros", "below", "above", "not_finite"):
                setattr(made, name, int(values[name]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"the distribution of sensitivities cannot be read ({error}): measure it again"
            ) from None
        return made
