"""JSON: a record a line, a list of records, and the other ways in which tables are written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pats._errors import InputError
from pats.tasks.reading import arrow
from pats.tasks.reading.encoding import MARK, decode, detect, numbered_lines
from pats.tasks.reading.source import Source
from pats.tasks.reading.table import WARNING, Table, framed
from pats.tasks.split_names import NAMES

_WRAPPERS = ("data", "rows", "records", "examples", "items")  # keys of the list in an object that holds one
_ENTRIES = 20  # of an object of texts and labels; a record has fewer
_ADVICE = 'write a list of records, such as [{"text": "...", "label": "..."}], or a record a line'


def read(source: Source) -> Table:
    """The whole table, whatever its orientation.

    Raises:
        InputError: It is no JSON, or holds no table.
    """
    text, notes = decode(source.whole(), source.name)
    table = _table(text, source)
    table.notes[:0] = [*source.notes, *notes]
    return table


def stream(source: Source, size: int) -> Iterator[Table] | None:
    """The table in batches, if a record is in every line; None where it has to be read whole.

    A batch has the columns of all records so far.

    Raises:
        InputError: A line is no record.
    """
    sample = source.start(1 << 16)
    partial = len(sample) == 1 << 16
    encoding = detect(sample, source.name, partial)
    beginning = sample.decode(encoding.codec, "ignore").lstrip()
    if not partial or encoding.codec not in ("utf-8", "utf-8-sig") or not _lines(beginning, source):
        return None
    return _batches(source, size)


def of_values(values: Any, name: str) -> Table:
    """The table of what was read, or given by Python: records, columns or a split frame.

    Raises:
        InputError: It is none.
    """
    if isinstance(values, Mapping):
        return _of_object(values, name)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise InputError(f"{name} holds {values!r:.40}, which is no table: {_ADVICE}")
    if values and all(isinstance(row, list | tuple) for row in values):
        header, rows = values[0], values[1:]
        if not all(isinstance(one, str) for one in header):
            raise InputError(f"{name} is a list of lists whose first is no list of names: {_ADVICE}")
        table = _framed(header, rows, name, "record", 2)
        table.notes.append("The table is a list of lists, the names of the columns first.")
        return table
    for place, row in enumerate(values, 1):
        if not isinstance(row, Mapping):
            raise InputError(f"record {place} of {name} is {row!r:.40}, which is no object: {_ADVICE}")
    return _of_records(values, range(1, len(values) + 1), name, "record")


def _table(text: str, source: Source) -> Table:
    name, start = source.name, text.lstrip()[:1]
    if start != "[" and _lines(text, source):
        return _of_records(*_by_line(text, name), name, "line")
    if start == "{" and (records := _concatenated(text, name)) is not None:
        return _of_records(*records, name, "line")
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except _Twice as error:
        raise _doubled(f"an object in {name}", error) from None
    except json.JSONDecodeError as error:
        if start == "[" and source.suffix != ".json" and "\n" in text.strip():
            return _of_records(*_by_line(text, name), name, "line")
        raise InputError(
            f"line {error.lineno} of {name} is no JSON ({error.msg}): mend it, or get the file again if it "
            "is cut"
        ) from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{name} cannot be read ({error}): write such a number as text") from None
    except RecursionError:
        raise InputError(f"{name} is nested too deeply: {_ADVICE}") from None
    return of_values(values, name)


def _lines(text: str, source: Source) -> bool:
    """Whether every line is to be a record, by the name or because the first line is one."""
    if text[:1] == "[":
        return False
    if source.suffix in (".jsonl", ".ndjson") or not text.strip():
        first = text.strip().partition("\n")[0]
        return not (first and "\n" not in text.strip() and _oriented(first))
    line, _, rest = text.lstrip().partition("\n")
    try:
        return isinstance(json.loads(line), dict) and bool(rest.strip() or not _oriented(line))
    except (ValueError, RecursionError):
        # A first line that is no JSON by itself: an indented object, or a record that is damaged.
        return len(line.strip()) > 1 and line.rstrip()[-1:] == "}"


def _oriented(text: str) -> bool:
    """Whether the only object of a file is a table, and not a row of one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or not value:
        return False
    inner = value.values()
    wrapped = any(
        isinstance(one, list) and one and all(isinstance(row, dict) for row in one) for one in inner
    )
    return wrapped or all(isinstance(one, list | dict) for one in inner) or _texts_and_labels(value)


