"""A model without its dropout, for methods that are made to replace it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Within, every ``nn.Dropout`` of the model passes its input on."""
    modules = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    rates = [module.p for module in modules]
    for module in modules:
        module.p = 0.0
    try:
        yield
    finally:
        for module, rate in zip(modules, rates, strict=True):
            module.p = rate
