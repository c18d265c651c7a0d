"""``pats run``: one fine-tuning."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pats._errors import InputError
from pats.baselines import is_simple
from pats.cli import _flags, _parser, _settings
from pats.page.content.words import CURE, METRICS
from pats.page.numbers.tables import CONSTANT
from pats.run import Result, Run, finetune, ranks

EXAMPLE = """
pats run --task rte --data glue/ --model bert-base-uncased --method pats --lr 3e-4 --out out/rte
pats run --data reviews.csv --text review --label stars --model minilm --method pats --out out/reviews
torchrun --nproc-per-node 2 -m pats run --task rte --data glue/ --model minilm --out out/rte2
"""


def main(argv: Sequence[str]) -> int:
    """Fine-tune as the flags say."""
    parser = _parser.Parser("run", "Fine-tune one model with one method; resumes what was stopped.", EXAMPLE)
    _flags.add_shared(parser, "folder for the result and the model (required)")
    parser.add_argument("--method", metavar="NAME", help=_flags.methods_help())
    parser.add_argument("--seed", type=_flags.integer, metavar="N", help="sets all three seeds")
    parser.add_argument(
        "--option", action="extend", nargs="+", metavar="KEY=VALUE", help="option of the method"
    )
    _flags.add_trackers(parser)
    _flags.add_run(parser)
    _flags.add_methods(parser)
    parser.add_argument(
        "--save-steps",
        type=_flags.integer,
        metavar="N",
        help="checkpoint every N steps (default: every epoch)",
    )
    values = parser.read(argv)
    out, as_json, quiet = values.pop("out", None), values.pop("json", False), values.pop("quiet", False)
    save_steps, report_to = values.pop("save_steps", None), values.pop("report_to", [])
    run = build(_run_alone(values))
    if out is None:
        raise InputError("--out is missing: name the folder for the result and the model")
    with _Bar(Console(stderr=True, quiet=quiet or not ranks.is_first())) as bar:
        result = finetune(run, out, on_event=bar.tell, save_steps=save_steps, report_to=report_to)
    if ranks.is_first():
        sys.stdout.write(result.to_json() if as_json else _words(result, out))
        if result.status != "done":
            sys.stderr.write(f"pats: the run failed: {result.error}\n")
    return 0 if result.status == "done" else 1


def _run_alone(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a preset, of which a single run has its own settings alone."""
    given = set(values)
    return {k: v for k, v in _settings.with_preset(values).items() if k in given or k == "preset"}


def build(values: dict[str, Any]) -> Run:
    """The run that the flags describe.

    Raises:
        InputError: A value is out of its range, or there is nothing to train on.
    """
    settings = _settings.run_settings(values)
    method = settings.get("method", Run.method)
    options = _settings.method_options(values, {method: method})
    seed = values.pop("seed", None)
    if seed is not None:
        for name in ("init_seed", "data_seed", "noise_seed"):
            settings.setdefault(name, seed)
    run = Run(**settings, options=options.get(method, {}))
    if run.task is None and run.data is None:
        raise InputError("there is nothing to train on: name --task, or a table with --data")
    return run


def _words(result: Result, out: str) -> str:
    run, metric = result.run, METRICS.get(result.metric, result.metric)
    simple = is_simple(run.method)
    head = f"{run.task or run.data}: {run.method} on {run.model}, lr {run.lr:g}"
    head = f"{run.task or run.data}: {result.about_method['sentence']}" if simple else head
    constant = result.degenerate and run.method != CONSTANT
    nothing = [f"Nothing was learned: the model predicts one constant; {CURE}."] if constant else []
    lines = [*nothing, head, f"status    {result.status}"]
    if result.best_epoch is not None and result.best is not None and result.last is not None:
        best = result.epochs[result.best_epoch]
        when = "" if simple else f" at epoch {best.epoch:g}, the best one"
        lines.append(f"dev       {metric} {100 * result.best:.1f}{when}")
        lines += [] if simple else [f"          {100 * result.last:.1f} at the last epoch"]
    if result.test is not None:
        lines.append(f"test      {metric} {100 * result.test[result.metric]:.1f}")
    if result.status == "done":
        lines += [f"time      {_time(result.timings)}", f"model     {out}/model"]
    return "\n".join(lines) + "\n"


def _time(timings: Mapping[str, float]) -> str:
    """The whole, and the parts that are half a second or more."""
    parts = ("load", "train", "evaluate", "save", "predict")
    told = [f"{part} {timings[part]:.0f}" for part in parts if timings.get(part, 0.0) >= 0.5]
    return f"{timings['total']:.0f} s" + (f" ({', '.join(told)})" if told else "")


class _Bar:
    """A progress bar on a terminal, else a line an epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            disable=console.quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=None)

    def tell(self, event: dict[str, Any]) -> None:
        """Show an event of the run."""
        if event["event"] == "start":
            for note in event["notes"]:
                style = "bold" if note.startswith("Warning: ") else "dim"
                self._console.print(note, style=style, markup=False, highlight=False, soft_wrap=True)
            if event.get("resumed_at"):
                self._console.print(f"The run goes on from step {event['resumed_at']}.", highlight=False)
        if event["event"] == "epoch":
            scores = ", ".join(
                f"{name} {100 * value:.1f}" for name, value in event["metrics"].items() if "/" not in name
            )
            line = f"epoch {event['epoch']:g}: loss {event['train_loss']:.3f}, dev {scores}"
            self._console.print(line + (" (best so far)" if event["best"] else ""), highlight=False)
        if event["event"] in ("progress", "epoch"):
            loss = event.get("loss", event.get("train_loss"))
            self._progress.update(
                self._task,
                completed=event["step"],
                total=event["steps"],
                description=f"epoch {event['epoch']:.1f}, loss {loss:.3f}",
            )

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
