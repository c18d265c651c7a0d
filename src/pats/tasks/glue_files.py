"""GLUE in the official layout, from local files.

The official TSV files have no quoting (a quote character is text), some start with a byte order
mark, CoLA has no header, and MRPC is distributed as Microsoft's file plus the ids of dev.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pats._errors import InputError
from pats.tasks._data import Split, TaskData
from pats.tasks.glue import GLUE, GlueTask, assemble, canonical, check_need

_MRPC_ALL = "msr_paraphrase_train.txt"
_MRPC_DEV = "dev_ids.tsv"


def load(task: GlueTask, data: str | Path, need: Sequence[str] = ("train", "dev")) -> TaskData:
    """Read a GLUE task from the official files.

    Args:
        task: The task.
        data: The folder that holds ``CoLA/``, ``MRPC/`` and so on, or the task's own folder.
        need: Which of ``"train"`` and ``"dev"`` to read; others may be absent.

    Raises:
        InputError: The folder or a needed file is missing, or a file is damaged or cut.
    """
    check_need(need)
    folder = _locate(task, Path(data))
    names = task.split_names(need)
    notes: list[str] = []
    if task.name == "mrpc" and all((folder / file).is_file() for file in (_MRPC_ALL, _MRPC_DEV)):
        splits = _mrpc(task, folder, names)
    else:
        splits = {}
        for name in names:
            path = folder / f"{name}.tsv"
            if not path.is_file():
                raise InputError(
                    f"{folder} has no {path.name}, which {task.folder} needs: put the official "
                    "file there, or leave out --data to take GLUE from the hub"
                )
            splits[name], skipped = _split(task, _read(path, task.header, task.rows[name]))
            if skipped:
                notes.append(f"{skipped} broken rows of {path.name} were skipped.")
    return assemble(task, splits, "folder", notes)


def _read_text(path: Path) -> str:
    """The text of a UTF-8 file, line ends as they are, without a byte order mark.

    Raises:
        InputError: The file cannot be read, or is not UTF-8; the first bad line is named.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"line {line} of {path} holds bytes that are not UTF-8: save the file as UTF-8"
        ) from None


@dataclass(frozen=True)
class _Tsv:
    """An official TSV as read: rows with their line numbers, and whether the last line ended."""

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    ended: bool

    def column(self, name: str) -> int:
        """Place of a column in the header."""
        if name not in self.header:
            raise InputError(
                f"{self.path} has no column {name!r}, but {', '.join(self.header)}: "
                "put GLUE's official file in its place"
            )
        return self.header.index(name)

    def damaged(self, line: int, what: str) -> InputError:
        return InputError(f"line {line} of {self.path} {what}: the file is damaged or cut, get it again")


def _locate(task: GlueTask, data: Path) -> Path:
    """The task's own folder, given that folder or its parent."""
    if not data.is_dir():
        what = "is a file" if data.exists() else "does not exist"
        raise InputError(
            f"{data} {what}, but task {task.name} needs a folder in GLUE's layout: "
            f"pass the folder that holds {task.folder}/ to --data"
        )
    children = sorted(child for child in data.iterdir() if child.is_dir())
    for child in children:
        if canonical(child.name) == task.name:
            return child
    other = GLUE.get(canonical(data.resolve().name))
    if (other is not None and other is not task) or not any(data.glob("*.tsv")):
        raise InputError(
            f"{data} does not hold task {task.name}: pass the folder that holds {task.folder}/, "
            f"or {task.folder} itself, to --data"
        )
    return data


def _read(path: Path, header: tuple[str, ...] | None, official: int) -> _Tsv:
    """Read a TSV literally: rows end at line feeds, columns at tabs, nothing is quoted."""
    lines = _read_text(path).split("\n")
    ended = lines[-1] == ""
    cells = [line.removesuffix("\r") for line in lines]
    rows = [(number, line.split("\t")) for number, line in enumerate(cells, 1) if line]
    if header is None and rows:
        header = tuple(rows.pop(0)[1])
    if header is None or not rows:
        raise InputError(f"{path} has no rows: put the official file in its place")
    file = _Tsv(path, header, rows, ended)
    # The official CoLA dev set also lacks the last line feed, but has all its rows.
    if not ended and len(rows) < official:
        raise file.damaged(rows[-1][0], f"breaks off at row {len(rows)} of {official}")
    return file


def _split(task: GlueTask, file: _Tsv) -> tuple[Split, int]:
    """Texts and labels of a file, and the number of broken rows that the task lets us skip."""
    first, target = file.column(task.tsv[0]), file.column(task.tsv[2])
    second = None if task.tsv[1] is None else file.column(task.tsv[1])
    least = max(first, second or 0) + 2  # both texts, and a label after them
    value = _label_reader(task)
    texts: list[str] = []
    pairs: list[str] = []
    labels: list[float] = []
    skipped = 0
    for line, row in file.rows:
        column = target
        if len(row) != len(file.header):
            if task.ragged == "skip":
                skipped += 1
                continue
            if task.ragged == "refuse" or len(row) < least:
                raise file.damaged(line, f"has {len(row)} columns instead of {len(file.header)}")
            column = -1
        label = value(row[column])
        if label is None:
            allowed = ", ".join(task.values) or "a number"
            raise file.damaged(line, f"has {row[column]!r} as its {task.tsv[2]}, but {allowed} is allowed")
        texts.append(row[first])
        if second is not None:
            pairs.append(row[second])
        labels.append(label)
    text_pair = None if second is None else tuple(pairs)
    return Split(tuple(texts), text_pair, tuple(labels)), skipped


def _label_reader(task: GlueTask) -> Callable[[str], float | None]:
    """A function from a cell to its label; None where the cell holds none."""
    if task.labels:
        index = {value: float(number) for number, value in enumerate(task.values)}
        return index.get

    def score(cell: str) -> float | None:
        try:
            number = float(cell)
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    return score


def _mrpc(task: GlueTask, folder: Path, names: Sequence[str]) -> dict[str, Split]:
    """Train and dev of MRPC from Microsoft's file: a mirror's ``train.tsv`` lacks one row."""
    file = _read(folder / _MRPC_ALL, None, sum(task.rows.values()))
    ids = _read(folder / _MRPC_DEV, ("#1 ID", "#2 ID"), task.rows["dev"])
    dev = {tuple(row) for _, row in ids.rows}
    everything, _ = _split(task, file)
    # Every row has all columns of the header by now, so both ids are in their places.
    first, second = (file.column(name) for name in ids.header)
    in_dev = [(row[first], row[second]) in dev for _, row in file.rows]
    return {
        name: everything.take([i for i, here in enumerate(in_dev) if here == (name == "dev")])
        for name in names
    }
