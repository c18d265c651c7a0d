"""How far two outputs of a classifier, or of a regression, are apart."""

import torch
from torch import Tensor
from torch.nn import functional


def divergence(a: Tensor, b: Tensor, regression: bool, detach: bool = False, several: bool = False) -> Tensor:
    """Symmetrised Kullback-Leibler divergence of two batches of logits, or mean squared difference.

        KL(p‖q) + KL(q‖p) = Σ (p - q)(log p - log q),   p = softmax a, q = softmax b

    summed over classes, averaged over the batch, in float32 (float64 for float64). Where a text may have
    several
    labels, each is yes or no by itself: p = sigmoid a, and the sum over both of them is (p - q)(a - b).

    Args:
        a: Logits of shape (batch, classes), or scores of any one shape.
        b: Logits or scores of the same shape.
        regression: They are scores: mean of (a - b)².
        detach: No gradient flows through the first argument of each KL, as in MT-DNN's code.
        several: A text may have several labels.
    """
    a, b = wide(a), wide(b)
    if regression:
        return (a.flatten() - b.flatten()).square().mean()
    if several:
        return _of_labels(a, b, detach)
    log_p, log_q = a.log_softmax(-1), b.log_softmax(-1)
    if detach:
        p, q = log_p.detach().exp(), log_q.detach().exp()
        return functional.kl_div(log_p, q, reduction="batchmean") + functional.kl_div(
            log_q, p, reduction="batchmean"
        )
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / len(a)


def _of_labels(a: Tensor, b: Tensor, detach: bool) -> Tensor:
    p, q = a.sigmoid(), b.sigmoid()
    if not detach:
        return ((p - q) * (a - b)).sum() / len(a)
    p, q = p.detach(), q.detach()
    # KL(p‖q) = H(p, q) - H(p), and only the cross-entropies have a gradient.
    cross = functional.binary_cross_entropy_with_logits(b, p, reduction="sum")
    cross = cross + functional.binary_cross_entropy_with_logits(a, q, reduction="sum")
    own = functional.binary_cross_entropy_with_logits(a.detach(), p, reduction="sum")
    own = own + functional.binary_cross_entropy_with_logits(b.detach(), q, reduction="sum")
    return (cross - own) / len(a)


def wide(x: Tensor) -> Tensor:
    """In float32, or in float64 where it is that."""
    return x if x.dtype == torch.float64 else x.float()
