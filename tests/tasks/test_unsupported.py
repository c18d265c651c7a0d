"""Tables of other tasks are recognised and refused."""

import pytest

from pats import InputError
from pats.tasks import Asked, load
from pats.tasks.inspect import inspect
from support.tables import write_table

SENTENCE = "it was the best of times and it was the worst of times, row {}"


def text(i):
    return f"text {i}"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("a.jsonl", lambda i: {"text": ["a", "b"], "label": "xy"[i % 2]}, "lists of tokens .* join"),
        ("a.jsonl", lambda i: {"text": text(i), "label": ["O", "B-PER", "O"]}, "a label for each token"),
        ("a.csv", lambda i: {"text": text(i), "label": "O B-PER I-PER O"}, "a label for each token"),
        ("a.jsonl", lambda i: {"text": text(i), "label": [0, 1, 0, 0, i % 2]}, "a label for each token"),
        ("a.jsonl", lambda i: {"text": text(i), "label": [{"start": 0, "end": 4}]}, "lists of spans"),
        ("a.csv", lambda i: {"text": text(i), "label": "01"[i % 2] + " 0 1"}, "a number for each label"),
        ("a.csv", lambda i: {"text": text(i), "label": f"[0 {i % 2} 1]"}, "a number for each label"),
        ("a.parquet", lambda i: {"text": text(i), "label": [[0, 4]]}, "lists of spans"),
        (
            "a.jsonl",
            lambda i: {"text": text(i), "label": {"answer": "x", "start": [i]}},
            "objects with parts",
        ),
        ("a.csv", lambda i: {"text": text(i), "label": SENTENCE.format(i)}, "nearly every row, as a summary"),
        (
            "a.csv",
            lambda i: {"text": f"images/{i}.JPG", "label": "xy"[i % 2]},
            r"names of files such as 'images/0\.JPG'",
        ),
    ],
)
def test_other_tasks_are_one_sentence(tmp_path, name, row, said):
    path = write_table(tmp_path / name, [row(i) for i in range(60)])
    with pytest.raises(InputError, match=said) as error:
        load(data=path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "label",
    [
        lambda i: ["x", "y"][: i % 2 + 1],
        lambda i: "AB"[i % 2],
        lambda i: SENTENCE.format(i % 2),
        lambda i: ["O", "B"][: i % 2 + 1],
    ],
)
def test_labels_that_look_like_it_stay(tmp_path, label):
    rows = [{"text": f"see image{i}.png, {i}", "label": label(i)} for i in range(60)]
    assert len(load(data=write_table(tmp_path / "a.jsonl", rows)).labels) == 2


@pytest.mark.parametrize(("form", "named"), [("https://x.org/{}.html", False), ("files/{}.pdf", True)])
def test_addresses_and_names_of_files_that_somebody_names_are_texts(tmp_path, form, named):
    rows = [{"text": form.format(i), "label": "xy"[i % 2]} for i in range(60)]
    assert load(data=write_table(tmp_path / "a.csv", rows), text="text" if named else None).labels == (
        "x",
        "y",
    )


@pytest.mark.parametrize("column", ["text", "label"])
def test_half_a_character_is_named(tmp_path, column):
    rows = [{"text": f"text {i}", "label": "xy"[i % 2]} for i in range(60)]
    rows[7][column] = "cut \ud83d"
    with pytest.raises(InputError, match=f"line 8 of .* has half a character .* in column '{column}'"):
        load(data=write_table(tmp_path / "a.jsonl", rows))
    assert not inspect(Asked(tmp_path / "a.jsonl")).usable
    (tmp_path / "b.jsonl").write_text('{"text\\ud83d": "x", "label": "a"}\n' * 30)
    with pytest.raises(InputError, match="has half a character"):
        load(data=tmp_path / "b.jsonl")
