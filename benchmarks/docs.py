"""Make the docs' tables of numbers from the result files, and those of the methods from the registry.

    python -m benchmarks.docs

A table between ``<!-- results: step.json -->`` and ``<!-- end -->`` is made here; one behind such a mark
without an end is not.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from benchmarks import record, tables
from benchmarks.real.page import page as page_of_tables
from benchmarks.record import Origin, Results
from benchmarks.tables import beside, on_cpu, rows_of, table
from pats import methods
from pats.cli._flags import _help
from pats.methods._options import default_of, in_words
from pats.page.numbers.statistics import interval

DOCS = record.ROOT / "docs"
README = record.ROOT / "README.md"
METHODS, COSTS, NOISE = (DOCS / f"{name}.md" for name in ("methods", "method-costs", "noise"))
PERFORMANCE, REPORT = DOCS / "performance.md", DOCS / "report.md"
QUICKSTART, USING = DOCS / "quickstart.md", DOCS / "using-a-model.md"


def where(origin: Origin) -> str:
    """Command, date, machine and what else may sway the numbers, in a line."""
    machine, told = origin.machine, origin.conditions
    parts = [
        f"`{origin.command}`",
        (origin.date or "")[:10],
        machine.gpu,
        machine.cpu,
        machine.cores and f"{machine.cores} cores",
        machine.system,
        f"torch {origin.versions['torch']}",
        str(told.get("kernel", "")).split(",")[0],
        "threads" in told and f"{told['threads']} thread{'s' * (told['threads'] != 1)}",
        told.get("precision"),
        "load" in told and f"load {told['load']}",
        origin.dirty and "on code with changes that are in no commit",
    ]
    return ", ".join(str(part) for part in parts if part)


def origins(results: Results) -> str:
    """Where the rows come from, a line each."""
    return "\n\n" + "  \n".join(f"*{line}*" for line in sorted({where(one) for one in results.origins}))


# ------------------------------------------------------------------------------------- README.md


PLAIN = "vanilla"
DEMO = {
    PLAIN: "plain fine-tuning",
    "noisytune": "NoisyTune",
    "sage": "SAGE",
    "pats": "PATS (`pats`, with its budget)",
    "pats-paper": "PATS as published (`pats-paper`)",
}


def demo(results: Results) -> str:
    """Scores of every method, and their differences to plain fine-tuning, paired by seed."""
    found: dict[str, list[float]] = {}
    for row in sorted(rows_of(results), key=lambda row: row["seed"]):
        found.setdefault(row["method"], []).append(100 * row["best"])
    lines = []
    for method, name in DEMO.items():
        scores, versus = found[method], ""
        if method != PLAIN:
            gaps = [score - plain for score, plain in zip(scores, found[PLAIN], strict=True)]
            ends = interval(gaps) or (math.nan, math.nan)
            versus = f"{statistics.mean(gaps):+.1f} [{ends[0]:+.1f}, {ends[1]:+.1f}]"
        mean = f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"
        lines.append([name, mean, " ".join(f"{score:.1f}" for score in scores), versus])
    return table(["method", "mean ± std", "every seed", "against plain, paired by seed [95 %]"], lines)


# ----------------------------------------------------------- docs/methods.md, docs/method-costs.md


def overview() -> str:
    """Every method with what it changes."""
    rows = [
        [f"`{name}`", method.summary, ", ".join(method.changes) or "nothing", method.cost, method.source]
        for name, method in methods.registry().items()
    ]
    return table(["method", "what it does", "changes", "costs", "source"], rows)


def options() -> str:
    """Every method's options; those of noisy methods are in noise.md."""
    parts = []
    for name, method in methods.registry().items():
        fields, told, hints = method.option_fields(), _help(method.Options), get_type_hints(method.Options)
        if not fields or method.noisy:
            continue
        rows = []
        for field in fields:
            default, allowed = default_of(field), field.metadata.get("allowed", in_words(hints[field.name]))
            shown = str(default).lower() if default is None or isinstance(default, bool) else f"{default}"
            words = told.get(field.name, "").replace("%%", "%")
            source = field.metadata.get("source", "")
            rows.append([f"`{field.name}`", f"`{shown}`", allowed, words, source])
        parts.append(
            f"### {name}\n\n" + table(["option", "default", "range", "meaning", "default from"], rows)
        )
    return "\n\n".join(parts)


