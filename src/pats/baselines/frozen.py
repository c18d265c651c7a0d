"""``frozen``: a linear model on the pretrained encoder's embeddings, none of whose weights is trained."""

import numpy as np

from pats.baselines._baseline import Baseline, Features
from pats.baselines._pairs import combined
from pats.tasks import Split


class Frozen(Baseline):
    """Mean-pooled embeddings of the last layer; of a pair, those of each text and how they differ."""

    name = "frozen"
    rank = 2
    summary = "logistic or ridge regression on the frozen encoder's mean-pooled embeddings"
    sentence = "a linear model on the frozen encoder's mean-pooled embeddings"
    encoder = True

    def features(self, split: Split) -> Features:
        """A dense array in float64."""
        assert self.embed is not None
        embed = self.embed
        first, second = (
            None if texts is None else np.asarray(embed(texts), np.float64)
            for texts in (split.text, split.text_pair)
        )
        return combined(first, second)
