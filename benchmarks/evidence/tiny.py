"""A plan of next to no training on the embedded task, on which every part of the command is tried."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from benchmarks.evidence.plan import Arm, Choice, Model, Plan, Rule, Stage, Task
from pats.run.spec import Run
from pats.study.place.protocol import Handle, State
from pats.study.place.worker import work

TINY = Plan(
    question="does the command work?",
    primary="as in the plan",
    better="nothing",
    plain="plain",
    hours=1.0,
    models={"minilm": Model()},
    run={"precision": "fp32", "max_length": 16, "batch_size": 4},
    tasks={
        "first": Task(task="grammar", steps=2, options={"size": 40}),
        "second": Task(task="grammar", steps=2, options={"size": 50}),
    },
    rates=(1e-4,),
    arms={"plain": Arm("vanilla"), "pats": Arm("pats")},
    stages={
        "tuning": Stage(("first",), (9,), tunes=True),
        "screening": Stage(("first", "second"), (1,), drop=(Rule(1, -100.0),)),
        "final": Stage(("first",), (1, 2), arms=Choice("screening", 1)),
        "confirmation": Stage(("second",), (101,), arms=Choice("final", 1, ("pats",))),
    },
    simple=("majority",),
)


class Here:
    """An engine that does every run at once, in this process."""

    def __init__(self, train: Callable[[Run, Path], Any] | None = None) -> None:
        self._train, self._ended = train, dict[Handle, State]()

    def submit(self, attempt: Path) -> Handle:
        """Do it."""
        self._ended[str(attempt)] = "failed" if work(attempt, self._train) else "done"
        return str(attempt)

    def poll(self, handles: Collection[Handle]) -> dict[Handle, State]:
        """How runs ended, once each."""
        return {handle: self._ended.pop(handle) for handle in handles if handle in self._ended}

    def cancel(self, handle: Handle) -> None:
        """Nothing goes on."""

    def capacity(self) -> int:
        """One at a time."""
        return 1 - len(self._ended)
