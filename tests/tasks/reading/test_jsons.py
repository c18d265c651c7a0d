import json

import pytest

from pats._errors import InputError
from pats.tasks.reading import open_table, stream
from pats.tasks.reading.jsons import of_values


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[{"a": 1}, 2]', ["record 2", "no object"]),
        ("[1, 2]", ["record 1", "no object"]),
        ('["a"]', ["record 1", "no object"]),
        ('[{"a": 1},\n {"a": 2', ["line 2", "no JSON", "cut"]),
        ('{"a": [1, 2], "b": [1]}', ["different lengths (1, 2)"]),
        ('{"columns": ["a", "b"], "data": [[1, 2], [3]]}', ["record 2", "1 cells", "2 columns"]),
        ('[["a", "b"], ["x", 1], ["y"]]', ["record 3", "1 cells"]),
        ("[[1, 2], [3, 4]]", ["no list of names"]),
        ("[" * 100_000, ["nested too deeply"]),
        ("true", ["no table"]),
        ('{"features": [], "rows": []}', ["no rows"]),
        ('[{"a": 1' + "0" * 5000 + "}]", ["cannot be read", "write such a number as text"]),
    ],
)
def test_json_that_is_no_table(tmp_path, text, parts):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as error:
        open_table(tmp_path / "a.json")
    assert all(part in str(error.value) for part in ["a.json", *parts]), str(error.value)


def test_nested_cells_stay_and_are_no_texts(tmp_path):
    row = {"text": "x", "meta": {"id": 1}, "tags": ["a", "b"], "n": 10**30, "ok": True}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    table = open_table(tmp_path / "a.jsonl")
    assert list(table.rows()) == [row]
    assert table.texts("n") == [str(10**30)]
    with pytest.raises(InputError, match=r"line 1 .* 'meta' but a dict"):
        table.texts("meta")


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ({"num_rows_total": 2}, None),
        ({"num_rows_total": None}, None),
        ({"truncated": False}, None),
        ({"num_rows_total": 900}, "2 of 900 rows"),
        ({"truncated": True}, "2, and not all, rows"),
        ({"cut": ["text"]}, "1 rows have cells that the viewer has cut"),
    ],
)
def test_what_a_viewer_does_not_show_is_warned_of(tmp_path, more, warned):
    cut = more.pop("cut", [])
    rows = [{"row_idx": i, "row": {"text": f"t {i}", "label": i}} for i in range(2)]
    rows[1]["truncated_cells"] = cut
    classes = {"name": "label", "type": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    features = [{"name": "text", "type": {"dtype": "string"}}, classes, "odd"]
    (tmp_path / "a.json").write_text(json.dumps({"features": features, "rows": rows, **more}))
    table = open_table(tmp_path / "a.json")
    assert list(table.rows()) == [{"text": "t 0", "label": "no"}, {"text": "t 1", "label": "yes"}]
    warnings = [note for note in table.notes if note.startswith("Warning: ")]
    assert [warned in note for note in warnings] == ([] if warned is None else [True])


def test_records_may_lack_keys(tmp_path):
    (tmp_path / "a.json").write_text('[{"text": "x"}, {"label": "a", "text": null}]')
    assert list(open_table(tmp_path / "a.json").rows()) == [
        {"text": "x", "label": None},
        {"text": None, "label": "a"},
    ]


def test_a_large_file_is_streamed_by_line(tmp_path):
    rows = [{"text": f"t {i} " * 20, "label": i} for i in range(2000)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = stream(path, rows=300)
    assert list(next(batches).rows()) == rows[:300]
    assert [row for batch in batches for row in batch.rows()] == rows[300:]
    with path.open("a") as file:
        file.write('{"text": "x", "new": 1}\n')
    *before, last = stream(path, rows=300)
    assert all(batch.columns == ["text", "label"] for batch in before)
    assert last.columns == ["text", "label", "new"]
    assert list(last.rows())[-1] == {"text": "x", "label": None, "new": 1}


def test_a_list_of_records_under_the_only_key_is_the_table():
    records = [{"text": f"t {i}", "label": i % 2} for i in range(3)]
    table = of_values({"reviews": records}, "t.json")
    assert list(table.cells) == ["text", "label"]
    assert "The table is the list under the key 'reviews'." in table.notes
    assert list(of_values({"text": ["a", "b"]}, "t.json").cells) == ["text"]  # one column of texts


@pytest.mark.parametrize("keys", [("train", "test"), ("training", "Validation", "test")])
def test_lists_of_records_under_the_names_of_splits_are_one_table(tmp_path, keys):
    parts = {key: [{"text": f"{key} {i}", "label": i % 2} for i in range(n)] for n, key in enumerate(keys, 2)}
    (tmp_path / "t.json").write_text(json.dumps(parts))
    table = open_table(tmp_path / "t.json")
    assert table.column("split") == [key for key, rows in parts.items() for _ in rows]
    assert table.column("text") == [row["text"] for rows in parts.values() for row in rows]
    assert f"The table is the lists under the keys {', '.join(map(repr, keys))}." in table.notes


def test_lists_of_records_under_other_names_are_no_table():
    records = [{"text": "a", "label": 0}]
    with pytest.raises(InputError, match=r"t\.json"):
        of_values({"train": records, "models": records * 2}, "t.json")


def test_columns_by_the_names_of_the_rows():
    rows = [f"r{i}" for i in range(4)]
    columns = {"text": dict.fromkeys(rows, "t"), "label": dict(zip(rows, "abab", strict=True))}
    assert of_values(columns, "t.json").column("label") == ["a", "b", "a", "b"]
    records = {row: {"text": "t", "label": "a"} for row in rows}
    assert of_values(records, "t.json").column("label") == ["a"] * 4


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("a.csv", '[{"text": "t, u", "label": "a"}, {"text": "v", "label": "b"}]', "JSON, in spite"),
        ("a.tsv", '{"text": "t, u", "label": "a"}\n{"text": "v", "label": "b"}\n', "JSON, in spite"),
        ("a.json", 'text,label\n"t, u",a\nv,b\n', "no JSON, in spite"),
    ],
)
def test_the_content_counts_more_than_a_wrong_name(tmp_path, name, text, note):
    (tmp_path / name).write_text(text)
    for table in (open_table(tmp_path / name), next(stream(tmp_path / name))):
        assert list(table.rows()) == [{"text": "t, u", "label": "a"}, {"text": "v", "label": "b"}]
        assert any(note in one for one in table.notes)


