"""``report``: the page of a study's folder, in every format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from pats import _schema, results
from pats._errors import InputError
from pats.page.content.document import Document, Source, document
from pats.page.formats import card, csv_tables
from pats.page.formats.html import html
from pats.page.formats.latex import latex
from pats.page.formats.markdown import markdown
from pats.page.numbers import reading, tables
from pats.results.shapes import SHAPES
from pats.run.folder import owned
from pats.run.folder.files import MODEL, write_atomic
from pats.run.model.exported import read_mark
from pats.study import partial
from pats.study.cells import predictions, row_files, with_results
from pats.study.command import command
from pats.study.notebook import inline
from pats.study.prepare import TABLES
from pats.study.store.files import read_json
from pats.study.store.results import Store

CARD = "README.md"
PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """What ``report`` wrote.

    Source: PATS's own.

    Args:
        verdict: What the study shows, in sentences.
        files: The files, the HTML page first.
        answer: Of one table of the user's own, what to use and what to do next, in sentences.
    """

    verdict: tuple[str, ...]
    files: tuple[Path, ...]
    answer: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """The verdict, a link to every file, and the page itself, for a notebook."""
        links = (f'<a href="{escape(str(file))}">{escape(file.name)}</a>' for file in self.files)
        told = f"<p>{escape(' '.join(self.answer or self.verdict))}</p><p>{' · '.join(links)}</p>"
        pages = (file.read_text("utf-8") for file in self.files[:1] if file.is_file())
        return told + "".join(map(inline, pages))


def report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    sensitivity: str | Path | None = None,
    data_size: str | Path | None = None,
) -> Report:
    """Write what a comparison shows, as the verb ``pats report`` does.

    ``report.html`` is one file that needs no network; ``report.md``, ``report.tex`` and ``report.csv`` hold
    the same tables, and ``runs.csv`` every run. Without ``out``, every exported model also gets a model card.

    Source: PATS's own; its tables and figures have the form of Tables 1 to 3 and Fig. 2 and 3 of the
    paper.

    Args:
        folder: Folder of a comparison; it may be unfinished.
        out: Folder for the files; None is ``folder``.
        sensitivity: Folder in which ``pats sensitivity`` wrote, for figure 2; None looks in ``folder``.
        data_size: Folder in which ``pats data-size`` wrote, for figure 3; None looks in ``folder``.

    Returns:
        The verdict, and the files.

    Raises:
        InputError: The folder holds no study, or one without cells; a figure's file is missing or damaged; a
            file that is not PATS's would be replaced.
    """
    store, cells, groups, page = _made(folder, sensitivity, data_size)
    target = Path(out or store.root)
    owned.page(target, [*document_files("report"), "report.csv", "runs.csv"])
    files = write_document(page, target)
    numbers = {"report.csv": csv_tables.table_csv(groups), "runs.csv": csv_tables.runs_csv(cells)}
    for name, text in numbers.items():
        write_atomic(target / name, text.encode())
        files.append(target / name)
    if target.resolve() == store.root.resolve():
        files += _write_cards(store, groups, cells)
    return Report(page.verdict, tuple(files), page.answer)


def write_page(folder: str | Path) -> Path:
    """Write ``report.html`` and the model cards of a comparison alone, and return the page's path.

    Raises:
        InputError: As ``report``.
    """
    store, cells, groups, page = _made(folder, None, None)
    write_atomic(store.root / PAGE, html(page).encode())
    _write_cards(store, groups, cells)
    return store.root / PAGE


def page_of(folder: str | Path) -> Document:
    """The page of a comparison, of which nothing is written.

    Raises:
        InputError: As ``report``.
    """
    return _made(folder, None, None)[-1]


def _made(
    folder: str | Path, sensitivity: str | Path | None, data_size: str | Path | None
) -> tuple[Store, tuple[results.Cell, ...], list[tables.Group], Document]:
    store = Store(folder)
    ended = store.ended()
    begun = ended is None or bool(store.study().get("cells"))
    cells = with_results(store, store.cells()) if begun else ()
    if ended is not None:
        cells = partial.comparable(cells)
        if not cells:
            raise InputError(f"{store.root} holds no score yet: {ended[0].lower()}{ended[1:]}")
    groups = tables.groups(cells)
    figures = {
        "sensitivity": _figure("sensitivity", sensitivity, store.root),
        "data-size": _figure("data-size", data_size, store.root),
    }
    page = document(groups, _source(store, cells, figures))
    if ended is not None:
        answer = (*page.answer, ended) if page.answer else ()
        page = replace(page, verdict=(*page.verdict, ended), answer=answer)
    return store, cells, groups, page


def write_document(page: Document, out: Path, name: str = "report") -> list[Path]:
    """Write a page as HTML, Markdown and LaTeX; returns the files."""
    files = [out / file for file in document_files(name)]
    texts = html(page), markdown(page.summary), latex(page.summary)
    for file, text in zip(files, texts, strict=True):
        write_atomic(file, text.encode())
    return files


def document_files(name: str) -> tuple[str, ...]:
    """Names of the files that ``write_document`` writes."""
    return f"{name}.html", f"{name}.md", f"{name}.tex"


def _figure(verb: str, folder: str | Path | None, root: Path) -> Mapping[str, Any] | None:
    """What another verb wrote for a figure; None where it was not asked for and is not there."""
    file = Path(folder or root) / f"{verb.replace('-', '_')}.json"
    try:
        parsed = _schema.parse(_schema.read(file))
        content: Mapping[str, Any] = _schema.build(SHAPES[verb], parsed)
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
    figures: Mapping[str, Mapping[str, Any] | None],
) -> Source:
    study, out = store.plan(), str(store.root)
    return Source(
        command(study, out),
        study.to_dict(),
        predictions(store, cells),
        figures["sensitivity"],
        figures["data-size"],
        tuple(store.problems),
        out,
        row_files(store, cells),
        read_json(store.root / TABLES),
    )


def _write_cards(store: Store, groups: Sequence[tables.Group], cells: Sequence[results.Cell]) -> list[Path]:
    """A model card in every exported model of the study."""
    if not (store.root / MODEL).is_dir():
        return []
    written = []
    read = reading.read(groups, predictions(store, cells))
    for folder in [store.root / MODEL, *sorted((store.root / MODEL).glob("*/"))]:
        about = read_mark(folder)
        text = about and card.card(about, groups, read)
        file = folder / CARD
        ours = not file.exists() or b"pats-finetune" in file.read_bytes()  # else somebody wrote their own
        if text and ours:
            write_atomic(file, text.encode())
            written.append(file)
    return written
