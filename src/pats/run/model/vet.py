"""A model's folder, looked at before transformers reads it: it may come from anybody.

Nothing that a file asks for is allocated here. The sizes in config.json are held against the headers of the
weights, and the model is built on torch's meta device, which has no memory, before it is built in earnest.
"""

import json
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pats._errors import InputError

if TYPE_CHECKING:  # a study looks at files alone, and transformers takes seconds
    from transformers import PreTrainedConfig

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

_LARGEST_CONFIG = 16 << 20  # bytes
_LARGEST_HEADER = 100_000_000  # bytes, safetensors' own limit
_SIZE = re.compile(
    r"size|dim|width|vocab|hidden|head|label|position|embd|embed|channel|d_model|d_ff|d_kv|d_inner|n_ctx|n_inner|"
    "kernel|bucket|latent|window|feature|length|filter"
)
_COUNT = re.compile("layer|block|depth|stage|expert|group")  # of modules, unless the key is one of these
_NO_COUNT = re.compile(r"size(?!s)|width|norm|dim|drop|capacity|scale|eps")
_ADDED_UP = re.compile("depth|block|num_")  # a list of counts, not of layers' numbers
_LARGEST_SIZE = 1 << 20  # of what need not be in the weights, such as the longest input
_MOST_MODULES = 32  # where the weights have fewer tensors: ALBERT's layers share them
_NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
_SPARE = 1 << 26  # numbers that a model may have beside four times those of its weights

# Ends of names, and beginnings of safetensors' dtypes. A `bias` of four dimensions is a mask, as in GPT-2.
_LEARNT, _FLOATING = (".weight", ".bias"), ("F", "BF")

# Files and settings that make transformers load something else than the folder's own safetensors.
_SHARDED = re.compile(r"shard-\d+-model-")
_REDIRECTS = {
    "quantization_config": "its weights are quantized and cannot be fine-tuned: pass the model before that",
    "transformers_weights": "its config.json names other weights: take transformers_weights out of it",
}


@dataclass(frozen=True)
class Weights:
    """What the headers of a model's weights say.

    Args:
        tensors: Number of tensors.
        largest: Largest dimension of one.
        numbers: Entries of all.
    """

    tensors: int
    largest: int
    numbers: int


def folder(name: str, path: Path) -> Weights:
    """Check the files of a model's folder.

    Args:
        name: The model, for messages.
        path: The folder.

    Raises:
        InputError: A file is no regular one, the weights are damaged or elsewhere, or config.json holds a
            size that the weights do not have.
    """
    for entry in path.iterdir():
        if not (entry.is_file() or entry.is_dir()):
            raise InputError(f"{entry.name!r} in the folder of the model {name!r} is no file: take it away")
        if entry.name == "adapter_config.json" or _SHARDED.match(entry.name):
            raise InputError(
                f"the folder of the model {name!r} holds an adapter, or parts of a sharded training "
                f"({entry.name}): merge them into the model, save it, and pass that folder"
            )
    weights = _weights(name, path)
    _check_config(name, path / "config.json", weights)
    return weights


def _weights(name: str, path: Path) -> Weights:
    files = [path / WEIGHTS] if (path / WEIGHTS).exists() else _parts(name, path)
    shapes = [shape for file in files for shape in _shapes(name, file)]
    largest = max((max(shape, default=1) for shape in shapes), default=0)
    return Weights(len(shapes), largest, sum(map(math.prod, shapes)))


def _parts(name: str, path: Path) -> list[Path]:
    content = _object(name, path / INDEX, _LARGEST_HEADER)
    named = content.get("weight_map")
    if not (isinstance(named, dict) and named and all(isinstance(part, str) for part in named.values())):
        raise _unreadable(name, f"{INDEX} has no weight_map of file names")
    parts = sorted(set(named.values()))
    for part in parts:
        if Path(part).name != part or "\\" in part or not part.endswith(".safetensors"):
            raise InputError(
                f"{INDEX} of the model {name!r} names {part[:80]!r}: its parts must be safetensors files in "
                "the same folder"
            )
        if not (path / part).is_file():
            raise _damaged(name, f"{part} is missing")
    return [path / part for part in parts]


def _shapes(name: str, file: Path) -> Iterator[list[int]]:
    """Shapes of a safetensors file's tensors, as its header says."""
    if not file.is_file():
        raise _damaged(name, f"{file.name} is no file")
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
            raise _damaged(name, f"{file.name} has no safetensors header")
        header = _parsed(opened.read(length))
    if not isinstance(header, dict):
        raise _damaged(name, f"{file.name} has no safetensors header")
    header.pop("__metadata__", None)
    for key, entry in header.items():
        parts = entry if isinstance(entry, dict) else {}
        shape, offsets = _wholes(parts.get("shape"), 16), _wholes(parts.get("data_offsets"), 2)
        if shape is None or offsets is None or len(offsets) != 2:
            raise _damaged(name, f"{file.name} does not say where {key[:80]!r} is")
        if len(shape) < 3 and key.endswith(_LEARNT) and not str(parts.get("dtype")).startswith(_FLOATING):
            raise InputError(
                f"the weights of the model {name!r} hold {key[:80]!r} as {str(parts.get('dtype'))[:10]}, and "
                "no floating-point numbers: pass the model as it was before it was quantized"
            )
        if offsets[1] > size - 8 - length or math.prod(shape) > 2 * max(offsets[1] - offsets[0], 0):
            raise _damaged(name, f"{file.name} ends before {key[:80]!r}")
        yield shape


