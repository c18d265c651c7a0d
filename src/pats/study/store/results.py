"""The store: one folder a run, one ``result.json`` a run, committed by the first writer.

    OUT/study.json                                  the study and its cells
    OUT/runs/<id>/result.json                       the committed result; its presence means done
    OUT/runs/<id>/predictions.csv.gz                its predictions
    OUT/runs/<id>/attempts/<n>-<uuid8>/             one attempt, see ``pats.study.store.attempt``

Engines give every run at least once; exactly one result comes from here. Every file appears whole
or not at all. The next attempt starts from hard links to the last one's checkpoint, so that a process
that was believed dead and is not cannot disturb it.
"""

import json
import math
import os
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pats import _schema
from pats._errors import InputError
from pats.run.folder.events import HEARTBEAT
from pats.run.folder.files import CHECKPOINT, MODEL, PREDICTIONS, RESULT, beside, clean, sync
from pats.run.result import Result
from pats.run.spec import Run
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.store import files, lease
from pats.study.store.attempt import WORKER, continue_from, end, ended, read_spec, sign, write_spec

MARK = "coordinator.json"  # who works on the store
WRITTEN = ("study.json", "table1.md", "table1.csv", "runs.csv", "sweep.json", "pats.json")  # beside it

ASK_CLOCK = 60.0  # seconds for which the file system's clock is taken to run like this host's

_Key = tuple[int, int, int]  # a file's inode, time and size


