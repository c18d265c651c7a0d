"""Small models of every architecture that transformers has for PATS to act on."""

from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from pats.methods import MicroBatch, PassClock

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


def build_model(kind: str, settings: dict[str, Any], task: Any = TEXT) -> Any:
    config = transformers.AutoConfig.for_model(kind, **(VOCABULARY | settings))
    return task.from_config(config)


def make_batch(clock: PassClock, model: nn.Module) -> MicroBatch:
    ids = torch.randint(2, 50, (4, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1:, 6:] = 0
    inputs = {"input_ids": ids * mask, "attention_mask": mask, "labels": torch.tensor([0, 1, 0, 1])}
    return MicroBatch(model, inputs, clock)


class Classifier(nn.Module):
    base_model_prefix = "tower"

    def __init__(self) -> None:
        super().__init__()
        self.tower, self.head = Tower(), nn.Linear(4, 1)
        self.words = nn.Embedding(2, 4)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.tower(x))
        return y


class Tower(nn.Module):
    base_model_prefix = "tower"

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x + self.dense(x).tanh())
        return y
