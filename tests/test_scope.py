import pytest
import torch
import transformers
from torch import nn

import pats

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
VOCABULARY = {"vocab_size": 50, "pad_token_id": 0}

# model type, config, prefix of the encoder's parameters, number of tensors in scope, names that must stay out
ARCHITECTURES = [
    ("bert", SMALL, "bert.encoder.layer.", 2 * 12, ["bert.pooler.dense.weight"]),
    ("roberta", SMALL, "roberta.encoder.layer.", 2 * 12, ["classifier.dense.weight"]),
    (
        "electra",
        SMALL | {"embedding_size": 8},
        "electra.encoder.layer.",
        2 * 12,
        ["electra.embeddings_project.weight"],
    ),
    (
        "distilbert",
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
        "distilbert.transformer.layer.",
        2 * 12,
        [],
    ),
    (
        "albert",
        SMALL | {"embedding_size": 8},
        "albert.encoder.albert_layer_groups.",
        12,
        ["albert.encoder.embedding_hidden_mapping_in.weight"],
    ),
    ("mpnet", SMALL, "mpnet.encoder.layer.", 2 * 12, ["mpnet.encoder.relative_attention_bias.weight"]),
    (
        "deberta",
        SMALL | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 8},
        "deberta.encoder.layer.",
        None,
        ["deberta.encoder.rel_embeddings.weight"],
    ),
    (
        "deberta-v2",
        SMALL
        | {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
        "deberta.encoder.layer.",
        2 * 16,  # content-to-position and position-to-content have projections of their own
        ["deberta.encoder.rel_embeddings.weight", "deberta.encoder.conv.conv.weight"],
    ),
    ("modernbert", SMALL, "model.layers.", 2 * 4, ["head.dense.weight"]),
    (
        "xlnet",
        {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24},
        "transformer.layer.",
        None,
        ["transformer.mask_emb"],
    ),
    ("gpt2", {"n_embd": 16, "n_layer": 2, "n_head": 2}, "transformer.h.", 2 * 8, ["transformer.wte.weight"]),
    ("llama", SMALL | {"num_key_value_heads": 2}, "model.layers.", 2 * 7, ["model.embed_tokens.weight"]),
]


def build(kind, settings):
    config = transformers.AutoConfig.for_model(kind, **(VOCABULARY | settings))
    return transformers.AutoModelForSequenceClassification.from_config(config)


@pytest.mark.parametrize(
    ("kind", "settings", "prefix", "count", "outside"), ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES]
)
def test_encoder_of_every_architecture(kind, settings, prefix, count, outside):
    model = build(kind, settings)
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


@pytest.fixture
def bert():
    return build("bert", SMALL)


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
