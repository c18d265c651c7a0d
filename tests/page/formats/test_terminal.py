import io
from dataclasses import replace

from rich.console import Console

from pats.page.formats.terminal import show
from support.made_results import BETTER, PLAIN, make_cell, summarised


def test_terminal_takes_names_literally():
    console = Console(file=io.StringIO(), width=200)
    show(
        summarised(
            [make_cell("vanilla", PLAIN), make_cell("[red]x", BETTER), make_cell("ok:smile:", BETTER)],
            notes=["a [bold] note"],
        ),
        console,
    )
    assert "ok:smile:" in console.file.getvalue()
    assert "[red]x" in console.file.getvalue()
    assert "a [bold] note" in console.file.getvalue()


def test_the_answer_of_a_table_comes_first():
    console = Console(file=io.StringIO(), width=200)
    summary = replace(summarised([make_cell("vanilla", PLAIN)]), answer=("Use [red]x.", "Next: rest."))
    show(summary, console)
    assert console.file.getvalue().startswith("Use [red]x.\nNext: rest.\n\n1 method fine-tuned")
    ended = summary.ending("The time was over.")
    assert (ended.answer[-1], ended.verdict[-1]) == ("The time was over.",) * 2
    assert replace(summary, answer=()).ending("The time was over.").answer == ()


def test_a_title_is_no_markup():
    console = Console(file=io.StringIO(), width=200)
    summary = summarised([make_cell("vanilla", PLAIN)])
    show(replace(summary, grids=(replace(summary.grids[0], title="reviews [old] [/b]"),)), console)
    assert "reviews [old] [/b]" in console.file.getvalue()
