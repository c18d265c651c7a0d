"""``pats report``: one page that shows a comparison."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pats import _schema, results
from pats._errors import InputError
from pats.cli import _parser
from pats.cli._command import command
from pats.cli._output import write_json
from pats.page.content.document import Document, Source, document
from pats.page.formats import card, render
from pats.page.formats.html import html
from pats.page.numbers import tables
from pats.results.shapes import SHAPES
from pats.run.folder import owned
from pats.run.folder.files import PREDICTIONS, write_atomic
from pats.study.store.attempt import read_error
from pats.study.store.results import Store

EXAMPLE = """
pats report out/glue
pats report out/glue --sensitivity out/figure2 --data-size out/size --out out/page
"""
FIGURES = {"sensitivity": 2, "data-size": 3}


def main(argv: Sequence[str]) -> int:
    """Write the page as the flags say."""
    parser = _parser.Parser(
        "report",
        "Write what a comparison shows: report.html (one file, no network), and the same tables as "
        "report.md, report.tex and report.csv; and, without --out, a model card beside the exported model.",
        EXAMPLE,
    )
    parser.add_argument("folder", metavar="OUT", help="folder of a comparison; it may be unfinished")
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: OUT)")
    for verb, figure in FIGURES.items():
        parser.add_argument(
            f"--{verb}",
            metavar="DIR",
            help=f"folder in which pats {verb} wrote, for figure {figure} (default: OUT where it did)",
        )
    parser.add_argument("--json", action="store_true", help="write verdict and files as JSON on stdout")
    values = parser.read(argv)
    store = Store(values["folder"])
    cells = load(store)
    groups = tables.groups(cells)
    drawn = {verb: _figure(verb, values.get(verb.replace("-", "_")), store.root) for verb in FIGURES}
    told = document(groups, _source(store, cells, drawn))
    out = Path(values.get("out") or store.root)
    owned.page(out, [*pages("report"), "report.csv", "runs.csv"])
    files = write(told, out)
    for name, text in (("report.csv", render.table_csv(groups)), ("runs.csv", render.runs_csv(cells))):
        write_atomic(out / name, text.encode())
        files.append(out / name)
    if out.resolve() == store.root.resolve():
        files += _cards(store, groups)
    if values.get("json"):
        write_json({"verdict": told.verdict, "files": [str(file) for file in files]})
    else:
        sys.stdout.write("\n".join([*told.verdict, "", *(str(file) for file in files)]) + "\n")
    return 0


def write(told: Document, out: Path, name: str = "report") -> list[Path]:
    """Write a report as HTML, Markdown and LaTeX; returns the files."""
    files = [out / file for file in pages(name)]
    texts = html(told), render.markdown(told.page), render.latex(told.page)
    for file, text in zip(files, texts, strict=True):
        write_atomic(file, text.encode())
    return files


def pages(name: str) -> tuple[str, ...]:
    """Names of the files that ``write`` writes."""
    return f"{name}.html", f"{name}.md", f"{name}.tex"


def load(store: Store) -> tuple[results.Cell, ...]:
    """The cells of a study with what results there are.

    Raises:
        InputError: The folder holds no study, or one without cells.
    """
    return tuple(
        results.Cell(
            cell.task,
            cell.model,
            cell.label,
            cell.method,
            cell.lr,
            tuple(
                results.Outcome(run.data_seed, run_id, result, None if result else _error(store, run_id))
                for run in cell.runs
                for run_id in (run.id,)
                for result in (store.result(run_id),)
            ),
            cell.control,
        )
        for cell in store.cells()
    )


def _error(store: Store, run_id: str) -> str | None:
    attempts = store.attempts(run_id)
    return read_error(attempts[-1]) if attempts else None


def _figure(verb: str, folder: str | None, root: Path) -> Mapping[str, Any] | None:
    """What another verb wrote for a figure; None where it was not asked for and is not there."""
    file = Path(folder or root) / f"{verb.replace('-', '_')}.json"
    try:
        found = _schema.parse(file.read_text(encoding="utf-8"))
        content: Mapping[str, Any] = _schema.build(SHAPES[verb], found)
        if not content["models" if verb == "sensitivity" else "points"]:
            raise ValueError("it is empty")
    except (FileNotFoundError, NotADirectoryError):
        if folder is None:
            return None
        raise InputError(f"{file} is missing: name the --out of pats {verb}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not what pats {verb} writes ({error}): run it again") from None
    return content


def _source(
    store: Store,
    cells: Sequence[results.Cell],
    drawn: Mapping[str, Mapping[str, Any] | None],
) -> Source:
    ids = (outcome.run_id for cell in cells for outcome in cell.outcomes)
    files = {run_id: store.folder(run_id) / PREDICTIONS for run_id in ids}
    out = str(store.root)
    study = store.plan()
    typed, notes = command(study, out), tuple(store.problems)
    return Source(typed, study.to_dict(), files, drawn["sensitivity"], drawn["data-size"], notes, out)


def _cards(store: Store, groups: Sequence[tables.Group]) -> list[Path]:
    """A model card in every exported model of the study."""
    if not (store.root / "model").is_dir():
        return []
    from pats.run.model.exported import read_card  # which brings transformers, and that takes seconds

    written = []
    for folder in [store.root / "model", *sorted((store.root / "model").glob("*/"))]:
        about = read_card(folder)
        text = about and card.card(about, groups)
        file = folder / "README.md"
        ours = not file.exists() or b"pats-finetune" in file.read_bytes()  # else somebody wrote their own
        if text and ours:
            write_atomic(file, text.encode())
            written.append(file)
    return written
