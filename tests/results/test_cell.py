import pytest

from support.made_results import make_cell


@pytest.mark.parametrize(
    ("label", "method", "printed"),
    [
        ("pats-paper", "pats-paper", "pats-paper"),
        ("pats", "pats-paper", "pats-paper"),  # a row of version 0.1.0
        ("pats", "pats", "pats"),
        ("std", "pats-paper", "std"),
        ("vanilla", "vanilla", "vanilla"),
        ("vanilla", "pats-paper", "vanilla"),
        ("noisytune+pats", "noisytune+pats-paper", "noisytune+pats-paper"),
    ],
)
def test_the_method_whose_printed_scores_may_stand_beside_a_row(label, method, printed):
    assert make_cell(label, [0.5], method=method).in_print == printed
