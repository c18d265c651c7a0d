"""What every fine-tuning method costs: time and memory against plain fine-tuning; and the tables of the docs.

    OMP_NUM_THREADS=1 python benchmarks/methods.py measure
    python benchmarks/methods.py write

``measure`` lets each method and plain fine-tuning take turns in one process, on the embedded model, and
compares the two of a turn only, in time and in the tensors that they hold. It writes
``benchmarks/results/methods.json``. ``write`` makes the tables of ``docs/methods.md`` from that file, from
``methods_train.json`` and from the registry.
"""

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor

from pats import methods
from pats.cli._flags import _help
from pats.methods import MicroBatch, PassClock, Training
from pats.methods._options import default_of, in_words
from pats.run.model import classifier, source

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "methods.json"
TRAINED = RESULTS.with_name("methods_train.json")
DOCS = ROOT / "docs" / "methods.md"
PLAIN = "vanilla"
WARM = 2  # turns that are not counted


class Stepper:
    """One method on a model of its own, step by step."""

    def __init__(self, name: str, batch: int, length: int) -> None:
        torch.manual_seed(0)
        loaded = classifier.load(source.MINILM, ("a", "b"), 128, 0)
        self.model = loaded.model.train()
        self.method, self.clock = methods.create(name), PassClock()
        anchors = methods.anchors(self.model) if self.method.anchored else {}
        training = Training(lr=1e-5, fresh=loaded.fresh, anchors=anchors)
        self.method.prepare_(self.model, training)
        self.optimizer = self.method.optimizer(self.model, training)
        self.contexts = [
            self.clock.attached(self.model),
            self.method.attached(self.model, training, self.clock),
        ]
        for context in self.contexts:
            context.__enter__()
        ids = torch.randint(1000, 30000, (batch, length))
        labels = torch.arange(batch) % 2
        self.inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        self.count = 0

    def step(self) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        self.count += 1
        self.clock.begin(self.count, 100)
        self.optimizer.zero_grad()
        torch.autograd.backward(self.method.loss(MicroBatch(self.model, self.inputs, self.clock)))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return time.perf_counter() - start

    def held(self) -> int:
        """Bytes of weights, gradients, optimizer state and the method's own tensors."""
        tensors: list[Tensor] = [*self.model.parameters(), *self.method.state().values()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        tensors += [v for s in self.optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())


def cost(name: str, rounds: int, batch: int, length: int) -> dict[str, Any]:
    """Time of a step and tensors held, against plain fine-tuning in the same turns."""
    plain, other = Stepper(PLAIN, batch, length), Stepper(name, batch, length)
    pairs = [(plain.step(), other.step()) for _ in range(rounds + WARM)][WARM:]
    return {
        "method": name,
        "time": round(statistics.median(b / a for a, b in pairs), 3),
        "time_range": [round(f(b / a for a, b in pairs), 3) for f in (min, max)],
        "plain_ms": round(1e3 * statistics.median(a for a, _ in pairs), 1),
        "held": round(other.held() / plain.held(), 3),
        "forward_passes": other.clock.count,
    }


def measure(names: list[str], rounds: int, batch: int, length: int) -> None:
    """Measure, and write the results after every method; rows of other methods stay."""
    settings = {"model": "minilm", "batch": batch, "length": length, "rounds": rounds}
    known: dict[str, Any] = (
        json.loads(RESULTS.read_text()) if RESULTS.exists() else {"settings": settings, "rows": []}
    )
    kept = known["rows"] if known["settings"] == settings else []
    rows = [row for row in kept if row["method"] not in names]
    for name in names:
        row = cost(name, rounds, batch, length)
        print(json.dumps(row), flush=True)
        rows.append(row)
        result = {
            "claim": "time and memory of a step with every method at its defaults, against plain fine-tuning",
            "command": shlex.join(["python", "benchmarks/methods.py", *sys.argv[1:]]),
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, "
            f"{torch.get_num_threads()} threads, fp32, load {os.getloadavg()[0]:.1f}",
            "versions": {name: version(name) for name in ("torch", "transformers")},
            "settings": settings,
            "rows": sorted(rows, key=lambda row: str(row["method"])),
        }
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


# ------------------------------------------------------------------------------------- the docs


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def overview() -> str:
    """Every method with what it changes."""
    rows = [
        [f"`{name}`", method.summary, ", ".join(method.changes) or "nothing", method.cost, method.source]
        for name, method in methods.registry().items()
    ]
    return table(["method", "what it does", "changes", "costs", "source"], rows)


def options() -> str:
    """Every method's options; those of pats and pats-paper are in noise.md."""
    parts = []
    for name, method in methods.registry().items():
        fields, told, hints = method.option_fields(), _help(method.Options), get_type_hints(method.Options)
        if not fields or name in ("pats", "pats-paper"):
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


def costs() -> str:
    """Time and memory of every method."""
    result = json.loads(RESULTS.read_text())
    rows = [
        [
            f"`{row['method']}`",
            str(row["forward_passes"]),
            f"{row['time']:.2f} ({row['time_range'][0]:.2f} to {row['time_range'][1]:.2f})",
            f"{row['held']:.2f}",
        ]
        for row in result["rows"]
    ]
    heads = ["method", "forward passes", "time of a step, median (range)", "tensors held"]
    settings = result["settings"]
    about = (
        f"MiniLM-L6, batch {settings['batch']}, {settings['length']} tokens, Adamax, {result['machine']}, "
        f"torch {result['versions']['torch']}, {result['date']}; `{result['command']}`."
    )
    return f"{table(heads, rows)}\n\n{about}"


def training() -> str:
    """Best dev scores of every method on each kind of task."""
    result = json.loads(TRAINED.read_text())
    kinds = list(result["settings"]["least"])
    found = {(row["method"], row["kind"]): row for row in result["rows"]}
    rows = []
    for name in methods.registry():
        cells = [found.get((name, kind)) for kind in kinds]
        if not any(cells):
            continue
        own = [cell for cell in cells if cell][-1]
        told = ", ".join(f"{k}={v:g}" for k, v in {"lr": own["lr"], **own["options"]}.items())
        rows.append([f"`{name}`", told, *("" if c is None else f"{100 * c['best']:.1f}" for c in cells)])
    return table(["method", "settings", *kinds], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "overview": overview,
    "options": options,
    "costs": costs,
    "training": training,
}


def written(text: str) -> str:
    """The page with its blocks made anew."""
    for name, make in BLOCKS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, make=make: f"{found[1]}{make()}\n{found[2]}", text)  # type: ignore[misc]
        assert count == 1, f"docs/methods.md has {count} blocks named {name}"
    return text


def main() -> None:
    """Do what the first argument says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=["measure", "write"])
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in methods.registry() if name != PLAIN]
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    args = parser.parse_args()
    if args.verb == "write":
        DOCS.write_text(written(DOCS.read_text("utf-8")), "utf-8")
    else:
        measure(args.methods, args.rounds, args.batch, args.length)


if __name__ == "__main__":
    main()
