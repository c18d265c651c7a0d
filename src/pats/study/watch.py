"""How far a study is, read from its store alone, and shown while it runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pats import _schema
from pats.page.content.words import duration
from pats.run.folder.events import Sign
from pats.run.folder.files import EVENTS
from pats.run.spec import Run
from pats.study.notebook import Bar
from pats.study.plan.planned import PlannedCell
from pats.study.store.attempt import read_error
from pats.study.store.results import Store

REFRESH = 1.0  # seconds between two looks at the store
TAIL = 8192  # bytes of the events that are read


@dataclass(frozen=True)
class RunState:
    """How far one run is.

    Args:
        run_id: Its id.
        task: Name of its task.
        model: Name of its model.
        label: Row of the table.
        seed: Its seed.
        state: ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
        share: Share of its steps that is done, in [0, 1].
        epoch: Passes over the data so far; None before the first sign.
        loss: Last training loss; None before the first.
        score: Best dev score × 100 of a finished run.
        error: Why it failed.
        attempts: Attempts so far, those included that were killed or lost.
    """

    run_id: str
    task: str
    model: str
    label: str
    seed: int
    state: str
    share: float = 0.0
    epoch: float | None = None
    loss: float | None = None
    score: float | None = None
    error: str | None = None
    attempts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Left(NamedTuple):
    """Seconds that are left of the work, and to the time limit; None where nobody knows, or none is."""

    work: float | None = None
    limit: float | None = None

    def in_words(self) -> str:
        """The end of a line about what is done."""
        if self.limit is not None and (self.work is None or self.work > self.limit):
            return f", the time limit ends it in {duration(max(self.limit, 0.0))}"
        return "" if self.work is None else f", about {duration(self.work)} left"


class Watched:
    """A study that is looked at again and again; what has not changed is not read again.

    Args:
        store: The study's store; nothing but its files is asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key: object = None
        self._cells: list[PlannedCell] = []
        self._until: float | None = None
        self.coming = 0  # runs that are not known yet

    def look(self) -> list[RunState]:
        """The state of every run.

        Raises:
            InputError: There is no study.
        """
        key = self._store.study_key()
        if key is None or key != self._key:
            plan = self._store.study()
            self._cells = self._store.planned(plan)
            self._key = key
            self._until, self.coming = plan.get("until"), int(plan.get("coming", 0))
        return look(self._store, self._cells)

    def left(self, work: float | None) -> Left:
        """What is left of the work, as given, and to the time limit."""
        return Left(work, None if self._until is None else self._until - time.time())


def look(store: Store, cells: Sequence[PlannedCell]) -> list[RunState]:
    """The state of every run of the cells."""
    return [_state(store, cell, run) for cell in cells for run in cell.runs]


def _state(store: Store, cell: PlannedCell, run: Run) -> RunState:
    place = (run.id, cell.task, cell.model, cell.label, run.data_seed)
    result = store.result(run.id)
    if result is not None:
        score = None if result.best is None else 100 * result.best
        state = "done" if result.status == "done" else "failed"
        return RunState(*place, state, 1.0, score=score, error=result.error, attempts=1)
    attempts = store.attempts(run.id)
    if not attempts:
        return RunState(*place, "waiting")
    held = store.held(run.id)
    error = None if held else read_error(attempts[-1])
    if error is not None:
        return RunState(*place, "failed", 1.0, error=error, attempts=len(attempts))
    # A young attempt may not have reported anything yet, and goes on from where the last one was.
    event = next((sign for path in reversed(attempts) if (sign := _last(store, path / EVENTS))), None)
    event = event or Sign(event="none")
    share = _share(event)
    loss = event.get("loss", event.get("train_loss"))
    state = "running" if held else "waiting"
    return RunState(*place, state, share, event.get("epoch"), loss, attempts=len(attempts))


def share_done(store: Store, run: Run) -> float:
    """The share of a run's steps that it has done, in whatever attempt."""
    signs = (sign for path in reversed(store.attempts(run.id)) if (sign := _last(store, path / EVENTS)))
    return _share(next(signs, None))


def _share(event: Sign | None) -> float:
    steps = 0 if event is None else event.get("steps", 0)
    return 0.0 if event is None or steps <= 0 else min(max(event.get("step", 0) / steps, 0.0), 1.0)


def _last(store: Store, events: Path) -> Sign | None:
    """The last progress or epoch; a torn last line is passed over, another that does not fit is named."""
    if not events.is_file():
        return None
    try:
        with events.open("rb") as file:
            start = max(0, events.stat().st_size - TAIL)
            file.seek(start)
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for number, line in enumerate(reversed(lines)):
        try:
            event = _schema.build(Sign, _schema.parse(line))
        except _schema.Misfit as misfit:
            torn = number == 0 or (start > 0 and number == len(lines) - 1)
            if not torn and line.strip():
                store.complain(f"a line of {events} is passed over: {misfit}")
            continue
        if event["event"] in ("progress", "epoch"):
            return event
    return None


