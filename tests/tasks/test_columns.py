import pytest

from pats._errors import InputError
from pats.tasks.columns import choose
from pats.tasks.reading import open_table as read
from support.tables import write_table


@pytest.mark.parametrize(
    ("names", "given", "chosen"),
    [
        (["label", "text"], {}, ("text", None, "label")),
        (["id", "Sentence", "Rating"], {}, ("Sentence", None, "Rating")),
        (["premise", "hypothesis", "y"], {}, ("premise", "hypothesis", "y")),
        (["sentence", "question", "label"], {}, ("question", "sentence", "label")),
        (["utterance", "category"], {}, ("utterance", None, "category")),
        (["utterance", "category", "split"], {}, ("utterance", None, "category")),
        (["sentence1", "sentence2", "label"], {"text": "sentence2"}, ("sentence2", None, "label")),
        (["text", "title", "label"], {"text_pair": "title"}, ("text", "title", "label")),
        (["a", "b", "c"], {"text": "c", "text_pair": "a", "label": "b"}, ("c", "a", "b")),
        (["label", "score", "text"], {"label": "score"}, ("text", None, "score")),
        (["Text", "text", "label"], {}, ("text", None, "label")),
        (["text", "Text", "label"], {}, ("text", None, "label")),
        (["TEXT", "Text", "label"], {}, ("TEXT", None, "label")),
        (["id", " Text", "Label "], {}, (" Text", None, "Label ")),
        (["id", "tweet", "sentiment"], {}, ("tweet", None, "sentiment")),
        (["id", "title", "body", "intent"], {}, ("body", None, "intent")),
        (["id", "text", "emotion"], {}, ("text", None, "emotion")),
        (["id", "text", "polarity"], {}, ("text", None, "polarity")),
        (["topic", "text", "label"], {}, ("text", None, "label")),
        (["topic", "id", "text"], {}, ("text", None, "topic")),
        (["target", "tweet", "stance"], {}, ("tweet", None, "stance")),
        (["target", "text", "sentiment"], {}, ("text", None, "sentiment")),
        (["data", "target"], {}, ("data", None, "target")),
        (["claim", "evidence", "label"], {}, ("claim", "evidence", "label")),
        (["Sentence_A", "Sentence_B", "score"], {}, ("Sentence_A", "Sentence_B", "score")),
    ],
)
def test_columns_are_guessed_and_the_guess_is_said(tmp_path, names, given, chosen):
    columns, notes = choose(read(write_table(tmp_path / "a.csv", [dict.fromkeys(names, "x")])), **given)
    assert columns == chosen
    guessed = [name for name in chosen if name is not None and name not in given.values()]
    assert len(notes) == len(guessed)
    assert all(any(repr(name) in note for note in notes) for name in guessed)


def test_no_label_is_guessed_where_none_is_needed(tmp_path):
    table = read(write_table(tmp_path / "a.csv", [{"text": "x", "score": "1"}]))
    assert choose(table, labelled=False)[0] == ("text", None, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "--label, perhaps 'mood'"),
        ({"label": "mood"}, "--text, perhaps 'said'"),
    ],
)
def test_a_column_without_a_usual_name_is_proposed_by_its_content(tmp_path, given, said):
    rows = [{"id": i, "said": f"so it was {i}", "mood": "up" if i % 3 else "down"} for i in range(30)]
    with pytest.raises(InputError) as error:
        choose(read(write_table(tmp_path / "a.csv", rows)), **given)
    assert said in str(error.value)
    assert "id, said, mood" in str(error.value)


@pytest.mark.parametrize("marks", [(0, 1), ("0.0", "1.0"), ("", "1"), (False, True)])
def test_one_column_a_label_is_a_multi_label_table(tmp_path, marks):
    rows = [{"text": f"t {i}", "rude": marks[i % 2], "threat": marks[i % 3 == 0]} for i in range(30)]
    table = read(write_table(tmp_path / "a.csv", rows))
    columns, notes = choose(table)
    assert columns == ("text", None, ("rude", "threat"))
    assert "'rude', 'threat', which hold 0 and 1 alone" in notes[0]
    assert choose(table, label="rude")[0] == ("text", None, "rude")


FLAGS = [{"review": f"so it was {i}", "joy": i % 2, "anger": int(i % 3 == 0), "fixed": 1} for i in range(60)]


def columns_of(folder, rows, **given):
    return choose(read(write_table(folder / "a.csv", rows)), **given)[0]


def test_columns_of_0_and_1_are_labels_and_a_constant_one_is_none(tmp_path):
    assert columns_of(tmp_path, FLAGS).label == ("joy", "anger")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (lambda i: {"outcome": "up" if i % 4 else "down"}, "'outcome' may be the label, too"),
        (lambda i: {"is_reply": i % 2}, "'is_reply' may be no label"),
    ],
)
def test_columns_of_0_and_1_beside_what_may_be_the_label_are_asked_about(tmp_path, more, said):
    rows = [{**row, **more(i)} for i, row in enumerate(FLAGS)]
    with pytest.raises(InputError, match=said):
        columns_of(tmp_path, rows)
    assert columns_of(tmp_path, rows, label=("joy", "anger")).label == ("joy", "anger")
    flags = [{"review": row["review"], "is_rude": row["joy"], "is_spam": row["anger"]} for row in FLAGS]
    assert columns_of(tmp_path, flags).label == ("is_rude", "is_spam")


@pytest.mark.parametrize("form", ["a3f9b2{:04x}", "https://x.org/{}", "2024-05-{:02d} 10:15", "u{}@x.org"])
def test_the_only_column_left_is_no_text_where_it_holds_ids(tmp_path, form):
    rows = [{"what": form.format(i), "label": "ab"[i % 2]} for i in range(40)]
    with pytest.raises(InputError, match="the only one left, 'what', holds an id, a date or an address"):
        columns_of(tmp_path, rows)
    assert columns_of(tmp_path, rows, text="what").text == "what"


def test_a_question_as_a_name_is_no_row_of_data(tmp_path):
    question = "Please describe your last visit to us in a few words"
    rows = [{"Time": f"{i}", question: f"so it was {i}", "How was it?": "ab"[i % 2]} for i in range(40)]
    with pytest.raises(InputError, match="if these are the names, say which with --text and --label"):
        columns_of(tmp_path, rows)
    assert columns_of(tmp_path, rows, text=question, label="How was it?").text == question


def test_invisible_characters_in_a_name_are_ignored(tmp_path):
    rows = [{"te\u200bxt": "x", "label\ufeff": "a"}]
    assert columns_of(tmp_path, rows) == ("te\u200bxt", None, "label\ufeff")


def test_what_the_user_names_is_not_asked_about(tmp_path):
    rows = [{**row, "author": f"a{i % 5}"} for i, row in enumerate(FLAGS)]
    with pytest.raises(InputError, match="'author' may be the label"):
        columns_of(tmp_path, rows)
    assert columns_of(tmp_path, rows, kind="multilabel").label == ("joy", "anger")
    more = [{**row, "fear": int(i % 5 == 0)} for i, row in enumerate(rows)]
    assert columns_of(tmp_path, more).label == ("joy", "anger", "fear")  # a list of emotions
