"""Which columns are the label: the one of several that have usual names, votes, and facts about a row."""

import random

import pytest

from pats import InputError
from pats.tasks.columns import choose
from pats.tasks.reading import open_table
from support.tables import write_table

DRAW = random.Random(0)
MOODS, BOOKS = ["good", "bad"], ["book", "film"]


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
        (lambda i: {"score": 0.1 + i / 80, "intent": f"intent {i % 35}"}, {}, "intent"),
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
            ("score", "sentiment"),
        ),  # as of votes for a post
        (lambda i: {"category": BOOKS[i % 3 % 2], "sentiment": MOODS[i % 2]}, ("category", "sentiment")),
        (
            lambda i: {"target": i / 60, "rating": MOODS[i % 2]},
            ("rating", "target"),
        ),  # below a half of two: no
        (lambda i: {"emotion": MOODS[i % 2], "score": i / 60}, ("score", "emotion")),  # confidence
    ],
)
def test_several_that_are_likely_are_asked_about(tmp_path, row, named):
    listed = ", ".join(map(repr, named))
    with pytest.raises(
        InputError, match=f"several columns that may be its label, {listed}: name one with --label"
    ):
        label_of(tmp_path, row)
    assert label_of(tmp_path, row, label=named[1]) == named[1]


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (lambda i: {"category": BOOKS[i % 2], "target": i % 2}, "category"),
        (lambda i: {"score": i % 2, "sentiment": MOODS[i % 2]}, "sentiment"),
    ],
)
def test_a_name_is_taken_before_its_number(tmp_path, row, label):
    assert label_of(tmp_path, row) == label


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
        (("annotator_alice", "annotator_bob"), 0.1, True),
        (("rater_1_label", "rater_2_label"), 0.1, True),
        (("a1", "a2", "a3", "a4"), 0.95, True),
        (("label_ann", "label_bob"), 0.97, True),
        (("Ann view", "Bob view", "Carol view"), 0.97, True),
        (("label_toxic", "label_obscene"), 0.85, False),
        (("is_spam", "is_toxic"), 0.97, False),
        (("auto", "home"), 0.97, False),
        (("gold", "pred"), 0.9, True),
        (("label_joy", "label_fear", "label_rage"), 0.1, False),
        (("gold", "silver"), 0.1, False),
        (("topic_1", "topic_2", "topic_3"), 0.0, False),
        (("rude", "threat", "spam"), 0.95, False),
        (tuple(f"code_{i}" for i in range(12)), 0.95, False),  # so many do not vote
    ],
)
def test_the_votes_of_several_people_are_no_labels(tmp_path, names, agree, asked):
    row = votes(names, agree)
    if not asked:
        assert label_of(tmp_path, row) == names
        return
    every = " ".join(f"'{name}'" if " " in name else name for name in names)
    with pytest.raises(
        InputError, match=f"look like what several people or programs said .* or say --label {every} if"
    ):
        label_of(tmp_path, row)
    assert label_of(tmp_path, row, label=names) == names
    assert label_of(tmp_path, row, kind="multilabel") == names


def test_words_that_several_people_said_are_no_labels_either(tmp_path):
    with pytest.raises(
        InputError, match=r"coder_1, coder_2 look like what .* or say --label coder_1 if one of"
    ):
        label_of(tmp_path, lambda i: {"coder_1": MOODS[i % 2], "coder_2": MOODS[i % 3 % 2]})


@pytest.mark.parametrize(
    "people", [("worker_id", "annotator_id"), ("annotator", "reviewer"), ("judge_name", "expert_name")]
)
def test_who_said_it_is_no_vote(tmp_path, people):
    def row(i):
        return {
            people[0]: f"w{i % 4}",
            people[1]: f"a{i % 5}",
            "joy": i % 2,
            "fear": i // 2 % 2,
            "rage": i // 3 % 2,
        }

    assert label_of(tmp_path, row) == ("joy", "fear", "rage")


def test_a_fact_in_another_notation_is_asked_about(tmp_path):
    def row(i):
        return {"unclear": bool(i % 2), "joy": i % 2, "fear": int(i % 3 == 0), "anger": int(i % 5 == 0)}

    with pytest.raises(
        InputError, match=r"but 'unclear' may be no label: .* such as --label joy fear anger$"
    ):
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
