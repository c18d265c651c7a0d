"""A summary as Markdown."""

from pats.page.content.summary import Summary


def markdown(summary: Summary) -> str:
    """The summary as Markdown: the verdict, one table a grid, the notes as a list."""
    parts = [*([" ".join(summary.answer)] if summary.answer else []), " ".join(summary.verdict)]
    for grid in summary.grids:
        rows = [grid.heads, tuple("---" for _ in grid.heads), *grid.rows]
        lines = ["| " + " | ".join(text.replace("|", r"\|") for text in row) + " |" for row in rows]
        parts.append(f"**{grid.title}**\n\n" + "\n".join(lines))
    if summary.notes:
        parts.append("\n".join(f"- {note}" for note in summary.notes))
    return "\n\n".join(parts) + "\n"
