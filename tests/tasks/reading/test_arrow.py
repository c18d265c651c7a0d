"""Parquet through Arrow: the cells, however the file comes, and no thread that outlives the reading."""

import gzip
import json
import subprocess
import sys

import pandas
import pyarrow
import pytest
from pyarrow import parquet

from pats._errors import InputError
from pats.tasks.reading import arrow
from pats.tasks.reading.source import Source

TEXTS = [f"a film of {row} minutes" for row in range(25)]


@pytest.fixture(params=["plain", "gzip"])
def path(request, tmp_path):
    written = tmp_path / "films.parquet"
    parquet.write_table(pyarrow.table({"text": TEXTS, "label": [row % 2 for row in range(25)]}), written)
    if request.param == "plain":
        return written
    packed = tmp_path / "films.parquet.gz"
    packed.write_bytes(gzip.compress(written.read_bytes()))
    return packed


def source_of(path, file):
    packed = path.suffix == ".gz"
    return Source(path.name, ".parquet", gzip.open(file) if packed else file, plain=not packed)


def test_a_whole_file_and_batches_have_the_same_cells(path):
    with path.open("rb") as file:
        whole = arrow.read(source_of(path, file))
    with path.open("rb") as file:
        parts = list(arrow.stream(source_of(path, file), 10))
    assert whole.cells["text"] == TEXTS
    assert [len(part.cells["text"]) for part in parts] == [10, 10, 5]
    for name, cells in whole.cells.items():
        assert [cell for part in parts for cell in part.cells[name]] == cells
    assert [number for part in parts for number in part.places] == list(range(1, 26))


CHILD = """
import os, sys
import pyarrow.parquet
from pats._errors import InputError
from pats.tasks.reading import arrow
from pats.tasks.reading.source import Source

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
if sys.argv[2] == "control":
    with open(sys.argv[1], "rb") as file:
        pyarrow.parquet.ParquetFile(file).read()
elif sys.argv[2] == "read":
    arrow.read(Source("films", ".parquet", open(sys.argv[1], "rb"), True))
else:
    list(arrow.stream(Source("films", ".parquet", open(sys.argv[1], "rb"), True), 10))
print(threads() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("way", "left"), [("read", False), ("stream", False), ("control", True)])
def test_reading_leaves_no_thread_that_could_abort_the_end_of_the_process(tmp_path, way, left):
    path = tmp_path / "films.parquet"
    parquet.write_table(pyarrow.table({"text": TEXTS}), path)
    command = [sys.executable, "-c", CHILD, str(path), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (int(done.stdout) > 0) == left, done.stderr


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([2**52, 1], pyarrow.timestamp("ms")),
        pyarrow.array([1, 2], pyarrow.timestamp("s", tz="Nowhere/Land")),
        pyarrow.StringArray.from_buffers(2, *pyarrow.array([b"\xff", b"x"]).buffers()[1:]),
    ],
    ids=["far date", "unknown zone", "no Unicode"],
)
def test_a_column_that_python_cannot_hold_is_named(tmp_path, column):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["a", "b"], "when": column}), path)
    with path.open("rb") as file, pytest.raises(InputError, match=r"column 'when' of .* cannot be read"):
        arrow.read(source_of(path, file))


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([0, 1, -1, None], ["no", "yes", None, None]),
        (["x", "y", "x", "y"], None),
        ([0.0, 1.0, 0.5, 1.0], None),
    ],
)
def test_classes_are_named_where_cells_are_their_numbers(cells, found):
    about = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = pyarrow.table({"label": cells}).replace_schema_metadata({"huggingface": json.dumps(about)})
    assert arrow.of_arrow(table, "a", []).column("label") == (cells if found is None else found)
    with pytest.raises(InputError, match="holds the class 2, but names 2 classes"):
        arrow.of_arrow(table.set_column(0, "label", pyarrow.array([0, 1, 2, 0])), "a", [])


def test_lists_that_pandas_read_from_parquet_are_lists(tmp_path):
    parquet.write_table(pyarrow.table({"label": [["a", "b"], ["a"], None]}), tmp_path / "a.parquet")
    frame = pandas.read_parquet(tmp_path / "a.parquet")
    assert arrow.of_frame(frame, "a").column("label") == [["a", "b"], ["a"], None]


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": ["no", "yes"], "_type": "ClassLabel"}, "_type": "List"},
        [{"names": ["no", "yes"], "_type": "ClassLabel"}],
    ],
)
def test_lists_of_classes_have_their_names(feature):
    about = json.dumps({"info": {"features": {"labels": feature}}})
    table = pyarrow.table({"labels": [[0, 1], [1], [], None]}).replace_schema_metadata({"huggingface": about})
    assert arrow.of_arrow(table, "a", []).column("labels") == [["no", "yes"], ["yes"], [], None]
