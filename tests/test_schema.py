import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Required, TypedDict

import pytest

from pats import _schema
from pats.run.spec import Run


@dataclass(frozen=True)
class Inner:
    pair: tuple[float, float]
    names: tuple[str, ...] = ()

    def __post_init__(self):
        if self.names == ("no",):
            raise ValueError("no is no name")


class Record(TypedDict, total=False):
    name: Required[str]
    size: int | None


@pytest.mark.parametrize(
    ("shape", "value", "expected"),
    [
        (float, 3, 3),
        (float | None, None, None),
        (int, 2**63 - 1, 2**63 - 1),
        (Any, {"a": [1]}, {"a": [1]}),
        (Literal["a", None], None, None),
        (Mapping[str, list[int]], {"a": [1, 2]}, {"a": [1, 2]}),
        (int | tuple[int, ...], [1, 2], (1, 2)),
        (Inner, {"pair": [1, 2.5], "names": ["x"]}, Inner((1, 2.5), ("x",))),
        (list[Inner], [{"pair": [0, 0]}], [Inner((0, 0))]),
        (Record, {"name": "x", "more": []}, {"name": "x", "more": []}),
        (Run, Run(task="rte").to_dict(), Run(task="rte")),
    ],
)
def test_what_fits(shape, value, expected):
    found = _schema.build(shape, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("shape", "value", "said"),
    [
        (float, "3", "is '3', but must be a number"),
        (float, True, "is True, but must be a number"),
        (float, float("nan"), "is nan, but must be a number"),
        (float, 1e101, "but must be a number"),
        (float, 10**400, "but must be a number"),
        (int, 3.0, "is 3.0, but must be a whole number"),
        (int, 2**63, "but must be a whole number"),
        (float | None, "x", "is 'x', but must be a number or null"),
        (Literal["a"], ["a"], "is ['a'], but must be one of a"),
        (Mapping[str, float], [], "is [], but must be an object"),
        (Mapping[str, Mapping[str, float]], {"a": {"b": None}}, "a.b is null, but must be a number"),
        (tuple[int, ...], [1, "x"], "[1] is 'x', but must be a whole number"),
        (tuple[float, float], [1], "is [1], but must be a list of 2"),
        (int | tuple[int, ...], [1, "x"], "[1] is 'x', but must be a whole number"),
        (list[Inner], [{"pair": [0, 0]}, {"pair": 3}], "[1].pair is 3, but must be a list of 2"),
        (Inner, {"names": []}, "pair is missing"),
        (Inner, {"pair": [0, 0], "other": 1}, "other is unknown"),
        (Inner, {"pair": [0, 0], "names": ["no"]}, "cannot be: no is no name"),
        (Record, {}, "name is missing"),
        (
            Record,
            {"name": "x", "size": "x" * 100},
            "size is '" + "x" * 39 + "..., but must be a whole number",
        ),
        (Run, {"lr": -1.0}, "cannot be: lr is -1.0"),
    ],
)
def test_what_does_not_fit_says_where_and_why(shape, value, said):
    with pytest.raises(_schema.Misfit) as caught:
        _schema.build(shape, value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no whole JSON"),
        ('{"a"', "no whole JSON"),
        ("[NaN]", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("[" * 100_000, "nested too deeply"),
        ('["\\ud800"]', "no whole JSON"),
        (b"\xff", "no whole JSON"),
        ("1" * 5000, "no whole JSON"),
    ],
)
def test_what_is_no_json(text, said):
    with pytest.raises(_schema.Misfit, match=said):
        _schema.parse(text)


def test_json():
    assert _schema.parse('{"a": ["\\ud83d\\ude00", 1e3]}') == {"a": ["😀", 1000.0]}
    assert _schema.parse(b"[]") == []


def test_what_is_no_file_is_not_waited_for(tmp_path):
    (tmp_path / "file").write_bytes(b"{}")
    assert _schema.read(tmp_path / "file") == b"{}"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a folder, a pipe or a device"):
        _schema.read(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"directory|folder"):
        _schema.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        _schema.read(tmp_path / "gone")


def test_what_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(OSError, match="larger than 1 GiB"):
        _schema.read(tmp_path / "x.json")