def _wholes(value: Any, most: int) -> list[int] | None:
    """A list of at most so many whole numbers from 0; None for anything else."""
    fine = isinstance(value, list) and len(value) <= most
    return value if fine and all(type(one) is int and one >= 0 for one in value) else None


def _check_config(name: str, file: Path, weights: Weights) -> None:
    content = _object(name, file, _LARGEST_CONFIG)
    for key, why in _REDIRECTS.items():
        if content.get(key) is not None:
            raise InputError(f"the model {name!r} cannot be loaded as it is: {why}")
    for key, value in _values(content):
        if "attn_implementation" in key and "/" in str(value):
            raise InputError(
                f"the model {name!r} brings its own code for attention, which is never run: take {key} out "
                "of its config.json"
            )
    most = max(weights.tensors, _MOST_MODULES)
    widest = max(weights.largest, _LARGEST_SIZE)
    for key, number in _numbers(content):
        limit = most if _counts(key) else widest if _SIZE.search(key) else None
        if limit is not None and number > limit:
            raise InputError(
                f"config.json of the model {name!r} says {key} = {number!r:.20}, but its weights are "
                f"{weights.tensors} tensors of at most {weights.largest} rows or columns: get both files "
                "again from where they came"
            )


def _values(content: Any) -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with its key; without recursion, as a file may be nested deeply."""
    rest: list[tuple[str, Any]] = [("", content)]
    while rest:
        key, value = rest.pop()
        if isinstance(value, dict):
            rest += [(str(inner).lower(), one) for inner, one in value.items()]
        else:
            yield key, value
            if isinstance(value, list):
                rest += [(key, one) for one in value if isinstance(one, dict | list)]


def _numbers(content: Any) -> Iterator[tuple[str, float]]:
    """Every number with its key; of a list the largest, or the sum where every number is a count."""
    for key, value in _values(content):
        parts = value if isinstance(value, list) else [value]
        numbers = [one for one in parts if isinstance(one, int | float) and not isinstance(one, bool)]
        if numbers:
            yield key, sum(numbers) if _counts(key) and _ADDED_UP.search(key) else max(numbers)


def _counts(key: str) -> bool:
    return bool(_COUNT.search(key)) and not _NO_COUNT.search(key)


def config(name: str, built: "PreTrainedConfig", weights: Weights) -> None:
    """Check that a configuration describes a model of about the size of its weights.

    Raises:
        InputError: It does not, or it describes no model.
    """
    for key in _NEEDED:
        value = getattr(built, key, 1)
        if (
            value is not None
            and not isinstance(value, list | tuple | dict)
            and not (type(value) is int and value >= 1)
        ):
            raise InputError(
                f"config.json of the model {name!r} says {key} = {value!r:.20}, but that must be a whole "
                "number from 1"
            )
    numbers = _size(name, built)
    if numbers > 4 * weights.numbers + _SPARE:
        raise InputError(
            f"the weights of the model {name!r} do not fit its config.json, which describes {numbers:.3g} "
            f"numbers where they hold {weights.numbers:.3g}: get both files again from where they came"
        )


def _size(name: str, built: "PreTrainedConfig") -> int:
    """Entries of all parameters and buffers."""
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            automatic: Any = AutoModelForSequenceClassification
            model = automatic.from_config(built, trust_remote_code=False)
    except Exception as error:  # whatever a class raises for what it was not written for
        text = str(error)
        if "AutoModelForSequenceClassification" in text or "meta tensor" in text:
            return 0  # the loading reports it; or the class looks at values, which have no size yet
        said = " ".join(text.split())[:200] or type(error).__name__
        raise InputError(
            f"config.json of the model {name!r} describes no model that can be built ({said}): get it again "
            "from where it came"
        ) from None
    return sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))


def _object(name: str, file: Path, largest: int) -> dict[str, Any]:
    if not file.is_file():
        raise _unreadable(name, f"{file.name} is missing")
    if file.stat().st_size > largest:
        raise _unreadable(name, f"{file.name} is larger than {largest >> 20} MB")
    content = _parsed(file.read_bytes())
    if not isinstance(content, dict):
        raise _unreadable(name, f"{file.name} is no JSON object")
    return content


def _parsed(text: bytes) -> Any:
    """What a JSON text says; None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _unreadable(name: str, why: str) -> InputError:
    return InputError(f"the model {name!r} cannot be loaded ({why}): check that its files are complete")


def _damaged(name: str, why: str) -> InputError:
    return InputError(f"the weights of the model {name!r} are damaged ({why}): get the file again")
