"""A new task is one file: help, loading, a run and a study know it from there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pats import InputError, Run, Study, compare, tasks
from pats.cli import main
from support.added_file import added
from support.inline_placer import InlinePlacer

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"

PARITY = '''
"""Whether a line has an even number of words."""

from random import Random

from pats.tasks import Asked, Split, Task, TaskData


class Parity(Task):
    """Even or odd."""

    name = "parity"
    aliases = ("evenness",)
    labels = ("odd", "even")
    metrics = ("accuracy", "matthews")
    options = {"size": 40}

    def embedded(self, asked: Asked) -> TaskData:
        size = {**self.options, **asked.options}["size"]
        return self.made({name: _split(name, size) for name in ("train", "dev")}, "embedded")


def _split(name: str, size: int) -> Split:
    draw = Random(name)
    counts = [draw.randint(1, 6) for _ in range(size)]
    return Split(tuple("word " * count for count in counts), label=tuple(float(n % 2 == 0) for n in counts))
'''

LINES = '''
"""The lines of two files, from a folder alone."""

from pathlib import Path

from pats.tasks import Split, Task


class Lines(Task):
    name = "lines"
    labels = ("no", "yes")
    metrics = ("accuracy",)
    sources = ("folder",)

    def folder(self, asked):
        texts = {name: Path(asked.data, name).read_text().split() for name in ("train", "dev")}
        splits = {name: Split(tuple(words), label=(0.0, 1.0) * 2) for name, words in texts.items()}
        return self.made(splits, "folder", ["Two files."])
'''


@pytest.fixture(scope="module", autouse=True)
def parity(tmp_path_factory):
    with added("pats.tasks", "parity", PARITY, tmp_path_factory.mktemp("tasks")):
        yield


@pytest.fixture
def lines(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / name).write_text("a b c d")
    with added("pats.tasks", "lines", LINES, tmp_path):
        yield tmp_path


@pytest.mark.parametrize("name", ["parity", "Parity", "evenness", "Even-Ness"])
def test_it_is_found_by_its_names(name):
    data = tasks.load(name, options={"size": 10})
    assert (data.name, data.labels, data.source) == ("parity", ("odd", "even"), "embedded")
    assert (data.metric, data.metrics) == ("accuracy", ("accuracy", "matthews"))
    assert len(data.splits["train"]) == 10


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": "here"}, "the task 'parity' takes no data, but 'here' was given: leave it out"),
        ({"label": "y"}, "takes no label"),
        ({"options": {"sise": 3}}, "the task 'parity' has no option 'sise' (did you mean 'size'?), but size"),
        ({"options": {"size": 0.5}}, "option size of the task 'parity' is 0.5: give a whole number"),
    ],
)
def test_what_it_does_not_take_is_refused(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        tasks.load("parity", **given)


def test_a_task_of_files_takes_a_folder_and_no_options(lines):
    data = tasks.load("lines", lines)
    assert (data.splits["dev"].text, data.source, data.notes) == (
        ("a", "b", "c", "d"),
        "folder",
        ("Two files.",),
    )
    with pytest.raises(InputError, match="the task 'lines' takes no option size"):
        tasks.load("lines", lines, options={"size": 3})
    with pytest.raises(InputError, match="brings no examples of its own: say where they are with --data"):
        tasks.load("lines")


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_help_and_messages_name_it(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert "grammar, parity; my_module:MyTask" in " ".join(capsys.readouterr().out.split())
    assert main([verb, "--task", "nothing", "--out", "nowhere"]) == 2
    assert "sst2, wnli, grammar, parity, or leave it out" in capsys.readouterr().err


def test_a_study_gives_each_task_the_data_that_it_takes(lines, tiny_bert, tmp_path):
    """The folder is for the one that reads files."""
    run = Run(model=str(tiny_bert), data=str(lines), epochs=1, batch_size=8, lr=1e-3)
    study = Study(tasks=("parity", "lines", "grammar"), methods=("vanilla",), seeds=1, run=run)
    taken = {task: study.base(task, "minilm").data for task in (*study.tasks, "nothing")}
    assert taken == {"parity": None, "lines": str(lines), "grammar": None, "nothing": str(lines)}
    found = compare(replace(study, tasks=("parity", "lines")), tmp_path / "out", engine=InlinePlacer())
    assert found.failures == 0
    assert [(group.task, group.lines[0].cell.metric) for group in found.groups] == [
        ("parity", "accuracy"),
        ("lines", "accuracy"),
    ]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The current folder, with the example of docs/extending.md in ``my_tasks.py``."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if "(Task)" in block)
    (tmp_path / "my_tasks.py").write_text(example + "\n\nclass Nameless(Task):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_example_of_the_docs_runs_in_another_process(own, tiny_bert, tmp_path, capsys):
    argv = ["compare", "--tasks", "my_tasks:Parity", "--model", str(tiny_bert), "--methods", "vanilla"]
    argv += ["--seeds", "1", "--epochs", "1", "--task-option", "size=16", "--workers", "1", "--quiet"]
    assert main(argv) == 0, capsys.readouterr().err
    (path,) = tmp_path.glob("out/runs/*/result.json")
    result = json.loads(path.read_text())
    assert (result["run"]["task"], result["sizes"]) == ("my_tasks:Parity", {"train": 16, "dev": 16})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_tasks:Nothing", "'my_tasks' has no subclass of pats.tasks.Task named 'Nothing'"),
        ("my_tasks:Nameless", "give its class a name and metrics"),
        ("no_such:Task", "there is no module 'no_such'"),
        ("../my_tasks:Parity", "write my_module:MyTask"),
    ],
)
def test_a_task_of_ones_own_that_cannot_be_used(own, name, said):
    with pytest.raises(InputError, match=said):
        tasks.load(name)