def _texts_and_labels(values: Mapping[Any, Any]) -> bool:
    """Whether the keys of an object are texts, and its values labels that recur; a wide record is none."""
    plain = all(one is None or isinstance(one, str | int | float) for one in values.values())
    if len(values) < _ENTRIES or not plain or len({*values.values()}) > len(values) / 2:
        return False
    return sum(" " in str(key).strip() for key in values) > len(values) / 2


def _concatenated(text: str, name: str) -> tuple[list[dict[str, Any]], list[int]] | None:
    """Indented records that follow each other; None where there are not several."""
    decoder, place, line = json.JSONDecoder(object_pairs_hook=_object), 0, 1
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    while place < len(text):
        if text[place].isspace():
            line += text[place] == "\n"
            place += 1
            continue
        try:
            value, end = decoder.raw_decode(text, place)
        except _Twice as error:
            raise _doubled(f"the object in line {line} of {name}", error) from None
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        records.append(value)
        lines.append(line)
        line += text.count("\n", place, end)
        place = end
    return (records, lines) if len(records) > 1 else None


def _by_line(text: str, name: str) -> tuple[list[dict[str, Any]], list[int]]:
    records, places = [], []
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            records.append(_record(line, place, name))
            places.append(place)
    return records, places


def _record(line: str, place: int, name: str) -> dict[str, Any]:
    try:
        record = json.loads(line.removeprefix(MARK), object_pairs_hook=_object)
    except _Twice as error:
        raise _doubled(f"line {place} of {name}", error) from None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InputError(
            f"line {place} of {name} is not a JSON object: every line must be one, such as "
            '{"text": "...", "label": "..."}; get the file again if it is cut'
        )
    return record


class _Twice(Exception):
    """An object has a key twice, with other values, of which Python would take the last one."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    doubled = pairs if len(found) < len(pairs) else []
    other = next((key for key, value in doubled if found[key] != value), None)
    if other is not None:
        raise _Twice(other)
    return found


def _doubled(where: str, error: _Twice) -> InputError:
    return InputError(f"{where} has the key {error.key!r} twice: keep one of the two")


def _of_records(records: Sequence[Mapping[Any, Any]], places: Sequence[int], name: str, unit: str) -> Table:
    names = dict.fromkeys(key for record in records for key in record)
    return Table(name, {str(key): [record.get(key) for record in records] for key in names}, places, unit)


def _of_object(values: Mapping[Any, Any], name: str) -> Table:
    """Columns, a split frame, records under their names, or a list under a key."""
    columns, data = values.get("columns"), values.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        table = _framed([str(one) for one in columns], data, name, "record", 1)
        table.notes.append("The table has its columns and its rows apart (split orientation).")
        return table
    shown = values.get("rows")
    if isinstance(shown, list) and isinstance(values.get("features"), list) and all(map(_is_viewed, shown)):
        return _of_viewer(values, name)
    inner = list(values.values())
    lists = [one for one in inner if isinstance(one, list | tuple)]
    if len(inner) == 1 and _records(inner[0]):
        table = of_values(inner[0], name)
        table.notes.append(f"The table is the list under the key {str(next(iter(values)))!r}.")
        return table
    if len(inner) > 1 and all(map(_records, inner)) and {str(key).lower() for key in values} <= {*NAMES}:
        return _of_splits(values, name)
    if inner and len(lists) == len(inner):
        sizes = {len(one) for one in inner}
        if len(sizes) > 1:
            raise InputError(
                f"{name} is an object of lists of different lengths ({', '.join(map(str, sorted(sizes)))}), "
                f"which are no columns: {_ADVICE}"
            )
        cells = {str(key): list(value) for key, value in values.items()}
        note = "The table is an object of columns."
        return Table(name, cells, range(1, sizes.pop() + 1), "record", [note])
    if inner and all(isinstance(one, Mapping) for one in inner):
        return _of_mappings(values, name)
    wrapped = [key for key in values if str(key).lower() in _WRAPPERS and isinstance(values[key], list)]
    if len(wrapped) == 1 or (len(lists) == 1 and len(inner) > 1):
        key = wrapped[0] if wrapped else next(key for key, one in values.items() if isinstance(one, list))
        table = of_values(values[key], name)
        table.notes.append(f"The table is the list under the key {str(key)!r}.")
        return table
    if _texts_and_labels(values):
        note = "The table is an object whose keys are the texts, and whose values the labels."
        return Table(name, {"text": [*values], "label": inner}, range(1, len(inner) + 1), "entry", [note])
    if values and not lists:
        return _of_records([values], [1], name, "record")
    raise InputError(f"{name} is an object with the keys {', '.join(map(str, values))[:80]}: {_ADVICE}")


def _is_viewed(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("row"), Mapping)


def _of_viewer(values: Mapping[Any, Any], name: str) -> Table:
    """``{"features": ..., "rows": [{"row": record}, ...]}``, as the viewer of Hugging Face's hub answers."""
    shown, features = values["rows"], values["features"]
    table = _of_records([one["row"] for one in shown], range(1, len(shown) + 1), name, "record")
    cells = {column: arrow.with_names(own, features, column, name) for column, own in table.cells.items()}
    notes = ["The table is the rows that a viewer of data sets shows."]
    total = values.get("num_rows_total")
    if (isinstance(total, int) and total > len(shown)) or values.get("truncated") is True:
        of = f" of {total}" if isinstance(total, int) else ", and not all,"
        notes.append(f"{WARNING}The file holds {len(shown)}{of} rows: get the others, too.")
    cut = sum(bool(one.get("truncated_cells")) for one in shown)
    if cut:
        notes.append(f"{WARNING}{cut} rows have cells that the viewer has cut: get the data set itself.")
    return replace(table, cells=cells, notes=notes)


