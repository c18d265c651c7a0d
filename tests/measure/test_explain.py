import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pats import InputError
from pats.measure.explain import attribute, explain
from pats.measure.trained import load_encoder


class Linear(nn.Module):
    """A bag of words: its outputs are linear in the words' vectors."""

    def __init__(self, words=9, width=4, classes=3):
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(words, width)
        self.head = nn.Linear(width, classes)
        self.double()

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids, attention_mask):
        vectors = self.table(input_ids) * attention_mask[..., None]
        return SimpleNamespace(logits=self.head(vectors.sum(1)))


def test_a_linear_model_is_explained_exactly():
    model, ids = Linear(), torch.tensor([[3, 1, 4, 1, 5]])
    mask = torch.tensor([[1, 1, 1, 1, 0]])
    outputs, found = attribute(model, {"input_ids": ids, "attention_mask": mask}, [0, 2])
    for place, output, values in zip([0, 2], outputs, found, strict=True):
        shares = model.table.weight[ids[0]] @ model.head.weight[place] * mask[0]
        assert values == pytest.approx(shares.tolist(), abs=1e-12)
        assert sum(values) + model.head.bias[place].item() == pytest.approx(output, abs=1e-12)
        assert values[1] == values[3]  # the same word in another place


@pytest.fixture(scope="module")
def encoder(trained_model):
    return load_encoder(trained_model)


def test_the_sum_is_the_slope_in_the_size_of_all_vectors(encoder):
    """d/da f(a e) at a = 1, by finite differences in float64."""
    model = encoder.model.double()
    batch = dict(encoder.tokenizer("the day was superb and warm", return_tensors="pt"))
    _, found = attribute(model, batch, [0, 1])

    def scaled(factor):
        hook = model.get_input_embeddings().register_forward_hook(lambda *args: factor * args[2])
        try:
            with torch.no_grad():
                return model(**batch).logits[0]
        finally:
            hook.remove()

    step = 1e-5
    slopes = (scaled(1 + step) - scaled(1 - step)) / (2 * step)
    assert [sum(values) for values in found] == pytest.approx(slopes.tolist(), rel=1e-6, abs=1e-9)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    model.float()


def test_what_is_told_of_a_text(encoder):
    text = "the day was superb and a walk"
    found = explain(encoder, [text])
    assert found.label == "good"
    assert [token.token for token in found.tokens if token.part == 0] == text.split()
    assert [found.tokens[0].part, found.tokens[-1].part] == [None, None]
    assert all(token.token == text[token.start : token.end] for token in found.tokens if token.part == 0)
    assert list(found.scores.values()) == pytest.approx(encoder.predict([text])[0].tolist())
    content = json.loads(json.dumps(found.to_dict()))
    for name in ("bad", "good"):
        assert content["sums"][name] == pytest.approx(sum(content["attributions"][name]))


@pytest.mark.parametrize(
    "text", ["", "👩‍👩‍👧 é\u0301 \0 <b>", "fine " * 200_000], ids=["empty", "odd", "a megabyte"]
)
def test_odd_texts(encoder, text):
    found = explain(encoder, [text])
    assert set(found.attributions) == {"bad", "good"}
    for token in found.tokens:
        if token.part is not None:
            assert 0 <= token.start <= token.end <= len(text)
    assert (found.unread[0] > 900_000) == (len(text) > 900_000)
    assert len(found.tokens) <= 64


@pytest.mark.parametrize(
    ("texts", "classes", "said"),
    [
        (["a"], ["goood"], r"has no class 'goood' \(did you mean 'good'\?\): it has 'bad', 'good'"),
        (["a", "b"], None, "reads one text"),
        (["\ud83d"], None, "half a character"),
    ],
)
def test_bad_input(encoder, texts, classes, said):
    with pytest.raises(InputError, match=rf"^[^\n]*{said}[^\n]*$"):
        explain(encoder, texts, classes)


def test_a_model_without_word_embeddings_gets_a_sentence():
    with pytest.raises(InputError, match="Sequential has no word embeddings"):
        attribute(nn.Sequential(), {}, [0])
