"""Which columns are the label: the one of several that have usual names, votes, and facts about a row."""

import random

import pytest

from pats import InputError
from pats.tasks.columns import choose
from pats.tasks.reading import open_table
from support.tables import write_table

DRAW = random.Random(0)
MOODS = ["good", "bad"]


def label_of(folder, row, rows=60, **given):
    path = write_table(folder / "a.csv", [{"text": f"it was {i}", **row(i)} for i in range(rows)])
    return choose(open_table(path), **given)[0].label


@pytest.mark.parametrize(
    ("row", "given", "label"),
    [
        (
            lambda i: {"score": 0.5 + i / 200, "sentiment": MOODS[i % 2]},
            {},
            "sentiment",
        ),  # how sure a model was
        (lambda i: {"score": i % 5, "label": MOODS[i % 2]}, {}, "label"),
        (lambda i: {"category": "book", "sentiment": MOODS[i % 2]}, {}, "sentiment"),
        (lambda i: {"category": f"number {i}", "rating": i % 5}, {}, "rating"),
        (lambda i: {"category": MOODS[i % 2], "rating": i % 5}, {"kind": "regression"}, "rating"),
        (lambda i: {"target": ["dogs", "cats"][i % 2], "stance": MOODS[i % 2]}, {}, "stance"),
        (lambda i: {"score": i / 60, "target": i}, {"label": "target"}, "target"),
        (lambda i: {"score": i / 60}, {}, "score"),
    ],
)
def test_of_usual_names_the_likely_one_is_taken(tmp_path, row, given, label):
    assert label_of(tmp_path, row, **given) == label


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (
            lambda i: {"score": i % 9, "sentiment": MOODS[i % 2]},
            "'score', 'sentiment'",
        ),  # as of votes for a post
        (
            lambda i: {"category": ["book", "film"][i % 2], "sentiment": MOODS[i % 2]},
            "'category', 'sentiment'",
        ),
        (lambda i: {"target": i / 60, "rating": ["approved", "rejected"][i % 2]}, "may be its label"),
    ],
)
def test_several_that_are_likely_are_asked_about(tmp_path, row, named):
    if "target" in row(0):  # a share beside words may be how sure somebody was
        assert label_of(tmp_path, row) == "rating"
        return
    with pytest.raises(
        InputError, match=f"several columns that may be its label, {named}: name one with --label"
    ):
        label_of(tmp_path, row)
    assert label_of(tmp_path, row, label="sentiment") == "sentiment"


def votes(names, agree):
    """Columns of 0 and 1 of people who agree in such a share of the rows."""

    def row(i):
        return {name: i % 2 if DRAW.random() < agree else DRAW.randrange(2) for name in names}

    return row


@pytest.mark.parametrize(
    ("names", "agree", "asked"),
    [
        (("rater1", "rater2", "rater3"), 0.9, True),
        (("Annotator A", "Annotator B"), 0.1, True),  # their names say it
        (("a1", "a2", "a3", "a4"), 0.95, True),
        (("topic_1", "topic_2", "topic_3"), 0.0, False),
        (("rude", "threat", "spam"), 0.95, False),
    ],
)
def test_the_votes_of_several_people_are_no_labels(tmp_path, names, agree, asked):
    row = votes(names, agree)
    if not asked:
        assert label_of(tmp_path, row) == names
        return
    with pytest.raises(
        InputError, match="look like what several people said of the same row: write one label"
    ):
        label_of(tmp_path, row)
    assert label_of(tmp_path, row, label=names) == names
    assert label_of(tmp_path, row, kind="multilabel") == names


def test_words_that_several_people_said_are_no_labels_either(tmp_path):
    with pytest.raises(InputError, match="coder_1, coder_2 look like what several people said"):
        label_of(tmp_path, lambda i: {"coder_1": MOODS[i % 2], "coder_2": MOODS[i % 3 % 2]})


def test_a_fact_in_another_notation_is_asked_about(tmp_path):
    def row(i):
        return {"unclear": bool(i % 2), "joy": i % 2, "fear": int(i % 3 == 0), "anger": int(i % 5 == 0)}

    with pytest.raises(InputError, match="but 'unclear' may be no label"):
        label_of(tmp_path, row)
    assert label_of(tmp_path, row, label=("joy", "fear")) == ("joy", "fear")


@pytest.mark.parametrize(
    ("columns", "proposed"),
    [
        (("annotator_labels", "gold_label", "split_of"), "gold_label"),
        (("airline", "airline_sentiment", "airline_sentiment_confidence"), "airline_sentiment"),
        (("mood", "airline"), "mood"),
    ],
)
def test_a_proposal_goes_by_names_before_content(tmp_path, columns, proposed):
    with pytest.raises(InputError, match=f"--label, perhaps '{proposed}'"):
        label_of(tmp_path, lambda i: {name: MOODS[i % 2] for name in columns} | {"note": f"n {i}"})
