"""Brings every run of a list to a committed result, on any engine."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pats._errors import InputError
from pats.run.spec import Run
from pats.study.engine import Engine, Handle, State
from pats.study.lease import LOST_AFTER
from pats.study.store import Store, read_error, release, write_error

TICK = 0.2  # seconds between two looks at the engine
TAIL = 3  # lines of a failed run's log that are shown


@dataclass
class _Working:
    """An attempt under way, with its last sign of life as this process saw it."""

    run: Run
    attempt: Path
    sign: float
    seen: float


def execute(
    runs: Iterable[Run],
    store: Store,
    engine: Engine,
    *,
    retries: int = 3,
    finished: Callable[[Run], bool] | None = None,
    on_change: Callable[[Run], None] = lambda run: None,
    on_tick: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Run what is missing until every run has a result or has failed.

    Runs with a result are left alone; those that another living process holds are waited for. An
    attempt that is lost (killed, or without a sign of life for 90 s) is made again, from its
    checkpoint; one that failed by itself is not. On any exception, Ctrl-C included, the attempts
    under way are ended before it goes on.

    Args:
        runs: The runs; those with the same id are one.
        store: Where results are.
        engine: Who runs attempts.
        retries: Attempts a run may be lost in, at least 1.
        finished: Whether a run needs nothing more; None asks for its committed result.
        on_change: Called after a run got its result or failed for good.
        on_tick: Called several times a second.

    Returns:
        Why a run failed for good, by id; empty where all went well.

    Raises:
        InputError: ``retries`` is not a whole number from 1.
    """
    if not (isinstance(retries, int) and retries >= 1):
        raise InputError(f"retries is {retries!r}, but must be a whole number from 1")

    def committed(run: Run) -> bool:
        return store.result(run.id) is not None or store.adopt(run.id)

    finished = finished or committed
    waiting = deque({run.id: run for run in runs if not finished(run)}.values())
    working: dict[Handle, _Working] = {}
    lost: Counter[str] = Counter()
    errors: dict[str, str] = {}

    def fail(run: Run, attempt: Path, error: str) -> None:
        errors[run.id] = error
        write_error(attempt, error)
        on_change(run)

    def ended(job: _Working, state: State) -> None:
        release(job.attempt)
        if finished(job.run):
            on_change(job.run)
        elif state == "lost":
            lost[job.run.id] += 1
            if lost[job.run.id] < retries:
                waiting.appendleft(job.run)
            else:
                fail(job.run, job.attempt, f"its process was killed {retries} times{_tail(job.attempt)}")
        else:
            message = read_error(job.attempt) or f"its process failed{_tail(job.attempt)}"
            fail(job.run, job.attempt, message)

    try:
        while waiting or working:
            for handle, state in engine.poll():
                job = working[handle]
                if state == "running" and _silent(job):
                    engine.cancel(handle)
                    state = "lost"
                if state != "running":
                    del working[handle]
                    ended(job, state)
            for _ in range(len(waiting)):
                if engine.capacity() < 1:
                    break
                run = waiting.popleft()
                if finished(run):
                    on_change(run)
                    continue
                attempt = store.claim(run)
                if attempt is None:
                    waiting.append(run)  # another process is at it
                else:
                    working[engine.submit(attempt)] = _Working(run, attempt, 0.0, time.monotonic())
            on_tick()
            if waiting or working:
                time.sleep(TICK)
    finally:
        for handle, job in working.items():
            engine.cancel(handle)
            release(job.attempt)
    return errors


def _silent(job: _Working) -> bool:
    """No event for 90 s of this process's own clock, which stands still while the machine sleeps."""
    try:
        sign = (job.attempt / "events.jsonl").stat().st_mtime
    except FileNotFoundError:
        return False  # it is still starting
    if sign != job.sign:
        job.sign, job.seen = sign, time.monotonic()
    return time.monotonic() - job.seen > LOST_AFTER


def _tail(attempt: Path) -> str:
    try:
        text = (attempt / "stderr.log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"; its log ends: {' | '.join(lines[-TAIL:])}" if lines else ""
