"""Scores of any unit are learned alike, and what leaves a model is in their unit."""

import csv
import gzip
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pats import InputError, Run, Study, compare
from pats.measure.check import check
from pats.measure.finetuned import measure
from pats.measure.predict import predict
from pats.run import finetune, targets, trainer
from pats.run.data import load_data
from pats.run.folder import owned
from pats.run.model import classifier, head
from pats.run.spec import RAW, STANDARDIZED
from pats.study.prepare import load_tasks
from pats.study.store.results import Store
from pats.tasks import Split
from support.architectures import ARCHITECTURES, build_model, make_batch
from support.inline_placer import InlinePlacer
from support.small_run import small_run
from support.stopped_runs import Stop, stop_at, weights_digest
from support.tiny_bert import BAD, GOOD
from support.world import by_the_example

UNITS = {"large": (25.0, 150.0), "small": (0.001, 0.5), "negative": (3.0, -4000.0)}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Writes the same scores in a unit: 100 texts, whose words tell them."""
    folder = tmp_path_factory.mktemp("scores")

    def write(size=1.0, shift=0.0):
        path = folder / f"{size}-{shift}.csv"
        words = (*BAD[:2], *GOOD[:2])
        rows = [(f"{words[i % 4]} film {i}", shift + size * (i % 4 + (i % 7) / 7)) for i in range(100)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "score"), *((text, repr(score)) for text, score in rows)])
        return path

    return write


@pytest.fixture
def run(tiny_bert, table):
    return small_run(tiny_bert, table(), method="vanilla", kind="regression", batch_size=8, epochs=6, lr=1e-2)


def of_split(folder, split):
    """Prediction and label of every row of a split."""
    lines = gzip.decompress((folder / "predictions.csv.gz").read_bytes()).decode().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    return [(float(row["prediction"]), float(row["label"])) for row in rows]


def predicted(folder):
    return np.array([score for split in ("dev", "test") for score, _ in of_split(folder, split)])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("method", ["vanilla", "pats", "rdrop", "ema"])
def test_the_unit_changes_nothing_but_the_unit(run, table, tmp_path, unit, method):
    size, shift = UNITS[unit]
    run = replace(run, method=method)
    plain = finetune(run, tmp_path / "plain")
    scaled = finetune(replace(run, data=str(table(size, shift))), tmp_path / "scaled")
    assert plain.run.targets == scaled.run.targets == STANDARDIZED
    outputs = predicted(tmp_path / "plain")
    assert outputs.std() > 0.002
    np.testing.assert_allclose(
        predicted(tmp_path / "scaled"), shift + size * outputs, atol=1e-4 * size + 1e-6 * abs(shift)
    )
    for one, other in zip(plain.epochs, scaled.epochs, strict=True):
        assert other.metrics["mae"] == pytest.approx(size * one.metrics["mae"], rel=2e-2)
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)


def test_raw_scores_of_a_large_unit_are_out_of_reach(run, table):
    """The control of the test above: without this, the unit decides."""
    data = str(table(*UNITS["large"]))
    mae = {
        each: finetune(replace(run, data=data, targets=each)).epochs[-1].metrics["mae"]
        for each in (RAW, None)
    }
    assert mae[RAW] > 100
    assert mae[None] < 40


@pytest.mark.parametrize("method", ["vanilla", "soup", "ema"])
def test_the_exported_model_gives_the_scores_by_itself(run, table, tmp_path, method):
    data = table(*UNITS["large"])
    result = finetune(replace(run, data=str(data), method=method), tmp_path / "out")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    texts = ["bad film 0", "great film 7"]
    with torch.no_grad():
        given = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits[:, 0]
    assert ((given > 100) & (given < 300)).all()
    asked = tmp_path / "asked.csv"
    asked.write_text("text\n" + "\n".join(texts) + "\n")
    told = [one.scores["score"] for one in predict(tmp_path / "out" / "model", asked)]
    assert told == pytest.approx(given.tolist(), rel=1e-4)
    # What judged the best epoch on dev is what the exported weights give.
    gaps = [abs(score - label) for score, label in of_split(tmp_path / "out", "dev")]
    assert np.mean(gaps) == pytest.approx(result.epochs[result.best_epoch].metrics["mae"], rel=1e-4)


def test_a_stopped_run_goes_on_to_the_bit(run, table, tmp_path):
    run = replace(run, data=str(table(*UNITS["large"])))
    whole = finetune(run, tmp_path / "whole")
    with pytest.raises(Stop):
        finetune(run, tmp_path / "out", on_event=stop_at("epoch", 1))
    again = finetune(run, tmp_path / "out")
    assert again.epochs == whole.epochs
    assert weights_digest(tmp_path / "out") == weights_digest(tmp_path / "whole")


@pytest.mark.parametrize("unit", UNITS)
def test_the_precision_of_a_run_does_not_round_scores(run, table, tmp_path, unit):
    """In bf16 a score of 150 is a whole number: what is written for dev is what was judged."""
    run = replace(run, data=str(table(*UNITS[unit])), precision="bf16")
    result = finetune(run, tmp_path)
    dev = of_split(tmp_path, "dev")
    assert len({score for score, _ in dev}) > 4
    gaps = [abs(score - label) for score, label in dev]
    assert np.mean(gaps) == pytest.approx(result.epochs[result.best_epoch].metrics["mae"], rel=0.02)


def test_a_trained_head_takes_what_it_learned_to_another_unit(run, table, tmp_path):
    finetune(replace(run, data=str(table(*UNITS["large"]))), tmp_path / "first")
    small = replace(run, data=str(table(*UNITS["small"])), lr=1e-9, epochs=1)
    fresh, trained = (
        finetune(replace(small, model=model)).epochs[0].metrics
        for model in (run.model, str(tmp_path / "first" / "model"))
    )
    assert trained["pearson"] > 0.8
    assert trained["mae"] < 1.05 * fresh["mae"]


def test_a_trained_head_starts_with_its_outputs(run, table, tmp_path):
    """A second training of an exported model starts where the first one ended."""
    run = replace(run, data=str(table(*UNITS["large"])))
    first = finetune(run, tmp_path / "first")
    model = str(tmp_path / "first" / "model")
    second = finetune(replace(run, model=model, lr=1e-9, epochs=1))
    assert second.epochs[0].metrics == pytest.approx(first.epochs[first.best_epoch].metrics, rel=1e-3)


def scorer(kind):
    settings = next(row[1] for row in ARCHITECTURES if row[0] == kind)
    torch.manual_seed(0)
    return build_model(kind, settings | {"num_labels": 1}).eval()


def begun(asked, model, split, fresh=frozenset()):
    data = SimpleNamespace(multilabel=False)
    return targets.begin_(Run(targets=asked), data, classifier.Loaded(model, None, fresh, 8), split)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_the_exported_weights_give_the_scores_and_the_model_keeps_its_own(kind):
    model = scorer(kind)
    name, layer = head.output_layer(model)
    fresh = frozenset(f"{name}.{own}" for own, _ in layer.named_parameters())
    scores = np.array([3.0, 5.0, 10.0])
    split = Split(("a", "b", "c"), label=tuple(scores.tolist()))
    found = begun(STANDARDIZED, model, split, fresh)
    mean = 0.0 if layer.bias is None else 6.0
    assert found == targets.Targets(mean, pytest.approx(np.sqrt(np.mean((scores - mean) ** 2))))
    bits = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = {name: value for name, value in make_batch(None, model).inputs.items() if name != "labels"}

    @torch.no_grad()
    def outputs():
        return model(**inputs).logits

    expected = torch.from_numpy(found.restored(outputs().numpy()))
    weights = found.exported(model, None)
    assert all(torch.equal(value, bits[name]) for name, value in model.state_dict().items())
    assert found.exported(model, {}) == {}
    model.load_state_dict(weights)
    torch.testing.assert_close(outputs(), expected)


@pytest.mark.parametrize("scores", [(7.0, 7.0), (0.1, 0.1, 0.1)])
def test_equal_scores_have_a_spread_of_one(scores):
    assert targets.of(scores) == targets.Targets(scores[0], 1.0)
    assert targets.of((0.0, 0.0), centred=False) == targets.Targets()


@pytest.mark.parametrize("asked", [None, RAW])
def test_scores_are_raw_where_nobody_asks(asked):
    split = Split(("a",), label=(7.0,))
    found = begun(asked, scorer("bert"), split)
    assert found.raw
    assert found.learned(split) is split


def test_a_head_of_another_form_learns_raw_scores():
    model = scorer("bert")
    model.classifier = nn.Identity()
    assert begun(STANDARDIZED, model, Split(("a", "b"), label=(7.0, 9.0))).raw


def test_a_model_that_is_looked_at_keeps_its_bits():
    model, split = scorer("bert"), Split(("a", "b", "c"), label=(0.0, 1.0, 1.0))
    model.config.num_labels, model.classifier = 2, nn.Linear(16, 2)
    data = SimpleNamespace(multilabel=True, marks=lambda labels: np.eye(2)[list(map(int, labels))])
    loaded = classifier.Loaded(model, None, frozenset({"classifier.weight", "classifier.bias"}), 8)
    before = model.classifier.bias.detach().clone()
    with targets.begun(Run(), data, loaded, split):
        assert model.classifier.bias.tolist() == pytest.approx(np.log([1.5 / 2.5, 2.5 / 1.5]))
    assert torch.equal(model.classifier.bias, before)


def test_targets_of_classes_are_refused(tiny_bert, reviews):
    with pytest.raises(
        InputError, match="targets is 'raw', but the labels of 'reviews' are classes, not scores"
    ):
        finetune(small_run(tiny_bert, reviews, targets=RAW))


@pytest.mark.parametrize("method", ["vanilla", "majority"])
def test_a_study_of_raw_scores_goes_on_with_them(run, tmp_path, method):
    """A study that was begun when tables were not standardized does not mix both; a baseline has neither."""
    study = Study(run=run, methods=(method,), baselines=(), seeds=1)
    (cell,) = study.cells(load_tasks(study).fingerprints)
    store = Store(tmp_path / "out")
    store.save_study({"study": study.to_dict(), "cells": [cell.to_dict()]})
    attempt = store.claim(cell.runs[0])
    finetune(cell.runs[0], attempt)
    assert store.commit(attempt, cell.runs[0].id)
    owned.claim(store.root, owned.STUDY)
    grown = replace(study, methods=(method, "sage"))
    result = compare(grown, store.root, engine=InlinePlacer(), force=True)
    runs = {cell.method: outcome.result.run for cell in result.cells for outcome in cell.outcomes}
    assert runs["sage"].targets == (None if method == "vanilla" else STANDARDIZED)
    told = any(
        "learned the scores as they are, and the others do so too" in note for note in result.page.notes
    )
    assert told == (method == "vanilla")
    assert runs[method].targets is None


def test_the_noise_that_check_foresees_does_not_depend_on_the_unit(run, table):
    """Without clipping, which hides the size of a gradient; raw scores are the control."""
    run = replace(run, method="pats-paper", clip=0.0)

    def noise(unit, **changes):
        return check(replace(run, data=str(table(*unit)), **changes)).accumulated

    plain, large = noise((1.0, 0.0)), noise(UNITS["large"])
    assert large == pytest.approx(plain, rel=1e-3)
    assert noise(UNITS["large"], targets=RAW) != pytest.approx(plain, rel=1e-3)


def test_sensitivities_of_a_trained_model_do_not_depend_on_the_unit(run, table, tmp_path):
    found = []
    for name, unit in (("plain", (1.0, 0.0)), ("large", UNITS["large"])):
        asked = replace(run, data=str(table(*unit)))
        finetune(asked, tmp_path / name)
        found.append(measure(str(tmp_path / name / "model"), load_data(asked), precision="fp32").whole.mean)
    assert found[0] > 0
    assert found[1] == pytest.approx(found[0], rel=1e-2)


def sharded(run, out):
    """A run whose weights are spread over the ranks, and whether this rank holds a part alone."""
    seen = set()
    step = trainer.Monitor.on_step_end

    def look(self, *args, **kwargs):
        seen.update(type(parameter).__name__ for parameter in kwargs["model"].parameters())
        return step(self, *args, **kwargs)

    given = by_the_example()
    os.environ |= given
    trainer.Monitor.on_step_end = look
    try:
        return finetune(run, out), seen
    finally:
        trainer.Monitor.on_step_end = step
        for name in given:
            del os.environ[name]


def test_sharded_weights_are_exported_in_the_unit_of_the_scores(four, run, table, tmp_path):
    run = replace(run, data=str(table(*UNITS["large"])), epochs=1)
    (result, seen), *_ = four(sharded, run, str(tmp_path / "out"))
    assert seen == {"DTensor"}
    gaps = [abs(score - label) for score, label in of_split(tmp_path / "out", "dev")]
    assert np.mean(gaps) == pytest.approx(result.epochs[-1].metrics["mae"], rel=1e-4)
    assert np.mean(gaps) < 100
