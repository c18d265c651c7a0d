"""Do the tests notice a fault? Faults are put into the code, one at a time, and the tests run.

    python -m benchmarks.mutants --draw 1 --each 60               # so many faults a part, drawn by chance
    python -m benchmarks.mutants --draw 1 --each 60 --parts noise --workers 2

Cosmic Ray makes the faults: an operator, a comparison, a number or a condition is another, or a loop does not
run. Types, decorators and what is caught are left as they are. A fault is noticed where the part's tests fail
or do not end. The module's own tests run first, then those of its part and of what uses it.

Writes ``benchmarks/results/mutants.json``, a row a fault, as soon as it is known; the same command goes on.
Rows of faults that changed code can no longer have are dropped.
"""

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from benchmarks import record
from benchmarks.tables import rows_of

NAME = "mutants"
KEY = ("module", "line", "change")
SOURCE = Path("src/pats")
LEFT_OUT = ("core/NoOp", "core/RemoveDecorator", "core/Variable", "core/Exception")  # operators of Cosmic Ray


@dataclass(frozen=True)
class Part:
    """Code, and the tests that show what it does.

    Args:
        modules: Files and folders below ``src/pats``.
        tests: Files and folders, in the order in which they run.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "noise": Part(
        ("_noise.py", "_budget.py"),
        ("tests/test_noise.py", "tests/test_budget.py", "tests/test_scales.py", "tests/test_last.py"),
    ),
    "philox": Part(("philox.py",), ("tests/test_philox.py", "tests/test_oracle_stream.py")),
    "step": Part(
        ("step",),
        (  # the quick ones first
            "tests/test_perturb.py",
            "tests/test_oracle_optimizers.py",
            "tests/optim",
            "tests/test_perturb_copies.py",
            "tests/test_transient.py",
            "tests/test_training_step.py",
            "tests/step",
            "tests/kernels/triton/test_contracts.py",
        ),
    ),
    "statistics": Part(("page/numbers/statistics.py",), ("tests/page/numbers",)),
    # Its own tests alone: those that kill studies take ten minutes for every fault that survives.
    "store": Part(("study/store",), ("tests/study/store",)),
}


@dataclass(frozen=True)
class Fault:
    """One change of one module."""

    part: str
    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def path(self) -> Path:
        """Of the module, from the root of the checkout."""
        return SOURCE / self.module

    def applied(self) -> str:
        """The module with the fault."""
        code = self.path.read_text(encoding="utf-8")
        made: str | None = mutate_code(
            code, cosmic_ray.plugins.get_operator(self.operator)(), self.occurrence
        )
        assert made is not None
        return made

    def change(self) -> str:
        """The lines that differ, before and after."""
        before, after = self.path.read_text(encoding="utf-8").splitlines(), self.applied().splitlines()
        lines = difflib.unified_diff(before, after, n=0, lineterm="")
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in [*lines][2:] if line[0] in "+-")


@cache
def faults(part: str) -> tuple[Fault, ...]:
    """All faults of a part, one a place and kind: which of its kind is chance, but the same at every call."""
    found: dict[tuple[str, str, Any], list[Fault]] = {}
    for module in _modules(PARTS[part].modules):
        code = (SOURCE / module).read_text(encoding="utf-8")
        tree, silent = get_ast(code), {*_silent(code)}
        for name in cosmic_ray.plugins.operator_names():
            operator = cosmic_ray.plugins.get_operator(name)
            if name.startswith(LEFT_OUT) or operator.arguments():
                continue
            places = [place[0] for node in ast_nodes(tree) for place in operator().mutation_positions(node)]
            for occurrence, place in enumerate(places):
                if place not in silent:
                    kind = name.partition("_")[0]
                    fault = Fault(part, module, name, occurrence, place[0])
                    found.setdefault((module, kind, place), []).append(fault)
    return tuple(random.Random(f"{key}").choice(kinds) for key, kinds in sorted(found.items(), key=str))


def _modules(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = SOURCE / name
        for file in [path] if path.suffix else sorted(path.glob("*.py")):
            yield os.fspath(file.relative_to(SOURCE))


def _silent(code: str) -> Iterator[tuple[int, int]]:
    """Every place within a type, which nothing looks at when the code runs."""
    for node in ast.walk(ast.parse(code)):
        types = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for one in filter(None, types):
            for line in range(one.lineno, (one.end_lineno or one.lineno) + 1):
                first = one.col_offset if line == one.lineno else 0
                last = one.end_col_offset or 0 if line == one.end_lineno else 200
                yield from ((line, column) for column in range(first, last))


class Bench:
    """A copy of the code in which faults are made."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "src"
        shutil.copytree("src", self.source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        self._clock = int(time.time()) - 1_000_000

    def notices(self, fault: Fault | None, tests: tuple[str, ...], seconds: float) -> str | None:
        """How tests notice a fault, or None."""
        if fault is None:
            return self._run(tests, seconds)
        path = self.source / fault.path.relative_to("src")
        self._write(path, fault.applied())
        try:
            return self._run(tests, seconds)
        finally:
            self._write(path, fault.path.read_text(encoding="utf-8"))

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self._clock += 10  # or Python might take the bytecode of before
        os.utime(path, (self._clock, self._clock))

    def _run(self, tests: tuple[str, ...], seconds: float) -> str | None:
        python = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        places = os.pathsep.join([os.fspath(self.source), "tests", "."])
        env = os.environ | {"PYTHONPATH": places, "OMP_NUM_THREADS": "1", "PATS_REQUIRE_KERNEL": "1"}
        with tempfile.TemporaryFile("w+") as out:
            started = subprocess.Popen(
                [*python, *tests], env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = started.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, 9)
                started.wait()
                return "did not end"
            out.seek(0)
            said = out.read()
        if code in (3, 4, 5) and "Error" not in said:
            raise SystemExit(f"the tests could not be run:\n{said[-2000:]}")
        failed = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return None if code == 0 else (failed[0].split(" - ")[0] if failed else f"exit code {code}")


def measure(parts: Collection[str], each: int, draw: int, workers: int, again: bool = False) -> None:
    """Make the faults that are drawn and not known yet; again those that no test noticed."""
    recording, settings = record.start(NAME), {"draw": draw, "each": each}
    rows = _kept(recording, settings, parts)
    known = {_key(row) for row in rows}
    survived = {_key(row) for row in rows if not row["noticed"]} if again else set()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        benches = [Bench(Path(folder) / str(number)) for number in range(workers)]
        for part in parts:
            every, tests = faults(part), PARTS[part].tests
            drawn = random.Random(f"{draw} {part}").sample(every, min(each, len(every)))
            asked = [one for one in every if _place(one) in survived]
            asked += [one for one in drawn if _place(one) not in known]
            if not asked:
                continue
            started = time.monotonic()
            if (without := benches[0].notices(None, tests, 3600)) is not None:
                raise SystemExit(f"the tests of {part} fail without a fault: {without}")
            limit = 60 + 5 * (time.monotonic() - started)
            for row in pool.map(partial(_row, [*benches], limit, len(every)), asked):
                recording.put([row], key=KEY, settings=settings)


def _row(free: list[Bench], limit: float, of: int, fault: Fault) -> dict[str, Any]:
    """Of a fault; of how many its part has."""
    bench = free.pop()
    how = bench.notices(fault, (*_own(fault.module), *PARTS[fault.part].tests), limit)
    free.append(bench)
    found = {"part": fault.part, "module": fault.module, "line": fault.line, "change": fault.change()}
    return {**found, "noticed": how is not None, "by": how, "of": of}


def _own(module: str) -> list[str]:
    """The test file of a module, where it has one."""
    place = Path("tests") / module
    name = place.with_name(f"test_{place.name.lstrip('_')}")
    return [os.fspath(name)] if name.is_file() else []


def _kept(
    recording: record.Recording, settings: dict[str, int], parts: Collection[str]
) -> list[dict[str, Any]]:
    """The rows that are known, without those of faults that the code of these parts cannot have now."""
    results = record.read(NAME, record.TRIED if os.environ.get(record.TRY) else None)
    if results is None or results.settings != settings:
        return []
    able = {_place(one) for part in parts for one in faults(part)}
    pairs = [
        (row, record.origin_of(told, results))
        for row, told in zip(rows_of(results), results.rows, strict=True)
        if row["part"] not in parts or _key(row) in able
    ]
    if len(pairs) < len(results.rows):
        rows, origins = zip(*pairs, strict=True) if pairs else ((), ())
        recording.put(rows, settings=settings, origins=origins)
    return [row for row, _ in pairs]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _place(fault: Fault) -> tuple[Any, ...]:
    """``_key`` of its row."""
    return fault.module, fault.line, fault.change()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--draw", type=int, default=1, help="seed of the draw (1)")
    parser.add_argument("--each", type=int, default=60, help="faults a part (60)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS], metavar="PART")
    parser.add_argument("--workers", type=int, default=1, help="faults at a time (1)")
    parser.add_argument("--again", action="store_true", help="also those that no test has noticed")
    asked = parser.parse_args()
    measure(asked.parts, asked.each, asked.draw, asked.workers, asked.again)


if __name__ == "__main__":
    main()