def _of_splits(values: Mapping[Any, Sequence[Mapping[Any, Any]]], name: str) -> Table:
    """``{"train": [records], "test": [records]}`` is one table, whose split column has the keys."""
    records = [{**record, "split": str(key)} for key, part in values.items() for record in part]
    table = _of_records(records, range(1, len(records) + 1), name, "record")
    table.notes.append(f"The table is the lists under the keys {', '.join(map(repr, map(str, values)))}.")
    return table


def _records(value: Any) -> bool:
    """Whether a value is a list of records."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _of_mappings(values: Mapping[Any, Mapping[Any, Any]], name: str) -> Table:
    """``{"text": {"0": ...}}`` is a table of columns, ``{"0": {"text": ...}}`` one of records."""
    keys = [set(map(str, one)) for one in values.values()]
    numbers = all(str(key).isdigit() for key in values)
    inner_numbers = all(key.isdigit() for one in keys for key in one)
    columns = len(set(map(frozenset, keys))) == 1 and len(keys[0]) > len(values)  # more rows than columns
    if (inner_numbers or columns) and not numbers:
        index = list(dict.fromkeys(key for one in values.values() for key in one))
        cells = {str(key): [one.get(row) for row in index] for key, one in values.items()}
        note = "The table is an object of columns, each by the names of the rows."
        return Table(name, cells, range(1, len(index) + 1), "record", [note])
    table = _of_records(list(values.values()), range(1, len(values) + 1), name, "record")
    table.notes.append("The table is an object of records, each under its name, which is not read.")
    return table


def _framed(header: Sequence[str], rows: Sequence[Sequence[Any]], name: str, unit: str, first: int) -> Table:
    for place, row in enumerate(rows, first):
        if len(row) != len(header):
            raise InputError(
                f"{unit} {place} of {name} has {len(row)} cells, but there are {len(header)} columns: mend it"
            )
    return framed(name, header, rows, range(first, first + len(rows)), unit)


def _batches(source: Source, size: int) -> Iterator[Table]:
    names: dict[str, None] = {}
    full = numbered_lines(source.file, source.name)
    notes = list(source.notes)
    while batch := list(islice(full, size)):
        records = [_record(line, place, source.name) for place, line in batch]
        names |= dict.fromkeys(key for record in records for key in record)
        cells = {name: [record.get(name) for record in records] for name in names}
        yield Table(source.name, cells, [place for place, _ in batch], notes=notes)
        notes = []
