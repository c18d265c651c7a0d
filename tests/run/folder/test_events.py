import json
import os

import pytest

from pats.run.folder import events


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_file_and_listener(tmp_path):
    heard = []
    with events.Journal(tmp_path / "e.jsonl", heard.append) as journal:
        journal.emit("start", task="cola")
        assert lines(tmp_path / "e.jsonl") == heard  # it is there at once
        journal.emit("end", status="done")
    assert [event["event"] for event in heard] == ["start", "end"]
    with events.Journal(tmp_path / "e.jsonl") as journal:
        journal.emit("start")
    assert len(lines(tmp_path / "e.jsonl")) == 3


def test_heartbeat_goes_to_the_file_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    heard = []
    with events.Journal(tmp_path / "e.jsonl", heard.append):
        while not lines(tmp_path / "e.jsonl"):
            pass
    assert {event["event"] for event in lines(tmp_path / "e.jsonl")} == {"heartbeat"}
    assert heard == []


def test_an_exception_is_written(tmp_path):
    with pytest.raises(RuntimeError), events.Journal(tmp_path / "e.jsonl"):
        raise RuntimeError("broken")
    (last,) = lines(tmp_path / "e.jsonl")
    assert (last["event"], last["status"], last["error"]) == ("end", "error", "RuntimeError: broken")


def test_a_full_disk_does_not_hide_what_ended_the_run(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeError, match="broken"), events.Journal(tmp_path / "e.jsonl"):
        raise RuntimeError("broken")


def test_no_file():
    with events.Journal(None) as journal:
        journal.emit("start")
