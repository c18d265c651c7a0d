import pytest

from pats import paper


@pytest.mark.parametrize(
    ("task", "model", "method", "score"),
    [
        ("cola", "bert-base-uncased", "vanilla", 58.94),
        ("rte", "google-bert/bert-base-uncased", "sage", 71.78),
        ("sst2", "FacebookAI/roberta-large", "pats-paper", 96.30),
        ("avg", "roberta-large", "noisytune", 88.56),
        ("wnli", "bert-base-uncased", "pats-paper", None),
        ("cola", "minilm", "pats-paper", None),
        ("cola", "bert-base-uncased", "other", None),
    ],
)
def test_score(task, model, method, score):
    assert paper.score(task, model, method) == score


@pytest.mark.parametrize(
    ("task", "model", "method", "lr"),
    [
        ("mnli", "bert-base-uncased", "vanilla", 8e-5),
        ("rte", "bert-base-uncased", "pats-paper", 3e-4),
        ("qnli", "roberta-large", "pats-paper", 3e-5),
        ("rte", "bert-base-uncased", "sage", None),
        ("avg", "bert-base-uncased", "pats-paper", None),
    ],
)
def test_learning_rate(task, model, method, lr):
    assert paper.learning_rate(task, model, method) == lr


@pytest.mark.parametrize("method", ["noisytune", "pats-paper"])
def test_printed_average_is_the_mean_of_the_tasks(method):
    # It is so for these; the paper's averages of plain fine-tuning and SAGE on BERT-base are not.
    tasks = [paper.score(task, "bert-base-uncased", method) for task in paper.TASKS]
    assert sum(tasks) / 8 == pytest.approx(paper.score("avg", "bert-base-uncased", method), abs=0.006)


def test_table2_lies_within_table3():
    models, methods = ("bert-base-uncased", "roberta-large"), ("vanilla", "pats-paper")
    rates = {paper.learning_rate(t, m, k) for t in paper.TASKS for m in models for k in methods}
    assert rates <= set(paper.RANGES["lr"])
