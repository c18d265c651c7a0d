"""The plan: what is run, in which order, and what would count as better."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import record
from pats._schema import Misfit, build
from pats.run.spec import Value

PATH = Path(__file__).with_name("plan.yaml")


@dataclass(frozen=True)
class Arm:
    """A method with its options.

    Args:
        method: Its name.
        options: Its options; missing ones take their defaults.
        times: Factor of all rates, for an optimizer whose rate means another thing.
        passes: What a step costs beside plain fine-tuning's, where it has not been measured.
        late: It came after arms were tuned and chosen, and is in those stages alone that name it.
    """

    method: str
    options: Mapping[str, Value] = field(default_factory=dict)
    times: float = 1.0
    passes: float = 1.0
    late: bool = False


@dataclass(frozen=True)
class Task:
    """What is fine-tuned on.

    Args:
        task: Its name in PATS; None is that in the plan.
        fraction: Share of the training data.
        epochs: Passes over it.
        steps: Optimizer steps; None follows from the epochs.
        options: Options of a task that makes its own data.
    """

    task: str | None = None
    fraction: float = 1.0
    epochs: float = 5.0
    steps: int | None = None
    options: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """What is fine-tuned.

    Args:
        folder: Its weights lie in a folder that the command names.
        size: Parameters of its encoder over those of MiniLM's, for its cost.
    """

    folder: bool = False
    size: float = 1.0


@dataclass(frozen=True)
class Rule:
    """Drops an arm that is behind.

    Args:
        seeds: After so many seeds on all tasks of the stage.
        below: Points of the mean difference to plain fine-tuning below which it is dropped.
    """

    seeds: int
    below: float


@dataclass(frozen=True)
class Choice:
    """The arms that a stage takes over.

    Args:
        of: Stage whose arms are ranked, by their mean difference to plain fine-tuning.
        best: So many of them.
        also: Arms that are there in any case.
    """

    of: str
    best: int
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A part of the plan.

    Args:
        tasks: Its tasks.
        seeds: Its seeds.
        model: Its model.
        arms: Its arms beside plain fine-tuning; None is all.
        tunes: It finds each arm's rate, and is not reported.
        rate: One rate of all arms in place of the tuned ones.
        drop: When an arm is dropped.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    model: str = "minilm"
    arms: Choice | None = None
    tunes: bool = False
    rate: float | None = None
    drop: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All of it; the fields are explained in ``plan.yaml``."""

    question: str
    primary: str
    better: str
    plain: str
    hours: float
    models: Mapping[str, Model]
    run: Mapping[str, Any]
    tasks: Mapping[str, Task]
    rates: tuple[float, ...]
    arms: Mapping[str, Arm]
    stages: Mapping[str, Stage]
    simple: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Names fit each other, and no seed that chose a rate or an arm is used to confirm it."""
        for name, stage in self.stages.items():
            for one, known in ((stage.tasks, self.tasks), ((stage.model,), self.models)):
                if unknown := set(one) - set(known):
                    raise ValueError(f"stage {name} names {min(unknown)}, which the plan does not have")
            if stage.arms and not {*stage.arms.also} <= {*self.arms}:
                raise ValueError(f"stage {name} names an arm that the plan does not have")
            late = [arm for arm in (stage.arms.also if stage.arms else ()) if self.arms[arm].late]
            if late and stage.rate is None:
                raise ValueError(f"stage {name} names no rate, and {late[0]} was not tuned")
            if stage.arms and stage.arms.of not in [*self.stages][: [*self.stages].index(name)]:
                raise ValueError(f"stage {name} chooses of {stage.arms.of}, which does not come before it")
        if self.plain not in self.arms:
            raise ValueError(f"{self.plain} is no arm")
        used: set[int] = set()
        for name, stage in self.stages.items():
            grows = stage.arms is not None and {*stage.seeds} >= {*self.stages[stage.arms.of].seeds}
            if used & set(stage.seeds) and not grows:
                raise ValueError(f"stage {name} has a seed that rates or arms were chosen on")
            used |= {*stage.seeds}

    @property
    def digest(self) -> str:
        """Hash of what it says, whatever its comments."""
        said = asdict(self)
        for arm in said["arms"].values():
            if not arm["late"]:
                del arm["late"]  # a plan has the hash that it had before there were late arms
        content = json.dumps(said, sort_keys=False, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def others(self) -> list[str]:
        """All arms but plain fine-tuning and late ones."""
        return [name for name, arm in self.arms.items() if name != self.plain and not arm.late]


def read(path: Path = PATH) -> Plan:
    """The plan of a file.

    Raises:
        SystemExit: It does not fit.
    """
    try:
        plan: Plan = build(Plan, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (Misfit, ValueError, yaml.YAMLError) as error:
        raise SystemExit(f"{path.name} is no plan: {error}") from None
    return plan


def commit(path: Path = PATH) -> tuple[str, str]:
    """The commit that holds the plan as it is, and its date.

    Raises:
        SystemExit: It is in no commit, or has changed since.
    """
    relative = path.relative_to(record.ROOT).as_posix()
    if record.git("status", "--porcelain", "--", relative):
        raise SystemExit(f"{relative} has changes that are in no commit: commit the plan before it is run")
    told = record.git("log", "-1", "--format=%H %cI", "--", relative).split()
    if not told:
        raise SystemExit(f"{relative} is in no commit: commit the plan before it is run")
    return told[0], told[1]
