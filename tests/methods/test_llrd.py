import pytest
import torch

from pats import InputError, optim
from pats.methods import Training, create
from pats.methods.llrd import depths
from support.architectures import ARCHITECTURES, HALVES, SMALL, Classifier, build_model

# What a parameter's rate is, in factors, where a model has two blocks.
PLACES = {
    "bert": {"embeddings.LayerNorm.weight": 3, "pooler.dense.bias": 0, "classifier.weight": 0},
    "albert": {"embedding_hidden_mapping_in.weight": 2, "pooler.weight": 0},  # one block, used twice
    "mpnet": {"relative_attention_bias.weight": 3, "classifier.dense.weight": 0},
    "deberta": {"rel_embeddings.weight": 3, "pooler.dense.weight": 0},
    "xlnet": {"transformer.mask_emb": 3, "logits_proj.weight": 0},
    "gpt2": {"wte.weight": 3, "ln_f.weight": 0, "score.weight": 0},
    "modernbert": {"tok_embeddings.weight": 3, "final_norm.weight": 0},
}


@pytest.mark.parametrize("row", ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES])
def test_every_architecture(row):
    kind, settings, prefix, *_ = row
    model = build_model(kind, settings)
    found = depths(model)
    assert set(found) == {name for name, _ in model.named_parameters()}
    count = max(int(name.removeprefix(prefix).split(".")[0]) for name in found if name.startswith(prefix)) + 1
    for name, depth in found.items():
        if name.startswith(prefix):
            assert depth == count - int(name.removeprefix(prefix).split(".")[0])
        else:
            assert depth in (0, count + 1)
    for end, depth in PLACES.get(kind, {}).items():
        (name,) = [name for name in found if name.endswith(end)]
        assert found[name] == depth


def test_an_encoder_lies_below_the_decoder():
    found = depths(build_model("bart", HALVES))
    ranks = {
        "encoder.layers.0.fc1.weight": 4,
        "encoder.layers.1.fc1.weight": 3,
        "decoder.layers.0.fc1.weight": 2,
        "decoder.layers.1.fc1.weight": 1,
        "shared.weight": 5,
        "classification_head.dense.weight": 0,
    }
    assert {end: depth for end in ranks for n, depth in found.items() if n.endswith(end)} == ranks


def rates(optimizer):
    return {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}


@pytest.mark.parametrize("together", ["llrd", "llrd+pats", "pats+llrd", "llrd+sage", "recadam+llrd"])
@pytest.mark.parametrize("base", ["adamax", "adamw", "mtdnn-b"])
def test_groups_keep_everything_but_the_rate(together, base):
    model = build_model("bert", SMALL)
    alone = "+".join(part for part in together.split("+") if part != "llrd") or "vanilla"
    gentle = {"gamma": 1.0} if "recadam" in together else {}
    training = Training(optimizer=base, lr=0.25, weight_decay=0.1, steps=9)
    before = create(alone, gentle).optimizer(model, training)
    after = create(together, {"factor": 0.5, **gentle}).optimizer(model, training)
    assert type(before) is type(after)

    def settings(optimizer):
        beside = {"lr", "params", "param_names"}
        return {
            name: (id(parameter), {k: v for k, v in group.items() if k not in beside})
            for group in optimizer.param_groups
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
        }

    assert settings(before) == settings(after)
    for name, rate in rates(after).items():
        assert rate == 0.25 * 0.5 ** depths(model)[name]
    assert max(rates(after).values()) == 0.25


def test_a_factor_of_one_leaves_the_groups():
    model = build_model("bert", SMALL)
    one, two = (
        create(name, options).optimizer(model, Training(weight_decay=0.1))
        for name, options in (("vanilla", {}), ("llrd", {"factor": 1.0}))
    )
    names = [[sorted(group["param_names"]) for group in o.param_groups] for o in (one, two)]
    assert names[0] == names[1]


@pytest.mark.parametrize("warmup", [0, 2])
def test_the_schedule_goes_for_all_groups_and_the_update_is_adamax(warmup):
    """In float64 from the formula alone: θ ← θ - lr·f(k)·ξ^depth·m/(1-β₁^t)/max(u, ...)."""
    torch.manual_seed(0)
    model, data = Classifier().double(), torch.randn(8, 4, dtype=torch.float64)
    optimizer = create("llrd", {"factor": 0.6}).optimizer(model, Training(lr=0.01))

    def factor(k):
        return (k + 1) / (warmup + 1) if k < warmup else 1 - (k - warmup) / 6

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    theta = {n: p.detach().clone() for n, p in model.named_parameters()}
    m = {n: torch.zeros_like(t) for n, t in theta.items()}
    u = {n: torch.zeros_like(t) for n, t in theta.items()}
    depth = {"tower.layers.0": 2, "tower.layers.1": 1, "head": 0, "words": 3}
    for t in range(1, 5):
        optimizer.zero_grad()
        model(data).square().mean().backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                continue
            (exponent,) = [d for start, d in depth.items() if name.startswith(start)]
            m[name] = 0.9 * m[name] + 0.1 * parameter.grad
            u[name] = torch.maximum(0.999 * u[name], parameter.grad.abs() + 1e-8)
            rate = 0.01 * factor(t - 1) * 0.6**exponent
            theta[name] -= rate / (1 - 0.9**t) * m[name] / u[name]
        optimizer.step()
        schedule.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), theta[name], rtol=0, atol=1e-13)


def test_what_cannot_be_is_one_sentence():
    with pytest.raises(InputError, match=r"^llrd counts a model's blocks.*Linear has none[^\n]*$"):
        create("llrd").optimizer(torch.nn.Linear(2, 2), Training())
    model = Classifier()
    with pytest.raises(InputError, match=r"^llrd needs names in every parameter group"):
        create("llrd").rates_(optim.Adamax(model.parameters()), model)
