import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pats.run import batches
from pats.tasks import Split


def labelled(counts):
    labels = tuple(float(k) for k, n in enumerate(counts) for _ in range(n))
    return Split(tuple(f"row {i}" for i in range(len(labels))), label=labels)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("counts", [(70, 30), (5, 1, 44), (10, 10)])
def test_subsets_are_nested_and_stratified(counts, regression):
    split = labelled(counts)
    smaller: set[str] = set()
    for fraction in (0.1, 0.25, 0.3, 0.5, 1.0):
        part = batches.subset(split, fraction, seed=3, regression=regression)
        assert smaller <= set(part.text)
        assert list(part.text) == [text for text in split.text if text in set(part.text)]
        smaller = set(part.text)
        if not regression:
            expected = [int(np.ceil(round(fraction * n, 9))) for n in counts]
            assert [part.label.count(float(k)) for k in range(len(counts))] == expected
    assert smaller == set(split.text)


def test_subset_depends_on_the_seed():
    split = labelled((50, 50))
    parts = [batches.subset(split, 0.5, seed, False).text for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize(("pair", "regression"), [(False, False), (True, True)])
def test_encode(tiny_bert, pair, regression):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    long = "the day was fine and the film was fine " * 4
    split = Split(("fine", long), ("dull", "cold") if pair else None, (1.0, 0.0))
    features = batches.encode(tokenizer, split, 16, regression)
    assert [len(feature["input_ids"]) for feature in features] == [5 if pair else 3, 16]
    assert [type(feature["labels"]) for feature in features] == [float if regression else int] * 2
    text = tokenizer.decode(features[1]["input_ids"])
    assert ("cold" in text) == pair  # the longer text is truncated first
    batch = batches.collator(tokenizer)(features)
    assert batch["input_ids"].shape == (2, 16)
    assert batch["labels"].dtype == (torch.float32 if regression else torch.int64)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_scores_keep_order_and_mode(tiny_bert, batch_size):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    texts = tuple(f"the {'very ' * (i * 7 % 5)}fine day {i}" for i in range(11))
    features = batches.encode(tokenizer, Split(texts, label=(0.0,) * 11), 32, False)
    model.train()
    state = torch.get_rng_state()
    found = batches.scores(model, features, batches.collator(tokenizer), batch_size)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    model.eval()
    with torch.no_grad():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_probabilities():
    found = batches.probabilities(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]], np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
