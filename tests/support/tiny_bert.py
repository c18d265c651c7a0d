"""A random BERT of two layers and a small table: what the tests train within seconds."""

import csv
import random
from pathlib import Path

GOOD = ("fine", "lovely", "superb", "bright", "sunny", "warm")
BAD = ("awful", "dreary", "broken", "dull", "rainy", "cold")
FILLER = ("the", "day", "was", "very", "film", "and", "a", "room", "walk", "with", "song", "quite")


def make_tiny_bert(folder: Path, seed: int = 0) -> Path:
    """Write a random two-layer BERT of width 32 with its WordPiece tokenizer; returns the folder."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'?!-"
    words = [*special, *GOOD, *BAD, *FILLER, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=64,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder


def make_table(path: Path, rows: int = 120, seed: int = 0) -> Path:
    """Write a CSV of short texts labelled "good" or "bad", with a little label noise."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(rows):
            label = "good" if row % 2 else "bad"
            told = draw.choice(GOOD if (label == "good") ^ (draw.random() < 0.1) else BAD)
            rest = draw.sample(FILLER, 5)
            writer.writerow([f"{' '.join(rest[:3])} {told} {' '.join(rest[3:])} {row}", label])
    return path
