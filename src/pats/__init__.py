"""PATS: sensitivity-aware noisy fine-tuning of pretrained language models.

Source: Zhang et al. 2022, "PATS: Sensitivity-aware Noisy Learning for Pretrained Language Models".
``import pats`` needs torch alone; what runs, compares and reports comes with ``pats-finetune[run]``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pats import hf, optim, philox
    from pats._errors import InputError
    from pats._noise import Noise
    from pats._perturb import Perturbation, perturb
    from pats._scope import param_groups, scope
    from pats.measure.predict import predict
    from pats.measure.prediction import Prediction, Predictions
    from pats.measure.sensitivity import sensitivity
    from pats.methods.noisytune import noisytune_
    from pats.run import Result, Run, finetune
    from pats.study import Study
    from pats.study.compare import compare
    from pats.study.report import Report, report
    from pats.study.result import StudyResult
    from pats.study.sweep import Sweep, SweepResult, sweep

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Noise",
    "Perturbation",
    "Prediction",
    "Predictions",
    "Report",
    "Result",
    "Run",
    "Study",
    "StudyResult",
    "Sweep",
    "SweepResult",
    "compare",
    "finetune",
    "hf",
    "noisytune_",
    "optim",
    "param_groups",
    "perturb",
    "philox",
    "predict",
    "report",
    "scope",
    "sensitivity",
    "sweep",
]

# Every name by the module that brings it, which is imported when the name is used: `pats --help` does not
# wait for torch, nor a perturbed optimizer for what runs and compares.
_HOMES = {
    "InputError": "pats._errors",
    "Noise": "pats._noise",
    "Perturbation": "pats._perturb",
    "perturb": "pats._perturb",
    "param_groups": "pats._scope",
    "scope": "pats._scope",
    "Prediction": "pats.measure.prediction",
    "Predictions": "pats.measure.prediction",
    "predict": "pats.measure.predict",
    "sensitivity": "pats.measure.sensitivity",
    "noisytune_": "pats.methods.noisytune",
    "Result": "pats.run",
    "Run": "pats.run",
    "finetune": "pats.run",
    "Study": "pats.study",
    "StudyResult": "pats.study.result",
    "Sweep": "pats.study.sweep",
    "SweepResult": "pats.study.sweep",
    "sweep": "pats.study.sweep",
    "compare": "pats.study.compare",
    "Report": "pats.study.report",
    "report": "pats.study.report",
}
# Packages and modules that users reach as attributes after `import pats` alone.
_MODULES = ("hf", "kernels", "measure", "methods", "optim", "philox", "step")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pats.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'pats' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
