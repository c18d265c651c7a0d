import pytest

from pats import InputError, Run, finetune
from pats.run import trackers


@pytest.fixture(scope="module")
def settings(tiny_bert, reviews):
    return Run(model=str(tiny_bert), data=str(reviews), method="pats", lr=1e-3, epochs=2, batch_size=16)


def test_tensorboard_is_told_and_changes_nothing(settings, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = finetune(settings, tmp_path / "told", report_to=["tensorboard"])
    silent = finetune(settings, tmp_path / "silent")
    assert told.predictions == silent.predictions
    assert told.epochs == silent.epochs
    assert not (tmp_path / "silent" / "tensorboard").exists()
    events = EventAccumulator(str(tmp_path / "told" / "tensorboard")).Reload()
    accuracy = events.Scalars("eval/accuracy")
    assert [event.value for event in accuracy] == pytest.approx([e.metrics["accuracy"] for e in told.epochs])
    assert [event.step for event in accuracy] == [epoch.step for epoch in told.epochs]
    losses, rates = events.Scalars("train/loss"), events.Scalars("train/learning_rate")
    assert len(losses) == len(rates) == told.epochs[-1].step  # a short run reports every step
    assert max(rate.value for rate in rates) == pytest.approx(1e-3, rel=0.2)


def test_a_folder_of_the_users_own_is_kept(settings, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "mine"))
    finetune(settings, tmp_path / "out", report_to=["tensorboard"])
    assert list((tmp_path / "mine").iterdir())
    assert not (tmp_path / "out" / "tensorboard").exists()


def test_unknown_and_missing_trackers(monkeypatch):
    said = r"no tracker 'tensorbord' \(did you mean 'tensorboard'\?\); those of Trainer are: .*tensorboard"
    with pytest.raises(InputError, match=said):
        trackers.check_installed(["tensorbord"])
    monkeypatch.setattr(trackers, "available", list)
    with pytest.raises(InputError, match=r"not installed: pip install \"pats-finetune\[trackers\]\""):
        trackers.check_installed(["tensorboard"])


def test_names_tell_runs_apart():
    names = {trackers.name(Run(task="rte").with_seed(seed)) for seed in range(3)}
    assert len(names) == 3
    assert all(name.startswith("rte-pats-") for name in names)
