"""A page as Markdown, as LaTeX or in the terminal, and a study's numbers as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pats.page.content.summary import Page
from pats.page.numbers.tables import Group
from pats.results import Cell


def markdown(page: Page) -> str:
    """The page as Markdown: the verdict, one table a grid, the notes as a list."""
    parts = [" ".join(page.verdict)]
    for grid in page.grids:
        rows = [grid.heads, tuple("---" for _ in grid.heads), *grid.rows]
        lines = ["| " + " | ".join(text.replace("|", r"\|") for text in row) + " |" for row in rows]
        parts.append(f"**{grid.title}**\n\n" + "\n".join(lines))
    if page.notes:
        parts.append("\n".join(f"- {note}" for note in page.notes))
    return "\n\n".join(parts) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a row it would be an option of the line break
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "θ": r"$\theta$",
    "σ": r"$\sigma$",
    "∂": r"$\partial$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "γ": r"$\gamma$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
}


def latex(page: Page) -> str:
    r"""The page's tables for a paper: one ``table`` a grid, with the rules of ``booktabs``.

    The preamble needs ``\usepackage{booktabs}``. The verdict and the notes stand as comments.
    """
    parts = ["% \\usepackage{booktabs}", *(f"% {sentence}" for sentence in page.verdict)]
    for grid in page.grids:
        lines = [" & ".join(map(_escaped, row)) + r" \\" for row in (grid.heads, *grid.rows)]
        columns = "l" + "r" * (len(grid.heads) - 1)
        parts += [
            "",
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_escaped(grid.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    parts += ["", *(f"% {note}" for note in page.notes)] if page.notes else []
    return "\n".join(" ".join(part.splitlines()) if part else part for part in parts) + "\n"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def show(page: Page, console: Console) -> None:
    """Print the page with rich; texts are taken literally, never as markup."""
    console.print(" ".join(page.verdict), markup=False, highlight=False)
    for grid in page.grids:
        table = Table(title=grid.title, title_justify="left", title_style="bold", box=None)
        for number, head in enumerate(grid.heads):
            table.add_column(head, no_wrap=number == 0, justify="left" if number == 0 else "right")
        for row in grid.rows:
            table.add_row(*row)
        console.print()
        console.print(table, markup=False, highlight=False)
    if page.notes:
        console.print()
    for note in page.notes:
        console.print(note, style="dim", markup=False, highlight=False)


def table_csv(groups: Sequence[Group]) -> str:
    """One row a cell: scores × 100 unrounded, empty where there is nothing."""
    return _csv(
        {
            "task": group.task,
            "model": group.model,
            "method": line.cell.label,
            "control": int(line.cell.control),
            "lr": line.cell.lr,
            "split": group.split,
            "metric": line.cell.metric,
            "n": len(line.scores),
            "failed": len(line.failures),
            "constant": line.degenerate,
            "mean": line.mean,
            "std": line.std,
            "scores": " ".join(repr(score) for score in line.scores.values()),
            "difference": line.difference and line.difference.mean,
            "low": line.difference and line.difference.interval and line.difference.interval[0],
            "high": line.difference and line.difference.interval and line.difference.interval[1],
            "p": line.difference and line.difference.p,
            "p_holm": line.p,
            "significant": int(line.significant),
            "detectable": line.difference and line.difference.detectable,
            "paper": line.paper,
        }
        for group in groups
        for line in group.lines
    )


def runs_csv(cells: Iterable[Cell]) -> str:
    """One row a run: scores as fractions unrounded, with its three seeds, time and status."""
    rows = []
    for cell in cells:
        for outcome in cell.outcomes:
            result = outcome.result
            best = result.epochs[result.best_epoch] if result and result.best_epoch is not None else None
            rows.append(
                {
                    "run": outcome.run_id,
                    "task": cell.task,
                    "model": cell.model,
                    "method": cell.label,
                    "lr": cell.lr,
                    "seed": outcome.seed,
                    "status": result.status if result else "failed",
                    "metric": result and result.metric,
                    "best": result and result.best,
                    "best_epoch": best and best.epoch,
                    "last": result and result.last,
                    "test": result.test[result.metric] if result and result.test else None,
                    "constant": int(result.degenerate) if result else None,
                    "seconds": sum(result.timings.get(k, 0.0) for k in ("train", "evaluate"))
                    if result
                    else None,
                    "error": outcome.failure,
                }
            )
    return _csv(rows)


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: "" if value is None else value for key, value in row.items()})
    return file.getvalue()
