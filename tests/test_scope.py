import warnings

import pytest
import torch
import transformers
from torch import nn

import pats
from support.architectures import (
    ARCHITECTURES,
    MORE,
    SMALL,
    build_model,
)


@pytest.mark.parametrize(
    ("kind", "settings", "prefix", "count", "outside"), ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES]
)
def test_encoder_of_every_architecture(kind, settings, prefix, count, outside):
    model = build_model(kind, settings)
    names = pats.scope(model)
    parameters = dict(model.named_parameters())
    norms = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    }
    in_blocks = [name for name in parameters if name.startswith(prefix) and name not in norms]
    assert names == in_blocks
    assert len(names) == (count or len(names)) > 0
    for name in outside:
        assert name in parameters
        assert name not in names


@pytest.mark.parametrize(
    ("kind", "settings", "task", "count", "outside", "head"), MORE, ids=[row[0] for row in MORE]
)
def test_scopes_of_more_architectures(kind, settings, task, count, outside, head):
    model = build_model(kind, settings, task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = pats.scope(model)
    parameters = dict(model.named_parameters())
    assert len(names) == (count or len(names)) > 0
    for name in outside:
        assert name in parameters
        assert name not in names
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
    assert pats.scope(model, "pretrained") == [name for name in trained if not name.startswith(head)]


DECAYED = [row[:2] for row in ARCHITECTURES] + [row[:3] for row in MORE]


@pytest.mark.parametrize("row", DECAYED, ids=[row[0] for row in DECAYED])
def test_weight_decay_is_split_as_trainer_does(row):
    model = build_model(*row)
    decayed = transformers.Trainer.get_decay_parameter_names(None, model)
    for group in pats.param_groups(model, weight_decay=0.01):
        for name in group["param_names"]:
            assert group["weight_decay"] == (0.01 if name in decayed else 0.0), name


class Affine(nn.Module):
    """A scale and a shift, as timm has."""

    def __init__(self, width):
        super().__init__()
        self.alpha, self.beta = (nn.Parameter(torch.ones(1, 1, width)) for _ in range(2))

    def forward(self, x):
        return torch.addcmul(self.beta, self.alpha, x)


def test_norms_are_told_by_what_they_do():
    def block():
        parts = {
            "affine": Affine(4),
            "batch": nn.BatchNorm1d(4),
            "group": nn.GroupNorm(2, 4),
            "square": nn.LayerNorm([4, 4]),
            "mixes": nn.Linear(4, 4),
            "one": nn.Linear(4, 1, bias=False),  # a weight of the shape of a scale, but it sums
        }
        return nn.ModuleDict(parts)

    model = nn.Module()
    model.layers = nn.ModuleList([block(), block()])
    ends = ("mixes.weight", "mixes.bias", "one.weight")
    assert pats.scope(model) == [f"layers.{layer}.{end}" for layer in (0, 1) for end in ends]


def convolution(inside, outside):
    return nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


def test_a_scope_that_covers_little_warns():
    """As MobileNetV3 of torchvision: most blocks are not in a list of their like."""

    class Residual(nn.Module):
        def __init__(self, squeeze):
            super().__init__()
            gate = [nn.AdaptiveAvgPool2d(1)] if squeeze else []
            self.block = nn.Sequential(convolution(4, 8), *gate, convolution(8, 4))

    blocks = [Residual(squeeze) for squeeze in (False, True, True, True, True)]
    model = nn.Module()
    model.features = nn.Sequential(convolution(3, 4), *blocks)
    model.classifier = nn.Linear(4, 2)
    with pytest.warns(UserWarning, match="covers 2 of the 13 parameters of Module that are neither norms"):
        names = pats.scope(model)
    assert names == ["features.1.block.0.0.weight", "features.1.block.1.0.weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who says what is meant is not asked
        assert pats.scope(model, r"block.*0\.weight")


def test_convolutions_before_attention_are_a_front_end_and_alone_the_encoder():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.Linear(4, 4)

    model = nn.Module()
    model.front = nn.ModuleList([convolution(4, 4), convolution(4, 4)])
    assert pats.scope(model) == ["front.0.0.weight", "front.1.0.weight"]
    model.layers = nn.ModuleList([Block(), Block()])
    assert all(name.startswith("layers.") for name in pats.scope(model))


@pytest.fixture
def bert():
    return build_model("bert", SMALL)


def test_wrappers_do_not_change_names(bert):
    plain = pats.scope(bert)
    wrapped = {
        "compile": torch.compile(bert),
        "data parallel": nn.DataParallel(bert),
        "both": torch.compile(nn.DataParallel(bert)),
    }
    for kind, model in wrapped.items():
        assert pats.scope(model) == plain, kind
        assert pats.scope(model, "pretrained") == pats.scope(bert, "pretrained"), kind


def test_ddp(bert, tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    try:
        ddp = nn.parallel.DistributedDataParallel(bert)
        assert pats.scope(ddp) == pats.scope(bert)
    finally:
        torch.distributed.destroy_process_group()


def test_peft_scope_is_the_adapters_in_the_encoder(bert):
    import peft

    config = peft.LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS")
    names = pats.scope(peft.get_peft_model(bert, config))
    assert len(names) == 2 * 2 * 2
    assert all(name.startswith("base_model.model.bert.encoder.layer.") and "lora_" in name for name in names)


def test_a_hand_written_model_works_and_a_flat_one_raises():
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False)
    model = nn.Sequential(nn.Linear(3, 8), layers)
    names = pats.scope(model)
    assert len(names) == 2 * 8
    assert all(name.startswith("1.layers.") for name in names)
    with pytest.raises(pats.InputError, match=r"repeated blocks.*found none.*Linear"):
        pats.scope(nn.Linear(3, 3))


def test_frozen_layers_are_out_of_scope_and_said(bert):
    for parameter in bert.bert.encoder.layer[0].parameters():
        parameter.requires_grad_(False)
    assert all(".layer.1." in name for name in pats.scope(bert))
    bert.requires_grad_(False)
    with pytest.raises(pats.InputError, match=r"inside bert\.encoder\.layer.*0 trainable"):
        pats.scope(bert)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (r"layer\.0\..*query", 2),
        (lambda name: name.endswith("query.bias"), 2),
        (lambda name, parameter: "query" in name and parameter.ndim == 2, 2),
        (["classifier.weight", "module.classifier.bias"], 2),
        ("all", 2 * 16 + 5 + 2 + 2),
        ("pretrained", 2 * 16 + 5 + 2),
    ],
)
def test_every_way_to_say_a_scope(bert, scope, expected):
    assert len(pats.scope(bert, scope)) == expected


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("no such thing", "regular expression 'no such thing'"),
        ("(", "no regular expression"),
        (lambda name: False, "callable"),
        (["classifier.weight", "nope"], "'nope'"),
        ([], "empty"),
    ],
)
def test_a_scope_that_matches_nothing_says_so(bert, scope, message):
    with pytest.raises(pats.InputError, match=message):
        pats.scope(bert, scope)


