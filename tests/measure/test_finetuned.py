import pytest
import torch

import pats
from pats import tasks
from pats.measure.finetuned import measure
from pats.run import Run, batches, finetune
from pats.run.model import classifier
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a fine-tuned model, and its data."""
    folder = tmp_path_factory.mktemp("measure")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=120)
    run = Run(model=str(folder / "bert"), data=str(folder / "texts.csv"), method="vanilla", epochs=1, lr=1e-3)
    finetune(run, folder / "out")
    return str(folder / "out" / "model"), tasks.load(None, str(folder / "texts.csv"), seed=0)


def by_hand(folder, data, reduce, size=16, count=3, scope="encoder"):
    loaded = classifier.load_trained(folder)
    train = data.splits["train"]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    collate = batches.collator(loaded.tokenizer)
    features = batches.encode(loaded.tokenizer, train.take(order[: count * size]), 64, False)
    pieces = [collate(features[start : start + size]) for start in range(0, count * size, size)]
    found = pats.sensitivity(loaded.model.eval(), pieces, lambda m, b: m(**b).loss, reduce, scope)
    return torch.cat([values.flatten() for values in found.values()]).double()


@pytest.mark.parametrize("reduce", ["batch", "gradient"])
def test_is_eq_1_over_the_training_set(trained, reduce):
    folder, data = trained
    told = []
    found = measure(
        folder,
        data,
        count=3,
        batch_size=16,
        reduce=reduce,
        precision="fp32",
        on_batch=lambda done, total: told.append((done, total)),
    )
    values = by_hand(folder, data, reduce)
    assert found.whole.entries == values.numel()
    assert found.whole.mean == pytest.approx(float(values.mean()), rel=1e-5)
    assert found.whole.std == pytest.approx(float(values.std(correction=0)), rel=1e-5)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (found.reduce, found.batches, found.label) == (reduce, 3, "out")


def test_layers_and_kinds_divide_the_whole(trained):
    found = measure(*trained, count=2, precision="fp32")
    for parts in (found.by_layer, found.by_kind):
        assert sum(part.entries for part in parts.values()) == found.whole.entries
        assert sum(part.squares for part in parts.values()) == pytest.approx(found.whole.squares)
    assert list(found.by_layer) == ["0", "1"]
    assert next(iter(found.by_kind)).endswith("attention.self.query.weight")
    assert not any("norm" in kind.lower() for kind in found.by_kind)


def test_the_whole_training_set_in_full_batches(trained):
    folder, data = trained
    rows = len(data.splits["train"])
    found = measure(folder, data, batch_size=32, precision="fp32")
    assert found.batches == rows // 32
    assert measure(folder, data, batch_size=10_000, precision="fp32").batches == 1


def test_the_same_call_gives_the_same_numbers(trained):
    first, second = (measure(*trained, count=1, precision="fp32").to_dict() for _ in range(2))
    first.pop("environment"), second.pop("environment")
    assert first == second


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"count": 0}, "batches is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"reduce": "sum"}, "reduce is 'sum'"),
        ({"scope": "nothing_is_called_so"}, "nothing_is_called_so"),
    ],
)
def test_bad_numbers(trained, more, said):
    with pytest.raises(pats.InputError, match=said):
        measure(*trained, **more)


def test_a_model_of_other_labels_is_refused(trained):
    folder, _ = trained
    grammar = tasks.load("grammar", None, seed=0, options={"size": 100, "dev_size": 100})
    with pytest.raises(pats.InputError, match=r"trained for the classes bad, good, but the task 'grammar'"):
        measure(folder, grammar)
