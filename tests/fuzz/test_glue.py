"""GLUE folders: files that are missing, damaged, cut, of another task, or no files at all."""

import os
import shutil

from hypothesis import strategies as st

from pats import tasks
from pats.tasks.glue import GLUE
from support.fuzzing.damage import TEXTS, bytes_of
from support.fuzzing.door import Fault, fuzzed

DOOR = "GLUE folders"
ROWS = 6


def line(task, header, row):
    """An official line with this row's number in its texts."""
    cells = dict.fromkeys(header, "x")
    cells |= {
        task.tsv[0]: f"a text {row}",
        task.tsv[2]: task.values[row % len(task.values)] if task.values else "2.5",
    }
    if task.tsv[1] is not None:
        cells[task.tsv[1]] = f"a second {row}"
    return [cells[name] for name in header]


def files(task):
    """The files of a small task in the official layout, as lines of cells."""
    if task.name == "mrpc":
        header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
        rows = [[str(i % 2), str(i), str(i + 50), f"a text {i}", f"a second {i}"] for i in range(ROWS)]
        return {"msr_paraphrase_train.txt": [header, *rows], "dev_ids.tsv": [["1", "51"], ["3", "53"]]}
    header = task.header or ["index", *(name for name in task.tsv if name is not None)]
    head = [] if task.header else [[*header]]
    return {f"{name}.tsv": [*head, *(line(task, header, row) for row in range(ROWS))] for name in task.rows}


def text_of(lines):
    return "".join("\t".join(cells) + "\n" for cells in lines).encode()


@st.composite
def inputs(draw):
    """A task, what is asked of it, and its files, of which one or two are not as they should be."""
    task = draw(st.sampled_from([*GLUE.values()]))
    made = files(task)
    content = {name: text_of(lines) for name, lines in made.items()}
    broken = set()
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([*made]))
        broken.discard(name)
        kind = draw(
            st.sampled_from(
                ("cell", "cell", "row", "bytes", "bytes", "cut", "other", "gone", "odd", "header")
            )
        )
        lines = [[*cells] for cells in made[name]]
        row = draw(st.integers(0, len(lines) - 1))
        if kind == "cell":
            place = draw(st.integers(0, len(lines[row]) - 1))
            lines[row][place] = draw(st.one_of(TEXTS, st.floats().map(str)))
            content[name] = text_of(lines)
        elif kind == "row":
            lines[row] = draw(st.lists(TEXTS, max_size=8))
            content[name] = text_of(lines)
        elif kind == "header":
            lines[0] = draw(st.permutations(lines[0]))
            content[name] = text_of(lines)
        elif kind == "bytes":
            content[name] = draw(bytes_of(text_of(lines)))
        elif kind == "cut":
            whole = text_of(lines)
            size = draw(st.integers(0, len(whole) - 1))
            content[name] = whole[:size]
            broken |= set() if whole[:size].endswith(b"\n") else {name}
        elif kind == "other":
            content[name] = text_of(files(draw(st.sampled_from([*GLUE.values()]))).popitem()[1])
        elif kind == "gone":
            content[name] = None
        else:
            content[name] = draw(st.sampled_from(("folder", "link", "pipe", "loop")))
    need = draw(st.sampled_from((("train", "dev"), ("train", "dev"), ("dev",))))
    inner = draw(st.sampled_from((task.folder, task.folder, task.folder.lower(), "")))
    return task, need, inner, content, bool(broken)


def lay(folder, content):
    folder.mkdir(parents=True)
    for name, one in content.items():
        path = folder / name
        if isinstance(one, bytes):
            path.write_bytes(one)
        elif one == "folder":
            path.mkdir()
        elif one == "link":
            path.symlink_to("nowhere")
        elif one == "loop":
            path.symlink_to(path.name)
        elif one == "pipe":
            os.mkfifo(path)


@fuzzed(inputs(), share=7)
def test_a_glue_folder_is_read_or_refused(door, tried):
    task, need, inner, content, incomplete = tried
    root = door.root / "glue"
    lay(root / inner, content)
    found = []
    try:
        refused = door.tried(lambda: found.append(tasks.load(task.name, str(root), need=need)))
    finally:
        shutil.rmtree(root)
    if refused is not None:
        return
    if incomplete and len(need) == 2:
        raise Fault("a file that breaks off was taken for a whole one")
    for split in found[0].splits.values():
        counts = {
            len(split.text),
            len(split.label),
            len(split.text if split.text_pair is None else split.text_pair),
        }
        if len(counts) > 1:
            raise Fault("texts and labels are not of one number")
        if task.labels and not {*split.label} <= {*map(float, range(len(task.labels)))}:
            raise Fault("a label is none of the task's")
