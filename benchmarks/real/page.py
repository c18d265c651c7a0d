"""The docs' page of the real tables, made from ``rivals.json``."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.real import accept

PAGE = """# PATS on real tables, beside other systems

<!-- results: rivals.json -->
Made by `python -m benchmarks.docs` from [`rivals.json`](../benchmarks/results/rivals.json).
`python -m benchmarks.real_tables --data GLUE` builds the tables, and `python -m benchmarks.rivals` measures.
Every system got the same train, dev and test rows of each split, on CPUs. {flags}

{summary}

## Is it as good as a simple model?

<!-- results: rivals.json -->
A table counts as passed if PATS is not worse than either simple model by more than one standard error of the
difference paired by split, or if it recommended a simple model on every split.

{verdicts}

## Scores

<!-- results: rivals.json -->
Means over the splits × 100, ± standard deviation. A cell is empty where a system was not measured, and has
words where it failed, or has no such task. Of a system that has fewer than {splits} splits the number is in
brackets.

{scores}

## Beside whole systems

<!-- results: rivals.json -->
PATS's score × 100 less that of another system, on the splits that both have, ± the standard error over these
splits; and their number.

{beside}

## Time and memory

<!-- results: rivals.json -->
Mean minutes of a split, and the largest memory of all its processes together in GB.

{costs}

## What each system is

<!-- results: rivals.json -->
{about}

## What each system tells

<!-- results: rivals.json -->
The last lines of what a user of each sees, on one split of one table.

{told}

## The tables

<!-- results: rivals.json -->
{tables}
"""


def tabled(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _cell(rows: Sequence[Mapping[str, Any]]) -> str:
    done = [100 * row["scores"][row["metric"]] for row in rows if row["status"] == "done"]
    if not done:
        return rows[0]["status"] if rows else ""
    spread = f" ± {stdev(done):.1f}" if len(done) > 1 else ""
    failed = f" ({len(rows) - len(done)} failed)" if len(done) < len(rows) else ""
    part = f" ({len(rows)})" if len(rows) < accept.SPLITS else ""
    return f"{fmean(done):.1f}{spread}{part}{failed}"


def _cost(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    minutes = fmean(row["seconds"] for row in rows) / 60
    return f"{minutes:.1f}, {max(row['peak_gb'] for row in rows):.1f} GB"


ABOUT = {
    "pats": "`pats compare`; the model that it recommends, which learned from the train rows",
    "majority": "the most frequent label, or the mean score",
    "tfidf": "TF-IDF of words and characters with logistic or ridge regression, its strength chosen on dev",
    "frozen": "MiniLM's embeddings as they are with logistic or ridge regression, its strength chosen on dev",
    "setfit": "SetFit on MiniLM with its authors' settings (20 pairs a row, 16 pairs a step), and as many "
    "steps as its time allows, at most 1,000. It chooses nothing on dev, so it learns from the train and dev "
    "rows",
    "autogluon": "AutoGluon's tabular predictor at its defaults: n-grams of texts. It learns from the "
    "train and dev rows",
}
LINES, WIDTH = 9, 200  # of what a system tells


def _limits(rows: Sequence[Mapping[str, Any]]) -> str:
    """Minutes after which a system was ended; of PATS those that it was told."""
    ours = {"20" if not row["flags"] else row["flags"][-1].removesuffix("min") for row in rows}
    theirs = {f"{row['limit'] / 60:g}" for row in rows}
    return ", ".join(sorted(ours if rows[0]["system"] == accept.OURS else theirs, key=float))


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a system tells at its end, of its first split that it ended."""
    row = next((row for row in rows if row["status"] == "done"), rows[0])
    lines = [line.strip() for line in row["told"].splitlines() if line.strip()][-LINES:]
    shown = "\n".join(line[:WIDTH] + (" ..." if len(line) > WIDTH else "") for line in lines)
    return f"**{row['system']}**, {row['table']}, split {row['split']}:\n\n```text\n{shown}\n```"


def _flags(rows: Sequence[Mapping[str, Any]]) -> str:
    """What ``pats compare`` was given."""
    given = sorted({" ".join(row["flags"]) for row in rows if row["system"] == accept.OURS})
    said = " or ".join(f"`{one}`" if one else "no other flag" for one in given)
    return f"`pats compare` had `--data` and {said}." if given else ""


def page(rows: Sequence[Mapping[str, Any]], tables: Sequence[Mapping[str, Any]]) -> str:
    """The whole page.

    Args:
        rows: Of the result file.
        tables: What was measured on, as the file's settings list it.
    """
    systems = [*dict.fromkeys(row["system"] for row in rows)]
    names = [*dict.fromkeys(row["table"] for row in rows)]

    def of(table: str, system: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if (row["table"], row["system"]) == (table, system)]

    judged = accept.judge(rows)
    known = [one for one in judged if one.passed is not None]
    passed = sum(bool(one.passed) for one in known)
    about = ("name", "rows", "classes", "covers", "language", "licence", "source")
    summary = f"PATS passes on {passed} of {len(known)} tables measured in full."
    if len(known) < len(judged):
        ours = {name: of(name, accept.OURS) for name in names}
        least = min(map(len, ours.values()))
        summary += f" So far every table has {least} of {accept.SPLITS} splits or more."
    whole = [one for one in systems if one not in (accept.OURS, *accept.SIMPLE)]

    def beside(table: str, system: str) -> str:
        ours, theirs = (accept.scores_of(rows, table, one) for one in (accept.OURS, system))
        found = accept.gap(ours, theirs)
        return "" if found is None else f"{accept.told(found)} ({found.splits})"

    return PAGE.format(
        beside=tabled(
            ["table", *(f"PATS − {one}" for one in whole)],
            [[name, *(beside(name, one) for one in whole)] for name in names],
        ),
        summary=summary,
        flags=_flags(rows),
        verdicts=tabled(accept.HEADS, [accept.cells(one) for one in judged]),
        scores=tabled(
            ["table", *systems], [[name, *(_cell(of(name, one)) for one in systems)] for name in names]
        ),
        costs=tabled(
            ["table", *systems], [[name, *(_cost(of(name, one)) for one in systems)] for name in names]
        ),
        splits=accept.SPLITS,
        about=tabled(
            ["system", "what it is", "time limit in minutes"],
            [[one, ABOUT[one], _limits([row for row in rows if row["system"] == one])] for one in systems],
        ),
        told="\n\n".join(_told([row for row in rows if row["system"] == one]) for one in systems),
        tables=tabled(about, [["" if t[key] is None else t[key] for key in about] for t in tables]),
    )
