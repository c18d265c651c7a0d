"""Columns that are not used."""

import shlex
from collections.abc import Sequence

from pats.tasks.audit.finding import NOTE, WARNING, Finding
from pats.tasks.columns import TEXTS, Columns, usual
from pats.tasks.reading import Table


def left_out(table: Table, columns: Columns, others: Sequence[str] = ()) -> list[Finding]:
    """The columns that are not used.

    Args:
        table: The table.
        columns: The columns that are used.
        others: More columns that are used or that were spoken of.
    """
    used = columns.names
    rest = [name for name in table.columns if name not in (*used, *others)]
    if not rest:
        return []
    named = ", ".join(repr(name) if name.strip() else "one without a name" for name in rest)
    message = f"{'Columns' if len(rest) > 1 else 'Column'} left out: {named}."
    taken = {usual(name): name for name in used}
    alike = [name for name in rest if usual(name) in taken]
    for name in alike:
        message += f" {name!r} differs from {taken[usual(name)]!r}, which is used, in case or blanks alone."
    texts = [name for name in rest if usual(name) in TEXTS and name not in alike]
    if texts:
        joined = " ".join(
            map(shlex.quote, (name for name in table.columns if name in (*columns.parts, *texts)))
        )
        message += f" To read them too, join the columns: --text {joined}."
    return [Finding("left-out", message, {"columns": len(rest)}, WARNING if alike else NOTE)]
