"""What a model says of the rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pats._imports import try_import


@dataclass(frozen=True)
class Prediction:
    """What a model says of one row.

    Source: PATS's own.

    Args:
        texts: The one or two texts that the model saw.
        label: The most probable class; None for regression. Where a text may have several labels, all of
            its own, with a comma between them (or a semicolon or |, where a name has one), empty for none.
        scores: Probability of every class, or the one value ``"score"`` for regression. Where the best few
            classes were asked for they alone, the best first.
    """

    texts: tuple[str, ...]
    label: str | None
    scores: Mapping[str, float]


class Predictions(list[Prediction]):
    """The predictions of a table, one a row, in its order.

    Source: PATS's own.
    """

    index: Any = None  # of the frame of pandas that was labelled

    def to_pandas(self) -> Any:
        """A frame with a row a text: ``prediction`` and ``p_<class>``, or ``prediction`` alone for scores.

        It has the index of the frame of pandas that was labelled, so that the two can be joined.

        Raises:
            InputError: pandas is not installed.
        """
        rows = [
            {"prediction": one.scores["score"]}
            if one.label is None
            else {"prediction": one.label, **{f"p_{label}": p for label, p in one.scores.items()}}
            for one in self
        ]
        index = self.index if self.index is not None and len(self.index) == len(rows) else None
        return try_import("pandas", "notebook").DataFrame(rows, index=index)
