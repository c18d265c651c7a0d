"""What a comparison and a sweep do alike, before and while their own steps are taken."""

from types import SimpleNamespace

import pytest

from pats import InputError, Run, Study
from pats.study.conduct import conduct
from pats.study.store.results import Store
from pats.study.study_run import Options
from support.inline_placer import InlinePlacer

STUDY = Study(tasks=("grammar",), methods=("vanilla",), seeds=1, run=Run(task_options={"size": 100}))


@pytest.fixture(autouse=True)
def _models_have_no_hash(monkeypatch):
    monkeypatch.setattr("pats.run.model.weights.digest", lambda model: None)


def test_steps_are_taken_alone_with_the_data_of_every_seed(tmp_path):
    options = Options(retries=2, keep_models=True)

    def steps(study_run):
        with pytest.raises(InputError, match="another comparison"), Store(tmp_path / "out").exclusive():
            pass
        return study_run

    study_run = conduct(STUDY, tmp_path / "out", [7], steps, InlinePlacer(), None, options)
    assert (study_run.study, study_run.options, study_run.notes) == (STUDY, options, [])
    assert set(study_run.data.fingerprints) == {("grammar", 0), ("grammar", 7)}
    with Store(tmp_path / "out").exclusive():
        pass  # free again


@pytest.mark.parametrize(
    ("study", "engine", "options", "said"),
    [
        (STUDY, SimpleNamespace(processes=3), Options(), "batch_size is 32, but must be a multiple of the 3"),
        (Study(tasks=("grammar",), methods=("vanila",)), InlinePlacer(), Options(), "vanila"),
        (STUDY, InlinePlacer(), Options(report_to=("tensorbord",)), "no tracker 'tensorbord'"),
        (Study(tasks=("colla",)), InlinePlacer(), Options(), "colla"),
    ],
    ids=["processes", "method", "tracker", "task"],
)
def test_what_cannot_be_used_is_refused_before_the_folder_is_taken(tmp_path, study, engine, options, said):
    with pytest.raises(InputError, match=said):
        conduct(study, tmp_path / "out", [], lambda _: pytest.fail("it went on"), engine, None, options)
    assert not (tmp_path / "out").exists()
