"""What a notebook shows of an object: a small table, in which every text is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any


def table(caption: str, rows: Mapping[str, Any]) -> str:
    """A table of names and values as HTML.

    Args:
        caption: What it is of.
        rows: The values by name, of any kind: None is left out, and numbers have six digits at most.
    """
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td>{escape(_short(value))}</td></tr>'
        for name, value in rows.items()
        if value is not None
    )
    return f"<table><caption>{escape(caption)}</caption><tbody>{cells}</tbody></table>"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
