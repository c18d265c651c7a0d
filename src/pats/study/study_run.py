"""What the steps of a comparison, or of a sweep, share: from runs to results, tables and chosen models."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pats._errors import InputError
from pats.page.content.summary import Summary, summary_of
from pats.page.content.verdict import too_few
from pats.page.formats import csv_tables
from pats.page.formats.markdown import markdown
from pats.page.numbers import reading, rows, tables
from pats.run.folder.files import write_atomic
from pats.run.spec import Run
from pats.study import choose, folds, noise, partial, prepare
from pats.study.cells import outcome, predictions, row_file, with_results
from pats.study.cut import Cut, Decided, basis, cut, decided
from pats.study.estimate import FORK, Estimate
from pats.study.keep import Keeper
from pats.study.options import Options
from pats.study.place import resources
from pats.study.place.coordinator import execute
from pats.study.place.protocol import Placer
from pats.study.plan.agenda import Agenda, Ranking, agenda, first_answer
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.result import StudyResult
from pats.study.settled import Settled, Watch
from pats.study.store.files import write
from pats.study.store.results import Store
from pats.study.watch import Display, Left, RunState, share_done
from pats.tasks import Split

SAMPLED = 20  # batches of rows that the timed one is taken from


@dataclass
class StudyRun:
    """A study under way.

    Args:
        study: The grid, or for a sweep what its runs share.
        store: Where everything is.
        engine: Who runs the runs.
        data: What was detected of the study's tasks.
        options: How it is carried out.
        notes: Sentences to put under the tables.
        checked: Every model has been loaded once, and can be used.
        unscored: Why runs that were to select something have no score, by id.
        estimate: How long runs take.
        agenda: The runs that are known.
        ended: Why the study ended before all runs were made, and what more would bring; else None.
        decided: What a time limit left out of the study; else None.
    """

    study: Study
    store: Store
    engine: Placer
    data: prepare.StudyData
    options: Options
    notes: list[str] = field(default_factory=list)
    checked: bool = False
    unscored: dict[str, str] = field(default_factory=dict)
    estimate: Estimate = field(default_factory=Estimate)
    agenda: Agenda = field(default_factory=Agenda)
    ended: str | None = None
    decided: Decided | None = None
    _several: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        self.estimate.rows = {
            task: (len(data.splits["train"]), sum(len(data.splits[name]) for name in data.dev_splits))
            for task, data in self.data.tasks.items()
        }
        if getattr(self.engine, "forks", False):  # the local engine's alone
            self.estimate.start = FORK
        self.options.limit.estimate = self._needs

    def conclude(self, planned: Sequence[PlannedCell], runs: Sequence[Run]) -> StudyResult:
        """Bring the cells that are reported to their results, tables and chosen models.

        Args:
            planned: The cells.
            runs: Their runs, in the order in which to start them.
        """
        self.run(planned, runs)
        return self.settle(planned)

    def settle(self, planned: Sequence[PlannedCell]) -> StudyResult:
        """Tables and chosen models of what has ended; where the time did, of what can be compared."""
        whole = with_results(self.store, planned)
        cells = partial.comparable(whole) if self.ended else whole
        written = predictions(self.store, cells)
        doubt = reading.over_dev(written)
        choices = {task: choose.choose(cells, task, whole, doubt) for task in self.study.task_list}
        chosen = {task: choice for task, choice in choices.items() if choice is not None}
        keeper = Keeper(self.study, self.store, self.engine, self.options, self.notes)
        exported = {task: choice for task, choice in chosen.items() if not keeper.refuses(choice)}
        self.options.limit.last = 0.0
        keeper.export(planned, exported)
        groups = tuple(tables.groups(cells))
        readings = reading.read(groups, written)
        choice_notes = [keeper.note(choice) for choice in chosen.values()]
        notes = (*self.data.notes, *self.notes, *choice_notes, *self.store.problems)
        summary = summary_of(groups, notes, readings) if groups else Summary((), (), notes)
        if self.ended:
            summary = summary.ending(self.ended)
        self._write_rows()
        write(self.store.root / "table1.md", markdown(summary))
        write(self.store.root / "table1.csv", csv_tables.table_csv(groups))
        write(self.store.root / "runs.csv", csv_tables.runs_csv(cells))
        return StudyResult(self.study, self.store.root, cells, groups, summary, exported, self.unscored)

    def _write_rows(self) -> None:
        """Keep the rows of a table that its models are judged on, so that a page can show them."""
        for task, data in self.data.tasks.items():
            judging = [name for name in data.splits if name == "test" or name in data.dev_splits]
            if data.source == "table":
                file = row_file(self.store, task)
                file.parent.mkdir(exist_ok=True)
                kept = [(name, _rows(data.splits[name])) for name in judging]
                if self.study.run.folds is not None:
                    kept = [("test", _rows(folds.tested(self.study.base(task, ""), self.study.folds)))]
                content = rows.packed(kept)
                write_atomic(file, content)

    def _needs(self, run: Run) -> float | None:
        """Seconds until a run ends, from where it was left."""
        seconds = self.estimate.seconds(run)
        return None if seconds is None else seconds * (1 - share_done(self.store, run))

    def announce(self) -> None:
        """Say before the runs what they cannot show."""
        warning = too_few(len(self.study.seed_list), self.study.family, len(self.study.task_list))
        if warning is not None:
            self.say(warning)

    def say(self, sentence: str, style: str | None = None) -> None:
        """Show a sentence where somebody watches."""
        if self.options.console is not None:
            self.options.console.print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)

    def fit_to_limit(self) -> None:
        """Leave out what keeps a first answer from fitting into the time limit, see ``pats.study.cut``.

        A later call decides again only with a longer limit.
        """
        study, limit = self.study, self.options.limit
        if study.halving is None or not study.lr_grid or not math.isfinite(limit.seconds):
            return
        rows = max(train for train, _ in self.estimate.rows.values())
        full = study.run.total_steps(max(1, round(study.run.fraction * rows)))
        before = self._decided()
        found: Cut | None
        if before is not None and before.holds(study, limit.seconds):
            found, alone, self.decided = before.cut, None, before
            self.study = found.of(study)
            self._hasten()
        else:
            found, alone = self._cut(full)
            if found is not None and self._hasten():
                found, alone = self._cut(full)
            if found is None:
                return
            self.study = found.of(study)
            if alone is None:  # where nothing fits, nothing is decided: the machine may be faster next time
                self.decided = Decided(limit.seconds, found, basis(study))
        sentence = found.told(study, limit.seconds, full, alone)
        self.say(sentence)
        self.notes.append(sentence)

    def _decided(self) -> Decided | None:
        try:
            return decided(self.store.study())
        except InputError:  # a new study, or one whose file is to be written again
            return None

    def _cut(self, full: int) -> tuple[Cut | None, float | None]:
        limit = self.options.limit
        return cut(self.study, limit.left - limit.reserve, full, self._first_seconds)

    def _hasten(self) -> bool:
        """Have one run at a time on all cores where that ends sooner; whether it does."""
        one_at_a_time = getattr(self.engine, "one_at_a_time", None)  # the local engine's alone
        if one_at_a_time is None:
            return False
        before, steps = self._first_seconds(self.study), self.estimate.steps
        if before is None or not one_at_a_time():
            return False
        self._several = lambda: one_at_a_time(False)
        self.checked = False  # a step is timed again
        after = self._first_seconds(self.study)
        if after is None or after >= before:  # other programs keep the cores busy
            self.give_back()
            self.estimate.steps = steps
            return False
        self.say("One run at a time, on all cores, for a first answer within the time limit.", style="dim")
        return True

    def give_back(self) -> None:
        """Have the engine divide the cores as it did."""
        if self._several is not None:
            self._several()
            self._several = None

    def _first_seconds(self, study: Study) -> float | None:
        """Seconds to a first answer of a study; None where nobody knows."""
        fingerprints = self.data.fingerprints
        runs = first_answer(study, agenda(study, fingerprints, self._ranking({})), fingerprints)
        missing = [run for run in runs if self.store.result(run.id) is None]
        if missing:
            self._check(tell=True)
        return self.estimate.together(missing, getattr(self.engine, "workers", 1))

    def select(self, cells: Sequence[PlannedCell], runs: Sequence[Run]) -> None:
        """Bring runs that select something (a rate, a point of a search) to their results."""
        self.run(cells, runs)
        for run in runs:
            failure = outcome(self.store, run).failure
            if failure is not None:
                self.unscored[run.id] = failure

    def run(self, cells: Sequence[PlannedCell], runs: Sequence[Run]) -> None:
        """Bring runs to their results, keeping the weights of each cell's best alone."""
        self.follow(lambda ranking: Agenda(tuple(cells), (), tuple(runs)), tell=False)

    def follow(self, plan: Callable[[Ranking], Agenda], tell: bool = True, early: bool = False) -> Agenda:
        """Bring what a plan knows to its results, and what it knows then, until all or the time has ended.

        Args:
            plan: What there is to run, by what has ended.
            tell: Say before the first run what will be run.
            early: End where more seeds of the one table cannot change what to use.

        Returns:
            The plan as it is then.
        """
        now, failed = plan(self._ranking({})), dict[str, str]()
        watch = Watch(self.store, self.study) if early else None
        self._save(now)
        settled = watch.look(now) if watch else None
        if not settled and any(self.store.result(run.id) is None for run in now.runs):
            self._check(tell)
            if tell:
                self._forecast(now, early)
        with Display(self.store, (), self.options.console, self._left) as display:
            display.show((*now.trials, *now.cells), now.coming)

            def changed(run: Run) -> None:
                self._prune(next(cell for cell in (*now.trials, *now.cells) if run in cell.runs))
                self.estimate.learn([self.store.result(run.id)])
                display.changed(run)

            def more(errors: Mapping[str, str]) -> Sequence[Run] | None:
                nonlocal now, settled
                failed.update(errors)
                if now.coming:
                    now = plan(self._ranking(failed))
                    self._save(now)
                    display.show((*now.trials, *now.cells), now.coming)
                    return now.runs
                if settled is None and watch:
                    settled = watch.look(now)
                return () if settled else None

            failed |= execute(
                () if settled else now.runs,
                self.store,
                self.engine,
                retries=self.options.retries,
                on_change=changed,
                on_tick=display.tick,
                report_to=self.options.report_to,
                more=more,
                limit=self.options.limit,
            )
        self._end(now, failed, settled)
        return now

    def _share_gpus(self, bytes_a_run: int | None) -> None:
        """Let the engine choose how many runs a GPU takes, and say it."""
        share = getattr(self.engine, "share_gpus", None)  # one of the user's own may have none
        sentence = share(bytes_a_run) if share is not None else None
        if sentence is not None:
            self.say(sentence, style="dim")

    def _ranking(self, failed: Mapping[str, str]) -> Ranking:
        def ranking(runs: Sequence[Run]) -> Sequence[Run] | None:
            if any(self.store.result(run.id) is None and run.id not in failed for run in runs):
                return None
            by_id = {run.id: run for run in runs}
            return [by_id[run_id] for run_id in choose.ranked(self.store, list(by_id))]

        return ranking

    def _save(self, now: Agenda) -> None:
        """Write down what is planned, for who watches it and for the page."""
        self.agenda = now
        self.estimate.learn(self.store.result(run.id) for run in now.runs)
        if self.study.run.folds is not None:  # then the exported model is one more run
            self.options.limit.last = max(
                (self.estimate.seconds(run) or 0.0 for run in now.runs), default=0.0
            )
        content: dict[str, Any] = {"study": self.study.to_dict()}
        content["cells"] = [cell.to_dict() for cell in now.cells]
        if now.trials:
            content["trials"] = [cell.to_dict() for cell in now.trials]
        content |= {"coming": now.coming} if now.coming else {}
        content |= {"ended": self.ended} if self.ended else {}
        content |= {"cut": asdict(self.decided)} if self.decided else {}
        if math.isfinite(self.options.limit.seconds) and not self.ended:
            content["until"] = time.time() + self.options.limit.left  # a clock that who watches has, too
        self.store.save_study(content)

    def _check(self, tell: bool) -> None:
        """Load every model once before the first run, and time its steps where somebody asks how long."""
        if self.checked:
            return
        self.checked = True
        asked = (tell and self.options.console is not None) or math.isfinite(self.options.limit.seconds)
        threads: int | None = getattr(self.engine, "threads", None)  # the local engine's alone
        first = next(iter(self.data.tasks.values()), None)
        timed = None
        if first is not None and asked and threads is not None and not resources.visible_gpus():
            train = first.splits["train"]
            apart = -(-len(train) // (SAMPLED * self.study.run.batch_size))
            timed = train.take(list(range(0, len(train), apart)))  # a table may be sorted
        need, seconds = prepare.check_models(self.study, self.data.labels, timed, threads, first)
        self.estimate.steps = seconds
        self._share_gpus(need)

    def _forecast(self, now: Agenda, early: bool) -> None:
        """Say what will be run, how long that takes, and what the noise of each row will accumulate to."""
        waiting = [run for run in now.runs if self.store.result(run.id) is None]
        first = self._first_seconds(self.study) if early else None
        limit = self.options.limit
        self.say(partial.forecast(self.study, now, len(waiting), self._rest(now), limit, early, first))
        if self.options.console is not None:
            here = getattr(self.engine, "threads", None) is not None
            for line in noise.lines(self.study, self.data.tasks, measure=here):
                self.say(line, style="bold" if ": Warning: " in line else "dim")

    def _rest(self, now: Agenda) -> float | None:
        """Seconds that the rest of an agenda takes on this engine; None where nobody knows."""
        return self._seconds(now.runs, now.coming)

    def _seconds(self, runs: Sequence[Run], coming: int = 0) -> float | None:
        missing = [run for run in runs if self.store.result(run.id) is None]
        return self.estimate.all_of(missing, coming, getattr(self.engine, "workers", 1))

    def _left(self, states: Sequence[RunState]) -> Left:
        """Seconds to the end of the work, and of the time limit."""
        shares = {state.run_id: 1 - state.share for state in states if state.state != "failed"}
        work = self.estimate.all_of(
            [run for run in self.agenda.runs if run.id in shares],
            self.agenda.coming,
            getattr(self.engine, "workers", 1),
            shares,
        )
        limit = self.options.limit
        return Left(work, limit.left if math.isfinite(limit.seconds) else None)

    def _end(self, now: Agenda, failed: Mapping[str, str], settled: Settled | None) -> None:
        """Note why not all runs were made: nothing was left to decide, or the time ended before."""
        missing = [r for r in now.runs if self.store.result(r.id) is None and r.id not in failed]
        many, rest = len(missing) + now.coming, self._rest(now)
        if settled and many:
            self.ended = settled.told(many, rest)
        elif many:
            cells = with_results(self.store, now.cells)
            was_cut = self.decided is not None
            self.ended = partial.ended(self.study, cells, many, rest, self.options.limit, was_cut)
        if many:
            self._save(now)

    def _prune(self, cell: PlannedCell) -> None:
        run_ids = [run.id for run in cell.runs]
        best = choose.best(self.store, run_ids)
        for run_id in run_ids:
            if self.store.result(run_id) is not None:
                self.store.drop(run_id, model=not self.options.keep_models and run_id != best)


def _rows(split: Split) -> rows.Rows:
    texts = zip(split.text, split.text_pair, strict=True) if split.text_pair else zip(split.text)
    return rows.Rows(tuple(texts), split.group or ())
