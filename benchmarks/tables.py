"""Markdown tables of result files: what the pages share, and what was measured on a GPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from benchmarks.record import Results

Row = Mapping[str, Any]


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def rows_of(results: Results) -> list[dict[str, Any]]:
    """The rows, whatever they hold."""
    return [cast(dict[str, Any], row) for row in results.rows]


def on_cpu(results: Results) -> list[dict[str, Any]]:
    """The rows that were not measured on a GPU."""
    return [row for row in rows_of(results) if row["device"] == "cpu"]


def beside(results: Results, cpu: str, make: Callable[[Sequence[Row]], str]) -> str:
    """A block of CPUs' rows, and under the name of every card what ``make`` makes of its rows."""
    cards: dict[str, list[Row]] = {}
    for row in rows_of(results):
        if row["device"] != "cpu":
            cards.setdefault(row["device"], []).append(row)
    return "\n\n".join([cpu, *(f"On one {card}:\n\n{make(rows)}" for card, rows in cards.items())])


def ms(device: float, host: float | None) -> str:
    """Milliseconds of the device, and of the host where they were measured."""
    return f"{device:g}" if host is None else f"{device:g} (host {host:g})"


def _cell(row: Row, name: str) -> str:
    return ms(row["median_ms"][name], row["host_ms"][name]) if name in row["host_ms"] else ""


def step(rows: Sequence[Row]) -> str:
    """Milliseconds of every path, and how near it comes to the speed of a copy."""
    shapes = [row["shapes"] for row in rows]
    paths = dict.fromkeys(name for row in rows for name in row["median_ms"])
    times = ([name, *(_cell(row, name) for row in rows)] for name in paths)
    shares = (
        [f"{name}, {size} bytes a parameter", *(row["share_of_copy"][name] for row in rows)]
        for name, size in rows[0]["bytes"].items()
    )
    return "\n\n".join(
        [table(["ms a step, device", *shapes], times), table(["of a copy's speed", *shapes], shares)]
    )


def scaling(rows: Sequence[Row]) -> str:
    """A step by size, and how near it comes to the speed of a copy."""
    return table(
        ["parameters", "of", "ms a step, device", "of a copy's speed, at 48 bytes"],
        (
            [
                f"{row['parameters']:,}",
                row["size"],
                ms(row["device_ms"], row["host_ms"]),
                row["share_of_copy"],
            ]
            for row in rows
        ),
    )


def before(results: Results) -> str:
    """Device and host time of steps, where a PATS step's went, and real runs."""
    rows = rows_of(results)
    copies, steps, profile, runs = (
        [row for row in rows if row["kind"] == kind] for kind in ("copy", "step", "profile", "run")
    )
    lines: dict[str, list[str]] = {}
    for row in steps:
        lines.setdefault(row["optimizer"], []).append(ms(row["device_ms"], row["host_ms"]))
    for row in copies:
        for size, floor in row["floor_ms"].items():
            lines.setdefault(f"at a copy's speed, {size} bytes a parameter", []).append(f"{floor:g}")
    for row in copies:
        lines.setdefault("a copy, GB/s", []).append(f"{row['gigabytes_per_second']:,}")
    heads = ["ms a step, device", *(row["shapes"] for row in copies)]
    kernels = (
        [row["kernel"], row["launches"], row["device_ms"], "" if row["floor_ms"] is None else row["floor_ms"]]
        for row in profile
    )
    real = ([row["method"], row["step_ms"], row["runs"]] for row in runs)
    return "\n\n".join(
        [
            table(heads, ([name, *cells] for name, cells in lines.items())),
            table(["PATS Adamax on BERT-base", "launches", "device ms", "at a copy's speed"], kernels),
            table(["MPNet-base, batch 32, ten runs at a time", "ms a step, median", "runs"], real),
        ]
    )


def predict_stream(results: Results) -> str:
    """Peak memory by the size of the table."""
    rows = sorted(rows_of(results), key=lambda row: row["megabytes"])
    cells = [[f"{row['megabytes']:g}", f"{row['rows']:,}", row["peak_memory_mb"]] for row in rows]
    return table(["table, MB", "rows", "peak memory, MB"], cells)


def registers(results: Results) -> str:
    """What every variant of a kernel takes, on two generations of cards."""
    heads = ["kernel", "compute capability", "registers", "spilled, bytes", "programs a multiprocessor"]
    heads += ["entries there", "bits a load", "float64 instructions", "instructions"]
    columns = ["registers", "spilled", "programs", "loading", "widest_load", "fp64", "instructions"]
    cells = (
        [row["variant"], f"{row['capability'] / 10}", *(f"{row[column]:,}" for column in columns)]
        for row in rows_of(results)
    )
    return table(heads, cells)
