"""Fill the tables of ``docs/performance.md`` from the result files of the benchmarks.

python benchmarks/page.py
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def origin(rows: list[dict[str, Any]]) -> str:
    """Where the rows come from, in a line."""
    told = {
        f"`{r['command']}`, {r['date']}, {r['machine']}, torch {r['torch']}, {r['path'].split(',')[0]}"
        for r in rows
    }
    return "\n\n" + "  \n".join(f"*{line}*" for line in sorted(told))


def step(rows: list[dict[str, Any]]) -> str:
    """Ratios, milliseconds and bandwidth, apart for memory that goes back to the system and that is kept."""
    parts = []
    for memory in ("returned", "kept"):
        here = [row for row in rows if row["memory"] == memory]
        here.sort(key=lambda row: (row["parameters"], row["threads"]))
        named = [f"{row['shapes']}, {row['threads']} thread{'s' * (row['threads'] > 1)}" for row in here]
        parts.append(f"Memory {memory}:")
        for title, kind in (
            ("ratio of medians in turn", "ratios"),
            ("ms a step", "median_ms"),
            ("effective GB/s", "gigabytes_per_second"),
        ):
            names = list(dict.fromkeys(name for row in here for name in row[kind]))
            cells = ([name, *(row[kind].get(name, "") for row in here)] for name in names)
            parts.append(table([title, *named], cells))
    return "\n\n".join(parts)


def memory(rows: list[dict[str, Any]]) -> str:
    """State, and peak on top."""
    return table(
        ["optimizer", "shapes", "state, bytes a parameter", "peak on top, bytes a parameter", "on top, MB"],
        (
            [
                row["optimizer"],
                row["shapes"],
                row["state_bytes_per_parameter"],
                row["peak_bytes_on_top_per_parameter"],
                round(row["peak_bytes_on_top"] / 2**20, 1),
            ]
            for row in rows
        ),
    )


def scaling(rows: list[dict[str, Any]]) -> str:
    """Nanoseconds a parameter by size."""
    return table(
        ["parameters", "of", "threads", "ns a parameter", "over the smallest"],
        (
            [
                f"{row['parameters']:,}",
                row["size"],
                row["threads"],
                row["ns_per_parameter"],
                row["over the smallest"],
            ]
            for row in rows
        ),
    )


def end_to_end(rows: list[dict[str, Any]]) -> str:
    """Ratios of whole training steps."""
    names = ("PATS, fused / without noise", "PATS, torch's update / without noise")
    return table(
        ["task", "threads", "ms without noise", *names],
        (
            [row["task"], row["threads"], row["median_ms"]["without noise"], *(row[name] for name in names)]
            for row in rows
        ),
    )


def main() -> None:
    """Replace every block between ``<!-- NAME -->`` and ``<!-- end -->``."""
    text = PAGE.read_text(encoding="utf-8")
    for name, render in {
        "step": step,
        "memory": memory,
        "scaling": scaling,
        "end_to_end": end_to_end,
    }.items():
        rows = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        block = f"<!-- {name} -->\n{render(rows)}{origin(rows)}\n<!-- end -->"
        text, count = re.subn(
            rf"<!-- {name} -->.*?<!-- end -->", block.replace("\\", r"\\"), text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{PAGE.name} has {count} blocks named {name}, but must have one")
    PAGE.write_text(text, encoding="utf-8")
    print(f"tables of {PAGE.relative_to(ROOT)} from {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
