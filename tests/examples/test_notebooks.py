"""Every notebook runs from its first cell to its last in a kernel of its own, with a tiny model."""

import json
import os
from pathlib import Path

import pytest

from support.tiny_bert import make_tiny_bert

TESTS = Path(__file__).parents[1]
FOLDER = TESTS.parent / "examples" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))

# What comes behind the cell of the parameters: settings that take seconds, and no processes.
TINY = """
from dataclasses import replace

from support.inline_placer import InlinePlacer
"""
SMALL = {
    "table": (
        'settings |= {"models": "bert", "lr": 1e-3, "steps": 3}\n'
        'settings |= {"engine": InlinePlacer(), "force": True}'
    ),
    "trainer": 'settings |= {"model": "bert", "steps": 3}',
    "sweep": (
        'settings |= {"engine": InlinePlacer()}\n'
        'small = pats.Run(steps=2, max_length=32, task_options={"size": 64, "dev_size": 32})\n'
        'plan = replace(plan, study=replace(study, seeds=1, models=("bert",), run=small), trials=1)'
    ),
}
# What must then be true; it runs as a last cell.
TRUE = {
    "table": 'assert str(result.out) == "out/table"\n'
    "assert result.failures == 0\n"
    'assert set(result.to_pandas("method")["method"]) == {"vanilla", "majority", "tfidf", "frozen"}',
    "trainer": 'assert trainer.state.global_step == 3\nassert (stats["accumulated"] >= 0).all()\n'
    'assert stats["accumulated"].max() > 0',
    "sweep": 'assert set(result.study.to_pandas("method")["method"]) == {"vanilla", "pats"}\n'
    "assert result.study.failures == 0",
}


def cells(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))["cells"]


def test_there_is_one_for_each_thing_that_people_have():
    assert NOTEBOOKS == ["sweep", "table", "trainer"] == sorted(SMALL) == sorted(TRUE)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_stored_without_outputs(name):
    ran = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in ran)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What every cell shows, by notebook; a kernel a notebook."""
    nbclient, nbformat, _ = map(pytest.importorskip, ("nbclient", "nbformat", "ipykernel"))

    def execute(name):
        folder = tmp_path_factory.mktemp(name)
        make_tiny_bert(folder / "bert")
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        (place,) = (
            at for at, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())
        )
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(TINY + SMALL[name]))
        notebook.cells.append(nbformat.v4.new_code_cell(TRUE[name]))
        client = nbclient.NotebookClient(
            notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        paths = [str(TESTS.parent / "src"), str(TESTS), os.environ.get("PYTHONPATH", "")]
        client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"})
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        return [output.get("data", {}).get("text/html", output.get("text", "")) for output in outputs]

    return execute


WANTED = {
    "table": ["<iframe srcdoc=", "runs:", "<table"],
    "trainer": ["<caption>Noise</caption>", "<table"],
    "sweep": ["<iframe srcdoc=", "<caption>Run ", "<table"],
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_and_shows_what_a_reader_looks_for(name, shown):
    told = shown(name)
    for wanted in WANTED[name]:
        assert any(wanted in one for one in told), wanted
