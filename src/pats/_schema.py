"""The check of files: what a file holds is checked once, then relied on.

The expected shape is a type: a dataclass, a ``TypedDict``, or a hint such as ``Mapping[str, float]``. Numbers
must be finite and of a size that sums and squares survive.
"""

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")
Check = Callable[[Any], Any]

_BYTES = 1 << 30  # of a file that is read
LARGEST = 1e100  # of a float; its square is finite, and so are sums of many
_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
}


class Misfit(ValueError):
    """What a file holds does not fit; the message says where and why."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(f"{place.lstrip('.')} {why}".strip())
        self.why, self.place = why, place

    def under(self, place: str) -> "Misfit":
        """The same misfit, of a part of something larger."""
        return Misfit(self.why, place + self.place)


def read(path: str | Path) -> bytes:
    """The bytes of a file; an ``OSError`` for a pipe, in which nothing may ever come, or more than 1 GiB."""
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and no file", str(path))
        if os.fstat(file.fileno()).st_size > _BYTES:
            raise OSError(errno.EINVAL, f"it is larger than {_BYTES >> 30} GiB", str(path))
        return file.read()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        Misfit: It is no JSON, is nested too deeply, or holds NaN, infinity or half of a surrogate pair.
    """
    try:
        content = json.loads(text, parse_constant=_refuse)
        whole = text.decode() if isinstance(text, bytes) else text
        if "\\ud" in whole.lower():
            json.dumps(content, ensure_ascii=False).encode()
    except Misfit:
        raise
    except RecursionError:
        raise Misfit("it is nested too deeply") from None
    except ValueError as error:
        raise Misfit(f"it is no whole JSON: {str(error).splitlines()[0]}") from None
    return content


def _refuse(constant: str) -> None:
    raise Misfit(f"it holds {constant}, which is no number")


def build(shape: type[T], value: Any) -> T:
    """A value of a shape, from what ``parse`` returned; lists become tuples where the shape has them.

    Args:
        shape: The type. Keys that a dataclass does not have are refused, those that a ``TypedDict`` does not
            have are left as they are.
        value: Plain values.

    Raises:
        Misfit: It does not fit.
    """
    return cast(T, _checker(cast(Any, shape))(value))


@lru_cache
def _checker(shape: Any) -> Check:
    origin, arguments = get_origin(shape), get_args(shape)
    if shape is Any:
        return lambda value: value
    if shape in _WORDS:
        return _plain((shape,))
    if origin in (Union, UnionType):
        if all(one in _WORDS for one in arguments):
            return _plain(arguments)
        return _one_of([_checker(one) for one in arguments])
    if origin is Literal:
        return _choice(arguments)
    if is_typeddict(shape):
        return _record(shape)
    if is_dataclass(shape):
        return _object(shape)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_checker(arguments[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        if origin is tuple and arguments[-1] is not Ellipsis:
            return _fixed([_checker(one) for one in arguments])
        return _sequence(_checker(arguments[0]), list if origin is list else tuple)
    raise TypeError(f"{shape} is no shape that a file can have")


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _plain(shapes: Sequence[Any]) -> Check:
    # 3 is a number too, where numbers with a fraction are allowed; NaN is between no bounds.
    most = LARGEST if float in shapes else 2**63 - 1
    kinds = {*shapes, int} if float in shapes else set(shapes)

    def check(value: Any) -> Any:
        kind = type(value)
        if kind not in kinds or ((kind is int or kind is float) and not -most <= value <= most):
            raise Misfit(f"is {_shown(value)}, but must be {' or '.join(_WORDS[shape] for shape in shapes)}")
        return value

    return check


def _one_of(checks: Sequence[Check]) -> Check:
    def check(value: Any) -> Any:
        deepest: Misfit | None = None
        for one in checks:
            try:
                return one(value)
            except Misfit as misfit:
                deepest = misfit if deepest is None or len(misfit.place) > len(deepest.place) else deepest
        assert deepest is not None
        raise deepest

    return check


def _choice(allowed: Sequence[Any]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, str | int | NoneType) or value not in allowed:
            raise Misfit(f"is {_shown(value)}, but must be one of {', '.join(map(str, allowed))}")
        return value

    return check


def _at(place: str | int, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except Misfit as misfit:
        raise misfit.under(f".{place}" if isinstance(place, str) else f"[{place}]") from None


def _mapping(check_value: Check) -> Check:
    def check(value: Any) -> Any:
        return {key: _at(key, check_value, one) for key, one in _keyed(value).items()}

    return check


def _sequence(check_one: Check, kind: Callable[[list[Any]], Any]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise Misfit(f"is {_shown(value)}, but must be a list")
        return kind([_at(place, check_one, one) for place, one in enumerate(value)])

    return check


def _fixed(checks: Sequence[Check]) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(checks):
            raise Misfit(f"is {_shown(value)}, but must be a list of {len(checks)}")
        return tuple(
            _at(place, one, entry) for place, (one, entry) in enumerate(zip(checks, value, strict=True))
        )

    return check


def _keyed(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit(f"is {_shown(value)}, but must be an object")
    return value


def _record(shape: Any) -> Check:
    checks = {name: _checker(hint) for name, hint in get_type_hints(shape).items()}
    needed = shape.__required_keys__

    def check(value: Any) -> Any:
        entries = dict(_keyed(value))
        for name, one in checks.items():
            if name in entries:
                entries[name] = _at(name, one, entries[name])
            elif name in needed:
                raise Misfit("is missing", f".{name}")
        return entries

    return check


def _object(shape: Any) -> Check:
    hints = get_type_hints(shape)
    checks = {field.name: _checker(hints[field.name]) for field in fields(shape)}
    needed = [f.name for f in fields(shape) if f.default is MISSING and f.default_factory is MISSING]
    upgrade = getattr(shape, "upgraded", None)  # for what earlier versions wrote

    def check(value: Any) -> Any:
        if isinstance(value, shape):
            return value
        values, checked = _keyed(value), {}
        if upgrade is not None:
            try:
                values = upgrade(values)
            except (ValueError, TypeError, AttributeError, KeyError):
                raise Misfit("is of no version that is known") from None
        for name, one in values.items():
            if name not in checks:
                raise Misfit("is unknown", f".{name}")
            checked[name] = _at(name, checks[name], one)
        for name in needed:
            if name not in checked:
                raise Misfit("is missing", f".{name}")
        try:
            return shape(**checked)
        except ValueError as error:  # what the object itself refuses
            raise Misfit(f"cannot be: {error}") from None

    return check
