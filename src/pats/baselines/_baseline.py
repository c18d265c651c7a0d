"""What a baseline is: features of texts, on which a linear model is fitted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pats.tasks import Split

Embed = Callable[[Sequence[str]], NDArray[np.float32]]  # one vector a text
Features = Any  # a dense array, or a sparse matrix of scipy's, with one row an example
Arrays = Mapping[str, NDArray[Any]]


class Baseline:
    """A baseline by name. A subclass in a module of ``pats.baselines`` is found by itself.

    Attributes:
        name: What it is called.
        rank: Its place among the others, the plainest first.
        summary: What it does, in a few words.
        sentence: What a model card calls it.
        source: Where it is from.
        encoder: It needs the embeddings of a pretrained encoder.
        linear: A linear model is fitted on its features; else the labels' shares, mean or median are all.

    Args:
        embed: Gives the embeddings of texts; None for baselines that need none.
    """

    name: ClassVar[str]
    rank: ClassVar[int]
    summary: ClassVar[str]
    sentence: ClassVar[str]
    source: ClassVar[str] = "scikit-learn"
    encoder: ClassVar[bool] = False
    linear: ClassVar[bool] = True

    def __init__(self, embed: Embed | None = None) -> None:
        self.embed = embed

    def learn(self, train: Split) -> None:
        """Learn from the texts what the features need, such as a vocabulary; by default nothing."""

    def features(self, split: Split) -> Features:
        """The features of every example."""
        raise NotImplementedError

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What ``learn`` learned, as arrays without objects; by default nothing."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Take back what ``arrays`` gave."""
