"""Whether a batch is padded, known from the host: transformers would read its mask on the device to learn it.

That read waits for all that the device has to do, at the start of every forward pass.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import masking_utils

PADDED = "padded"  # entry of a marked batch

_ASKED = ("_ignore_bidirectional_mask_sdpa", "_ignore_causal_mask_sdpa")  # may attention go without a mask?


def padded(batch: Mapping[str, Any]) -> bool | None:
    """Whether any text of a batch on the host is padded; None where it has no mask to tell it."""
    mask = batch.get("attention_mask")
    return None if mask is None else not bool(mask.all())


def marked(collate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A collator whose batches carry the answer, for ``known``."""

    def mark(rows: Any) -> Any:
        batch = collate(rows)
        batch[PADDED] = padded(batch)
        return batch

    return mark


@contextmanager
def known(answer: bool | None) -> Iterator[None]:
    """Within, a model's forward pass takes the answer of ``padded`` instead of reading its mask."""
    originals = {name: getattr(masking_utils, name) for name in _ASKED if hasattr(masking_utils, name)}
    if answer is None:
        originals = {}
    for name, original in originals.items():
        setattr(masking_utils, name, _answering(original, answer))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(masking_utils, name, original)


def _answering(original: Callable[..., Any], answer: bool | None) -> Callable[..., bool]:
    def asked(padding_mask: Tensor | None, *args: Any, **named: Any) -> bool:
        # A mask without padding is as good as none.
        return not answer and bool(original(None, *args, **named))

    return asked
