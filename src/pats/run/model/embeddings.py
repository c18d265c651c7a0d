"""Embeddings of texts: the mean over the tokens of a pretrained encoder's last layer."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pats.run import batches
from pats.run.model import classifier
from pats.tasks import Split

BATCH = 64


class Embedder:
    """Gives the embeddings of texts; each different text is computed once.

    Args:
        model: As ``Run.model``, with its ``revision``.
        max_length: Longest input in tokens.
        device: Where to compute.
        revision: Revision on the hub.
        allow_missing: As ``Run.allow_missing_weights``.

    Raises:
        InputError: The model cannot be used.
    """

    def __init__(
        self,
        model: str,
        max_length: int,
        device: torch.device,
        revision: str | None = None,
        allow_missing: bool = False,
    ) -> None:
        self._loaded = classifier.load(model, ("a", "b"), max_length, 0, revision, allow_missing)
        self._encoder: nn.Module = self._loaded.model.base_model.to(device).eval()
        self._device = device
        self._known: dict[str, NDArray[np.float32]] = {}

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return self._loaded.max_length

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, in float32."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        tokenizer = self._loaded.tokenizer
        features = batches.encode(tokenizer, Split(tuple(new)), self.max_length, False) if new else []
        collate = batches.collator(tokenizer)
        order = sorted(range(len(new)), key=lambda row: -len(features[row]["input_ids"]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = {k: v.to(self._device) for k, v in collate([features[row] for row in rows]).items()}
            with torch.no_grad():
                states = self._encoder(**batch).last_hidden_state.float()
            mask = batch.get("attention_mask", torch.ones(states.shape[:2], device=states.device))
            mask = mask[:, : states.shape[1], None].float()
            means = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            self._known |= zip([new[row] for row in rows], means.cpu().numpy(), strict=True)
        return np.stack([self._known[text] for text in texts])
