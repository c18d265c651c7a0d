from pats.page.formats.latex import latex
from support.made_results import BETTER, PLAIN, make_cell, summarised


def test_latex_is_one_table_a_grid_with_everything_escaped():
    cells = [make_cell("vanilla", PLAIN), make_cell(r"50 % & a_b [x] \y", BETTER, method="pats")]
    text = latex(summarised(cells))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{table}") == len(summarised(cells).grids)
    assert r"50 \% \& a\_b {[}x] \textbackslash{}y" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {8}
    assert text.startswith("% \\usepackage{booktabs}\n% 2 methods fine-tuned")
