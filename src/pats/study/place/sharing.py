"""How many runs a GPU holds: by its free memory, the size of a run, and CUDA's multi-process service.

The service (MPS) lets processes compute on a GPU side by side. It is used where its daemon is on, and never
started: the daemon is the administrator's. Without it processes take turns.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOGETHER = 10  # runs a GPU with MPS: as many as have been measured side by side, see docs/performance.md
IN_TURN = 2  # without it: one trains while the other loads, evaluates or saves

_PIPES = "CUDA_MPS_PIPE_DIRECTORY"
_STATE = 24  # bytes a parameter: weight, gradient, two moments, sensitivity, and one to spare for a method
_CONTEXT = 3 << 28  # of CUDA and its libraries
_USED = 0.9  # of the free memory: the rest is lost between blocks
_GIB = 2**30


def need(parameters: int, sizes: Mapping[str, Any], batch: int, length: int) -> int | None:
    """Bytes of a GPU that a run takes, rather too many; None where a model does not tell its sizes.

        24·N + 2·L·b·s·(34·h + 5·a·s) + 0.75 GiB

    The middle term is what the layers keep for the backward pass, s·b·h·(34 + 5·a·s/h) at two bytes a value
    (Korthikanti et al. 2022), here at four, with attention weights that fused attention does not keep.

    Args:
        parameters: N.
        sizes: The model's config: L ``num_hidden_layers``, h ``hidden_size``, a ``num_attention_heads``.
        batch: Examples a process, b.
        length: Longest input in tokens, s.
    """
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
    known = [size for name in names if isinstance(size := sizes.get(name), int) and size > 0]
    if len(known) < len(names):
        return None
    layers, width, heads = known
    kept = 2 * layers * batch * length * (34 * width + 5 * heads * length)
    return _STATE * parameters + kept + _CONTEXT


@dataclass(frozen=True)
class Gpu:
    """What the driver tells of a GPU.

    Args:
        index: Its number.
        uuid: Its name.
        free: Bytes.
        mode: ``Default`` where several processes may use it.
    """

    index: str
    uuid: str
    free: int
    mode: str


def told() -> list[Gpu]:
    """What ``nvidia-smi`` tells of every GPU; empty where it is not there or tells nothing of use."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.free,compute_mode", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
        return [Gpu(index, uuid, int(free) << 20, mode) for index, uuid, free, mode in rows]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def mps() -> bool:
    """Whether the control daemon of CUDA's multi-process service is on."""
    folder = Path(os.environ.get(_PIPES) or "/tmp/nvidia-mps")
    if not (folder / "control").exists():
        return False
    try:
        os.kill(int((folder / "nvidia-cuda-mps-control.pid").read_text()), 0)
    except PermissionError:
        return True  # another user's daemon
    except ProcessLookupError:
        return False  # what a dead one left
    except (OSError, ValueError):
        return True  # it does not tell its number
    return True


@dataclass(frozen=True)
class Share:
    """How many runs a GPU takes.

    Args:
        runs: So many at a time.
        why: In a sentence.
    """

    runs: int
    why: str


def share(bytes_a_run: int | None, names: Sequence[str], cores: int) -> Share:
    """How many runs each GPU takes, one at least.

    Args:
        bytes_a_run: From ``need``.
        names: The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.
        cores: Cores for the runs of a GPU: each run needs one.
    """
    gpus = [gpu for gpu in told() if any(name == gpu.index or gpu.uuid.startswith(name) for name in names)]
    if bytes_a_run is None:
        return Share(1, "One run at a time on each GPU: the model does not tell how large it is.")
    if len(gpus) != len(names):
        return Share(1, "One run at a time on each GPU: nvidia-smi does not tell how much memory is free.")
    free, service = min(gpu.free for gpu in gpus), mps()
    if not service and any(gpu.mode != "Default" for gpu in gpus):
        return Share(1, "One run at a time on each GPU: its compute mode allows one process.")
    holds = int(_USED * free // bytes_a_run)
    most = TOGETHER if service else IN_TURN
    runs = max(1, min(holds, most, cores))
    state = "is on" if service else "is not on, with which it could take more"
    number = "One run" if runs == 1 else f"{runs} runs"
    if runs == most:
        limit = f"CUDA's multi-process service {state}"
    elif runs == cores < holds:
        limit = f"there are cores for {runs}"
    else:
        limit = "its memory holds no more"
    return Share(
        runs,
        f"{number} at a time on each GPU: a run takes about {bytes_a_run / _GIB:.1f} of the "
        f"{free / _GIB:.1f} GiB that are free, and {limit} (--gpus 1 gives each run a GPU of its own).",
    )
