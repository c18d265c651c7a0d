"""Optional dependencies: ``import pats`` needs torch alone."""

import importlib
from types import ModuleType

from pats._errors import InputError


def try_import(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: Dotted name of the module, such as ``"transformers"``.
        extra: The extra of ``pats-finetune`` that installs it, such as ``"run"``.

    Raises:
        InputError: The module is not installed. A module that is installed but fails while it is
            imported raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise InputError(
            f'this needs the package {root!r}, which is not installed: pip install "pats-finetune[{extra}]"'
        ) from None
