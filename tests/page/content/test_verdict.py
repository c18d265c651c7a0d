import csv
import gzip
import hashlib
import io
from dataclasses import replace

import pytest
from rich.console import Console

from pats.page.content import document, verdict
from pats.page.content.summary import summary_of
from pats.page.content.words import between, signed
from pats.page.formats.markdown import markdown
from pats.page.formats.terminal import show
from pats.page.numbers import reading, tables
from support.made_results import make_cell

FLAT = [0.60, 0.61, 0.62, 0.63, 0.64, 0.65]


def told(cells, predictions=()):
    groups = tables.groups(cells)
    return summary_of(groups, (), reading.read(groups, dict(predictions))).verdict


def shifted(scores, *shifts):
    return [score + shift for score, shift in zip(scores, shifts or [0.0] * len(scores), strict=True)]


CASES = {
    # name: (cells, what the last sentence says, what no sentence says)
    "equal": (
        [make_cell("vanilla", FLAT), make_cell("pats", FLAT)],
        "pats and plain fine-tuning are identical on every seed: there is no difference to judge.",
        ["could have shown", "[", "p ="],
    ),
    "rounding": (
        [make_cell("vanilla", FLAT), make_cell("pats", shifted(FLAT, *[1e-15 * k for k in range(1, 7)]))],
        "pats and plain fine-tuning are identical on every seed up to rounding: there is no difference",
        ["Shown", "p ="],
    ),
    "equal and five seeds": (
        [make_cell("vanilla", FLAT[:5]), make_cell("pats", FLAT[:5])],
        "identical on every seed",
        ["can be shown", "could have shown"],
    ),
    "a constant shift that six seeds can show": (
        [make_cell("vanilla", FLAT), make_cell("pats", shifted(FLAT, *[0.004] * 6))],
        "pats +0.4 on every seed (p = 0.031)",
        ["[+0.4, +0.4]", "could have shown"],
    ),
    "a constant shift that five seeds cannot": (
        [make_cell("vanilla", FLAT[:5]), make_cell("pats", shifted(FLAT[:5], *[0.004] * 5))],
        "can be shown with 5 seeds, whatever the scores (6 seeds would allow it for 1 comparison).",
        ["could have shown"],
    ),
    "five seeds": (
        [make_cell("vanilla", FLAT[:5]), make_cell("pats", [0.7, 0.6, 0.65, 0.9, 0.5])],
        "No difference can be shown with 5 seeds, whatever the scores",
        ["could have shown"],
    ),
    "six seeds that show nothing": (
        [make_cell("vanilla", [0.5] * 6), make_cell("pats", [0.6, 0.4, 0.52, 0.48, 0.55, 0.45])],
        "No difference to plain fine-tuning was shown with 6 seeds; the smallest difference this number of "
        "seeds could have shown is about",
        ["whatever the scores"],
    ),
    "a regression with seeds that differ beyond its scale": (
        [
            make_cell("vanilla", [0.0] * 6, metric="pearson"),
            make_cell("pats", [-0.9, 0.95, 0.8, -0.7, 0.99, -0.99], metric="pearson"),
        ],
        "for pats the seeds differ so much that none on the metric's scale could.",
        ["is about"],
    ),
    "some equal": (
        [
            make_cell("vanilla", [0.5] * 7),
            make_cell("pats", [0.5] * 7),
            make_cell("sage", [0.6, 0.4, 0.52, 0.48, 0.55, 0.45, 0.5]),
        ],
        "; pats is identical to it.",
        ["whatever the scores"],
    ),
    "small, and shown with its digits": (
        [make_cell("vanilla", FLAT), make_cell("pats", shifted(FLAT, *[0.00001 * k for k in range(1, 7)]))],
        "pats +0.003 [+0.002, +0.005] (p = 0.031)",
        ["+0.0 "],
    ),
    "one seed": (
        [make_cell("vanilla", [0.5]), make_cell("pats", [0.6])],
        "one seed says nothing",
        ["could have"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_sentence_contradicts_nothing(name):
    cells, said, unsaid = CASES[name]
    sentences = told(cells)
    assert said in sentences[-1]
    assert len(sentences) == 3
    for words in unsaid:
        assert words not in " ".join(sentences[1:])


@pytest.mark.parametrize(
    ("plain", "ours", "said"),
    [
        (
            [0.5] * 5,
            [0.6, None, None, 0.7, 0.8],
            "2 of 5 runs of pats failed; pats is compared with plain fine-tuning on 3 of 5 seeds.",
        ),
        (
            [0.5, None, 0.5],
            [0.6, 0.7, None],
            "1 of 3 runs of vanilla and 1 of 3 runs of pats failed; pats is compared with plain "
            "fine-tuning on 1 of 3 seeds.",
        ),
        (
            [None, 0.5],
            [0.5, None],
            "1 of 2 runs of vanilla and 1 of 2 runs of pats failed; pats is compared with plain "
            "fine-tuning on no common seed.",
        ),
        ([0.5, 0.5], [None, None], "2 of 2 runs of pats failed."),
    ],
)
def test_failed_runs_and_fewer_common_seeds_are_said(plain, ours, said):
    sentences = told([make_cell("vanilla", plain), make_cell("pats", ours)])
    assert sentences[-2] == said
    assert len(sentences) == 4


def test_a_row_with_too_few_common_seeds_is_named_beside_one_with_enough():
    cells = [make_cell("vanilla", [0.5] * 7), make_cell("pats", [0.6, 0.4, 0.52, 0.48, 0.55, 0.45, 0.5])]
    cells.append(make_cell("sage", [0.6, 0.7, *[None] * 5]))
    assert "sage has too few common seeds for any" in told(cells)[-1]


def constants(scores, which, **more):
    """A cell whose runs with these seeds predict one constant."""
    found = make_cell("vanilla" if "label" not in more else more.pop("label"), scores, **more)
    outcomes = []
    for outcome in found.outcomes:
        result = outcome.result
        if result is not None and outcome.seed in which:
            epochs = tuple(replace(epoch, degenerate=True) for epoch in result.epochs)
            outcome = replace(outcome, result=replace(result, epochs=epochs))
        outcomes.append(outcome)
    return replace(found, outcomes=tuple(outcomes))


def test_constant_models_come_first_in_every_format():
    cells = [constants([0.5] * 2, (0, 1)), constants([0.5, 0.6], (0,), label="pats")]
    groups = tables.groups(cells)
    first = (
        "3 of 4 runs predict one constant and have learned nothing (vanilla 2, pats 1); they count in every "
        "mean: train longer (--steps or --epochs), with a higher learning rate (--lr), or on more data, "
    )
    made = document.document(groups, document.Source("pats compare"))
    console = Console(file=io.StringIO(), width=10_000)
    show(made.summary, console)
    for text in (made.verdict[0], markdown(made.summary), console.file.getvalue()):
        assert text.startswith(first)
    every = [constants([0.5] * 6, range(6)), constants([0.7] * 6, range(6), label="pats")]
    sentences = told(every)
    assert sentences[0].startswith("Nothing was learned: all 12 runs predict one constant")
    assert "no model is exported unless --force asks for it" in sentences[0]
    assert sentences[-1] == "There is no difference to judge: no model learned anything."


LABELS = ("no", "maybe", "yes")


def write(path, true, predicted):
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["split", "row", "label", "prediction"])
    rows = zip(true, predicted, strict=True)
    table.writerows(["dev", number, *pair] for number, pair in enumerate(rows))
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content))
    return {"file": path.name, "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest()}


def predicting(found, folder, *answers):
    """A cell whose runs have written these predictions; six labels no, two maybe, two yes."""
    true = ["no"] * 6 + ["maybe"] * 2 + ["yes"] * 2
    outcomes, files = [], {}
    for outcome, predicted in zip(found.outcomes, answers, strict=True):
        path = folder / f"{found.label}-{outcome.seed}.csv.gz"
        written = write(path, true, predicted)
        files[outcome.run_id] = path
        result = replace(outcome.result, predictions=written, labels=LABELS)
        outcomes.append(replace(outcome, result=result))
    return replace(found, outcomes=tuple(outcomes)), files


GOOD = ["no"] * 6 + ["maybe"] * 2 + ["yes"] * 2
BLIND = ["no"] * 8 + ["yes"] * 2


@pytest.fixture
def study(tmp_path):
    plain, first = predicting(make_cell("vanilla", [0.8, 0.8]), tmp_path, BLIND, BLIND)
    ours, second = predicting(make_cell("pats", [0.9, 1.0]), tmp_path, BLIND, GOOD)
    return [plain, ours], first | second


def test_classes_never_predicted_and_the_majority_are_named(study):
    cells, files = study
    sentences = told(cells, files)
    assert "always answering the most frequent class scores 60.0." in sentences[1]
    assert sentences[2] == "Never predicted: 'maybe' by vanilla (all 2 runs) and pats (1 of 2 runs)."
    made = document.document(tables.groups(cells), document.Source("pats compare", predictions=files))
    assert "always the most frequent class: 60.0" in made.grids[0].title
    section = next(section for section in made.sections if section.id == "classes")
    grid = section.grids[0]
    assert grid.heads == ("class", "examples", "share", "vanilla", "pats")
    assert grid.rows[1] == ("maybe", "2", "20.0 %", "never predicted", "50.0")
    assert made.grids.count(grid) == 1  # the terminal has it under the scores, a page in its own section
    assert len({*made.grids}) == len(made.grids)


def test_nothing_better_than_the_majority_comes_first(tmp_path):
    plain, files = predicting(make_cell("vanilla", [0.6, 0.6]), tmp_path, BLIND, BLIND)
    assert told([plain], files)[0].startswith(
        "No method beats always answering the most frequent class (60.0)"
    )


@pytest.mark.parametrize("how", ["gone", "cut", "other"])
def test_predictions_that_cannot_be_read_are_named(study, how):
    cells, files = study
    path = files[cells[0].outcomes[1].run_id]
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        write(path, ["no"], ["no"])
    made = document.document(tables.groups(cells), document.Source("pats compare", predictions=files))
    (note,) = [note for note in made.notes if "cannot be read" in note]
    why = {"gone": "is gone", "cut": "is cut or damaged", "other": "is not what the run wrote"}[how]
    assert note.startswith(f"The predictions of vanilla, seed 1, on cola cannot be read: {path} {why};")
    assert note in markdown(made.summary)
    # A run that never wrote any is no damage.
    assert not any("cannot be read" in note for note in told([make_cell("vanilla", [0.5])], {"x": path}))


@pytest.mark.parametrize(
    ("seeds", "family", "tasks", "said"),
    [
        (
            5,
            3,
            1,
            "With 5 seeds no difference can reach p ≤ 0.05 after Holm's correction for 3 methods, whatever "
            "the scores: 7",
        ),
        (7, 3, 1, None),
        (5, 0, 1, None),
        (
            5,
            1,
            2,
            "on a single task, whatever the scores: 6 seeds can; the mean over",
        ),
    ],
)
def test_too_few(seeds, family, tasks, said):
    found = verdict.too_few(seeds, family, tasks)
    assert found is None if said is None else said in found


def test_over_all_tasks_is_not_called_impossible():
    cells = [make_cell("vanilla", FLAT[:3]), make_cell("pats", [0.61, 0.60, 0.64])]
    cells += [make_cell("vanilla", FLAT[:3], task="rte"), make_cell("pats", [0.59, 0.63, 0.62], task="rte")]
    assert told(cells)[-1] == (
        "No difference on a single task can be shown with 3 seeds, whatever the scores (6 seeds would allow "
        "it for 1 comparison); none over all tasks was shown."
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "+0.0"), (0.04, "+0.04"), (-0.4, "-0.4"), (1e-7, "+0.000000")]
)
def test_signed(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (None, "-"),
        ((0.4, 0.4), "-"),
        ((0.41, 0.44), "[0.41, 0.44]"),
        ((0.1, 0.2), "[0.1, 0.2]"),
        ((-1e-15, 1e-15), "-"),
    ],
)
def test_between(interval, text):
    assert between(interval) == text


def test_runs_that_failed_are_not_counted_among_the_constant_ones():
    found = told([constants([0.5, None], [0]), constants([0.5, None], [0], label="pats")])
    assert found[0].startswith("Nothing was learned: all 2 runs that ended predict one constant")


def test_plain_fine_tuning_alone_has_nothing_to_be_judged_against():
    assert told([make_cell("vanilla", [0.5, 0.6])])[-1] == (
        "There is no difference to judge: only plain fine-tuning was run."
    )
