import hashlib
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from pats import InputError, Run
from pats.methods import Training, create
from pats.run import finetune
from support.architectures import ARCHITECTURES, Classifier, build_model

CONFIG = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture
def bert(tmp_path):
    """One that was loaded: transformers has marked its weights as not to be drawn again."""
    torch.manual_seed(1)
    model = BertForSequenceClassification(BertConfig(vocab_size=50, **CONFIG))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    model.save_pretrained(tmp_path / "bert")
    return AutoModelForSequenceClassification.from_pretrained(tmp_path / "bert")


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before, model):
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


def drawn(name, shape, seed, std):
    """From the rule alone: N(0, std²) from the seed that blake2b makes of init seed and module."""
    text = f"{seed}:reinit:{name}"
    own = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    generator = torch.Generator().manual_seed(own if own < 1 << 63 else own - (1 << 64))
    return torch.empty(shape).normal_(0.0, std, generator=generator)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@pytest.mark.parametrize("pooler", [False, True])
def test_formula(bert, layers, pooler):
    before, state = weights(bert), torch.get_rng_state()
    create("reinit", {"layers": layers, "pooler": pooler}).prepare_(bert, Training(init_seed=7))
    assert torch.equal(torch.get_rng_state(), state)
    top = tuple(f"bert.encoder.layer.{number}." for number in range(3 - layers, 3))
    for name, parameter in bert.named_parameters():
        module, _, part = name.rpartition(".")
        inside = name.startswith(top) or (pooler and "pooler" in name)
        if not inside:
            expected = before[name]
        elif part == "bias":
            expected = torch.zeros(parameter.shape)
        elif "LayerNorm" in name:
            expected = torch.ones(parameter.shape)
        else:
            expected = drawn(module, parameter.shape, 7, bert.config.initializer_range)
        assert torch.equal(parameter, expected), name


def test_seeds(bert):
    """A block is drawn alike however many are; the noise's seed has no say; nothing is drawn as another."""
    start, found = weights(bert), {}
    for key, layers, training in (
        ("one", 1, Training(init_seed=0, seed=1)),
        ("two", 2, Training(init_seed=0, seed=2)),
        ("other", 1, Training(init_seed=1)),
    ):
        bert.load_state_dict(start, strict=False)
        create("reinit", {"layers": layers}).prepare_(bert, training)
        found[key] = weights(bert)
    top = "bert.encoder.layer.2.attention.self.{}.weight"
    assert torch.equal(found["one"][top.format("query")], found["two"][top.format("query")])
    assert not torch.equal(found["one"][top.format("query")], found["other"][top.format("query")])
    assert not torch.equal(found["one"][top.format("query")], found["one"][top.format("key")])


def test_what_the_checkpoint_lacks_stays_as_it_was_drawn(bert):
    before = weights(bert)
    fresh = frozenset({"bert.pooler.dense.weight", "bert.pooler.dense.bias"})
    create("reinit", {"layers": 0}).prepare_(bert, Training(fresh=fresh))
    assert changed(before, bert) == set()


@pytest.mark.parametrize("row", ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES])
def test_every_architecture(row):
    kind, settings, prefix, *_ = row
    torch.manual_seed(0)
    model = build_model(kind, settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    before = weights(model)
    create("reinit", {"layers": 1}).prepare_(model, Training())
    numbers = {int(name.removeprefix(prefix).split(".")[0]) for name in before if name.startswith(prefix)}
    top = f"{prefix}{max(numbers)}."
    for name, parameter in model.named_parameters():
        if name.startswith(top) or "pooler" in name:
            drawn = parameter.detach()
            assert not torch.equal(drawn, before[name])
            assert abs(float(drawn.mean())) < 0.2 or bool((drawn == 1).all()), name
        else:
            assert torch.equal(parameter, before[name]), name


def test_a_model_of_ones_own_draws_itself():
    model = Classifier()
    before, state = weights(model), torch.get_rng_state()
    create("reinit", {"layers": 1}).prepare_(model, Training())
    assert changed(before, model) == {f"tower.layers.1.dense.{part}" for part in ("weight", "bias")}
    assert torch.equal(torch.get_rng_state(), state)


WRONG = {
    "too many": (lambda model: (model, {"layers": 4}), r"reinit's layers is 4, but \w+ has 3 blocks"),
    "no blocks": (lambda model: (torch.nn.Linear(2, 2), {}), "reinit counts a model's blocks"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_one_sentence(name, bert):
    make, said = WRONG[name]
    model, options = make(bert)
    with pytest.raises(InputError, match=rf"^{said}[^\n]*$"):
        create("reinit", options).prepare_(model, Training())


def test_shards_are_refused(bert, monkeypatch):
    monkeypatch.setattr("pats.methods.reinit.is_sharded", lambda tensor: True)
    with pytest.raises(InputError, match="before the model is sharded"):
        create("reinit").prepare_(bert, Training())


def test_order_and_dropout_are_plain_fine_tunings(tiny_bert, reviews):
    run = Run(model=str(tiny_bert), data=str(reviews), epochs=1, batch_size=16, lr=1e-3, max_length=32)
    states = []
    for method in ("vanilla", "reinit+llrd+ema"):
        finetune(replace(run, method=method), on_event=lambda event: states.append(torch.get_rng_state()))
    half = len(states) // 2
    assert half >= 3
    assert all(torch.equal(a, b) for a, b in zip(states[:half], states[half:], strict=True))
