import os

from pats.run.spec import Run
from pats.study.store.attempt import ask_to_stop, asked_to_stop, read_error, sign, write_error
from pats.study.store.results import Store


def _attempt(root):
    return Store(root).claim(Run(task="rte", method="vanilla"))


def test_an_attempt_is_asked_to_stop(tmp_path):
    attempt = _attempt(tmp_path)
    assert not asked_to_stop(attempt)
    for _ in range(2):  # who asks again does no harm
        ask_to_stop(attempt)
        assert asked_to_stop(attempt)


def test_a_full_disk_is_no_reason_for_an_error_when_asking(tmp_path):
    ask_to_stop(tmp_path / "nowhere")
    assert not asked_to_stop(tmp_path / "nowhere")


def test_an_error_is_kept_in_words_that_a_person_can_read(tmp_path):
    attempt = _attempt(tmp_path)
    assert read_error(attempt) is None
    write_error(attempt, "the table “Übungen” is gone")
    assert "“Übungen”" in (attempt / "error.json").read_text(encoding="utf-8")
    assert read_error(attempt) == "the table “Übungen” is gone"


def test_the_last_sign_is_that_of_the_worker_or_of_its_events(tmp_path):
    assert sign(tmp_path) is None
    for name, when in (("events.jsonl", 100.0), ("worker.json", 50.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (when, when))
        assert sign(tmp_path) == 100.0
    (tmp_path / "worker.json").unlink()
    assert sign(tmp_path) == 100.0
