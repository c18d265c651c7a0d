import pytest
import torch
from transformers import masking_utils

from pats.run.model import masks
from support.architectures import ARCHITECTURES, build_model

WHOLE, CUT = [[1, 1, 1], [1, 1, 1]], [[1, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize(("mask", "expected"), [(WHOLE, False), (CUT, True), (None, None)])
def test_the_host_knows_whether_a_batch_is_padded(mask, expected):
    batch = {"input_ids": torch.ones(2, 3)} | ({} if mask is None else {"attention_mask": torch.tensor(mask)})
    assert masks.padded(batch) is expected
    assert masks.marked(lambda rows: dict(rows))(batch)[masks.PADDED] is expected


@pytest.mark.parametrize("mask", [WHOLE, CUT])
@pytest.mark.parametrize(
    ("kind", "settings"), [pytest.param(row[0], row[1], id=row[0]) for row in ARCHITECTURES]
)
def test_the_answer_changes_no_bit_and_no_mask_is_read(kind, settings, mask, monkeypatch):
    model = build_model(kind, settings).eval()
    batch = {"input_ids": torch.tensor([[3, 4, 5], [6, 7, 8]]), "attention_mask": torch.tensor(mask)}
    with torch.no_grad():
        expected = model(**batch).logits
        asked = []
        for name in ("_ignore_bidirectional_mask_sdpa", "_ignore_causal_mask_sdpa"):
            original = getattr(masking_utils, name)

            def tell(padding_mask, *args, original=original):
                asked.append(padding_mask)
                return original(padding_mask, *args)

            monkeypatch.setattr(masking_utils, name, tell)
        with masks.known(masks.padded(batch)):
            found = model(**batch).logits
    assert torch.equal(found, expected)
    assert all(mask is None for mask in asked)


@pytest.mark.parametrize("answer", [True, False, None])
def test_transformers_is_put_back(answer):
    before = masking_utils._ignore_bidirectional_mask_sdpa
    seen = []

    def fail():
        with masks.known(answer):
            seen.append(masking_utils._ignore_bidirectional_mask_sdpa)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (seen[0] is before) is (answer is None)
    assert masking_utils._ignore_bidirectional_mask_sdpa is before


def test_transformers_still_asks_what_is_answered():
    """If it does not, its forward passes may wait for the device in another place."""
    assert all(hasattr(masking_utils, name) for name in masks._ASKED)
