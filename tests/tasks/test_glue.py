import pytest

from pats._errors import InputError
from pats.tasks import GLUE, Split, load, registry
from pats.tasks.glue import assemble, canonical


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("CoLA", "cola"),
        ("STS-B", "stsb"),
        ("sts_b", "stsb"),
        ("SST-2", "sst2"),
        ("MNLI", "mnli"),
        ("qqp", "qqp"),
    ],
)
def test_spellings(spelling, name):
    assert canonical(spelling) == name
    assert name in GLUE


@pytest.mark.parametrize(
    ("name", "metrics", "dev"),
    [
        ("cola", ("matthews",), ["dev"]),
        ("mrpc", ("f1", "accuracy"), ["dev"]),
        ("rte", ("accuracy",), ["dev"]),
        ("stsb", ("pearson", "spearman"), ["dev"]),
        ("qqp", ("f1", "accuracy"), ["dev"]),
        ("qnli", ("accuracy",), ["dev"]),
        ("mnli", ("accuracy",), ["dev_matched", "dev_mismatched"]),
        ("sst2", ("accuracy",), ["dev"]),
        ("wnli", ("accuracy",), ["dev"]),
    ],
)
def test_metrics_and_dev_splits(name, metrics, dev):
    task = GLUE[name]
    assert task.metrics == metrics
    assert task.split_names(["dev"]) == dev
    assert task.split_names(["train", "dev"]) == ["train", *dev]
    assert len(task.values) == len(task.labels)


@pytest.mark.parametrize(("rows", "said"), [(71, False), (70, True), (72, True)])
def test_counts_that_differ_warn_with_both_numbers(rows, said, recwarn):
    split = Split(("a",) * rows, ("b",) * rows, (1.0,) * rows)
    data = assemble(GLUE["wnli"], {"dev": split}, "folder", ["Before."])
    texts = [str(warning.message) for warning in recwarn]
    assert data.notes == ("Before.", *texts)
    assert bool(texts) is said
    assert all(str(rows) in text and "71" in text for text in texts)


@pytest.mark.parametrize(
    ("task", "options", "parts"),
    [
        ("glue", {}, ["'glue'", *registry()]),
        (None, {}, list(registry())),
        ("rte", {"text": "sentence"}, ["rte", "text"]),
        ("rte", {"options": {"size": 9}}, ["rte", "size"]),
        ("rte", {"need": ["test"]}, ["'test'", "train and dev"]),
        ("grammar", {"data": "x.csv"}, ["embedded", "data"]),
        ("grammar", {"options": {"sise": 9}}, ["'sise'", "size"]),
        ("grammar", {"options": {"size": "big"}}, ["size", "'big'", "whole number"]),
        (None, {"data": "x.csv", "options": {"size": 9}}, ["a table", "size"]),
    ],
)
def test_what_load_refuses(task, options, parts):
    with pytest.raises(InputError) as error:
        load(task, **options)
    assert all(part in str(error.value) for part in parts)


def test_the_embedded_task_takes_its_options_and_not_the_seed():
    small = load("Grammar", seed=1, options={"size": 60})
    assert small.source == "embedded"
    assert len(small.splits["train"]) == 60
    assert small.fingerprint == load("grammar", seed=2, options={"size": 60}).fingerprint
