"""``pats sensitivity``: how a fine-tuned model's sensitivities are distributed (figure 2 of the paper)."""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from pats._errors import InputError
from pats.cli import _flags, _parser, _settings
from pats.cli._output import wide, write_json
from pats.measure.finetuned import Sensitivities, measure
from pats.page.content.document import sensitivity_document
from pats.page.formats.terminal import show
from pats.run import Run
from pats.run.data import load_data
from pats.run.folder import owned
from pats.run.folder.files import write_atomic
from pats.study.report import document_files, write_document

EXAMPLE = """
pats sensitivity plain=out/plain/model pats=out/pats/model --task cola --data glue/ --out out/figure2
pats sensitivity out/reviews/model --data reviews.csv --out out/figure2
"""
OF_DATA = (
    "task",
    "data",
    "text",
    "text_pair",
    "label",
    "kind",
    "quoting",
    "sheet",
    "drop_rare",
    "drop_unlabelled",
    "group",
    "time",
    "split_seed",
    "batch_size",
    "precision",
)


def main(argv: Sequence[str]) -> int:
    """Measure as the flags say."""
    parser = _parser.Parser(
        "sensitivity",
        "Measure the sensitivity of every encoder parameter of fine-tuned models over the training set, and "
        "draw the distributions over each other.",
        EXAMPLE,
    )
    parser.add_argument("models", nargs="*", metavar="[LABEL=]MODEL", help="folders of fine-tuned models")
    _flags.add_shared(parser, "folder for sensitivity.json and the page (required)")
    add = parser.add_argument
    add("--batches", type=_flags.integer, metavar="N", help="batches to measure (the whole training set)")
    add(
        "--reduce",
        choices=["batch", "gradient"],
        help="mean over batches of |θ·∂L/∂θ| (batch, the default), or |θ·∂L/∂θ| of the mean loss",
    )
    add("--scope", metavar="TEXT", help="parameters to measure (encoder)")
    add("--max-length", type=_flags.integer, metavar="N", help="tokens (what the model was trained with)")
    add("--seed", type=_flags.integer, metavar="N", help="order of the training set (0)")
    group = parser.add_argument_group("the data that the models were trained on")
    others = [f.name for f in fields(Run) if f.name not in OF_DATA]
    _flags._add_fields(group, Run, "", others, sentences={"task": _flags.tasks_help()})
    group.add_argument("--task-option", action="extend", nargs="+", metavar="KEY=VALUE")
    values = parser.read(argv)
    as_json, quiet = values.pop("json", False), values.pop("quiet", False)
    out, seed = values.pop("out", None), values.pop("seed", 0)
    models = _named(values.pop("models", []))
    how = {key: values.pop(key) for key in ("reduce", "scope", "max_length") if key in values}
    settings = _settings.run_settings(values)
    run = Run(**settings, data_seed=seed)
    if run.task is None and run.data is None:
        raise InputError("there is no data: name --task, or the table with --data")
    if out is None:
        raise InputError("--out is missing: name the folder for the measurement and the page")
    owned.page(Path(out), ["sensitivity.json", *document_files("sensitivity")])
    data = load_data(run)
    console = Console(stderr=True, quiet=quiet)
    measured = []
    for label, folder in models:
        with console.status(f"{label}: loading") as status:

            def tell(done: int, total: int, label: str = label) -> None:
                status.update(f"{label}: batch {done} of {total}")

            measured.append(
                measure(
                    folder,
                    data,
                    label=label,
                    count=values.get("batches"),
                    batch_size=run.batch_size,
                    precision=run.precision,
                    seed=seed,
                    on_batch=tell,
                    **how,
                )
            )
        console.print(f"{label}: measured over {measured[-1].batches} batches", highlight=False)
    content = save(measured, Path(out))
    if as_json:
        write_json(content)
        return 0
    page = sensitivity_document(content)
    files = write_document(page, Path(out), "sensitivity")
    show(page.summary, wide())
    sys.stdout.write("\n" + "\n".join(map(str, files)) + "\n")
    return 0


def save(measured: Sequence[Sensitivities], out: Path) -> dict[str, Any]:
    """Write ``sensitivity.json``, which ``pats report`` reads."""
    content = {"models": [one.to_dict() for one in measured]}
    write_atomic(out / "sensitivity.json", (json.dumps(content, ensure_ascii=False) + "\n").encode())
    return content


def _named(texts: Sequence[str]) -> list[tuple[str, str]]:
    if not texts:
        raise InputError("there is no model: name at least one folder of a fine-tuned model")
    named = []
    for text in texts:
        label, equals, folder = text.partition("=")
        if not equals or "/" in label:  # a path may have an equals sign
            path = Path(text)
            label, folder = (path.parent.name if path.name == "model" else path.name), text
        named.append((label or folder, folder))
    labels = [label for label, _ in named]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(f"two models are called {twice!r}: give them names, as in plain={named[0][1]}")
    return named
