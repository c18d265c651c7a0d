"""The command of the search for noise that helps, on its tiny plan and without training."""

import dataclasses
import sys
from collections import Counter

import pytest

from benchmarks import record
from benchmarks.evidence import __main__ as command
from benchmarks.evidence import plan, tiny
from benchmarks.evidence.agenda import Known
from support.made_results import make_result


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Runs the command on the tiny plan; a score follows from method, seed and rate alone."""
    monkeypatch.setattr(record, "TRIED", tmp_path / "results")
    monkeypatch.setattr(record, "ROOT", tmp_path.parent)
    monkeypatch.setattr(record, "git", lambda *arguments: "f" * 40)
    monkeypatch.setattr(record, "changes", lambda: "")
    monkeypatch.setattr(record, "fingerprint", lambda *arguments: "0" * 16)
    monkeypatch.setenv(record.TRY, "1")
    done = []

    def train(run, attempt, shift=0.0):
        done.append(run.id)
        if len(done) in stops:
            raise KeyboardInterrupt
        score = 0.5 + 0.01 * (run.method == "pats") + run.data_seed / 1e4 + moved[0]
        result = make_result(
            run, [score, score - 0.01], environment=record_environment(), timings={"total": 9.0, "cpu": 2.0}
        )
        (attempt / "result.json").write_text(result.to_json())

    stops, moved = set(), [0.0]
    monkeypatch.setattr(command, "Here", lambda: tiny.Here(train))

    def go(*words):
        monkeypatch.setattr(sys, "argv", ["evidence", *words, "--out", str(tmp_path / "out")])
        return command.main()

    go.done, go.stops, go.moved = done, stops, moved
    go.rows = lambda: record.read("evidence", record.TRIED).rows
    return go


def record_environment():
    from pats.run import environment

    return {**environment.describe(environment.device(), False), "git": {"commit": "f" * 40, "dirty": False}}


def test_all_stages_leave_rows_of_the_schema_and_nothing_is_run_twice(search):
    search("--tiny")
    rows = search.rows()
    assert Counter(row["stage"] for row in rows) == {
        "tuning": 2,
        "screening": 6,
        "final": 2,
        "confirmation": 2,
    }
    assert all(row["plan"] == tiny.TINY.digest and row["seconds"] == 2.0 for row in rows)
    origin = record.read("evidence", record.TRIED).origins[0]
    assert origin.commit == "f" * 40
    assert origin.machine.cpu
    assert origin.versions["torch"]
    assert origin.command.startswith("python -m benchmarks.evidence --stage ")
    before = len(search.done)
    search("--tiny")
    assert len(search.done) == before == len(set(search.done)) == len(rows)


def test_it_goes_on_after_a_stop(search):
    search.stops.add(5)
    assert search("--tiny") == 130
    assert len(search.rows()) == 4
    search("--tiny")
    assert len(search.rows()) == len(set(search.done)) == len(search.done) - 1


def test_some_arms_of_a_stage_come_first(search, monkeypatch):
    monkeypatch.setattr(command, "read", lambda: tiny.TINY)
    monkeypatch.setattr(command, "LocalPlacer", lambda *_, **__: command.Here())
    for name in ("tuning", "screening", "final"):
        search("--stage", name)
    before = len(search.rows())
    arms = Known(tiny.TINY, search.rows()).arms(tiny.TINY.stages["confirmation"])
    search("--stage", "confirmation", "--arms", arms[0])
    assert {row["arm"] for row in search.rows()[before:]} == {arms[0]}
    search("--stage", "confirmation")
    assert {row["arm"] for row in search.rows()[before:]} == {*arms}
    with pytest.raises(SystemExit, match=rf"^stage confirmation has no arm nil: it has {', '.join(arms)}$"):
        search("--stage", "confirmation", "--arms", arms[0], "nil")


def test_weights_that_nobody_named_are_asked_for_before_any_run(search, monkeypatch):
    models = {"minilm": plan.Model(folder=True)}
    monkeypatch.setattr(command, "TINY", dataclasses.replace(tiny.TINY, models=models))
    with pytest.raises(SystemExit, match=r"^stage tuning needs the weights of minilm: --folder minilm=DIR$"):
        search("--tiny")
    assert search.done == []


def test_another_plan_is_refused_once_a_stage_has_begun(search, monkeypatch):
    search("--tiny")
    monkeypatch.setattr(command, "TINY", dataclasses.replace(tiny.TINY, better="otherwise"))
    with pytest.raises(SystemExit, match=r"^stage tuning began with another plan"):
        search("--tiny")


@pytest.mark.parametrize(("moved", "code", "said"), [(0.0, 0, "equal"), (1e-9, 1, "DIFFERENT")])
def test_runs_made_again_are_compared_to_the_bit(search, monkeypatch, capsys, moved, code, said):
    search("--tiny")
    monkeypatch.setattr(command, "read", lambda: tiny.TINY)
    monkeypatch.setattr(command, "LocalPlacer", lambda *a, **k: command.Here())
    search.moved[0] = moved
    assert search("--again", "3", "--draw", "7") == code
    rows = [row for row in search.rows() if row["stage"] == "again"]
    assert [row["equal"] for row in rows] == [code == 0] * 3
    assert capsys.readouterr().out.count(said) == 3


def test_hours_that_are_spent_stop_it(search, monkeypatch):
    monkeypatch.setattr(command, "TINY", dataclasses.replace(tiny.TINY, hours=3 * 2.0 / 3600))
    with pytest.raises(SystemExit, match="hours of a core are spent"):
        search("--tiny")
    assert len(search.rows()) == 3


def test_the_plan_must_be_in_a_commit_as_it_is(checkout):
    path = checkout.root / "plan.yaml"
    checkout.write("plan.yaml", "a: 1\n")
    with pytest.raises(SystemExit, match=r"^plan\.yaml has changes that are in no commit: "):
        plan.commit(path)
    checkout.commit()
    made, date = plan.commit(path)
    assert made == record.git("rev-parse", "HEAD")
    assert date == record.git("log", "-1", "--format=%cI")
    checkout.write("plan.yaml", "a: 2\n")
    with pytest.raises(SystemExit, match=r"^plan\.yaml has changes"):
        plan.commit(path)
