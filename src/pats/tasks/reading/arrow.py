"""Files of Parquet and Arrow, and tables of Python: Arrow's, pandas', and what gives itself to Arrow."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pats._errors import InputError
from pats._imports import try_import
from pats.tasks.reading.source import Source, seekable
from pats.tasks.reading.table import Table, unique

_DAMAGED = "the file is damaged or cut, get it again"
# Arrow's threads may abort the process when it ends (apache/arrow 34314): read and buffer without them.
_ALONE = {"use_threads": False}


def read(source: Source) -> Table:
    """A whole Parquet file.

    Raises:
        InputError: See ``parquet``.
    """
    return of_arrow(parquet(source), source.name, source.notes)


def parquet(source: Source) -> Any:
    """A whole Parquet file as a ``pyarrow.Table``.

    Raises:
        InputError: The file is not Parquet, or is damaged or cut.
    """
    try:
        return _parquet(source).read(**_ALONE)
    except _errors() as error:
        raise _broken(source.name, error) from None


def read_ipc(source: Source) -> Table:
    """A whole file or stream of Arrow: Feather, or what ``datasets`` saves.

    Raises:
        InputError: The file is neither, or is damaged or cut.
    """
    ipc = try_import("pyarrow.ipc", "run")
    file = seekable(source)
    magic = file.read(6)
    if magic[:4] == b"FEA1":
        raise InputError(f"{source.name} is Feather of version 1: write it as version 2, or as Parquet")
    reader = ipc.open_file if magic == b"ARROW1" else ipc.open_stream
    file.seek(0)
    try:
        found = reader(file, options=ipc.IpcReadOptions(**_ALONE)).read_all()
    except _errors() as error:
        raise _broken(source.name, error, "Arrow") from None
    return of_arrow(found, source.name, source.notes)


def stream(source: Source, size: int) -> Iterator[Table]:
    """A Parquet file in batches; notes are with the first.

    Raises:
        InputError: See ``read``.
    """
    done, notes = 0, source.notes
    try:
        file = _parquet(source)
        for batch in file.iter_batches(size, **_ALONE):
            table = try_import("pyarrow", "run").Table.from_batches([batch], schema=file.schema_arrow)
            yield of_arrow(table, source.name, notes, done)
            done, notes = done + table.num_rows, []
        if not done:
            yield of_arrow(file.schema_arrow.empty_table(), source.name, notes)
    except _errors() as error:
        raise _broken(source.name, error) from None


def of_arrow(found: Any, name: str, notes: list[str], before: int = 0) -> Table:
    """The table of a ``pyarrow.Table``; numbers of classes become their names where ``datasets`` wrote them.

    Raises:
        InputError: Two columns have the same name, or one cannot be read.
    """
    columns: dict[str, list[Any]] = {}
    for column in unique(found.column_names, name):
        try:
            cells = found.column(column).to_pylist()
        except _of_a_cell() as error:
            raise InputError(
                f"column {column!r} of {name} cannot be read ({_reason(error)}): write it as plain text, or "
                "leave it out"
            ) from None
        classes = class_names(found.schema, column)
        if classes is not None:
            cells = [_named(cell, classes, column, name) for cell in cells]
        columns[column] = cells
    return Table(name, columns, range(before + 1, before + found.num_rows + 1), "row", list(notes))


def of_frame(frame: Any, name: str) -> Table:
    """The table of a frame of pandas, or of anything with ``__arrow_c_stream__``, such as one of polars.

    Raises:
        InputError: Two columns have the same name.
    """
    if type(frame).__module__.partition(".")[0] != "pandas":  # may hold what Arrow cannot
        return of_arrow(try_import("pyarrow", "run").table(frame), name, [])
    header = unique([str(one) for one in frame.columns], name)
    cells = {}
    for i, one in enumerate(header):
        cells[one] = cells_of(frame.iloc[:, i])
    return Table(name, cells, range(1, len(frame) + 1), "row")


def cells_of(column: Any) -> Any:
    """The cells of a series of pandas, an array of NumPy or Arrow, or a tensor; what else it is, as it is."""
    package = type(column).__module__.partition(".")[0]
    if package == "datasets":
        return list(column)
    if package == "pandas":  # also an index, or categories
        column = try_import("pandas", "notebook").Series(column).astype(object)
        column = column.where(column.notna(), None)
    for turn in ("to_pylist", "tolist", "to_list"):
        if hasattr(column, turn):
            cells = getattr(column, turn)()
            break
    else:
        return column
    return [cell.tolist() if getattr(cell, "ndim", 0) else cell for cell in cells]


def of_dataset(data: Any, name: str) -> Table:
    """The table of a ``datasets.Dataset``, with the names of its classes.

    Raises:
        InputError: One column cannot be read, or it is streamed and has no rows yet.
    """
    if not hasattr(data, "num_rows"):
        raise InputError(f"{name} is a stream of Hugging Face: load it whole, without streaming=True")
    found = data.with_format("arrow")[:]
    schema = data.features.arrow_schema.metadata
    return of_arrow(found.replace_schema_metadata(schema), name, [])


def class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """Class names of a Parquet column, as ``datasets`` writes them; None where it has none.

    Args:
        schema: A ``pyarrow.Schema``.
        column: Name of the column.
    """
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return None
    try:
        feature = json.loads(raw)["info"]["features"][column]
        # Of a list of classes a row, as older and newer versions write it.
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = feature["names"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return tuple(str(name) for name in names)


def with_names(cells: Sequence[Any], features: Sequence[Any], column: str, name: str) -> list[Any]:
    """Cells with the names of the classes for their numbers, where a list of features has names for a column.

    Raises:
        InputError: A number is none of a class.
    """
    for feature in features:
        if isinstance(feature, dict) and feature.get("name") == column:
            kind = feature.get("type")
            classes = kind.get("names") if isinstance(kind, dict) else None
            if isinstance(classes, list):
                return [_named(cell, tuple(map(str, classes)), column, name) for cell in cells]
    return list(cells)


def _parquet(source: Source) -> Any:
    return try_import("pyarrow.parquet", "run").ParquetFile(seekable(source), pre_buffer=False)


def _errors() -> tuple[type[Exception], ...]:
    return (try_import("pyarrow", "run").ArrowException, OSError)


def _of_a_cell() -> tuple[type[Exception], ...]:
    """What cells raise that Python cannot hold, such as far dates, or that are no Unicode."""
    return (*_errors(), OverflowError, ValueError)


def _broken(name: str, error: Exception, kind: str = "Parquet") -> InputError:
    return InputError(f"{name} cannot be read as {kind} ({_reason(error)}): {_DAMAGED}")


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _named(cell: Any, classes: Sequence[str], column: str, name: str) -> Any:
    """A cell with the names of the classes for their numbers."""
    if isinstance(cell, list):
        return [_named(one, classes, column, name) for one in cell]
    whole = isinstance(cell, int) and not isinstance(cell, bool)
    return _class_name(cell, classes, column, name) if whole else cell


def _class_name(cell: int, classes: Sequence[str], column: str, name: str) -> str | None:
    if cell == -1:  # as ``datasets`` writes a label that is not known
        return None
    if cell not in range(len(classes)):
        raise InputError(
            f"column {column!r} of {name} holds the class {cell}, but names {len(classes)} classes: mend it"
        )
    return classes[cell]
