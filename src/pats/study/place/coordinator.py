"""Brings every run of a list to a committed result, on any engine."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pats._errors import InputError
from pats.run.spec import Run
from pats.study.limit import FOREVER, Limit
from pats.study.place.protocol import Handle, Placer, State
from pats.study.store import lease
from pats.study.store.attempt import (
    ask_to_stop,
    end,
    read_error,
    read_handle,
    sign,
    write_error,
    write_handle,
)
from pats.study.store.results import Store

TICK = 0.2  # seconds between two looks at the engine
TAIL = 3  # lines of a failed run's log that are shown
GRACE = 15.0  # seconds that an attempt has to end by itself once its result is there


def execute(
    runs: Iterable[Run],
    store: Store,
    engine: Placer,
    *,
    retries: int = 3,
    lost_after: float = lease.LOST_AFTER,
    finished: Callable[[Run], bool] | None = None,
    on_change: Callable[[Run], None] = lambda run: None,
    on_tick: Callable[[], None] = lambda: None,
    report_to: Sequence[str] = (),
    more: Callable[[Mapping[str, str]], Iterable[Run] | None] = lambda errors: None,
    limit: Limit = FOREVER,
) -> dict[str, str]:
    """Run what is missing until every run has a result or has failed.

    Runs with a result are left alone; those that another living process holds are waited for, and
    attempts that an earlier coordinator submitted are taken up again where the engine still knows
    them. An attempt that is lost (killed, or without a sign of life for 90 s, whatever the engine
    says) is made again, from its checkpoint; one that failed by itself is not. On any exception,
    Ctrl-C included, the attempts under way are ended before it goes on.

    At a time limit, attempts under way are asked to stop after their step, which leaves a checkpoint, and are
    ended where they do not; a run that would not end in time is not started.

    Args:
        runs: The runs; those with the same id are one.
        store: Where results are.
        engine: Who runs attempts.
        retries: Attempts a run may be lost in, at least 1.
        lost_after: Seconds without a sign of life after which an attempt is lost.
        finished: Whether a run needs nothing more; None asks for its committed result.
        on_change: Called after a run got its result or failed for good.
        on_tick: Called several times a second.
        report_to: Trackers that runs report to, see ``pats.finetune``.
        more: Asked whenever a run has ended, with why runs failed for good: all runs that are known by then,
            in the order in which to start them; None where nothing changed, none where no more are needed:
            attempts under way are then asked to stop, as at a time limit.
        limit: The time that there is.

    Returns:
        Why a run failed for good, by id; empty where all went well.

    Raises:
        InputError: ``retries`` is not a whole number from 1.
    """
    if not (isinstance(retries, int) and retries >= 1):
        raise InputError(f"retries is {retries!r}, but must be a whole number from 1")

    def committed(run: Run) -> bool:
        return store.result(run.id) is not None or store.adopt(run.id)

    coordinator = _Coordinator(
        store, engine, retries, lost_after, finished or committed, on_change, report_to, more, limit
    )
    coordinator.wait_for(runs)
    try:
        coordinator.take_up()
        while coordinator.goes_on():
            coordinator.look()
            coordinator.submit()
            on_tick()
            if coordinator.goes_on():
                time.sleep(TICK)
    finally:
        for handle, attempt in coordinator.working.items():
            engine.cancel(handle)
            end(attempt.folder, "cancelled")
    return coordinator.errors


@dataclass
class _Sign:
    """The last sign of life of something, and when it was seen by this process's own clock.

    Only changes count, so clocks that differ do no harm; and the clock stops while the machine
    sleeps.
    """

    sign: float | None = None
    seen: float = field(default_factory=time.monotonic)

    def quiet(self, sign: float | None) -> float:
        """Seconds since the last change."""
        if sign != self.sign:
            self.sign, self.seen = sign, time.monotonic()
        return time.monotonic() - self.seen


@dataclass
class _Attempt:
    """An attempt under way."""

    run: Run
    folder: Path
    life: _Sign = field(default_factory=_Sign)
    finished: float | None = None


@dataclass
class _Coordinator:
    """What ``execute`` keeps while it runs."""

    store: Store
    engine: Placer
    retries: int
    lost_after: float
    finished: Callable[[Run], bool]
    on_change: Callable[[Run], None]
    report_to: Sequence[str]
    more: Callable[[Mapping[str, str]], Iterable[Run] | None]
    limit: Limit
    waiting: deque[Run] = field(default_factory=deque)
    working: dict[Handle, _Attempt] = field(default_factory=dict)
    others: dict[str, _Sign] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)
    stopping: bool = False

    def wait_for(self, runs: Iterable[Run]) -> None:
        """Let these runs wait, in their order, unless they are finished, under way, or have failed."""
        known = {attempt.run.id for attempt in self.working.values()} | set(self.errors)
        new = {run.id: run for run in runs if run.id not in known and not self.finished(run)}
        self.waiting = deque(new.values())

    def goes_on(self) -> bool:
        """Whether there is anything left to do, in the time that there is."""
        if self.limit.over:
            self._stop()
        if self.stopping:
            return bool(self.working) and not self.limit.at_end
        return bool(self.working) or (bool(self.waiting) and self.limit.allows(self.waiting[0]))

    def _stop(self) -> None:
        """Ask what is under way to stop after its step, and start nothing more."""
        if not self.stopping:
            self.stopping = True
            for attempt in self.working.values():
                ask_to_stop(attempt.folder)

    def take_up(self) -> None:
        """Go on with what an earlier coordinator submitted and the engine still has."""
        for run in list(self.waiting):
            for folder in self.store.attempts(run.id)[-1:]:
                handle = read_handle(folder)
                if handle is not None and self.engine.poll([handle]).get(handle) == "running":
                    self.working[handle] = _Attempt(run, folder)
                    self.waiting.remove(run)

    def look(self) -> None:
        """What has become of the attempts under way."""
        states = self.engine.poll(list(self.working)) if self.working else {}
        for handle, attempt in list(self.working.items()):
            state = self._judge(attempt, states.get(handle, "unseen"))
            if state is None:
                continue
            if states.get(handle, "unseen") in ("running", "unseen"):
                self.engine.cancel(handle)
            del self.working[handle]
            self._ended(attempt, state)

    def _judge(self, attempt: _Attempt, state: State) -> State | None:
        """The end of an attempt by what the engine reports and the store shows; None while it goes on."""
        if state not in ("running", "unseen"):
            return state
        # An engine may never learn of the end of what runs beyond a partition; the store does.
        if self.finished(attempt.run):
            attempt.finished = attempt.finished or time.monotonic()
            return "done" if time.monotonic() - attempt.finished > GRACE else None
        last = sign(attempt.folder)
        quiet = attempt.life.quiet(last)
        if last is not None and quiet > self.lost_after:
            return "lost"
        return "lost" if state == "unseen" and not self.store.worked_on(attempt.folder) else None

    def _ended(self, attempt: _Attempt, state: State) -> None:
        run, folder = attempt.run, attempt.folder
        end(folder, state)
        if self.finished(run):
            self._change(run)
        elif self.stopping and state != "failed" and read_error(folder) is None:
            pass  # as it was asked to, and to be continued
        elif state == "lost":
            self.lost[run.id] += 1
            if self.lost[run.id] < self.retries:
                self.waiting.appendleft(run)
            else:
                self._fail(
                    run,
                    folder,
                    f"it was lost {self.retries} times (killed, or without a sign of life){_tail(folder)}",
                )
        else:
            self._fail(run, folder, read_error(folder) or f"its process failed{_tail(folder)}")

    def _fail(self, run: Run, folder: Path, error: str) -> None:
        self.errors[run.id] = error
        write_error(folder, error)
        self._change(run)

    def _change(self, run: Run) -> None:
        self.on_change(run)
        known = self.more(self.errors)
        if known is not None:
            runs = list(known)
            self.wait_for(runs)
            if not runs:
                self._stop()

    def submit(self) -> None:
        """Start as many waiting runs as there is room for."""
        for _ in range(len(self.waiting)):
            if self.stopping or not self.waiting or self.engine.capacity() < 1:
                break
            run = self.waiting.popleft()
            if self.finished(run):
                self._change(run)
                continue
            if not self.limit.allows(run):
                self.waiting.appendleft(run)  # what comes after it would have nothing to be compared with
                break
            folder = self.store.claim(run, not self._silent(run), self.report_to)
            if folder is None:
                self.waiting.append(run)  # another process works on it
                continue
            try:
                handle = self.engine.submit(folder)
            except BaseException:
                end(folder, "cancelled")
                raise
            self.working[handle] = _Attempt(run, folder)
            write_handle(folder, handle)

    def _silent(self, run: Run) -> bool:
        """Whether nobody has touched a run's attempts for as long as this process has looked on."""
        signs = [touched for folder in self.store.attempts(run.id) if (touched := sign(folder)) is not None]
        if not signs:
            return False
        return self.others.setdefault(run.id, _Sign()).quiet(max(signs)) > self.lost_after


def _tail(attempt: Path) -> str:
    try:
        text = (attempt / "stderr.log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip(" \t^~")]  # no marks below a line
    return f"; its log ends: {' | '.join(lines[-TAIL:])}" if lines else ""
