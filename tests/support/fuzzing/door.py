"""A door: hostile input goes in, and is taken, or refused in one sentence; nothing else may happen.

``PATS_FUZZ_INPUTS`` is how many inputs each door gets; without it they are few, for ``make test``.
``PATS_FUZZ_TALLY`` is a folder that gets what each door counted, a file a door.
"""

import io
import json
import os
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

import pats
from pats import InputError, cli
from support.fuzzing.guard import deadline, tree, watched

INPUTS, TALLY = "PATS_FUZZ_INPUTS", "PATS_FUZZ_TALLY"
SLICE = 25
SECONDS = 30.0  # an input, also on a machine with other work
LONGEST = 20_000  # characters of a sentence: it may quote a long name or path

PACKAGE = Path(pats.__file__).parent
_in_one_line = cli._line


class Fault(AssertionError):
    """The property does not hold."""


class Enough(InputError):
    """The input was good, and what takes long would begin."""


def fuzzed(inputs: SearchStrategy[Any], share: float = 1.0) -> Callable[[Any], Any]:
    """Call a test with generated inputs: ``PATS_FUZZ_INPUTS`` times ``share``, else a few, the same ones."""
    many = os.environ.get(INPUTS)
    how = settings(
        max_examples=max(1, round(share * int(many))) if many else SLICE,
        derandomize=many is None,
        deadline=None,  # ours ends what hangs, hypothesis's only tells of it
        database=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[*HealthCheck],
    )
    return lambda test: how(given(inputs)(test))


@dataclass(repr=False)
class Door:
    """One door, and what came through it.

    Args:
        name: What its counts are told under.
        root: Holds all its files.
        known: Audit events that it is known to need.
        counts: Inputs by what became of them.
        places: Where in the code they were refused.
        slowest: Seconds of the slowest input.
    """

    name: str
    root: Path
    known: Collection[str] = ()
    counts: Counter[str] = field(default_factory=Counter)
    places: set[str] = field(default_factory=set)
    slowest: float = 0.0
    seconds: float = SECONDS

    @property
    def out(self) -> Path:
        """The one folder that may be written to; new for every input."""
        return self.root / "out"

    def tried(self, call: Callable[[], Any], allowed: Collection[Path] = ()) -> InputError | None:
        """Try a call; any exception but ``InputError`` goes through.

        Args:
            call: What to call.
            allowed: Files and folders that it may write to, beside ``out``.

        Returns:
            The refusal; None where the input was taken.

        Raises:
            Fault: It wrote elsewhere, asked the network, started a process or unpickled, or its message is no
                sentence.
            Hung: It took too long.
        """
        with self._within(allowed):
            try:
                call()
            except InputError as error:
                refused: InputError | None = error
            else:
                refused = None
        if refused is not None:
            self._refused(refused, str(refused))
        else:
            self.counts["taken"] += 1
        return refused

    def command(
        self, argv: Sequence[str], allowed: Collection[Path] = (), codes: Collection[int] = (0, 2)
    ) -> int:
        """Try a command line, in this process; returns its exit code.

        Raises:
            Fault: See ``tried``; or the exit code is another, or bad input is not told in one line.
            Hung: It took too long.
        """
        out, err = _Text(), _Text()
        refusals: list[InputError] = []

        def line(error: InputError) -> str:
            refusals.append(error)
            return _in_one_line(error)

        with (
            self._within(allowed),
            mock.patch("pats.cli._line", line),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = cli.main([*argv])
            except SystemExit as left:  # --help
                code = left.code if isinstance(left.code, int) else 1
        said = err.getvalue()
        if "Traceback" in said or code not in codes:
            raise Fault(f"exit code {code}: {said[-2000:]}")
        if code == 2:
            last = said.splitlines()[-1:] or [""]
            if not last[0].startswith("pats: ") or said.count("pats: ") < 1 or not said.endswith("\n"):
                raise Fault(f"bad input is not told in one line: {said!r}")
            if refusals:
                self._refused(refusals[-1], last[0])
            else:  # a path that cannot be used
                self.counts["refused"] += 1
                self.places.add("OSError")
        else:
            self.counts["taken" if code == 0 else "failed"] += 1
        return code

    @contextmanager
    def _within(self, allowed: Collection[Path]) -> Iterator[None]:
        """Watch the process; afterwards ``out`` is gone, and nothing else has changed."""
        temporary, work, here = self.root / "tmp", self.root / "work", Path.cwd()
        temporary.mkdir()
        inner = work / "of" / "here"  # the current folder: some verbs have their default there, or beside it
        inner.mkdir(parents=True)
        writable = (self.out, temporary, work, *allowed)
        before, began = tree(self.root, writable), time.perf_counter()
        os.chdir(inner)
        try:
            with (
                warnings.catch_warnings(),
                mock.patch.object(tempfile, "tempdir", str(temporary)),
                watched(writable, self.known) as seen,
                deadline(self.seconds),
            ):
                warnings.simplefilter("ignore")
                yield
        finally:
            os.chdir(here)
            self.counts["inputs"] += 1
            self.slowest = max(self.slowest, time.perf_counter() - began)
            left = [*temporary.iterdir()]
            for path in (self.out, temporary, work):
                shutil.rmtree(path, ignore_errors=True)
        if seen.faults:
            raise Fault(f"it did what it must not: {'; '.join(seen.faults[:5])}")
        if left:
            raise Fault(f"temporary files were left: {left}")
        if (after := tree(self.root, writable)) != before:
            changed = sorted({one[0] for one in before.items() ^ after.items()})
            raise Fault(f"it wrote outside its folder: {changed[:5]}")

    def _refused(self, error: InputError, sentence: str) -> None:
        if isinstance(error, Enough):
            self.counts["taken"] += 1
            return
        sentence = sentence.strip()
        if not sentence or "\n" in sentence or len(sentence) > LONGEST:
            raise Fault(f"a refusal is no sentence: {sentence[:500]!r}")
        self.counts["refused"] += 1
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename]
        ours = [one for one in frames if one.filename.startswith(str(PACKAGE))]
        where = (ours or frames)[-1] if frames else None
        self.places.add(f"{Path(where.filename).name}:{where.lineno}" if where else "nowhere")

    def write_tally(self) -> None:
        """Put the counts where ``benchmarks.fuzz`` reads them."""
        folder = os.environ.get(TALLY)
        if folder is None:
            return
        told = {
            "door": self.name,
            **{name: self.counts[name] for name in ("inputs", "taken", "refused", "failed")},
            "distinct_refusals": len(self.places),
            "slowest_seconds": round(self.slowest, 2),
        }
        Path(folder, f"{self.name}.json").write_text(json.dumps(told))


class _Text(io.TextIOWrapper):
    """A text stream that takes bytes, too, as the process's own do."""

    def __init__(self) -> None:
        super().__init__(
            io.BytesIO(), encoding="utf-8", errors="surrogateescape", newline="", write_through=True
        )

    def getvalue(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined, no-any-return]


def restored(path: Path, content: bytes | None) -> None:
    """Put a file back as it was; None is that there was none."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()  # a pipe
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
