"""``pats bench``: what an optimizer's step costs on this machine, with PATS and without."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from pats.cli import _flags, _parser
from pats.cli._output import write_json
from pats.measure.bench import Bench, bench

EXAMPLE = """
pats bench --threads 1 2
pats bench --model bert-base-uncased --rounds 21 --json
"""


def main(argv: Sequence[str]) -> int:
    """Measure as the flags say."""
    parser = _parser.Parser(
        "bench",
        "Time one step of torch's optimizers and of PATS on a model's parameters, in turn in one process. "
        "Ratios are the result: times depend on what else the machine does.",
        EXAMPLE,
    )
    _flags.add_shared(parser)
    add = parser.add_argument
    add("--model", dest="name", metavar="TEXT", help="minilm (the default), a folder, or a name on the hub")
    add("--revision", metavar="TEXT", help="revision of the model on the hub")
    add("--scope", metavar="TEXT", help="parameters to perturb (encoder)")
    add(
        "--threads", nargs="+", type=_flags.integer, metavar="N", help="threads, one or several (torch's own)"
    )
    add("--rounds", type=_flags.integer, metavar="N", help="turns that every step takes (11)")
    values = parser.read(argv)
    as_json, quiet = values.pop("json", False), values.pop("quiet", False)
    with Console(stderr=True, quiet=quiet).status("loading the model") as status:

        def tell(done: int, total: int) -> None:
            status.update(f"turn {done} of {total}")

        measured = bench(**values, on_round=tell)
    if as_json:
        write_json(asdict(measured))
    else:
        sys.stdout.write(_words(measured))
    return 0


def _words(times: Bench) -> str:
    where = times.environment["accelerator"] or times.environment["cpu"]
    lines = [
        f"{times.model}: {times.parameters:,} parameters, {times.perturbed:,} of them perturbed; {where}, "
        f"torch {times.environment['packages']['torch']}",
        f"PATS runs on the path {times.kernel}",
        *([f"note: {times.measured}"] if times.measured else []),
        *(f"not on {name}: {why}" for name, why in times.others.items()),
        *(f"left out: {step} ({why})" for step, why in times.left_out.items()),
    ]
    width = max(len(cost.step) for cost in times.costs)
    for threads in dict.fromkeys(cost.threads for cost in times.costs):
        head = f"{threads} thread{'s' * (threads > 1)}"
        lines += ["", f"{head:{width}}  ms a step    best  × torch's Adamax  × without noise"]
        for cost in times.costs:
            if cost.threads == threads:
                noise = "" if cost.over_without_noise is None else f"{cost.over_without_noise:.2f}"
                lines.append(
                    f"{cost.step:{width}}  {cost.median_ms:9.2f}  {cost.best_ms:6.2f}  "
                    f"{cost.over_torch_adamax:16.2f}  {noise:>15}".rstrip()
                )
    lines += ["", f"Medians of {times.rounds} turns; ratios are medians of the turns' own ratios."]
    return "\n".join(lines) + "\n"
