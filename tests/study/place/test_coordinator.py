import json
from collections import Counter

import pytest

from pats import InputError
from pats.run.spec import Run
from pats.study.limit import Limit
from pats.study.place import coordinator
from pats.study.place.coordinator import execute
from pats.study.place.worker import work
from pats.study.store.attempt import ended, occupy, read_error, write_error, write_handle
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.made_results import make_result

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

    def poll(self, handles):
        states = {}
        for handle, (attempt, run_id, fate) in list(self.running.items()):
            if fate in ("hangs", "unseen"):
                occupy(attempt)  # and never touched again
                states[handle] = {"hangs": "running"}.get(fate, fate)
                continue
            if fate == "vanishes":
                continue
            if fate in ("done", "dies late", "cut off"):
                run = next(run for run in RUNS if run.id == run_id)
                (attempt / "result.json").write_text(make_result(run, [0.5]).to_json())
            if fate in ("done", "cut off"):
                self.store.commit(attempt, run_id)
            if fate == "cut off":
                states[handle] = "running"
                continue
            if fate == "bad":
                write_error(attempt, "the data are gone")
            if fate == "interrupt":
                raise KeyboardInterrupt
            del self.running[handle]
            states[handle] = {"bad": "failed", "dies late": "lost"}.get(fate, fate)
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
    assert "lost 3 times" in errors[RUNS[0].id]
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
            (attempt / "stderr.log").write_text("Traceback\n\n  line\n  ~~^^^\nValueError: seven\n")
            return super().submit(attempt)

    errors = execute(RUNS[:1], store, Logs(store, {RUNS[0].id: ["failed"]}))
    assert errors[RUNS[0].id].endswith("Traceback | line | ValueError: seven")


def test_a_process_that_dies_between_result_and_commit(tmp_path):
    _, engine, errors, _ = perform(tmp_path, "dies late")
    assert errors == {}
    assert engine.submitted[RUNS[0].id] == 1


@pytest.mark.parametrize("fate", ["hangs", "unseen"])
def test_a_silent_attempt_is_lost_whatever_the_engine_says(tmp_path, fate):
    store, engine, errors, _ = perform(tmp_path, fate, "done", lost_after=0.05)
    assert errors == {}
    assert len(engine.cancelled) == 1
    assert engine.submitted[RUNS[0].id] == 2
    assert ended(store.attempts(RUNS[0].id)[0]) == "lost"


def test_what_nobody_has_started_on_and_the_engine_lost_sight_of_is_made_again(tmp_path):
    _, engine, errors, _ = perform(tmp_path, "vanishes", "done")
    assert errors == {}
    assert engine.submitted[RUNS[0].id] == 2


def test_a_result_counts_though_the_engine_never_tells_of_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(coordinator, "GRACE", 0.05)
    _, engine, errors, changed = perform(tmp_path, "cut off")
    assert errors == {}
    assert engine.submitted[RUNS[0].id] == 1
    assert len(engine.cancelled) == 1
    assert RUNS[0].id in changed


@pytest.mark.parametrize(("known", "again"), [(True, 0), (False, 1)])
def test_what_an_earlier_coordinator_submitted_is_taken_up_where_the_engine_knows_it(tmp_path, known, again):
    store = Store(tmp_path)
    attempt = store.claim(RUNS[0])
    write_handle(attempt, str(attempt))
    (attempt / "spec.json").write_text(json.dumps({"run": RUNS[0].to_dict(), "lease": {}}))  # it is dead
    engine = Scripted(store, {})
    if known:
        engine.running[str(attempt)] = (attempt, RUNS[0].id, "done")
    assert execute(RUNS, store, engine) == {}
    assert engine.submitted[RUNS[0].id] == again
    assert store.result(RUNS[0].id) is not None


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
            (held / "result.json").write_text(make_result(RUNS[0], [0.5]).to_json())
            store.commit(held, RUNS[0].id)

    engine = Scripted(store, {})
    assert execute(RUNS, store, engine, on_tick=finish) == {}
    assert engine.submitted == {run.id: 1 for run in RUNS[1:]}


def test_retries_is_a_whole_number(tmp_path):
    with pytest.raises(InputError, match="retries is 0"):
        execute(RUNS, Store(tmp_path), Scripted(None, {}), retries=0)


