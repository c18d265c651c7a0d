"""``majority``: always the most frequent class, the mean score or the median."""

import numpy as np

from pats.baselines._baseline import Baseline, Features
from pats.tasks import Split


class Majority(Baseline):
    """One answer for every text; what a model must beat to have learned anything."""

    name = "majority"
    rank = 0
    summary = "always the most frequent class, or the mean or median score"
    sentence = "always the most frequent class, or the mean or median score"
    source = ""
    linear = False

    def features(self, split: Split) -> Features:
        """None: no text is read."""
        return np.zeros((len(split), 0))
