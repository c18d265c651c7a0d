"""Tables that Python holds: columns of arrays, and data sets of Hugging Face."""

import datasets
import numpy
import pandas
import pyarrow
import pytest
import torch

from pats import InputError
from pats.tasks import load
from pats.tasks.reading import open_table

TEXTS = [f"text number {i}" for i in range(60)]
NAMES = ["no", "yes"]
LABELS = [NAMES[i % 2] for i in range(60)]
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES)})

COLUMNS = {
    "NumPy": numpy.array,
    "pandas": pandas.Series,
    "an index": pandas.Index,
    "categories": pandas.Categorical,
    "Arrow": pyarrow.array,
    "tuples": tuple,
    "a column of a data set": lambda cells: datasets.Dataset.from_dict({"a": list(cells)})["a"],
}


def dataset(rows=60):
    return datasets.Dataset.from_dict({"text": TEXTS[:rows], "label": [i % 2 for i in range(rows)]}, FEATURES)


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("beside", ["list", *COLUMNS])
def test_columns_of_any_kind(kind, beside):
    table = open_table({"text": {**COLUMNS, "list": list}[beside](TEXTS), "label": COLUMNS[kind](LABELS)})
    assert table.cells == {"text": TEXTS, "label": LABELS}


@pytest.mark.parametrize("column", [torch.arange(60) % 3, numpy.arange(60) % 3, pandas.Series(range(60)) % 3])
def test_numbers_of_arrays_are_numbers_of_python(column):
    cells = open_table({"text": TEXTS, "label": column}).cells["label"]
    assert cells == [i % 3 for i in range(60)]
    assert {type(cell) for cell in cells} == {int}


def test_what_is_missing_in_a_series_is_missing():
    assert open_table({"text": TEXTS, "y": pandas.Series([1.5, None] * 30)}).cells["y"][:2] == [1.5, None]


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(InputError, match="different lengths"):
        open_table({"text": TEXTS, "label": numpy.array(LABELS[:9])})


def test_a_data_set_has_the_names_of_its_classes_and_its_order():
    shuffled = dataset().shuffle(seed=1).select(range(30))
    table = open_table(shuffled)
    assert table.cells == {"text": shuffled["text"][:], "label": [NAMES[i] for i in shuffled["label"]]}
    assert table.cells["text"] != TEXTS[:30]


def test_splits_are_a_column_and_others_are_named():
    splits = {"train": dataset(40), "validation": dataset(12), "unsupervised": dataset(3)}
    table = open_table(datasets.DatasetDict(splits))
    assert table.cells["split"] == ["train"] * 40 + ["validation"] * 12
    assert any("'unsupervised' is not read" in note for note in table.notes)
    data = load(data=datasets.DatasetDict(splits))
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 40, "dev": 12}
    assert data.labels == tuple(NAMES)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"a": dataset(3)}, "has the splits a: call one of them train"),
        ({"train": dataset(3).add_column("split", [1, 2, 3])}, "several splits and a column 'split'"),
    ],
)
def test_splits_that_cannot_be_joined_are_refused(splits, said):
    with pytest.raises(InputError, match=said):
        open_table(datasets.DatasetDict(splits))


def test_a_stream_is_refused():
    with pytest.raises(InputError, match="without streaming=True"):
        open_table(dataset().to_iterable_dataset())
