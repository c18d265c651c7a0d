"""A split by time: the oldest rows are for training, the newest for the verdict."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pats import InputError
from pats.tasks import load
from support.tables import labelled_rows, write_table

START = date(2023, 12, 1)
AB = ["a", "b"]


def day(i):
    return START + timedelta(days=(i * 37) % 60)  # 37 and 60 have no common divisor


FORMS = {
    "ISO": lambda i: day(i).isoformat(),
    "ISO with a time": lambda i: f"{day(i)}T12:30:00Z",
    "ISO with a zone": lambda i: f"{day(i)} 23:30:00-05:00",
    "seconds": lambda i: int(datetime.combine(day(i), datetime.min.time(), UTC).timestamp()),
    "days in between": lambda i: f"{(i * 37) % 60 + 0.5}",
    "dotted": lambda i: day(i).strftime("%d.%m.%Y"),
    "day first": lambda i: day(i).strftime("%d/%m/%Y"),
    "month first": lambda i: day(i).strftime("%m/%d/%Y"),
    "digits": lambda i: day(i).strftime("%Y%m%d"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_newest_rows_are_the_test(tmp_path, form):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 30, when=FORMS[form]))
    data = load(data=path, time="when")
    days = {name: [day(int(text.split()[1])) for text in split.text] for name, split in data.splits.items()}
    assert [len(own) for own in days.values()] == [42, 9, 9]
    assert max(days["train"]) < min(days["dev"])
    assert max(days["dev"]) < min(days["test"])
    (told,) = (note for note in data.notes if "the oldest first" in note)
    first, last = (
        FORMS[form](next(i for i in range(60) if day(i) == when)) for when in (START, max(days["test"]))
    )
    assert f"(train {first} to " in told
    assert f" to {last})" in told


@pytest.mark.parametrize("form", ["{:02}.{}", "{}/{}"])
def test_months_are_in_their_order(tmp_path, form):
    path = write_table(
        tmp_path / "a.csv", labelled_rows(AB * 30, when=lambda i: form.format(i % 12 + 1, 2020 + i // 12))
    )
    data = load(data=path, time="when")
    assert [int(text.split()[1]) // 12 for text in data.splits["test"].text] == [4] * len(
        data.splits["test"].text
    )


def test_rows_of_one_time_stay_together(tmp_path):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 30, year=lambda i: 2001 + i // 12))
    data = load(data=path, time="year")
    assert [len(split) for split in data.splits.values()] == [36, 12, 12]


def test_fewer_times_than_parts_are_one_sentence(tmp_path):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 30, year=lambda i: 2001 + i % 2))
    with pytest.raises(InputError, match="2 different times, but train, dev, test need one each"):
        load(data=path, time="year")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (
            lambda i: "soon" if i == 6 else day(i).isoformat(),
            "line 8 of .* 'soon' in column 'when'.*2024-05-31",
        ),
        (lambda i: "" if i == 6 else day(i).isoformat(), "line 8 of .* has nothing in column 'when'"),
        (lambda i: f"0{i % 9 + 1}/0{i % 8 + 1}/2024", "may begin with the day or the month"),
        (lambda i: ["2024-01-01", "01.02.2024"][i % 2], "no time like the others"),
        (lambda i: "" if i == 6 else f"{i % 12 + 1:02}/2024", "line 8 of .* has nothing in column 'when'"),
        (lambda i: day(i).strftime("%d.%m"), "line 2 .* does not grow with the time"),
        (lambda i: day(i).strftime("%d%m%Y"), "does not grow with the time"),
    ],
)
def test_what_is_no_time_is_one_sentence(tmp_path, when, said):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 30, when=when))
    with pytest.raises(InputError, match=said) as error:
        load(data=path, time="when")
    assert "\n" not in str(error.value)


def test_a_table_with_splits_of_its_own_takes_no_time(tmp_path):
    rows = labelled_rows(AB * 30, when=lambda i: 2000 + i, split=lambda i: ["train", "dev", "test"][i % 3])
    with pytest.raises(InputError, match="leave --time out"):
        load(data=write_table(tmp_path / "a.csv", rows), time="when")


def test_a_class_that_is_new_in_the_test_is_told(tmp_path):
    labels = [*AB * 28, "a", "a", "a", "a"]
    path = write_table(tmp_path / "a.csv", labelled_rows(labels, when=lambda i: 2000 + i))
    assert load(data=path, time="when").labels == ("a", "b")
    late = labelled_rows(["a"] * 50 + ["b"] * 10, when=lambda i: 2000 + i)
    with pytest.raises(InputError, match=r"train .* one label only"):
        load(data=write_table(tmp_path / "b.csv", late), time="when")
