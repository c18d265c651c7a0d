"""``--class-weights``: a rare class counts in the loss as much as a frequent one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pats.tasks import Split


def balanced(train: Split, classes: int) -> tuple[float, ...]:
    """A weight of every class, n / (classes · n_c) as scikit-learn's, so that their mean over the rows is 1.

    A class without rows, which a small share of the data may lack, has the weight 1.
    """
    counts = Counter(int(label) for label in train.label or ())
    present = sum(number in counts for number in range(classes))
    return tuple(len(train) / (present * counts[c]) if counts[c] else 1.0 for c in range(classes))


@contextmanager
def attached(model: nn.Module, weights: Sequence[float] | None) -> Iterator[None]:
    """Within, the model's training loss is Σ w·ℓ / n over a batch's n rows; nothing changes without weights.

    The sum is divided by the number of rows, not by their weights: a batch of one class keeps its weight.
    """
    if weights is None:
        yield
        return
    table = torch.tensor(weights)

    def weigh(module: nn.Module, args: Any, inputs: dict[str, Any], output: Any) -> Any:
        labels = inputs.get("labels")
        if not module.training or labels is None:
            return None
        logits = output.logits.float()
        each = functional.cross_entropy(logits, labels.view(-1), reduction="none")
        output.loss = (each * table.to(each.device)[labels.view(-1)]).mean()
        return output

    handle = model.register_forward_hook(weigh, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
