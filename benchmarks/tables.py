"""Markdown tables of result files: what the pages share, what was measured on a GPU, what tests showed."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import yaml

from benchmarks import record
from benchmarks.claims import CLAIMS
from benchmarks.record import ROOT, Results

Row = Mapping[str, Any]
SURVIVORS = ROOT / "benchmarks" / "survivors.yaml"


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


def numerics(results: Results) -> str:
    """How far 100,000 steps end from float64, and how far they may."""
    head = ["optimizer", "type", "off by", "likely at most", "bound"]
    keys = ("drift", "likely", "bound")
    rows = (
        [row["optimizer"], row["type"], *(f"{row[key]:.2g}" if key in row else "" for key in keys)]
        for row in rows_of(results)
    )
    return table(head, rows)


MUTANTS = """# What the tests notice

<!-- results: mutants.json -->
[`mutants.json`](../benchmarks/results/mutants.json) comes from

    {command}

Cosmic Ray puts a fault into the code: another operator, comparison, number or condition, or a loop that does
not run. A fault is noticed where a test fails or does not end. {each} faults of each part are drawn by
chance, and {tried} were tried so far: **{share} were noticed**. Where code has changed since, a new draw adds
to the faults that it still can have.

{parts}

## Faults that no test noticed

{survivors}
"""


def mutants(results: Results) -> str:
    """The page of faults that were put into the code, and of what the tests run."""
    counts = record.read("coverage")
    rows = rows_of(results)
    why = {(one["module"], one["change"]): one["why"] for one in yaml.safe_load(SURVIVORS.read_text("utf-8"))}
    parts = []
    for part in dict.fromkeys(row["part"] for row in rows):
        own = [row for row in rows if row["part"] == part]
        found = sum(row["noticed"] for row in own)
        parts.append([part, own[0]["of"], len(own), found, f"{100 * found / len(own):.0f} %"])
    survivors = (
        [
            f"`{row['module']}`:{row['line']}",
            f"`{row['change']}`",
            why.get((row["module"], row["change"]), "open"),
        ]
        for row in rows
        if not row["noticed"]
    )
    page = MUTANTS.format(
        command=CLAIMS["mutants"].commands[0],
        each=results.settings["each"],
        tried=len(rows),
        share=f"{100 * sum(row['noticed'] for row in rows) / len(rows):.0f} %",
        parts=table(["part", "possible faults", "tried", "noticed", "share"], parts),
        survivors=table(["where", "the line before and after", "why, or open"], survivors),
    )
    return page if counts is None else page + coverage(counts)


COVERAGE = """
## Statements that the tests run

<!-- results: coverage.json -->
`make test` runs **{percent} %** of the {statements:,} statements of `src/pats`; workers and commands that it
starts are counted in ([`coverage.json`](../benchmarks/results/coverage.json), `{command}`). Not counted are
Triton's kernels, of which the interpreter runs a copy, and processes that a test kills at their end, as those
of `tests/distributed`: they run most of `step/shard.py`. The files of which the largest part does not run:

{least}
"""


def coverage(results: Results) -> str:
    """What the tests run of the package, and the ten files of which they run least."""
    rows = [
        [f"`{row['module']}`", row["statements"], row["missed"], f"{row['percent']:.1f} %"]
        for row in rows_of(results)[:10]
    ]
    told = {"command": CLAIMS["coverage"].commands[0], **results.summary}
    return COVERAGE.format(least=table(["file", "statements", "do not run", "run"], rows), **told)


RELATIVE, ABSOLUTE = {"eps_mode": "relative"}, {"eps_mode": "absolute"}
READINGS: Mapping[str, Mapping[str, Any]] = {
    "plain fine-tuning": {},
    "variance, absolute ε = 1e-8": {"eps": 1e-8} | ABSOLUTE,
    "variance, absolute ε = 1e-12": {"eps": 1e-12} | ABSOLUTE,
    "variance, Algorithm 1's ε = 1e-8": {"eps": 1e-8, "eps_mode": "algorithm1"},
    "variance, relative ε = 1e-3": {"eps": 1e-3} | RELATIVE,
    "variance, relative ε = 1e-2": {"eps": 1e-2} | RELATIVE,
    "std, absolute ε = 1e-12": {"intensity": "std", "eps": 1e-12} | ABSOLUTE,
    "std, relative ε = 1e-2": {"intensity": "std", "eps": 1e-2} | RELATIVE,
    "signed, variance, absolute ε = 1e-8": {"signed": True, "eps": 1e-8} | ABSOLUTE,
    **{
        f"lr-scaled, κ = {kappa:g} (relative ε = 0.01)": {"scale": "lr", "kappa": kappa, "eps": 1e-2}
        | RELATIVE
        for kappa in (0.3, 1.0, 3.0)
    },
}


def _runs(results: Results, name: str, task: str) -> list[dict[str, Any]]:
    found = [row for row in rows_of(results) if row["task"] == task and row["options"] == READINGS[name]]
    return sorted(found, key=lambda row: int(row["seed"]))


def readings(results: Results) -> str:
    """Every reading with the first seed, best epoch and last."""
    rows = []
    for name in READINGS:
        firsts = (_runs(results, name, task)[0] for task in ("cola", "rte"))
        rows.append([name, *(f"{100 * run['best']:.1f} / {100 * run['last']:.1f}" for run in firsts)])
    return table(["reading", "CoLA", "RTE"], rows)


def more_seeds(results: Results) -> str:
    """The readings that were run on CoLA with more seeds than one."""
    rows = []
    for name in READINGS:
        scores = [100 * row["best"] for row in _runs(results, name, "cola")]
        if len(scores) > 1:
            mean = f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"
            rows.append([name, " ".join(f"{score:.1f}" for score in scores), mean])
    return table(["reading", "every seed", "mean ± std"], rows)


def host(results: Results) -> str:
    """The host's part of a step on a GPU, a table a processor."""
    made = []
    for cpu in dict.fromkeys(row["cpu"] for row in rows_of(results)):
        rows = [row for row in rows_of(results) if row["cpu"] == cpu]
        shapes = dict.fromkeys((row["shape"], row["matrices"]) for row in rows)
        lines = []
        for step in dict.fromkeys(row["step"] for row in rows):
            own = {row["shape"]: row for row in rows if row["step"] == step}
            (sent,) = {(row["launches"], row["copies"]) for row in own.values()}
            lines.append([step, *(f"{own[shape]['median_ms']:g}" for shape, _ in shapes), *sent])
        heads = (shape if str(many) in shape else f"{shape}, {many} matrices" for shape, many in shapes)
        made.append(f"{cpu}, ms:\n\n" + table(["step", *heads, "launches", "copies"], lines))
    return "\n\n".join(made)


def newcomer(results: Results) -> str:
    """How long every step of the README takes somebody new, and what it ends with."""
    told = results.summary
    end = (
        f"All of it: {told['seconds']:.0f} s, on {told['rows']:,} texts. {told['fine_tuned_runs']} models "
        f"were fine-tuned, and `{told['chosen']}` was chosen, with {told['metric']} {told['dev']:.1f} on dev."
    )
    return (
        table(["step", "seconds"], ([row["step"], row["seconds"]] for row in rows_of(results))) + f"\n\n{end}"
    )
