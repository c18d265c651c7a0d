import pandas
import pytest

from pats.measure.predict import predict

TEXTS = ["the day was superb and warm", "the film was awful and dull", "the day was good", "it was bad"]


def test_a_frame_keeps_its_index(trained_model):
    frame = pandas.DataFrame({"text": TEXTS}, index=[7, 3, 5, 9]).sort_index()
    found = predict(trained_model, frame).to_pandas()
    assert list(found.index) == [3, 5, 7, 9]
    frame["label"] = found["prediction"]
    assert frame.loc[7, "label"] == "good"
    assert frame.loc[3, "label"] == "bad"


@pytest.mark.parametrize("name", ["text", None])
def test_a_series_is_a_column_of_texts(trained_model, name):
    series = pandas.Series(TEXTS, index=list("dcba"), name=name)
    found = predict(trained_model, series)
    assert [one.texts for one in found] == [(text,) for text in TEXTS]
    assert list(found.to_pandas().index) == list("dcba")


def test_other_tables_have_rows_from_0(trained_model):
    assert list(predict(trained_model, {"text": TEXTS}).to_pandas().index) == [0, 1, 2, 3]
