"""Whether what was loaded fits together: configuration, weights, tokenizer."""

import re
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pats._errors import InputError
from pats._scope import named_parameters
from pats._scope import scope as names_in

_NUMBER = re.compile(r"\.\d+\.")  # of a layer
_FEW = 5  # names in a message


def check_weights(model: PreTrainedModel, fresh: set[str], name: str) -> None:
    """Refuse a model of which more than the head and the pooler would be drawn at random."""
    head = set(named_parameters(model)) - set(names_in(model, "pretrained"))
    # Checkpoints of masked language models lack the pooler.
    lacking = sorted(key for key in fresh - head if "pooler" not in key.split("."))
    if lacking:
        raise InputError(
            f"the weights of the model {name!r} do not fit its config.json: {named(lacking)} would be drawn "
            "at random, as missing or of another shape; pass whole weights, or --allow-missing-weights"
        )


def left_layers(model: PreTrainedModel, unexpected: Sequence[str]) -> tuple[str, ...]:
    """Tensors that a checkpoint has of layers beyond those of the model; heads of other tasks are none."""
    known = {_NUMBER.sub(".#.", name) for name, _ in model.named_parameters() if _NUMBER.search(name)}
    return tuple(
        key
        for key in sorted(unexpected)
        if any(_NUMBER.sub(".#.", prefix + key) in known for prefix in ("", f"{model.base_model_prefix}."))
    )


def check_finite(model: PreTrainedModel, name: str) -> None:
    """Refuse weights with NaN or infinity among them."""
    wrong = [key for key, value in model.state_dict().items() if not bool(torch.isfinite(value).all())]
    if wrong:
        raise InputError(
            f"the weights of the model {name!r} are not finite ({named(wrong)}): pass a model that was saved "
            "before its training went astray, or get the file again"
        )


def named(names: Sequence[str]) -> str:
    """A number of tensors with a few of their names."""
    first = ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")
    return f"{len(names)} tensor{'s' * (len(names) != 1)} ({first})"


def ensure_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Pad with the end-of-text token where a tokenizer has no padding token, as GPT-2's."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(
                f"the tokenizer of the model {name!r} has neither a padding nor an end token: add one "
                "with tokenizer.add_special_tokens and save it beside the model"
            )
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def check_words(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a tokenizer that gives nothing, or numbers that the word embeddings do not have."""
    ids = [*tokenizer("a word", "b")["input_ids"], *tokenizer.get_vocab().values()]
    limit = positions(model, tokenizer)
    table = model.get_input_embeddings()
    rows = table.num_embeddings if isinstance(table, nn.Embedding) else None
    padding = model.config.pad_token_id
    if not ids or limit < 1:
        raise InputError(
            f"the tokenizer of the model {name!r} gives no words, or takes inputs of {limit} tokens: get its "
            "files again from where they came"
        )
    if rows is not None and not max(ids) < rows:
        raise InputError(
            f"the tokenizer of the model {name!r} has words up to number {max(ids)}, but the model has "
            f"embeddings for {rows}: it is another model's, put the right one beside config.json"
        )
    if rows is not None and not (type(padding) is int and -rows <= padding < rows):
        raise InputError(
            f"pad_token_id in config.json of the model {name!r} is {padding!r:.20}, but the model has "
            f"embeddings for {rows} words: it must be the number of one"
        )


def positions(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int:
    """Most tokens that the model takes: the tokenizer's limit, or the size of a position table.

    A table with a padding index (RoBERTa, MPNet) starts counting behind it.
    """
    limit = int(min(tokenizer.model_max_length, 1 << 30))  # "no limit" is 10³⁰ there
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith(("position_embeddings", "wpe")):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = min(limit, module.num_embeddings - offset)
    return limit
