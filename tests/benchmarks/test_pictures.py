"""The drawings of the docs are made from their script, and can be read in both colour schemes."""

import pytest

from benchmarks import pictures, record, walks


@pytest.mark.parametrize("name", ["schemata.svg", "walks.svg"])
def test_a_picture_is_the_one_that_is_drawn(name):
    """``python -m benchmarks.pictures`` draws them."""
    assert (pictures.DOCS / name).read_text("utf-8") == pictures.drawn()[name]


def luminance(colour):
    """Relative luminance of a colour, as WCAG has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("kind", "behind", "least"),
    [("ink", "card", 7), ("soft", "card", 4.5), ("ink", "box", 7), ("soft", "box", 4.5)]
    + [(kind, "card", 3) for kind in ("low", "high", "even", "blue")],
)
def test_text_and_lines_stand_out(kind, behind, least, scheme):
    light, dark = sorted((luminance(pictures.COLOURS[one][scheme]) for one in (kind, behind)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= least


def test_the_measured_walks_have_every_setting_and_end_as_the_text_says():
    rows = {row["noise"]: row for row in record.read("walks").rows}
    assert set(rows) == set(walks.SETTINGS) == set(pictures.NAMES)
    paper, budget = rows["paper"]["median"], rows["budget"]["median"]
    assert paper == sorted(paper)
    assert paper[-1] > 2 * budget[-1]
    assert 0.03 < budget[-1] <= 0.04
    for name in ("transient", "anticorrelated"):
        assert rows[name]["median"][-1] < 0.001 < 0.01 < max(rows[name]["median"]) <= 0.02


def test_a_walk_is_measured(tiny_bert):
    found = walks.walk(walks.pats.Noise(steps=4), str(tiny_bert), steps=4, every=2)
    assert found["steps"] == [1, 2, 4]
    assert found["smallest"][-1] <= found["median"][-1] <= found["largest"][-1]
    assert 0 < found["median"][1] < found["median"][2]
