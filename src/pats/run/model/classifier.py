"""Loading a sequence classifier with its tokenizer.

Weights come as safetensors only, and no code from a model's repository is run.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
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
from pats.run.model import fit, source, vet
from pats.run.model.source import first_line

SEVERAL = "multi_label_classification"  # what transformers calls it, and trains with binary cross-entropy


@dataclass(frozen=True)
class Loaded:
    """A model ready to be fine-tuned.

    Args:
        model: The classifier, in float32, on the CPU.
        tokenizer: Its tokenizer, with a padding token.
        fresh: Canonical names of the parameters that the checkpoint lacked, so they were drawn at random.
        max_length: Longest input in tokens: the wanted one, or what the model has positions for.
        unused: Tensors of layers that the checkpoint has, and the model has not.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fresh: frozenset[str]
    max_length: int
    unused: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """What was drawn at random, and what was left out, in sentences; None if nothing was."""
        said = [f"New, drawn at random: {fit.named(sorted(self.fresh))}."] if self.fresh else []
        if self.unused:
            left = fit.named(self.unused)
            said.append(
                f"Warning: config.json has fewer layers than the weights, of which {left} are not used."
            )
        return " ".join(said) or None


def load(
    name: str,
    labels: Sequence[str],
    max_length: int,
    seed: int,
    revision: str | None = None,
    allow_missing: bool = False,
    several: bool = False,
) -> Loaded:
    """Load a classifier for these labels; what the checkpoint lacks is drawn from ``seed``.

    A head of another size is replaced by a fresh one. Torch's global generator is seeded.

    Args:
        name: ``"minilm"``, a folder, or a name on the hub.
        labels: Names of the classes; empty for regression (one output).
        max_length: Longest input in tokens.
        seed: Seed of the fresh parameters, the same for every method.
        revision: Revision on the hub.
        allow_missing: Draw weights of the encoder and the embeddings at random too, where they are missing or
            of another shape.
        several: A text may have several of the labels.

    Raises:
        InputError: There is no such model, it has no safetensors weights or no tokenizer, its weights
            are damaged, not finite or belong to another model, or it is no sequence classifier.
    """
    resolved = source.resolve(name, revision)
    with quiet(), _explained(name, "config.json"):
        folder = source.fetch(name, resolved, revision)
        weights = vet.folder(name, folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.num_labels = len(labels) or 1
        config.problem_type = "single_label_classification" if labels else "regression"
        if several:
            config.problem_type = SEVERAL
        if labels:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: number for number, label in enumerate(labels)}
        vet.config(name, config, weights)
    set_seed(seed)
    model, tokenizer, lacking, unused = _read(name, folder, config)
    fresh = {canonical_name(key) for key in lacking}
    if not allow_missing:
        fit.check_weights(model, fresh, name)
    return _ready(model, tokenizer, name, frozenset(fresh), max_length, unused)


def load_trained(name: str) -> Loaded:
    """Load a classifier whose head is trained, to predict with.

    Raises:
        InputError: As ``load``; or the folder holds no trained head.
    """
    resolved = source.resolve(name)
    with quiet(), _explained(name, "config.json"):
        folder = source.fetch(name, resolved)
        weights = vet.folder(name, folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        vet.config(name, config, weights)
    model, tokenizer, lacking, _ = _read(name, folder, config)
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
    return _ready(model, tokenizer, name, frozenset(), sys.maxsize)


def _read(
    name: str, folder: Path, config: PretrainedConfig
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[str], tuple[str, ...]]:
    """Model and tokenizer of a folder, the tensors that do not come from its weights, and those left over."""
    config.return_dict = True
    config.chunk_size_feed_forward = 0  # else it has to divide the length of every batch
    with quiet(), _explained(name, "its weights"):
        model, loading = AutoModelForSequenceClassification.from_pretrained(
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
    lacking = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    return model, tokenizer, sorted(lacking), fit.left_layers(model, loading["unexpected_keys"])


def labels_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Names of a classifier's classes in the order of its outputs; empty for regression."""
    names = cast(dict[int, str], model.config.id2label or {})
    return tuple(names[number] for number in sorted(names)) if len(names) > 1 else ()


@contextmanager
def _explained(name: str, part: str) -> Iterator[None]:
    """Turn what transformers raises about a part of a model into one sentence for the user."""
    try:
        yield
    except InputError:
        raise
    except SafetensorError as error:
        raise InputError(
            f"the weights of the model {name!r} are damaged ({first_line(error)}): get the file again"
        ) from None
    except BaseException as error:  # a file may lead these libraries into anything
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of a part in Rust
            raise
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
            f"the model {name!r} cannot be loaded ({part}: {first_line(error)}): check that its files are "
            "complete"
        ) from None


def _ready(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    fresh: frozenset[str],
    max_length: int,
    unused: tuple[str, ...] = (),
) -> Loaded:
    """Make model and tokenizer agree on padding, inputs and length."""
    fit.check_finite(model, name)
    fit.ensure_padding(model, tokenizer, name)
    with _explained(name, "its tokenizer"):
        fit.check_words(model, tokenizer, name)
    accepted = inspect.signature(model.forward).parameters  # DistilBERT takes no segments, say
    names = [key for key in tokenizer.model_input_names if key in accepted]
    tokenizer.model_input_names = names if "input_ids" in names else ["input_ids", "attention_mask"]
    return Loaded(model, tokenizer, fresh, min(max_length, fit.positions(model, tokenizer)), unused)


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
