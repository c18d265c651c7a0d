"""The tables of a summary as LaTeX, for a paper."""

from pats.page.content.summary import Summary

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


def latex(summary: Summary) -> str:
    r"""The tables for a paper: one ``table`` a grid, with the rules of ``booktabs``.

    The preamble needs ``\usepackage{booktabs}``. The verdict and the notes become comments.
    """
    parts = [
        "% \\usepackage{booktabs}",
        *(f"% {sentence}" for sentence in (*summary.answer, *summary.verdict)),
    ]
    for grid in summary.grids:
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
    parts += ["", *(f"% {note}" for note in summary.notes)] if summary.notes else []
    return "\n".join(" ".join(part.splitlines()) if part else part for part in parts) + "\n"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