def costs(results: Results) -> str:
    """Time and memory of every method."""
    rows = [
        [
            f"`{row['method']}`",
            row["forward_passes"],
            f"{row['time']:.2f} ({row['time_range'][0]:.2f} to {row['time_range'][1]:.2f})",
            f"{row['held']:.2f}",
        ]
        for row in sorted(rows_of(results), key=lambda row: str(row["method"]))
    ]
    heads = ["method", "forward passes", "time of a step, median (range)", "tensors held"]
    settings = results.settings
    about = f"MiniLM-L6, batch {settings['batch']}, {settings['length']} tokens, Adamax."
    return f"{table(heads, rows)}\n\n{about}{origins(results)}"


def training(results: Results) -> str:
    """Best dev scores of every method on each kind of task."""
    kinds = list(results.settings["least"])
    found = {(row["method"], row["kind"]): row for row in rows_of(results)}
    rows = []
    for name in methods.registry():
        cells = [found.get((name, kind)) for kind in kinds]
        if not any(cells):
            continue
        own = [cell for cell in cells if cell][-1]
        told = ", ".join(f"{k}={v:g}" for k, v in {"lr": own["lr"], **own["options"]}.items())
        rows.append([f"`{name}`", told, *("" if c is None else f"{100 * c['best']:.1f}" for c in cells)])
    return table(["method", "settings", *kinds], rows)


# ------------------------------------------------------------------------------ docs/performance.md


def step(results: Results) -> str:
    """Ratios, milliseconds and bandwidth, apart for memory that goes back to the system and that is kept."""
    rows, parts = on_cpu(results), []
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
    return beside(results, "\n\n".join(parts), tables.step)