def test_tied_parameters_stand_once():
    block = nn.TransformerEncoderLayer(8, 2, 16)
    model = nn.Module()
    model.layers = nn.ModuleList([block, block])
    assert len(pats.scope(model)) == 8


def test_a_collision_of_names_raises():
    model = nn.Module()
    model.add_module("a", nn.Linear(2, 2))
    model.a.add_module("module", nn.Linear(2, 2))
    with pytest.raises(pats.InputError, match=r"two parameters are named 'a\.weight'"):
        pats.scope(model, "all")


def test_param_groups_split_scope_and_decay(bert):
    groups = pats.param_groups(bert)
    assert [g["in_scope"] for g in groups] == [True, False]
    assert groups[0]["param_names"] == pats.scope(bert)
    assert all("weight_decay" not in g for g in groups)
    split = pats.param_groups(bert, weight_decay=0.01)
    assert len(split) == 4
    for group in split:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            assert parameter is dict(bert.named_parameters())[name]
            undecayed = name.endswith("bias") or "LayerNorm" in name
            assert group["weight_decay"] == (0.0 if undecayed else 0.01)
    names = [name for group in split for name in group["param_names"]]
    assert sorted(names) == sorted(dict(bert.named_parameters()))


NOISE = pats.Noise()


def twice(groups):
    """Both models' groups, under the same names."""
    return [
        dict(group)
        for model in (build_model("bert", SMALL), build_model("bert", SMALL))
        for group in groups(model)
    ]


def added_later():
    groups = twice(pats.param_groups)
    optimizer = pats.optim.AdamW(groups[:1], noise=NOISE)
    optimizer.add_param_group(groups[1])  # out of scope, with names of its own
    optimizer.add_param_group(groups[2])


def wrapped_names():
    """A wrapper's component makes no other name."""
    inner, outer = (nn.Parameter(torch.ones(2)) for _ in range(2))
    named = {"params": [inner, outer], "param_names": ["a.weight", "module.a.weight"], "in_scope": True}
    pats.optim.Adamax([named], noise=NOISE)


TWINS = {
    "Adamax": lambda: pats.optim.Adamax(twice(pats.param_groups), noise=NOISE),
    "AdamW": lambda: pats.optim.AdamW(twice(pats.param_groups), noise=NOISE),
    "stochastic rounding": lambda: pats.optim.Adamax(twice(pats.param_groups), stochastic_rounding=True),
    "reference": lambda: pats.optim.reference.PATSAdamax(twice(pats.param_groups), noise=NOISE),
    "added later": added_later,
    "wrapped": wrapped_names,
    "perturb": lambda: pats.perturb(
        torch.optim.SGD(twice(pats.param_groups), lr=0.1), build_model("bert", SMALL), NOISE
    ),
}


@pytest.mark.parametrize("case", TWINS)
def test_two_parameters_of_one_name_are_refused(case):
    with pytest.raises(pats.InputError, match=r"^two parameters of this optimizer are named '[^\n]+$"):
        TWINS[case]()


def test_two_models_of_other_names_or_without_noise_share_an_optimizer():
    pats.optim.Adamax(twice(pats.param_groups))
    both = nn.ModuleDict({"one": build_model("bert", SMALL), "two": build_model("bert", SMALL)})
    optimizer = pats.optim.Adamax(pats.param_groups(both, r"encoder\.layer"), noise=NOISE)
    assert len(optimizer.param_groups[0]["params"]) == 2 * 2 * 16
