"""The YAML file of ``--config``, as the flags that it names."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pats._errors import InputError

_DEEPEST = 3  # lists and mappings in each other that a setting may be
_DEEP = "is nested too deeply: settings are numbers, words, or lists and mappings of them"
_LARGEST, _MOST = 1 << 20, 1000  # bytes of a file, and keys of a mapping


def as_flags(path: str) -> list[list[str]]:
    """The flags that a YAML file names, each with its values.

    Raises:
        InputError: It cannot be read, is no mapping of settings, or has a key twice.
    """
    import yaml

    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise InputError(f"the file {path} of --config is a folder, a pipe or a device: name a file")
        with Path(path).open("rb") as file:
            written = file.read(_LARGEST + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a name with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file {path} of --config cannot be read: {reason}") from None
    try:
        if len(written) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MB")
        content = yaml.load(written.decode(), _loader())
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        # A tag such as !!int before what is none raises what its reader happens to raise.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the file {path} of --config is no YAML ({reason}): mend it there") from None
    except RecursionError:
        raise InputError(f"the file {path} of --config {_DEEP}") from None
    if not isinstance(content, dict):
        raise InputError(f"the file {path} of --config must hold lines such as 'lr: 1e-4'")
    try:
        return _flags(content, path)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"a number in {path} has too many digits ({error})") from None


def _flags(content: Mapping[Any, Any], path: str) -> list[list[str]]:
    flags = []
    for key, value in content.items():
        flag = "--" + str(key).replace("_", "-")
        if _depth(value) > _DEEPEST:
            raise InputError(f"the key {key!r} of {path} {_DEEP}")
        if isinstance(value, Mapping):
            flags += [[flag, f"{name}={one}"] for name, one in _flat(value).items()]
        elif isinstance(value, list):
            flags.append([flag, *(str(one) for one in value)])
        elif value is True:
            flags.append([flag])
        elif value is not None and value is not False:
            flags.append([f"{flag}={value}"])
    return flags


def _loader() -> Any:
    """PyYAML's safe loader, without doubled keys, of which it takes the last, and with bounded merges."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            plain = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            keys = Counter(key.value.replace("_", "-") for key in plain)  # as flags are written
            twice = next((key for key, many in keys.items() if many > 1), None)
            if twice is not None:
                raise yaml.YAMLError(f"the key {twice!r} is there twice")
            return node

        def flatten_mapping(self, node: Any) -> None:
            before = len(node.value)
            super().flatten_mapping(node)
            if len(node.value) > max(before, _MOST):
                raise yaml.YAMLError(f"more than {_MOST} keys are merged into one mapping")

    return Loader


def _depth(value: Any, limit: int = _DEEPEST + 1) -> int:
    """How deep lists and mappings are nested, counted up to a limit: YAML's may hold themselves."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(inner, list | tuple | set | frozenset):
        return 0
    return 1 + max((_depth(one, limit - 1) for one in inner), default=0) if limit else 0


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