def memory(results: Results) -> str:
    """State, and peak on top."""

    def made(rows: Iterable[Mapping[str, Any]]) -> str:
        heads = [
            "optimizer",
            "shapes",
            "state, bytes a parameter",
            "peak on top, bytes a parameter",
            "on top, MB",
        ]
        return table(
            heads,
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

    return beside(results, made(on_cpu(results)), made)


def scaling(results: Results) -> str:
    """Nanoseconds a parameter by size."""
    cpu = table(
        ["parameters", "of", "threads", "ns a parameter", "over the smallest"],
        (
            [
                f"{row['parameters']:,}",
                row["size"],
                row["threads"],
                row["ns_per_parameter"],
                row["over the smallest"],
            ]
            for row in on_cpu(results)
        ),
    )
    return beside(results, cpu, tables.scaling)


def end_to_end(results: Results) -> str:
    """Ratios of whole training steps."""
    names = ("PATS, fused / without noise", "PATS, torch's update / without noise")

    def made(rows: Iterable[Mapping[str, Any]]) -> str:
        return table(
            ["task", "threads", "ms without noise", *names],
            (
                [
                    row["task"],
                    row["threads"],
                    row["median_ms"]["without noise"],
                    *(row[name] for name in names),
                ]
                for row in rows
            ),
        )

    return beside(results, made(on_cpu(results)), made)


# ----------------------------------------------------------------------------------- docs/report.md


NULLS = {
    "normal": "normal",
    "heavy": "Student's t, 3 degrees",
    "skewed": "skewed (exponential)",
    "discrete": "accuracies on 277 examples",
}


def statistics_null(results: Results) -> str:
    """Shares of null studies in which something was found."""
    keys = ("sign_flip", "interval", "family", "across_4_tasks")
    heads = ["null", "seeds", "sign-flip test", "interval misses", "any of 3 methods, Holm", "over 4 tasks"]
    return table(
        heads,
        (
            [NULLS[row["null"]], row["seeds"], *(f"{100 * row[key]:.1f} %" for key in keys)]
            for row in rows_of(results)
        ),
    )


def data_size(results: Results) -> str:
    """Mean scores and coefficients of variation by size."""
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for row in rows_of(results):
        found.setdefault(row["examples"], {}).setdefault(row["method"], []).append(row)
    lines = []
    for examples, by_method in sorted(found.items()):
        scores = (f"{statistics.mean(row['score'] for row in rows):.1f}" for rows in by_method.values())
        spreads = (f"{statistics.mean(row['cv'] for row in rows):.2f}" for rows in by_method.values())
        lines.append([f"{examples:,}", *scores, *spreads])
    ours = "PATS as published"  # these runs are from before there was a budget
    heads = ["examples", "plain, Matthews × 100", ours, "CV of sensitivities, plain", ours]
    return table(heads, lines)


# ------------------------------------------------------------------------------- docs/real-tables.md


def real_tables(results: Results) -> str:
    """PATS and other systems on real tables."""
    return page_of_tables(rows_of(results), results.settings["tables"])


# ---------------------------------------------------------------------------------------- all pages


# Pages, and of each the blocks behind a mark, in their order on the page.
BLOCKS: Mapping[Path, Sequence[tuple[str, Callable[[Results], str]]]] = {
    README: [("demo", demo)],
    METHODS: [],  # tables of the registry alone
    COSTS: [("methods", costs), ("methods_train", training)],
    NOISE: [
        ("readings", tables.readings),
        ("readings", tables.more_seeds),
        ("numerics", tables.numerics),
    ],
    PERFORMANCE: [
        ("step", step),
        ("memory", memory),
        ("scaling", scaling),
        ("end_to_end", end_to_end),
        ("gpu_before", tables.before),
        ("host", tables.host),
        ("registers", tables.registers),
    ],
    QUICKSTART: [("newcomer", tables.newcomer)],
    USING: [("predict_stream", tables.predict_stream)],
    REPORT: [("statistics_null", statistics_null), ("data_size", data_size)],
}
# Pages that are made as a whole, once their result file is there.
WHOLE: Mapping[Path, tuple[str, Callable[[Results], str]]] = {
    DOCS / "real-tables.md": ("rivals", real_tables),
    DOCS / "mutants.md": ("mutants", tables.mutants),
}
REGISTRY = {"overview": overview, "options": options}


def written(page: Path) -> str:
    """A page with its blocks made anew, or made as a whole."""
    if page in WHOLE:
        name, whole = WHOLE[page]
        if (found := record.read(name)) is None:
            raise SystemExit(f"{page.name} needs {name}.json: python -m benchmarks.stale --run {name}")
        return whole(found)
    text = page.read_text(encoding="utf-8")
    blocks: dict[str, list[str]] = {}
    for name, make in BLOCKS[page]:
        results = record.read(name)
        if results is None:
            raise SystemExit(f"{page.name} needs {name}.json: python -m benchmarks.stale --run {name}")
        told = origins(results) if page in (PERFORMANCE, QUICKSTART, USING) else ""
        blocks.setdefault(f"results: {name}.json", []).append(make(results) + told)
    if page == METHODS:
        blocks |= {name: [tell()] for name, tell in REGISTRY.items()}
    for mark, made in blocks.items():
        text = replaced(text, mark, made, page)
    return text


def replaced(text: str, mark: str, blocks: Sequence[str], page: Path) -> str:
    """A page with other blocks behind a mark."""
    pattern = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if (count := len(pattern.findall(text))) != len(blocks):
        raise SystemExit(f"{page.name} has {count} blocks marked {mark}, but must have {len(blocks)}")
    rest = iter(blocks)
    return pattern.sub(lambda found: f"{found[1]}{next(rest)}\n{found[2]}", text)


def main() -> None:
    """Make all pages anew."""
    for page in [*BLOCKS, *(page for page in WHOLE if record.read(WHOLE[page][0]) is not None)]:
        page.write_text(written(page), encoding="utf-8")
        print(f"tables of {page.relative_to(record.ROOT)}")


if __name__ == "__main__":
    main()
