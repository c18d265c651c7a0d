from collections import Counter

import pytest

from pats.tasks import load
from pats.tasks.splits import THIN


def table(path, sizes):
    """A CSV of a column of texts, all different, with so many rows of each class."""
    rows = [f"text number {i} of {name},{name}" for name, many in sizes.items() for i in range(many)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


CASES = [
    ({"yes": 100, "no": 60}, []),
    ({"yes": 100, "no": 3}, ["no"]),
    ({"yes": 3, "no": 4, "so": 60}, ["no", "yes"]),
]


@pytest.mark.parametrize(("sizes", "expected"), CASES)
def test_classes_that_no_model_can_learn_are_named(tmp_path, sizes, expected):
    data = load(data=table(tmp_path / "table.csv", sizes))
    train = Counter(data.labels[int(label)] for label in data.splits["train"].label)
    assert sorted(name for name, many in train.items() if many < THIN) == expected
    found = [note for note in data.notes if "rows in train" in note]
    assert len(found) == bool(expected)
    for note in found:
        assert note.startswith("Warning: 1 class has" if len(expected) == 1 else "Warning: 2 classes have")
        assert all(f"'{name}' ({train[name]})" in note for name in expected)