class Stopping(Scripted):
    """Attempts go on until they are asked to stop; a polite one then ends by itself, without a result."""

    def __init__(self, store, polite):
        super().__init__(store, {})
        self.polite = polite

    def poll(self, handles):
        stopped = [
            h for h, (attempt, *_) in self.running.items() if self.polite and (attempt / "stop").exists()
        ]
        for handle in stopped:
            del self.running[handle]
        return dict.fromkeys(self.running, "running") | dict.fromkeys(stopped, "done")


class Clock:
    """A clock that goes on by so much with every tick."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        return self.now

    def tick(self):
        self.now += self.step


@pytest.mark.parametrize(("polite", "cancelled"), [(True, 0), (False, 2)])
def test_at_a_time_limit_runs_are_stopped_and_can_be_continued(tmp_path, polite, cancelled):
    store, clock, changed = Store(tmp_path), Clock(4.0), []
    engine = Stopping(store, polite)
    limit = Limit(100.0, clock=clock)
    errors = execute(RUNS, store, engine, limit=limit, on_tick=clock.tick, on_change=changed.append)
    assert (errors, changed) == ({}, [])
    assert len(engine.cancelled) == cancelled
    assert clock.now <= 100.0
    assert engine.submitted == {run.id: 1 for run in RUNS[:2]}
    attempts = [folder for run in RUNS for folder in store.attempts(run.id)]
    assert all(ended(folder) is not None for folder in attempts)
    assert execute(RUNS, store, Scripted(store, {})) == {}
    assert all(store.result(run.id) is not None for run in RUNS)


def test_a_run_that_fails_while_it_is_to_stop_has_failed(tmp_path):
    store, clock = Store(tmp_path), Clock(4.0)

    class Failing(Stopping):
        def poll(self, handles):
            for attempt, *_ in self.running.values():
                if (attempt / "stop").exists():
                    write_error(attempt, "the data are gone")
            return super().poll(handles)

    errors = execute(
        RUNS[:1], store, Failing(store, True), limit=Limit(100.0, clock=clock), on_tick=clock.tick
    )
    assert errors == {RUNS[0].id: "the data are gone"}


def test_a_run_that_would_not_end_in_time_is_not_started(tmp_path):
    store = Store(tmp_path)
    engine, seconds = Scripted(store, {}), {RUNS[0].id: None, RUNS[1].id: 90.0, RUNS[2].id: 1.0}
    limit = Limit(100.0, lambda run: seconds[run.id], clock=lambda: 0.0)
    assert execute(RUNS, store, engine, limit=limit) == {}
    # One whose time nobody knows is tried; what comes after the one that does not fit has nothing beside it.
    assert set(engine.submitted) == {RUNS[0].id}


def test_runs_that_become_known_take_their_place_in_the_order(tmp_path):
    store, order = Store(tmp_path), []

    class Noting(Scripted):
        def submit(self, attempt):
            order.append(attempt.parents[1].name)
            return super().submit(attempt)

    def more(errors):
        return RUNS if store.result(RUNS[0].id) is not None else None

    assert execute([RUNS[0], RUNS[2]], store, Noting(store, {}, places=1), more=more) == {}
    assert order == [run.id for run in RUNS]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
    ids=["python", "torch"],
)
def test_a_run_whose_memory_runs_out_fails_alone_and_says_so(tmp_path, capsys, error):
    class Placer(InlinePlacer):
        @staticmethod
        def train(run, attempt):
            if run.id == RUNS[1].id:
                raise error
            (attempt / "result.json").write_text(make_result(run, [0.5]).to_json())

    store = Store(tmp_path)
    errors = execute(RUNS, store, Placer())
    assert errors == {
        RUNS[1].id: "memory ran out: lower the batch size, the maximum length or the number of runs at a time"
    }
    assert [store.result(run.id) is not None for run in RUNS] == [True, False, True]
    assert "Traceback" not in capsys.readouterr().err


def test_another_error_of_a_run_is_not_called_a_lack_of_memory(tmp_path):
    attempt = Store(tmp_path).claim(RUNS[0])

    def train(run, attempt):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        work(attempt, train)
    assert read_error(attempt) is None
