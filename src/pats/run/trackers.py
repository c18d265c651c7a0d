"""Experiment trackers: those of Trainer, passed through; PATS needs none of them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import Trainer
from transformers.integrations import integration_utils
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, TensorBoardCallback

from pats._errors import InputError, did_you_mean
from pats.run.spec import Run

available: Callable[[], list[str]] = integration_utils.get_available_reporting_integrations

SHARE = 0.01  # of a run's steps between two reports


def check_installed(names: Sequence[str]) -> None:
    """Make sure that Trainer knows trackers, and that they are installed.

    Raises:
        InputError: It does not, or one is not.
    """
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            perhaps = did_you_mean(name, INTEGRATION_TO_CALLBACK)
            raise InputError(f"there is no tracker {name!r}{perhaps}; those of Trainer are: {known}")
        if name not in available():
            extra = "pats-finetune[trackers]" if name == "tensorboard" else name
            raise InputError(f'the tracker {name!r} is not installed: pip install "{extra}", or leave it out')


def name(run: Run) -> str:
    """What trackers call a run."""
    return f"{run.task or Path(str(run.data)).stem}-{run.method}-{run.data_seed}-{run.id}"


def place(trainer: Trainer, folder: Path) -> None:
    """Put TensorBoard's files beside the result, unless ``TENSORBOARD_LOGGING_DIR`` says where."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and "TENSORBOARD_LOGGING_DIR" not in os.environ:
            callback.logging_dir = str(folder / "tensorboard")