def test_a_cell_with_a_brace_makes_no_json(tmp_path):
    (tmp_path / "a.csv").write_text("{text},label\nt,a\n")
    assert open_table(tmp_path / "a.csv").columns == ["{text}", "label"]


def test_an_object_of_texts_and_labels_is_a_table(tmp_path):
    entries = {f"text {i}": "ab"[i % 2] for i in range(30)}
    (tmp_path / "a.json").write_text(json.dumps(entries))
    table = open_table(tmp_path / "a.json")
    assert table.cells == {"text": [*entries], "label": [*entries.values()]}
    assert table.line(2).startswith("entry 3 of")
    wide = {f"column_{i}": i % 2 for i in range(30)}
    for record in (dict(list(entries.items())[:19]), wide):
        (tmp_path / "a.json").write_text(json.dumps(record))
        assert len(open_table(tmp_path / "a.json")) == 1


def test_a_key_that_says_the_same_twice_is_fine(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "t", "label": "a", "label": "a"}\n')
    assert list(open_table(tmp_path / "a.jsonl").rows()) == [{"text": "t", "label": "a"}]


DOUBLED = {
    "a.jsonl": '{"text": "t", "label": "a"}\n{"text": "t", "label": "a", "label": "b"}\n',
    "b.json": '[{"text": "t", "label": "a", "label": "b"}]',
    "c.json": '{"text": "t",\n "label": "a"}\n{"text": "t",\n "label": "a", "label": "b"}\n',
}


@pytest.mark.parametrize("name", DOUBLED)
def test_a_key_that_a_record_has_twice_is_an_error(tmp_path, name):
    (tmp_path / name).write_text(DOUBLED[name])
    with pytest.raises(InputError, match="has the key 'label' twice: keep one of the two"):
        open_table(tmp_path / name)
