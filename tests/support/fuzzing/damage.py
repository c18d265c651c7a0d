"""Damage: bytes that were cut or garbled, JSON with other values in places, and texts that nobody expects."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

HOSTILE = (
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "a\0b",
        "\x1b[2J",
        "\u202eabc",
        "\ufeff",
        "\u200b",
        "\ud7ff",
        "\ufffe",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "0",
        "1_000",
        "0x10",
        "10" * 200,
        "1e-400",
        "True",
        "None",
        "null",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "~root",
        "~nobody_here",
        "file:///etc/passwd",
        "C:\\x",
        ".",
    ),
    *(
        "..",
        "a/b",
        "--",
        "-",
        "-x",
        "--out",
        "=",
        "a=b",
        "=1+1",
        "'",
        '"',
        "\\",
        "%s",
        "{0}",
        "${HOME}",
        "`id`",
    ),
    *(
        "[]",
        "{}",
        "[[[[",
        "<script>",
        "שלום עולם",
        "مرحبا",
        "日本語",
        "🙂" * 50,
        "e\u0301",
        "ß",
        "İ",
        "x" * 5000,
    ),
)
WRONG: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        3.5,
        -0.0,
        1e308,
        1e-320,
        2**31,
        2**63,
        10**400,
        float("nan"),
        float("inf"),
    ),
    *("x", "", "\ud800", "../x", "\0", "NaN", [], {}, [[1]], [None], {"a": {"a": []}}),
)

# Surrogates cannot be in a file's text, nor in an argument.
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
WORDS = st.text("abcdefghij ", min_size=1, max_size=12)


def bytes_of(whole: bytes) -> SearchStrategy[bytes]:
    """What may become of a file: cut, zeroed, overwritten, doubled, grown, or other bytes altogether."""
    place = st.integers(0, len(whole))
    some = st.one_of(
        st.binary(max_size=16), st.sampled_from([bytes(64), b"\xff" * 16, b"\xff\xfe", b"\n", b'"', b"\r"])
    )

    def overwritten(at: int, new: bytes) -> bytes:
        return whole[:at] + new + whole[at + len(new) :]

    return st.one_of(
        cut(whole),
        st.builds(overwritten, place, some),
        st.builds(lambda at, new: whole[:at] + new + whole[at:], place, some),
        st.builds(lambda at, end: whole[: min(at, end)] + whole[max(at, end) :], place, place),
        st.builds(lambda at: whole[:at] + bytes(len(whole) - at), place),
        st.builds(lambda at, end: whole + whole[min(at, end) : max(at, end)], place, place),
        st.binary(max_size=200),
    )


def cut(whole: bytes) -> SearchStrategy[bytes]:
    """The beginning of a file, all but at least its last byte."""
    return st.integers(0, max(len(whole) - 1, 0)).map(lambda size: whole[:size])


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON, every place once."""
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in entries:
        yield (*at, key)
        if isinstance(value, dict | list) and value:
            yield from places(value, (*at, key))


def change(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place; ``KeyError`` takes it out."""
    changed = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def values() -> SearchStrategy[Any]:
    """Values of JSON, of any kind and depth."""
    plain = st.one_of(
        st.sampled_from(WRONG),
        st.integers(-(2**70), 2**70),
        st.floats(),
        TEXTS,
    )
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    )


@st.composite
def json_of(draw: st.DrawFn, content: Any, most: int = 3) -> bytes:
    """A JSON file with other values in a few places, with strange keys, or damaged as bytes."""
    kind = draw(st.sampled_from(("edit", "edit", "edit", "edit", "bytes", "other", "deep")))
    if kind == "other":
        return _dumped(draw(values()))
    if kind == "deep":
        depth = draw(st.sampled_from((50, 900, 10_000)))
        inner = "[" * depth + "]" * depth
        return draw(
            st.sampled_from((inner, '{"a": ' + inner + "}", '{"a":' * depth + "1" + "}" * depth))
        ).encode()
    for _ in range(draw(st.integers(1, most))):
        found = list(places(content)) if isinstance(content, dict | list) else []
        if not found:
            break
        place = draw(st.sampled_from(found))
        if isinstance(place[-1], str) and draw(st.integers(0, 5)) == 0:  # a key of another name
            kept = place[:-1]
            content = change(content, (*kept, draw(TEXTS)), draw(values()))
        else:
            content = change(content, place, draw(st.one_of(st.just(KeyError), values())))
    whole = _dumped(content)
    return draw(bytes_of(whole)) if kind == "bytes" else whole


def _dumped(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()
