"""``Study``: a grid of runs, and the rule that gives every cell its learning rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median_low
from types import MappingProxyType
from typing import Any

from pats import baselines, methods, paper, setups, tasks
from pats._errors import InputError, did_you_mean
from pats.results.cell import PLAIN
from pats.run.spec import RECORD, Run, Value, of_now
from pats.study.plan.planned import Place, PlannedCell

TUNING_SEED = 1_000_003

Fingerprints = Mapping[tuple[str, int], str]  # by task and data seed
Rate = float | tuple[float, ...]  # of a cell's runs; of folds, one a fold
_NONE: Mapping[Any, Any] = MappingProxyType({})

# What a baseline depends on; other settings would make the same model under another id.
_OF_SIMPLE = (
    *("model", "revision", "allow_missing_weights", "weights", "max_length"),
    *("task", "data", "text", "text_pair", "label", "kind", "task_options", "split_seed", "fraction"),
    *("metric", "class_weights", "quoting", "sheet", "drop_rare", "drop_unlabelled", "group", "time"),
    *("folds", "dev", "test"),
)


@dataclass(frozen=True)
class Study:
    """Tasks × models × methods × seeds.

    The learning rate of a cell is the first of these that exists: ``lr``; with Adamax, the paper's
    Table 2 (plain fine-tuning and PATS on BERT-base and RoBERTa-large); the best of ``lr_grid`` on
    dev at ``tuning_seed``; plain fine-tuning's rate in Table 2; ``run.lr``.

    Source: Section 3 and Table 2 of the paper; ``lr_grid`` and what goes beyond GLUE are PATS's own.

    Args:
        tasks: Names of tasks; empty takes the task or table of ``run``.
        models: Names or folders of models; empty takes the model of ``run``.
        methods: Rows of the table: names of methods, or ``"label=name"`` for a variant of one.
        seeds: A number of seeds (0, 1, ...), or the seeds themselves. Seed k sets three of
            a run: ``run.split_seed`` is the same for all, so that they are compared on the same rows. None
            is the paper's 5, on a single task as many as can show a difference where that is more.
        run: Settings that all runs share.
        options: Options of a row's method, by the row's label.
        lr: One learning rate for every cell; None chooses one for each, as above.
        lr_grid: Rates to tune over, the same for every method: one run each.
        halving: η, at least 2: the trials of ``lr_grid`` start short and keep the best 1/η at every step of
            length, until one rate is left; None runs each of them whole.
        tuning_seed: Seed of the tuning runs; it is not among ``seeds`` and not reported.
        control: Adds plain fine-tuning at the rate of PATS where the two rates differ.
        baselines: Rows that are no fine-tuning, of ``pats.baselines``: one run each, whatever the seeds. None
            is all of them on a table and on tasks of GLUE, and none on others.
        weights: Hashes of local models by name, which ``compare`` and ``sweep`` fill in.

    Raises:
        InputError: A value is out of its range, or names do not fit each other.
    """

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = (PLAIN, "noisytune", "sage", "pats", "pats-paper")
    seeds: int | tuple[int, ...] | None = None
    run: Run = field(default_factory=Run)
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    lr: float | None = None
    lr_grid: tuple[float, ...] = ()
    tuning_seed: int = TUNING_SEED
    control: bool = True
    baselines: tuple[str, ...] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    halving: int | None = None

    def __post_init__(self) -> None:
        for name in ("tasks", "models", "methods", "lr_grid"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise InputError(f"{name} is {value!r}, but must be a list")
            object.__setattr__(self, name, tuple(value))
            repeated = [entry for entry in value if list(value).count(entry) > 1]
            if repeated:
                raise InputError(f"{name} has {repeated[0]!r} twice: name it once")
        self._check_baselines()
        object.__setattr__(self, "options", {k: dict(v) for k, v in self.options.items()})
        object.__setattr__(self, "weights", dict(self.weights))
        if self.seeds is None:
            object.__setattr__(self, "seeds", self.enough_seeds())
        if isinstance(self.seeds, Sequence):
            object.__setattr__(self, "seeds", tuple(self.seeds))
        self._check_seeds()
        labels = [label for label, _ in self.rows]
        if not labels:
            raise InputError("methods is empty: name at least one method")
        if len(set(labels)) < len(labels):
            raise InputError(f"two rows have the same label: {', '.join(labels)}")
        for label in self.options:
            if label not in labels:
                raise InputError(
                    f"there are options for {label!r}{did_you_mean(label, labels)}, which is not a row of "
                    f"this study: the rows are {', '.join(labels)}"
                )
        for rate in (*self.lr_grid, *([] if self.lr is None else [self.lr])):
            number = isinstance(rate, int | float) and not isinstance(rate, bool)
            if not (number and math.isfinite(rate) and rate >= 0):
                raise InputError(f"lr is {rate!r}, but must be a number at least 0")
        if self.halving is not None and not (isinstance(self.halving, int) and self.halving >= 2):
            raise InputError(f"halving is {self.halving!r}, but must be a whole number from 2")
        if not self.tasks and self.run.task is None and self.run.data is None:
            raise InputError("there is nothing to train on: name --tasks, or a table with --data")

    def _check_baselines(self) -> None:
        if self.baselines is None:
            return
        if self.baselines in ("none", ("none",), ["none"]):
            object.__setattr__(self, "baselines", ())
        if isinstance(self.baselines, str) or not isinstance(self.baselines, Sequence):
            raise InputError(f"baselines is {self.baselines!r}, but must be a list")
        object.__setattr__(self, "baselines", tuple(self.baselines))
        known = baselines.registry()
        for name in self.baselines or ():
            if name not in known:
                raise InputError(
                    f"there is no baseline {name!r}{did_you_mean(name, known)}: name some of "
                    f"{', '.join(known)}, or none"
                )

    @property
    def family(self) -> int:
        """Methods that are compared with plain fine-tuning."""
        labels = [label for label, method in self.rows if not baselines.is_simple(method)]
        return len(labels) - 1 if PLAIN in labels else 0

    def enough_seeds(self) -> int:
        """The number of seeds where none is given: pairs of several tasks are also tested together."""
        if not self.family or len(self.tasks) > 1:
            return 5
        from pats.page.numbers.statistics import seeds_needed  # brings scipy, which a worker does without

        return max(5, seeds_needed(self.family))

    def _check_seeds(self) -> None:
        counted = isinstance(self.seeds, int) and not isinstance(self.seeds, bool)
        seeds = self.seed_list if counted or isinstance(self.seeds, tuple) else ()
        whole = [isinstance(s, int) and not isinstance(s, bool) and 0 <= s < 2**32 for s in seeds]
        if not seeds or not all(whole) or len(set(seeds)) < len(seeds):
            raise InputError(
                f"seeds is {self.seeds!r}, but must be a number of at least 1, "
                "or a list of different whole numbers of at least 0"
            )
        tuning = self.tuning_seed
        if not isinstance(tuning, int) or isinstance(tuning, bool) or not 0 <= tuning < 2**32:
            raise InputError(f"tuning_seed is {tuning!r}, but must be a whole number from 0 to 2**32-1")
        if self.lr_grid and self.tuning_seed in seeds:
            raise InputError(
                f"tuning_seed is {self.tuning_seed}, which is one of the reported seeds: take another"
            )

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds that are reported."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds or ())

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Label and method of every row: the methods, then the baselines that are not among them."""
        pairs = (text.partition("=") for text in self.methods)
        named = [(label.strip(), (name or label).strip()) for label, _, name in pairs]
        there = {method for _, method in named}
        return (*named, *((name, name) for name in self.simple if name not in there))

    @property
    def on_a_table(self) -> bool:
        """The study is of a table of the user's own."""
        return not self.tasks and self.run.task is None

    @property
    def simple(self) -> tuple[str, ...]:
        """The baselines that have rows without being named among the methods."""
        if self.baselines is not None:
            return self.baselines
        on_glue = bool(self.methods) and all(task in tasks.GLUE for task in self.task_list)
        return tuple(baselines.registry()) if self.on_a_table or on_glue else ()

    @property
    def task_list(self) -> tuple[str, ...]:
        """Names of the tasks; a table is named by its file or folder."""
        if self.tasks:
            return self.tasks
        return (self.run.task or tasks.stem(str(self.run.data)),)

    @property
    def model_list(self) -> tuple[str, ...]:
        """Names or folders of the models."""
        return self.models or (self.run.model,)

    def base(self, task: str, model: str) -> Run:
        """The settings that all runs on a task with a model share."""
        run = replace(self.run, model=model, weights=self.weights.get(model))
        if not self.tasks:
            return run
        # A task that makes its own data needs none, also where GLUE's folder is given for the others.
        return replace(run, task=task, data=run.data if tasks.takes_data(task) else None)

    def make(
        self,
        place: Place,
        method: str,
        lr: float,
        seed: int,
        fingerprints: Fingerprints,
        share: float = 1.0,
        fold: int | None = None,
    ) -> Run:
        """One run of the grid, of one fold where there are folds, or of a share of its length."""
        task, model, label = place
        base = self.base(task, model)
        if baselines.is_simple(method):
            kept = {name: getattr(base, name) for name in _OF_SIMPLE}
            base, lr, share = Run(**kept), Run.lr, 1.0
        return replace(
            base.shortened(share),
            method=method,
            options=self.options.get(label, {}),
            lr=lr,
            fold=fold,
            # A seed that nobody loaded the data of is a fault: its results would have another id.
            fingerprint=fingerprints[task, seed] if fingerprints else None,
        ).with_seed(seed)

    @property
    def folds(self) -> tuple[int | None, ...]:
        """The folds that every seed has a run of; one run, of no fold, without folds."""
        return (None,) if self.run.folds is None else tuple(range(1, self.run.folds + 1))

    def trials(
        self,
        place: Place,
        method: str,
        rates: Sequence[float],
        fingerprints: Fingerprints,
        share: float,
        fold: int | None,
    ) -> list[Run]:
        """A tuning run for each of some rates, of one fold where there are folds."""
        return [self.make(place, method, lr, self.tuning_seed, fingerprints, share, fold) for lr in rates]

    def rate(self, place: Place, method: str) -> float | None:
        """The learning rate of a cell, 0 of a baseline; None where ``lr_grid`` is to find it."""
        if baselines.is_simple(method):
            return 0.0
        if self.lr is not None:
            return self.lr
        task, model, _ = place
        adamax = setups.optimizers()[self.run.optimizer].family == "adamax"  # as in the paper
        cell = paper.learning_rate(task, model, method) if adamax else None
        if cell is not None or self.lr_grid:
            return cell
        plain = paper.learning_rate(task, model, PLAIN) if adamax else None
        return self.run.lr if plain is None else plain

    @property
    def rungs(self) -> tuple[tuple[float, int], ...]:
        """Of the tuning: the share of a run's length that the trials have, and how many of them are kept."""
        if self.halving is None:
            return ((1.0, 1),)
        left, kept = len(self.lr_grid), []
        while left > 1:
            left = max(1, left // self.halving)
            kept.append(left)
        many = len(kept)
        return tuple((self.halving ** (index - many), keep) for index, keep in enumerate(kept))

    def tuning(self, fingerprints: Fingerprints = _NONE) -> dict[Place, tuple[Run, ...]]:
        """The first tuning runs, for every cell without a rate: one for each rate of the grid and fold."""
        share = next((share for share, _ in self.rungs), 1.0)
        return {
            place: tuple(
                run
                for fold in self.folds
                for run in self.trials(place, method, self.lr_grid, fingerprints, share, fold)
            )
            for place, method in self._places()
            if self.rate(place, method) is None
        }

    def cells(
        self,
        fingerprints: Fingerprints = _NONE,
        tuned: Mapping[Place, Rate] = _NONE,
    ) -> list[PlannedCell]:
        """All cells whose rate is known, control rows next to plain fine-tuning.

        Args:
            fingerprints: Of the data, by task and data seed, which replace the data in the runs' ids.
            tuned: The rates that ``tuning`` found.
        """
        found = {place: self._rate(place, method, tuned) for place, method in self._places()}
        rates = {place: rate for place, rate in found.items() if rate is not None}
        cells = []
        for place, method in self._places():
            if place not in rates:
                continue
            cells.append(self._cell(place, method, rates[place], fingerprints))
            if self.control and place[2] == PLAIN:
                cells += self._controls(place, rates, fingerprints)
        return cells

    def runs(
        self,
        fingerprints: Fingerprints = _NONE,
        tuned: Mapping[Place, Rate] = _NONE,
    ) -> list[Run]:
        """The runs of all cells: baselines, then seed by seed, so that one that is cut short is balanced."""
        cells = self.cells(fingerprints, tuned)
        simple = [run for cell in cells if baselines.is_simple(cell.method) for run in cell.runs]
        by_cell = [cell.rounds for cell in cells if not baselines.is_simple(cell.method)]
        return [*simple, *(run for seed in zip(*by_cell, strict=True) for runs in seed for run in runs)]

    def _places(self) -> list[tuple[Place, str]]:
        return [
            ((task, model, label), method)
            for task in self.task_list
            for model in self.model_list
            for label, method in self.rows
        ]

    def _rate(self, place: Place, method: str, tuned: Mapping[Place, Rate]) -> Rate | None:
        rate = self.rate(place, method)
        return tuned.get(place) if rate is None else rate

    def _cell(
        self,
        place: Place,
        method: str,
        rate: Rate,
        fingerprints: Fingerprints,
        control: str | None = None,
    ) -> PlannedCell:
        # A baseline has no seed but the split's, which all runs share: it is fitted once.
        seeds = self.seed_list[:1] if baselines.is_simple(method) else self.seed_list
        rates = rate if isinstance(rate, tuple) else (rate,) * len(self.folds)
        runs = tuple(
            self.make(place, method, lr, seed, fingerprints, fold=fold)
            for seed in seeds
            for fold, lr in zip(self.folds, rates, strict=True)
        )
        task, model, label = place
        return PlannedCell(
            task, model, control or label, method, median_low(rates), runs, control is not None
        )

    def _controls(
        self, plain: Place, rates: Mapping[Place, Rate], fingerprints: Fingerprints
    ) -> list[PlannedCell]:
        seen = {rates[plain]}
        noisy = methods.noisy()
        controls = []
        for label, method in self.rows:
            rate = rates.get((*plain[:2], label))
            if rate is not None and method in noisy and rate not in seen:
                seen.add(rate)
                name = f"{PLAIN} at {label}'s rate"
                controls.append(self._cell(plain, PLAIN, rate, fingerprints, control=name))
        return controls

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"run": self.run.to_dict(), "record": RECORD}

    @classmethod
    def upgraded(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """What ``to_dict`` gave in an earlier version, as it would give it now."""
        values = dict(values)
        if values.pop("record", 1) < RECORD:
            values |= _of_now(values.get("methods", ()), values.get("options", {}))
        return values


def _of_now(methods: Sequence[str], options: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
    """Rows of a study of an earlier version under the names that their methods have now; labels stay."""
    rows, settings = [], dict(options)
    for text in methods:
        label, _, name = text.partition("=")
        new = of_now((name or label).strip(), options.get(label.strip(), {}))
        rows.append(text if new["method"] == (name or label).strip() else f"{label}={new['method']}")
        if label.strip() in options:
            settings[label.strip()] = new["options"]
    return {"methods": tuple(rows), "options": settings} if methods else {}
