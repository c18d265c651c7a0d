import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pats.run.model.embeddings import Embedder
from pats.run.seeds import own_generators


def test_it_is_the_mean_over_the_tokens_whatever_the_batch(tiny_bert):
    with own_generators():
        embed = Embedder(str(tiny_bert), 16, torch.device("cpu"))
    texts = ["the day was fine", "rainy", "", *(f"a walk {number}" for number in range(70)), "rainy"]
    found = embed(texts)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_bert), AutoModel.from_pretrained(tiny_bert).eval()
    for row in (0, 1, 2, 40, 73):
        with torch.no_grad():
            states = model(**tokenizer(texts[row], return_tensors="pt")).last_hidden_state
        assert found[row] == pytest.approx(states[0].mean(0).numpy(), abs=1e-5)
    assert np.array_equal(found[1], found[73])
    assert np.array_equal(embed(["rainy"])[0], found[1])