class Store:
    """The results of a study, as files under ``root``.

    Args:
        root: Folder of the study; made when something is first written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._cache: dict[str, tuple[_Key, Result]] = {}
        self._asked = (-math.inf, 0.0)
        self.problems: list[str] = []  # what did not fit, in sentences

    def complain(self, problem: str) -> None:
        """Name what does not fit: as a warning now, and on the study's page; once."""
        if problem not in self.problems:
            self.problems.append(problem)
            warnings.warn(problem, stacklevel=3)

    # -------------------------------------------------------------------------------------- study

    def save_study(self, content: Mapping[str, Any]) -> None:
        """Write ``study.json``."""
        files.write(self.root / "study.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def study(self) -> dict[str, Any]:
        """Read ``study.json``.

        Raises:
            InputError: There is none, or it cannot be read as JSON.
        """
        path = self.root / "study.json"
        try:
            return _schema.build(dict[str, Any], _schema.parse(_schema.read(path)))
        except FileNotFoundError:
            raise InputError(
                f"{self.root} holds no study (study.json is missing): name the --out of a comparison"
            ) from None
        except ValueError as error:
            raise InputError(
                f"{path} cannot be read ({error}): start the comparison again, which writes it again"
            ) from None

    def plan(self) -> Study:
        """The study of ``study.json``.

        Raises:
            InputError: There is none, or it does not fit.
        """
        study: Study = self._part(self.study(), "study", Study)
        return study

    def cells(self) -> list[PlannedCell]:
        """The cells of ``study.json``.

        Raises:
            InputError: There is no study, or it has no cells.
        """
        return self._cells(self.study())

    def planned(self, content: Mapping[str, Any] | None = None) -> list[PlannedCell]:
        """The cells of ``study.json``, and before them its trials, which are not reported.

        Args:
            content: What ``study`` gave; None reads it.

        Raises:
            InputError: There is no study, or it has neither.
        """
        content = self.study() if content is None else content
        if not content.get("trials"):
            return self._cells(content)
        trials: list[PlannedCell] = self._part(content, "trials", list[PlannedCell])
        cells: list[PlannedCell] = self._part(content, "cells", list[PlannedCell])
        return [*trials, *cells]

    def ended(self) -> str | None:
        """The sentence that says how a time limit ended the study; None where none did."""
        sentence = self.study().get("ended")
        return None if sentence is None else str(sentence)

    def _cells(self, content: Mapping[str, Any]) -> list[PlannedCell]:
        cells: list[PlannedCell] = self._part(content, "cells", list[PlannedCell])
        if not cells:
            raise InputError(f"the study in {self.root} has no cells: start the comparison again")
        return cells

    def _part(self, content: Mapping[str, Any], key: str, shape: Any) -> Any:
        try:
            if key not in content:
                raise _schema.Misfit("is missing", key)
            try:
                return _schema.build(shape, content[key])
            except _schema.Misfit as misfit:
                raise misfit.under(key) from None
        except _schema.Misfit as misfit:
            raise InputError(
                f"{self.root}/study.json is not a comparison's ({misfit}): start the comparison again, which "
                "writes it again"
            ) from None

    def study_key(self) -> _Key | None:
        """Changes whenever ``study.json`` does; None where there is none."""
        return _key(self.root / "study.json")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One coordinator at a time on this store; a dead one's mark is replaced.

        Raises:
            InputError: Another one is at work.
        """
        mark = self.root / MARK
        temporary = beside(mark)
        own = lease.mine()
        self.root.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(own) + "\n", encoding="utf-8")
        try:
            if not files.link_once(temporary, mark):
                holder = files.read_json(mark)
                if lease.at_work(holder, mark):
                    raise InputError(
                        f"another comparison (process {holder['pid']} on {holder.get('host')}) works in "
                        f"{self.root}: wait for it, look at it with pats watch, or choose another --out"
                    )
                temporary.replace(mark)
            self._clean()
            with _touching(mark):
                yield
        finally:
            temporary.unlink(missing_ok=True)
            if files.read_json(mark) == own:
                mark.unlink()

    def _clean(self) -> None:
        """Delete what coordinators that were killed left; one that lives has a lease, or soon will."""
        now = lease.clock(self.root)
        for left in self.root.glob(f".{MARK}.*"):
            holder, touched = files.read_json(left), lease.touched(left)
            young = touched is not None and now - touched < lease.LOST_AFTER
            if not (lease.holds(holder, touched, now) if holder else young):
                left.unlink(missing_ok=True)
        clean(self.root, WRITTEN, before=now - lease.LOST_AFTER)

    # --------------------------------------------------------------------------------------- runs

    def folder(self, run_id: str) -> Path:
        """Folder of a run."""
        return self.root / "runs" / run_id

    def attempts(self, run_id: str) -> list[Path]:
        """Folders of a run's attempts, oldest first."""
        folders = [path for path in (self.folder(run_id) / "attempts").glob("*-*") if path.is_dir()]
        return sorted(folders, key=lambda path: (_number(path), path.name))

    def result(self, run_id: str) -> Result | None:
        """The committed result; None where there is none.

        One that cannot be parsed is moved aside with a warning, and the run counts as not done.
        """
        path = self.folder(run_id) / RESULT
        key = _key(path)
        if key is None:
            return None
        if run_id not in self._cache or self._cache[run_id][0] != key:
            try:
                self._cache[run_id] = (key, _read(path, run_id))
            except (OSError, ValueError) as why:
                self._set_aside(path, why)
                return None
        return self._cache[run_id][1]

    def _set_aside(self, path: Path, why: Exception) -> None:
        aside = path.with_name(f"result.json.broken-{uuid.uuid4().hex[:8]}")
        try:
            path.rename(aside)
        except OSError:  # a folder that can only be read
            self.complain(f"{path} is not a whole result ({why}), and its run counts as not done")
            return
        # The winning attempt's file is the same file under another name.
        for attempt in self.attempts(path.parent.name):
            own = attempt / RESULT
            if own.exists() and own.samefile(aside):
                own.unlink()
        self.complain(
            f"{path} is not a whole result ({why}); it was moved to {aside.name}, and the run is made again"
        )

    def winner(self, run_id: str) -> Path | None:
        """Folder of the attempt whose result was committed; None where it is gone."""
        final = self.folder(run_id) / RESULT
        own = [path for path in self.attempts(run_id) if final.exists() and (path / RESULT).exists()]
        same = [path for path in own if (path / RESULT).samefile(final)]
        # Where there are no hard links, and after a copy of the whole store, the content decides.
        same = same or [path for path in own if (path / RESULT).read_bytes() == final.read_bytes()]
        return same[0] if same else None

    # ----------------------------------------------------------------------------------- attempts

    def held(self, run_id: str, elsewhere: bool = True) -> bool:
        """Whether a living process works on the run, or keeps it for one that will.

        Args:
            run_id: The run.
            elsewhere: False asks about processes of this host alone.
        """
        return any(self._held(attempt, elsewhere) for attempt in self.attempts(run_id))

    def _held(self, attempt: Path, elsewhere: bool = True) -> bool:
        if ended(attempt) is not None:
            return False
        holder = files.read_json(attempt / WORKER) or read_spec(attempt).get("lease", {})
        if not isinstance(holder, dict):
            return False
        if lease.here(holder) or not elsewhere:
            return lease.lives(holder)
        return lease.holds(holder, sign(attempt), self._clock())

    def _clock(self) -> float:
        """``lease.clock``, asked once a minute."""
        then, offset = self._asked
        if time.monotonic() - then > ASK_CLOCK:
            offset = lease.clock(self.root) - time.monotonic()
            self._asked = (time.monotonic(), offset)
        return offset + time.monotonic()

    def worked_on(self, attempt: Path) -> bool:
        """Whether a process has started on an attempt and, as far as the store shows, still lives."""
        return (attempt / WORKER).exists() and self._held(attempt)

    def claim(self, run: Run, elsewhere: bool = True, report_to: Sequence[str] = ()) -> Path | None:
        """Start an attempt, from where the last one left off.

        Args:
            run: The run.
            elsewhere: False takes it also from a process of another host, which then is known to be
                silent.
            report_to: Trackers that the run reports to.

        Returns:
            The attempt's folder, leased to this process; None where a living process works on the run.
        """
        attempts = self.attempts(run.id)
        if any(self._held(attempt, elsewhere) for attempt in attempts):
            return None
        number = 1 + max((_number(path) for path in attempts), default=0)
        new = self.folder(run.id) / "attempts" / f"{number}-{uuid.uuid4().hex[:8]}"
        new.mkdir(parents=True)
        left = [path for path in attempts if _parse(path / RESULT, run.id) is None]
        for path in left:
            end(path, f"superseded by {new.name}")
        for path in reversed(left):
            if continue_from(path, new):
                break
        write_spec(new, run, report_to)
        return new

    def commit(self, attempt: Path, run_id: str) -> bool:
        """Make an attempt's result the run's, if no other came first.

        Returns:
            True where it won; False where the attempt is marked superseded.
        """
        folder = self.folder(run_id)
        final = folder / RESULT
        if self.result(run_id) is None:
            predictions = attempt / PREDICTIONS
            if predictions.exists():
                files.replace(predictions, folder / PREDICTIONS)
            if files.link_once(attempt / RESULT, final):
                if predictions.exists():  # again: one that came second may have put its own
                    files.replace(predictions, folder / PREDICTIONS)
                sync(folder)
                return True
        if self.winner(run_id) == attempt:
            return True
        end(attempt, "superseded: another attempt committed its result first")
        return False

    def adopt(self, run_id: str) -> bool:
        """Commit the result of an attempt that ended just before it could do so itself."""
        for attempt in self.attempts(run_id):
            if _parse(attempt / RESULT, run_id) is not None and not self._held(attempt):
                return self.commit(attempt, run_id)
        return False

    def drop(self, run_id: str, model: bool = True) -> None:
        """Delete what a finished run no longer needs: its checkpoints and, if asked, its weights."""
        for attempt in self.attempts(run_id):
            if not self._held(attempt):
                shutil.rmtree(attempt / CHECKPOINT, ignore_errors=True)
                if model:
                    shutil.rmtree(attempt / MODEL, ignore_errors=True)

    def model(self, run_id: str) -> Path | None:
        """Folder of a run's weights; None where they are deleted."""
        folders = [attempt / MODEL for attempt in reversed(self.attempts(run_id))]
        weights = ("config.json", "pats-model.json")
        return next((path for path in folders if any((path / name).exists() for name in weights)), None)


@contextmanager
def _touching(mark: Path) -> Iterator[None]:
    """Touch a file every 15 s, so that other hosts see that its writer lives."""
    stop = threading.Event()

    def touch() -> None:
        while not stop.wait(HEARTBEAT):
            with suppress(OSError):  # one missed beat is no loss
                os.utime(mark)

    thread = threading.Thread(target=touch, name="coordinator", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _key(path: Path) -> _Key | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _number(attempt: Path) -> int:
    text = attempt.name.partition("-")[0]
    return int(text) if text.isdigit() else 0


def _read(path: Path, run_id: str) -> Result:
    result = Result.from_json(_schema.read(path).decode())
    if result.run_id != run_id:
        raise ValueError(f"it is of the run {result.run_id}")
    return result


def _parse(path: Path, run_id: str) -> Result | None:
    try:
        return _read(path, run_id)
    except (OSError, ValueError):
        return None
