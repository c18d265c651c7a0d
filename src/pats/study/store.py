"""The store: one folder a run, one ``result.json`` a run, committed by the first writer.

    OUT/study.json                                  the study and its cells
    OUT/runs/<id>/result.json                       the committed result; its presence means done
    OUT/runs/<id>/predictions.csv.gz                its predictions
    OUT/runs/<id>/attempts/<n>-<uuid8>/             one attempt: spec.json (the run and who works on
                                                    it), events.jsonl, logs, checkpoint/, model/

Engines give every run at least once; exactly one result comes from here. Every file appears whole
or not at all. An attempt that was left without a result is taken over by renaming its folder: of
several claimants one wins, and the next attempt finds the checkpoint in place.
"""

import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.run.result import Result
from pats.run.spec import Run
from pats.study import lease


class Store:
    """The results of a study, as files under ``root``.

    Args:
        root: Folder of the study; made when something is first written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._cache: dict[str, tuple[tuple[int, int, int], Result]] = {}

    # -------------------------------------------------------------------------------------- study

    def save_study(self, content: Mapping[str, Any]) -> None:
        """Write ``study.json``."""
        write(self.root / "study.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def study(self) -> dict[str, Any]:
        """Read ``study.json``.

        Raises:
            InputError: There is none, or it cannot be read as JSON.
        """
        path = self.root / "study.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"{self.root} holds no study (study.json is missing): name the --out of a comparison"
            ) from None
        except ValueError as error:
            raise InputError(
                f"{path} cannot be read ({error}): start the comparison again, which writes it anew"
            ) from None
        return content

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One coordinator at a time on this store; a dead one's mark is replaced.

        Raises:
            InputError: Another one is at work.
        """
        mark = self.root / "coordinator.json"
        temporary = self.root / f".coordinator.json.{uuid.uuid4().hex[:8]}"
        write(temporary, json.dumps(lease.mine()) + "\n")
        try:
            if not _link(temporary, mark):
                holder = _read_json(mark)
                if lease.holds(holder, mark):
                    raise InputError(
                        f"another comparison (process {holder['pid']} on {holder['host']}) works in "
                        f"{self.root}: wait for it, look at it with pats watch, or choose another --out"
                    )
                temporary.replace(mark)
            yield
        finally:
            temporary.unlink(missing_ok=True)
            if _read_json(mark).get("pid") == os.getpid():
                mark.unlink()

    # --------------------------------------------------------------------------------------- runs

    def folder(self, run_id: str) -> Path:
        """Folder of a run."""
        return self.root / "runs" / run_id

    def attempts(self, run_id: str) -> list[Path]:
        """Folders of a run's attempts, oldest first."""
        found = [path for path in (self.folder(run_id) / "attempts").glob("*-*") if path.is_dir()]
        return sorted(found, key=lambda path: (_number(path), path.name))

    def result(self, run_id: str) -> Result | None:
        """The committed result; None where there is none.

        One that cannot be parsed is moved aside with a warning, and the run counts as not done.
        """
        path = self.folder(run_id) / "result.json"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        key = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if run_id not in self._cache or self._cache[run_id][0] != key:
            result = _parse(path, run_id)
            if result is None:
                self._set_aside(path)
                return None
            self._cache[run_id] = (key, result)
        return self._cache[run_id][1]

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"result.json.broken-{uuid.uuid4().hex[:8]}")
        path.rename(aside)
        # The winning attempt's file is the same file under another name.
        for attempt in self.attempts(path.parent.name):
            own = attempt / "result.json"
            if own.exists() and own.samefile(aside):
                own.unlink()
        warnings.warn(
            f"{path} is not a whole result; it was moved to {aside.name}, and the run is made again",
            stacklevel=3,
        )

    def winner(self, run_id: str) -> Path | None:
        """Folder of the attempt whose result was committed; None where it is gone."""
        try:
            text = (self.folder(run_id) / "result.json").read_bytes()
        except FileNotFoundError:
            return None
        for attempt in self.attempts(run_id):
            own = attempt / "result.json"
            if own.exists() and own.read_bytes() == text:
                return attempt
        return None

    # ----------------------------------------------------------------------------------- attempts

    def held(self, run_id: str) -> bool:
        """Whether a living process works on the run."""
        return any(self._held(attempt) for attempt in self.attempts(run_id))

    def _held(self, attempt: Path) -> bool:
        return lease.holds(read_spec(attempt).get("lease", {}), attempt / "events.jsonl")

    def claim(self, run: Run) -> Path | None:
        """Start an attempt, from where the last one left off.

        Returns:
            The attempt's folder, leased to this process; None where a living process, or a quicker
            claimant, works on the run.
        """
        attempts = self.attempts(run.id)
        if any(self._held(attempt) for attempt in attempts):
            return None
        number = 1 + max((_number(path) for path in attempts), default=0)
        new = self.folder(run.id) / "attempts" / f"{number}-{uuid.uuid4().hex[:8]}"
        left = [path for path in attempts if _parse(path / "result.json", run.id) is None]
        if left:
            try:
                left[-1].rename(new)
            except FileNotFoundError:
                return None
            for name in ("result.json", "error.json"):
                (new / name).unlink(missing_ok=True)
        else:
            new.mkdir(parents=True)
        write_spec(new, run)
        return new

    def commit(self, attempt: Path, run_id: str) -> bool:
        """Make an attempt's result the run's, if no other came first.

        Returns:
            True where it won; False where the attempt is marked superseded.
        """
        folder = self.folder(run_id)
        final = folder / "result.json"
        if self.result(run_id) is None:
            predictions = attempt / "predictions.csv.gz"
            if predictions.exists():
                _replace(predictions, folder / "predictions.csv.gz")
            if _link(attempt / "result.json", final):
                _fsync_folder(folder)
                return True
        if self.winner(run_id) == attempt:
            return True
        write(attempt / "superseded", "another attempt committed its result first\n")
        return False

    def adopt(self, run_id: str) -> bool:
        """Commit the result of an attempt that ended just before it could do so itself."""
        for attempt in self.attempts(run_id):
            if _parse(attempt / "result.json", run_id) is not None and not self._held(attempt):
                return self.commit(attempt, run_id)
        return False

    def drop(self, run_id: str, model: bool = True) -> None:
        """Delete what a finished run no longer needs: its checkpoints and, if asked, its weights."""
        for attempt in self.attempts(run_id):
            if not self._held(attempt):
                shutil.rmtree(attempt / "checkpoint", ignore_errors=True)
                if model:
                    shutil.rmtree(attempt / "model", ignore_errors=True)

    def model(self, run_id: str) -> Path | None:
        """Folder of a run's weights; None where they are deleted."""
        found = [attempt / "model" for attempt in reversed(self.attempts(run_id))]
        return next((path for path in found if (path / "config.json").exists()), None)


