import warnings

import pytest
import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

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


HALVES = {"d_model": 16} | {
    f"{half}_{key}": value
    for half in ("encoder", "decoder")
    for key, value in {"layers": 2, "attention_heads": 2, "ffn_dim": 24}.items()
}
PATCHES = SMALL | {"image_size": 8, "patch_size": 4}
WAVES = SMALL | {
    "conv_dim": [16, 16],
    "conv_kernel": [3, 3],
    "conv_stride": [2, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}
STAGES = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1]}
TEXT, IMAGE, AUDIO = (
    AutoModelForSequenceClassification,
    AutoModelForImageClassification,
    AutoModelForAudioClassification,
)

# model type, config, task, number of tensors in scope, names that must stay out beside every module of these
# classes inside the blocks, and where the fresh head begins
MORE = [
    (
        "mobilebert",
        SMALL
        | {
            "embedding_size": 16,
            "true_hidden_size": 8,
            "intra_bottleneck_size": 8,
            "num_feedforward_networks": 2,
        },
        TEXT,
        2 * 22,
        ["mobilebert.encoder.layer.0.ffn.0.output.LayerNorm.weight"],
        "classifier.",
    ),
    (
        "t5",
        {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
        TEXT,
        2 * 6 + 2 * 10,
        [
            "transformer.shared.weight",
            "transformer.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            "transformer.decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            "transformer.encoder.final_layer_norm.weight",
            "transformer.encoder.block.0.layer.0.layer_norm.weight",
        ],
        "classification_head.",
    ),
    ("bart", HALVES, TEXT, 2 * 12 + 2 * 20, ["model.encoder.embed_positions.weight"], "classification_head."),
    (
        "funnel",
        {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24, "block_sizes": [1, 1]},
        TEXT,
        2 * 16,
        ["funnel.embeddings.word_embeddings.weight", "funnel.encoder.blocks.0.0.ffn.layer_norm.weight"],
        "classifier.",
    ),
    ("ibert", SMALL, TEXT, 2 * 12, ["ibert.encoder.layer.0.output.LayerNorm.weight"], "classifier."),
    ("qwen3", SMALL | {"head_dim": 8}, TEXT, 2 * 7, ["model.layers.0.self_attn.q_norm.weight"], "score."),
    (
        "perceiver",
        {
            "d_latents": 16,
            "d_model": 16,
            "num_latents": 4,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 2,
            "num_cross_attention_heads": 2,
            "max_position_embeddings": 8,
        },
        TEXT,
        2 * 12,
        ["perceiver.embeddings.latents", "perceiver.encoder.cross_attention.mlp.dense1.weight"],
        "perceiver.decoder.",
    ),
    ("vit", PATCHES, IMAGE, 2 * 12, ["vit.layernorm.weight"], "classifier."),
    ("dinov2", PATCHES, IMAGE, 2 * 12, ["dinov2.encoder.layer.0.layer_scale1.lambda1"], "classifier."),
    (
        "clip",
        {"vision_config": PATCHES, "text_config": SMALL},
        IMAGE,
        2 * 12,
        ["vision_model.post_layernorm.weight"],
        "classifier.",
    ),
    (
        "resnet",
        STAGES,
        IMAGE,
        11,
        [
            "resnet.embedder.embedder.convolution.weight",
            "resnet.encoder.stages.0.layers.0.layer.0.normalization.weight",
        ],
        "classifier.",
    ),
    (
        "mobilenet_v2",
        {"depth_multiplier": 0.35},
        IMAGE,
        48,
        ["mobilenet_v2.layer.0.expand_1x1.normalization.weight"],
        "classifier.",
    ),
    (
        "pvt",
        {"depths": [1, 1, 1, 1]},
        IMAGE,
        None,
        ["pvt.encoder.patch_embeddings.0.projection.weight"],
        "classifier.",
    ),
    (
        "wav2vec2",
        WAVES,
        AUDIO,
        2 * 12,
        [
            "wav2vec2.feature_extractor.conv_layers.1.conv.weight",
            "wav2vec2.encoder.pos_conv_embed.conv.bias",
            "wav2vec2.encoder.layer_norm.weight",
        ],
        ("projector.", "classifier."),
    ),
    (
        "wavlm",
        WAVES,
        AUDIO,
        2 * 15,
        [
            "wavlm.feature_extractor.conv_layers.0.conv.weight",
            "wavlm.encoder.layers.0.attention.rel_attn_embed.weight",
        ],
        ("projector.", "classifier."),
    ),
    (
        "data2vec-audio",
        WAVES,
        AUDIO,
        2 * 12,
        [
            "data2vec_audio.feature_extractor.conv_layers.0.conv.weight",
            "data2vec_audio.encoder.pos_conv_embed.layers.0.conv.weight",
        ],
        ("projector.", "classifier."),
    ),
    (
        "whisper",
        HALVES
        | {
            "num_mel_bins": 4,
            "max_source_positions": 8,
            "max_target_positions": 8,
            "decoder_start_token_id": 1,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "classifier_proj_size": 8,
        },
        AUDIO,
        2 * 11,
        ["encoder.conv1.weight", "encoder.conv2.bias", "encoder.layer_norm.weight"],
        ("projector.", "classifier."),
    ),
]


def build(kind, settings, task=TEXT):
    config = transformers.AutoConfig.for_model(kind, **(VOCABULARY | settings))
    return task.from_config(config)


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


@pytest.mark.parametrize(
    ("kind", "settings", "task", "count", "outside", "head"), MORE, ids=[row[0] for row in MORE]
)
def test_scopes_of_more_architectures(kind, settings, task, count, outside, head):
    model = build(kind, settings, task)
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
    model = build(*row)
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


NOISE = pats.Noise()


def twice(groups):
    """Both models' groups, under the same names."""
    return [dict(group) for model in (build("bert", SMALL), build("bert", SMALL)) for group in groups(model)]


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
        torch.optim.SGD(twice(pats.param_groups), lr=0.1), build("bert", SMALL), NOISE
    ),
}


@pytest.mark.parametrize("case", TWINS)
def test_two_parameters_of_one_name_are_refused(case):
    with pytest.raises(pats.InputError, match=r"^two parameters of this optimizer are named '[^\n]+$"):
        TWINS[case]()


def test_two_models_of_other_names_or_without_noise_share_an_optimizer():
    pats.optim.Adamax(twice(pats.param_groups))
    both = nn.ModuleDict({"one": build("bert", SMALL), "two": build("bert", SMALL)})
    optimizer = pats.optim.Adamax(pats.param_groups(both, r"encoder\.layer"), noise=NOISE)
    assert len(optimizer.param_groups[0]["params"]) == 2 * 2 * 16
