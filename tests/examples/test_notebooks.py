"""The notebook runs from its first cell to its last, in one process and with a tiny model."""

import json
from pathlib import Path

import pytest

from support.inline_placer import InlinePlacer
from support.tiny_bert import make_tiny_bert

NOTEBOOK = Path(__file__).parents[2] / "examples" / "table.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_it_is_stored_without_outputs(cells):
    ran = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in ran)


def test_every_cell_runs(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        exec(compile(source, NOTEBOOK.name, "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            bert = str(make_tiny_bert(tmp_path / "bert"))
            names["settings"] |= {"models": bert, "lr": 1e-3, "steps": 3, "engine": InlinePlacer()}
            names["settings"] |= {"progress": False}
    result = names["result"]
    assert str(result.out) == "out/table"
    assert result.failures == 0
    assert set(result.to_pandas("method")["method"]) == {"vanilla", "majority", "tfidf", "frozen"}
