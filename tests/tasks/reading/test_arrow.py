"""Parquet through Arrow: the cells, however the file comes, and no thread that outlives the reading."""

import gzip
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet

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
