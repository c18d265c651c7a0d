"""One more file in a package of PATS, as a contributor adds it, for as long as a test needs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType


@contextmanager
def added(package: str, name: str, text: str, folder: Path) -> Iterator[None]:
    """Within, a package has the module ``name``, and what is registered by file knows of it."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    home = import_module(package)
    home.__path__.append(str(folder))
    _forget(home)
    try:
        yield
    finally:
        home.__path__.remove(str(folder))
        sys.modules.pop(f"{package}.{name}", None)
        vars(home).pop(name, None)
        _forget(home)


def _forget(home: ModuleType) -> None:
    """Registries are looked up once."""
    for one in vars(home).values():
        if hasattr(one, "cache_clear") and one.__module__ == home.__name__:
            one.cache_clear()