def read_spec(attempt: Path) -> dict[str, Any]:
    """``spec.json`` of an attempt: ``run`` and ``lease``; empty where it was never written."""
    return _read_json(attempt / "spec.json")


def write_spec(attempt: Path, run: Run) -> None:
    """Write ``spec.json``: the run, leased to this process."""
    content = {"run": run.to_dict(), "lease": lease.mine()}
    write(attempt / "spec.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def release(attempt: Path) -> None:
    """Give up an attempt's lease, so that anyone may go on with it."""
    content = read_spec(attempt)
    if content.pop("lease", None) is not None:
        write(attempt / "spec.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_error(attempt: Path, message: str) -> None:
    """Write down why an attempt failed, for who looks at the store alone."""
    write(attempt / "error.json", json.dumps({"error": message}, ensure_ascii=False) + "\n")


def read_error(attempt: Path) -> str | None:
    """Why an attempt failed; None where it did not, or nobody knows."""
    error = _read_json(attempt / "error.json").get("error")
    return None if error is None else str(error)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(attempt: Path) -> int:
    text = attempt.name.partition("-")[0]
    return int(text) if text.isdigit() else 0


def _parse(path: Path, run_id: str) -> Result | None:
    try:
        result = Result.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if result.run_id == run_id else None


def _replace(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def _link(source: Path, target: Path) -> bool:
    """Give ``source`` the name ``target`` unless that exists; True where it did."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        return _claim_and_copy(source, target)
    return True


def _claim_and_copy(source: Path, target: Path) -> bool:
    """``_link`` for file systems without hard links: an exclusive file decides who may write."""
    try:
        os.close(os.open(target.with_name("result.lock"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if target.exists():
            return False  # a lock without a result was left by a crash between the two
    write(target, source.read_text(encoding="utf-8"))
    return True


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
