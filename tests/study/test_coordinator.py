from collections import Counter

import pytest

from made import made
from pats import InputError
from pats.run.spec import Run
from pats.study import coordinator
from pats.study.coordinator import execute
from pats.study.store import Store, write_error

pytestmark = pytest.mark.timeout(30)

RUNS = [Run(task="rte", method="vanilla").with_seed(seed) for seed in range(3)]


class Scripted:
    """An engine without processes: what becomes of every attempt of a run is written down."""

    def __init__(self, store, script, places=2):
        self.store, self.script, self.places = store, script, places
        self.submitted, self.cancelled, self.running = Counter(), [], {}

    def submit(self, attempt):
        run_id = attempt.parents[1].name
        fate = self.script.get(run_id, ["done"])[self.submitted[run_id]]
        self.submitted[run_id] += 1
        self.running[str(attempt)] = (attempt, run_id, fate)
        assert len(self.running) <= self.places
        return str(attempt)

    def poll(self):
        states = []
        for handle, (attempt, run_id, fate) in list(self.running.items()):
            if fate == "hangs":
                (attempt / "events.jsonl").open("a").close()  # there, and never touched again
                states.append((handle, "running"))
                continue
            if fate in ("done", "dies late"):
                run = next(run for run in RUNS if run.id == run_id)
                (attempt / "result.json").write_text(made(run, [0.5]).to_json())
            if fate == "done":
                self.store.commit(attempt, run_id)
            if fate == "bad":
                write_error(attempt, "the data are gone")
            if fate == "interrupt":
                raise KeyboardInterrupt
            del self.running[handle]
            states.append((handle, {"bad": "failed", "dies late": "lost"}.get(fate, fate)))
        return states

    def cancel(self, handle):
        self.cancelled.append(handle)
        self.running.pop(handle, None)

    def capacity(self):
        return self.places - len(self.running)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(coordinator, "TICK", 0.0)


def perform(tmp_path, *fates, **more):
    """Execute with these fates of the first run's attempts."""
    store = Store(tmp_path)
    engine = Scripted(store, {RUNS[0].id: list(fates)} if fates else {})
    changed = []
    errors = execute(RUNS, store, engine, on_change=lambda run: changed.append(run.id), **more)
    return store, engine, errors, changed


def test_every_run_once(tmp_path):
    store, engine, errors, changed = perform(tmp_path)
    assert errors == {}
    assert engine.submitted == {run.id: 1 for run in RUNS}
    assert sorted(changed) == sorted(run.id for run in RUNS)
    again = Scripted(store, {})
    assert execute([*RUNS, *RUNS], store, again) == {}
    assert not again.submitted


@pytest.mark.parametrize(("fates", "attempts"), [(["lost", "done"], 2), (["lost", "lost", "done"], 3)])
def test_a_killed_run_is_made_again(tmp_path, fates, attempts):
    _, engine, errors, _ = perform(tmp_path, *fates)
    assert errors == {}
    assert engine.submitted[RUNS[0].id] == attempts


def test_a_run_killed_too_often_fails_and_the_others_go_on(tmp_path):
    store, engine, errors, changed = perform(tmp_path, "lost", "lost", "lost", "done")
    assert set(errors) == {RUNS[0].id}
    assert "killed 3 times" in errors[RUNS[0].id]
    assert engine.submitted[RUNS[0].id] == 3
    assert set(changed) == {run.id for run in RUNS}
    # The next start tries again.
    assert execute(RUNS, store, Scripted(store, {})) == {}


def test_bad_input_is_not_tried_again(tmp_path):
    _, engine, errors, _ = perform(tmp_path, "bad")
    assert errors == {RUNS[0].id: "the data are gone"}
    assert engine.submitted[RUNS[0].id] == 1


def test_a_failed_run_shows_the_end_of_its_log(tmp_path):
    store = Store(tmp_path)

    class Logs(Scripted):
        def submit(self, attempt):
            (attempt / "stderr.log").write_text("Traceback\n\n  line\nValueError: seven\n")
            return super().submit(attempt)

    errors = execute(RUNS[:1], store, Logs(store, {RUNS[0].id: ["failed"]}))
    assert errors[RUNS[0].id].endswith("Traceback | line | ValueError: seven")


def test_a_process_that_dies_between_result_and_commit(tmp_path):
    _, engine, errors, _ = perform(tmp_path, "dies late")
    assert errors == {}
    assert engine.submitted[RUNS[0].id] == 1


def test_a_silent_attempt_is_lost_whatever_the_engine_says(tmp_path, monkeypatch):
    monkeypatch.setattr(coordinator, "LOST_AFTER", 0.05)
    _, engine, errors, _ = perform(tmp_path, "hangs", "done")
    assert errors == {}
    assert len(engine.cancelled) == 1
    assert engine.submitted[RUNS[0].id] == 2


def test_ctrl_c_ends_what_is_under_way(tmp_path):
    store = Store(tmp_path)
    engine = Scripted(store, {RUNS[0].id: ["hangs"], RUNS[1].id: ["interrupt"]})
    with pytest.raises(KeyboardInterrupt):
        execute(RUNS, store, engine)
    assert len(engine.cancelled) == 2
    assert not any(store.held(run.id) for run in RUNS)


def test_a_run_that_another_process_holds_is_waited_for(tmp_path):
    store = Store(tmp_path)
    held = store.claim(RUNS[0])  # by this very process, which lives
    ticks = []

    def finish():
        ticks.append(1)
        if len(ticks) == 5:
            (held / "result.json").write_text(made(RUNS[0], [0.5]).to_json())
            store.commit(held, RUNS[0].id)

    engine = Scripted(store, {})
    assert execute(RUNS, store, engine, on_tick=finish) == {}
    assert engine.submitted == {run.id: 1 for run in RUNS[1:]}


def test_retries_is_a_whole_number(tmp_path):
    with pytest.raises(InputError, match="retries is 0"):
        execute(RUNS, Store(tmp_path), Scripted(None, {}), retries=0)