class Pace:
    """The time that is left, from the pace since the first look."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def left(self, states: Sequence[RunState]) -> float | None:
        """Seconds; None while nothing has moved."""
        done, now = sum(state.share for state in states), time.monotonic()
        if self._start is None:
            self._start = (done, now)
        gained = done - self._start[0]
        return (len(states) - done) * (now - self._start[1]) / gained if gained > 0 else None


def draw(states: Sequence[RunState], left: float | Left | None, coming: int = 0) -> RenderableType:
    """A bar and one line a cell; so many runs more are to follow."""
    count = {name: sum(state.state == name for state in states) for name in ("done", "running", "failed")}
    line = f"{count['done']} of {len(states) + coming} runs done, {count['running']} running"
    line += f", {count['failed']} failed" if count["failed"] else ""
    line += (left if isinstance(left, Left) else Left(left)).in_words()
    table = Table(box=None, pad_edge=False, expand=True)
    for head in ("task", "model", "method", "done"):
        table.add_column(head, overflow="ellipsis", no_wrap=True)
    # Why a run failed may be long: it takes the room that the names leave, and none of theirs.
    table.add_column("now", overflow="ellipsis", no_wrap=True, ratio=1, min_width=20)
    cells: dict[tuple[str, str, str], list[RunState]] = {}
    for state in states:
        cells.setdefault((state.task, state.model, state.label), []).append(state)
    for (task, model, label), runs in cells.items():
        done = [state for state in runs if state.state == "done"]
        texts = (task, model, label, f"{len(done)}/{len(runs)}", _now(runs))
        table.add_row(*(Text(text) for text in texts))
    total = sum(state.share for state in states)
    bar = ProgressBar(total=(len(states) + coming) or 1, completed=total, width=60)
    return Group(Text(line), Padding(bar, 0), table)  # a bar does not end its line


def _now(runs: Sequence[RunState]) -> str:
    sentences = []
    for run in runs:
        if run.state == "running":
            text = f"seed {run.seed}: " + ("starting" if run.epoch is None else f"epoch {run.epoch:.1f}")
            text += "" if run.loss is None else f", loss {run.loss:.3f}"
            sentences.append(text + (f", attempt {run.attempts}" if run.attempts > 1 else ""))
        elif run.state == "failed":
            sentences.append(f"seed {run.seed} failed: {run.error}")
    scores = [run.score for run in runs if run.state == "done" and run.score is not None]
    return "; ".join(sentences) or " ".join(f"{score:.1f}" for score in scores)


class Display:
    """Shows a study while it runs: a live table on a terminal, else a line for every finished run.

    Args:
        store: The study's store.
        cells: What runs.
        console: Where to; None shows nothing.
        left: Says how long it still takes; None, or one that does not know, is by the pace so far.
    """

    def __init__(
        self,
        store: Store,
        cells: Sequence[PlannedCell],
        console: Console | None,
        left: Callable[[Sequence[RunState]], Left] = lambda states: Left(),
    ) -> None:
        self._store, self._console, self._left = store, console, left
        self.show(cells)
        self._clock = Pace()
        self._next = 0.0
        self._live: Live | None = None
        self._bar: Bar | None = None

    def show(self, cells: Sequence[PlannedCell], coming: int = 0) -> None:
        """Show these cells from now on; so many more runs are to follow."""
        self._cells, self._coming = cells, coming
        self._places = {run.id: (cell, run) for cell in cells for run in cell.runs}

    def tick(self) -> None:
        """Look again, at most once a second."""
        if (self._live or self._bar) and time.monotonic() >= self._next:
            self._show(look(self._store, self._cells))
            self._next = time.monotonic() + REFRESH

    def _show(self, states: Sequence[RunState]) -> None:
        if self._live is not None:
            known, pace = self._left(states), self._clock.left(states)
            left = known if known.work is not None else known._replace(work=pace)
            self._live.update(draw(states, left, self._coming), refresh=True)
        if self._bar is not None:
            running = [f"{state.label} seed {state.seed}" for state in states if state.state == "running"]
            ended = sum(state.state in ("done", "failed") for state in states)
            total = len(states) + self._coming
            self._bar.show(ended, total, sum(state.share for state in states), ", ".join(running))

    def changed(self, run: Run) -> None:
        """Say that a run has ended."""
        if self._live is not None or self._bar is not None or self._console is None:
            return
        cell, run = self._places[run.id]
        state = _state(self._store, cell, run)
        ended = sum(self._store.result(run_id) is not None for run_id in self._places)
        what = f"dev {state.score:.1f}" if state.state == "done" else f"failed: {state.error}"
        where = f"{cell.task} {cell.model} {cell.label} seed {run.data_seed}"
        where += f" fold {run.fold} of {run.folds}" if run.fold is not None else ""
        self._console.print(
            Text(f"[{ended}/{len(self._places) + self._coming}] {where}: {what}"), soft_wrap=True
        )

    def __enter__(self) -> "Display":
        if self._console is not None and self._console.is_jupyter:
            self._bar = Bar()
        elif self._console is not None and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._bar is not None:
            self._show(look(self._store, self._cells))
            self._bar.close()
