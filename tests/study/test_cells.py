"""One reading of a store for the study and for its page."""

import pytest

from pats import Study
from pats.study.cells import outcome, predictions, with_results
from pats.study.store.attempt import write_error
from support.stored_studies import store_study

STUDY = Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, baselines=())


@pytest.fixture
def store(tmp_path):
    """Both seeds of plain fine-tuning have a score; of pats the first one alone."""
    return store_study(tmp_path, STUDY, {"vanilla": (0.5, 0.6), "pats": (0.7,)})


@pytest.mark.parametrize(
    ("errors", "missing", "failure"),
    [
        ([], True, "it has not been run"),
        (["the data are gone"], False, "the data are gone"),
        (["the data are gone", None], True, "it has not been run"),  # an attempt after it is under way
        ([None, "it was lost 3 times"], False, "it was lost 3 times"),
    ],
)
def test_a_run_without_a_result_has_failed_where_its_last_attempt_did(store, errors, missing, failure):
    run = STUDY.cells()[1].runs[1]
    for number, error in enumerate(errors, 1):
        attempt = store.folder(run.id) / "attempts" / f"{number}-{number:08}"
        attempt.mkdir(parents=True)
        if error is not None:
            write_error(attempt, error)
    read = outcome(store, run)
    assert (read.seed, read.run_id, read.result) == (1, run.id, None)
    assert (read.missing, read.failure) == (missing, failure)


def test_a_result_counts_whatever_an_attempt_says(store):
    run = STUDY.cells()[0].runs[0]
    attempt = store.folder(run.id) / "attempts" / "1-00000001"
    attempt.mkdir(parents=True)
    write_error(attempt, "it was lost 3 times")
    assert outcome(store, run).failure is None


def test_cells_keep_their_place_and_get_their_outcomes(store):
    planned = STUDY.cells()
    cells = with_results(store, planned)
    assert [(c.task, c.model, c.label, c.method, c.lr, c.control) for c in cells] == [
        (p.task, p.model, p.label, p.method, p.lr, p.control) for p in planned
    ]
    assert [cell.dev for cell in cells] == [{0: 50.0, 1: 60.0}, {0: 70.0}]
    files = predictions(store, cells)
    assert list(files) == [run.id for cell in planned for run in cell.runs]
    assert all(files[name] == store.folder(name) / "predictions.csv.gz" for name in files)
