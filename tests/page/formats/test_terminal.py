import io

from rich.console import Console

from pats.page.formats.terminal import show
from support.made_results import BETTER, PLAIN, make_cell, summarised


def test_terminal_takes_names_literally():
    console = Console(file=io.StringIO(), width=200)
    show(
        summarised([make_cell("vanilla", PLAIN), make_cell("[red]x", BETTER)], notes=["a [bold] note"]),
        console,
    )
    assert "[red]x" in console.file.getvalue()
    assert "a [bold] note" in console.file.getvalue()
