"""Tables that Python holds."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pats._errors import InputError
from pats.tasks.reading import arrow, jsons
from pats.tasks.reading.table import WARNING, Table
from pats.tasks.split_names import NAMES


def is_frame(data: Any) -> bool:
    """Whether data are a table that Python holds, and no path."""
    return data is not None and not isinstance(data, str | PurePath)


def is_pandas(data: Any) -> bool:
    """Whether data are a frame or series of pandas, which need not be installed."""
    return type(data).__module__.partition(".")[0] == "pandas"


def of_python(data: Any) -> Table:
    """The table of what Python holds.

    Args:
        data: A frame of pandas or one of its columns, a table of Arrow or of anything that gives itself to
            Arrow, a list of records, a mapping of columns, a data set of Hugging Face, or several by split.

    Raises:
        InputError: It is none of these, or no table.
    """
    if _is_dataset(data):
        return arrow.of_dataset(data, "the table")
    if isinstance(data, Mapping) and data and all(map(_is_dataset, data.values())):
        return _of_splits(data)
    if is_pandas(data) and hasattr(data, "to_frame"):  # a series
        data = data.to_frame("text" if data.name is None else data.name)
    if hasattr(data, "__arrow_c_stream__") or is_pandas(data):
        return arrow.of_frame(data, "the table")
    if isinstance(data, Mapping):
        data = {name: arrow.cells_of(column) for name, column in data.items()}
    if isinstance(data, Mapping | list | tuple):
        return jsons.of_values(data, "the table")
    raise InputError(
        f"data is a {type(data).__name__}: pass a path, a frame of pandas, a table of Arrow, a list of "
        "records, a mapping of columns or a data set of Hugging Face"
    )


def _is_dataset(data: Any) -> bool:
    """Whether data are a ``datasets.Dataset``, whose library need not be installed."""
    kind = type(data)
    return kind.__module__.partition(".")[0] == "datasets" and kind.__name__ in ("Dataset", "IterableDataset")


def _of_splits(splits: Mapping[Any, Any]) -> Table:
    """Data sets by split as one table, whose column ``split`` has the keys; unlabelled ones are left out."""
    unknown = [str(key) for key in splits if str(key).lower() not in NAMES]
    tables = {
        key: arrow.of_dataset(part, "the table") for key, part in splits.items() if str(key) not in unknown
    }
    if "train" not in {NAMES[str(key).lower()] for key in tables}:
        raise InputError(f"the table has the splits {', '.join(map(str, splits))}: call one of them train")
    names = list(dict.fromkeys(name for table in tables.values() for name in table.columns))
    if "split" in names:
        raise InputError("the table has several splits and a column 'split': leave one of them out")
    cells = {
        name: [cell for table in tables.values() for cell in table.cells.get(name, [None] * len(table))]
        for name in names
    }
    cells["split"] = [str(key) for key, table in tables.items() for _ in range(len(table))]
    notes = [f"The splits {', '.join(map(repr, map(str, tables)))} are one table."]
    notes += [
        f"{WARNING}The split {name!r} is not read: call it dev or test if it is one." for name in unknown
    ]
    return Table("the table", cells, range(1, len(cells["split"]) + 1), "row", notes)
