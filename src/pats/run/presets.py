"""Presets: settings of a ``Run`` under one name, which any flag may override."""

from typing import Any

_MTDNN: dict[str, Any] = {"setup": "mtdnn", "weight_decay": 0.01, "max_length": 512}

# The paper's settings are Run's defaults; MT-DNN's are explained in mtdnn.py.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "mtdnn": {**_MTDNN, "optimizer": "mtdnn-b", "schedule": "mtdnn-b"},
    "mtdnn-a": {**_MTDNN, "optimizer": "mtdnn-a", "schedule": "mtdnn-a"},
}
