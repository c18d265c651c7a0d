"""A summary in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pats.page.content.summary import Summary


def show(summary: Summary, console: Console) -> None:
    """Print the summary with rich; texts are taken literally, never as markup."""
    for sentence in summary.answer:
        console.print(
            sentence,
            style="bold" if sentence is summary.answer[0] else "",
            markup=False,
            highlight=False,
            emoji=False,
        )
    if summary.answer:
        console.print()
    console.print(" ".join(summary.verdict), markup=False, highlight=False, emoji=False)
    for grid in summary.grids:
        table = Table(title=Text(grid.title), title_justify="left", title_style="bold", box=None)
        for number, head in enumerate(grid.heads):
            table.add_column(Text(head), no_wrap=number == 0, justify="left" if number == 0 else "right")
        for row in grid.rows:
            table.add_row(*map(Text, row))
        console.print()
        console.print(table)
    if summary.notes:
        console.print()
    for note in summary.notes:
        console.print(note, style="dim", markup=False, highlight=False, emoji=False)
