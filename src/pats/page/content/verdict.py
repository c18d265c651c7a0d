"""The verdict of a study in sentences: what went wrong first, then what was run, found and shown."""

from collections import Counter
from collections.abc import Sequence

from pats.page.content.names import always, metric_of, shortened, tables_named
from pats.page.content.simpler import best_simple, learned, majority, simpler, useless
from pats.page.content.words import CURE, between, count, listed, name_of, number, signed
from pats.page.numbers import statistics
from pats.page.numbers.reading import Readings
from pats.page.numbers.statistics import Paired
from pats.page.numbers.tables import CONSTANT, Group, Line, Overall


def verdict(groups: Sequence[Group], over: Sequence[Overall], read: Readings) -> tuple[str, ...]:
    """The sentences: three where all went well.

    Models that learned nothing come first, then what was run and how it scored, then classes that are
    never predicted and runs that failed, then what was shown.

    Args:
        groups: The tables of the study.
        over: The methods over all tasks.
        read: What the runs' predictions show.
    """
    return (
        *_constant(groups),
        *useless(groups, read),
        *simpler(groups, read),
        _what(groups),
        _outcome(groups, read),
        *_never(groups, read),
        *_failed(groups),
        _shown(groups, over),
    )


def gap(difference: Paired) -> str:
    """A difference with its interval, or what there is to say in its place."""
    if difference.equal:
        seeds = "on every seed" if difference.equal == "exactly" else "up to rounding"
        return f"identical {seeds}"
    text = signed(difference.mean)
    if difference.shift:
        return f"{text} on every seed"
    return text if difference.interval is None else f"{text} {between(difference.interval, sign=True)}"


def too_few(seeds: int, family: int, tasks: int = 1) -> str | None:
    """Why this number of seeds can show nothing whatever the scores, said before the runs; None if it can.

    Args:
        seeds: Seeds of every method.
        family: Methods that are compared with plain fine-tuning.
        tasks: Tasks that each method is run on: their pairs are also tested together.
    """
    if not family or statistics.can_be_significant(seeds, family):
        return None
    start = f"With {count(seeds, 'seed')} no difference can reach p ≤ {statistics.ALPHA:g}"
    start += " on a single task" if tasks > 1 else ""
    needed = statistics.seeds_needed(family)
    start += f" after Holm's correction for {family} methods" if family > 1 else ""
    sentence = f"{start}, whatever the scores: {needed} seeds can"
    if tasks > 1 and statistics.can_be_significant(seeds * tasks, family):
        sentence += f"; the mean over the {tasks} tasks can with these"
    return f"{sentence}."


# ------------------------------------------------------------------------ what was not learned, not run


def _constant(groups: Sequence[Group]) -> list[str]:
    """Models that predict one constant: nothing else in the study means anything before that is mended."""
    runs = [(g, line) for g in groups for line in g.tuned for _ in line.cell.results]
    bad = Counter(line.cell.label for g in groups for line in g.tuned for _ in range(line.degenerate))
    many = bad.total()
    if not many:
        return []
    if many == len(runs):
        ended = " that ended" if any(line.failures for g in groups for line in g.tuned) else ""
        if all(best_simple(group) is not None for group in groups):
            runs_of = f"its only run{ended} predicts" if many == 1 else f"its {many} runs{ended} all predict"
            return [f"Nothing was learned by fine-tuning: {runs_of} one constant; to mend that, {CURE}."]
        all_of = f"the only run{ended} predicts" if many == 1 else f"all {many} runs{ended} predict"
        return [
            f"Nothing was learned: {all_of} one constant, so the scores tell nothing of the methods, and no "
            f"model is exported unless --force asks for it; {CURE}."
        ]
    where = [group for group in groups if any(line.degenerate for line in group.tuned)]
    on = "" if len(groups) == 1 else f" ({tables_named(where)})"
    rows = ", ".join(f"{label} {number}" for label, number in bad.items())
    verb = "predicts one constant and has" if many == 1 else "predict one constant and have"
    return [
        f"{many} of {count(len(runs), 'run')}{on} {verb} learned nothing ({rows}); they count in every mean: "
        f"{CURE}, before you judge the methods."
    ]


def _never(groups: Sequence[Group], read: Readings) -> list[str]:
    """Classes that occur among the labels and that a method never predicts."""
    tables = []
    for group in groups:
        reading = read.get((group.task, group.model))
        never = {} if reading is None else reading.never()
        if not never:
            continue
        classes = [
            f"{label!r} by " + listed([f"{row} ({_share(*runs)})" for row, runs in rows.items()])
            for label, rows in never.items()
        ]
        where = "" if len(groups) == 1 else f"on {tables_named([group])} "
        tables.append(f"{where}{shortened(classes, 'class')}")
    return [f"Never predicted: {shortened(tables, 'table')}."] if tables else []


def _share(some: int, all_: int) -> str:
    return "its run" if all_ == 1 else f"all {all_} runs" if some == all_ else f"{some} of {all_} runs"


def _failed(groups: Sequence[Group]) -> list[str]:
    """Runs without a score, and methods that are compared on fewer seeds than were run."""
    lines = [(group, line) for group in groups for line in group.lines]
    bad: dict[str, list[int]] = {}
    for _, line in lines:
        failed = sum(not outcome.missing for outcome in line.failures)
        entry = bad.setdefault(line.cell.label, [0, 0])
        bad[line.cell.label] = [entry[0] + failed, entry[1] + len(line.cell.outcomes)]
    parts = [f"{some} of {count(runs, 'run')} of {label}" for label, (some, runs) in bad.items() if some]
    fewer: dict[str, list[str]] = {}
    for group, line in lines:
        if (
            line.cell.simple
            or line is group.plain
            or not line.scores
            or group.plain is None
            or not group.plain.scores
        ):
            continue
        n = 0 if line.difference is None else line.difference.n
        if n < len(line.cell.outcomes):
            where = line.cell.label if len(groups) == 1 else f"{line.cell.label} on {tables_named([group])}"
            of_all = f"{n} of {count(len(line.cell.outcomes), 'seed')}" if n else "no common seed"
            fewer.setdefault(of_all, []).append(where)
    pairs = [
        f"{shortened(rows, 'row')} {'is' if len(rows) == 1 else 'are'} compared with plain fine-tuning on "
        f"{seeds}"
        for seeds, rows in fewer.items()
    ]
    if not parts and not pairs:
        return []
    start = f"{listed(parts)} failed" if parts else ""
    rest = "; ".join(pairs)
    if not pairs:
        return [f"{start}."]
    return [f"{start}; {rest}." if parts else f"{rest[0].upper()}{rest[1:]}."]


# ------------------------------------------------------------------------------- what was run and found


def _what(groups: Sequence[Group]) -> str:
    tasks = list(dict.fromkeys(group.task for group in groups))
    models = list(dict.fromkeys(name_of(group.model) for group in groups))
    methods = dict.fromkeys(line.cell.label for g in groups for line in g.tuned if not line.cell.control)
    simple = dict.fromkeys(line.cell.label for g in groups for line in g.lines if line.cell.simple)
    seeds = max((len(line.cell.outcomes) for group in groups for line in group.tuned), default=0)
    splits = {group.split for group in groups}
    where = "the test set" if splits == {"test"} else "the dev set"
    if groups[0].folds is not None:
        where = f"all rows, each tested in one of {groups[0].folds} folds"
    if len(splits) > 1:
        where = "the test set where there is one, else the dev set"
    how = f"{metric_of(groups[0])} × 100" if len(groups) == 1 else "each task's metric × 100"
    beside = count(len(simple), "baseline") + " without fine-tuning"
    if not methods:
        were = "was" if len(simple) == 1 else "were"
        return f"{beside} {were} fitted on {listed(tasks)}; a score is {how} on {where}."
    return (
        f"{count(len(methods), 'method')} fine-tuned {listed(models)} on {listed(tasks)} with "
        f"{count(seeds, 'seed')} each{f', beside {beside}' if simple else ''}; a score is {how} on {where}, "
        "at the epoch that was best on dev."
    )


def _outcome(groups: Sequence[Group], read: Readings) -> str:
    if len(groups) == 1:
        plain, constant = groups[0].plain, majority(groups[0], read)
        parts = [
            f"{line.cell.label} {number(line.mean)}"
            + (f" ({_mean_of(line.difference)})" if line.difference else "")
            for line in groups[0].lines
            if line is not plain and not line.cell.control and line.cell.method != CONSTANT
        ]
        start = f"Plain fine-tuning scored {number(plain.mean)}" if plain else "Scores are"
        rest = (", " if plain else " ") + ", ".join(parts) if parts else ""
        other = (
            "" if constant is None else f"; always answering {always(groups[0])} scores {number(constant)}"
        )
        return f"{start}{rest}{other}."
    gaps: dict[str, list[float]] = {}
    better: Counter[str] = Counter()
    for group in groups:
        for line in group.tested:
            assert line.difference is not None
            gaps.setdefault(line.cell.label, []).append(line.difference.mean)
            better[line.cell.label] += group.sign * line.difference.mean > 0
    above = "above" if all(group.sign > 0 for group in groups) else "better than"
    if not gaps:
        return "Nothing was compared with plain fine-tuning."
    parts = [
        f"{label} by {signed(sum(values) / len(values))} on average, {above} it on "
        f"{better[label]} of {len(values)} tables"
        for label, values in gaps.items()
    ]
    return f"Against plain fine-tuning the scores differ: {'; '.join(parts)}."


def _mean_of(difference: Paired) -> str:
    return gap(difference) if difference.equal else signed(difference.mean)


# ---------------------------------------------------------------------------------------- what was shown


def _shown(groups: Sequence[Group], over: Sequence[Overall]) -> str:
    tested = [(group, line, line.difference) for group in groups for line in group.tested]
    pairs = [(group, line, difference) for group, line, difference in tested if difference is not None]
    if not pairs:
        if not any(group.tuned for group in groups):
            return "No fine-tuning was run beside the baselines."
        alone = all(line is group.plain for group in groups for line in group.tuned)
        why = "no method has a seed with a score beside plain fine-tuning's"
        if any(line.cell.favoured and line.scores for group in groups for line in group.tuned):
            why = "the other rows have dev scores alone, which they were chosen by"
        return f"There is no difference to judge: {'only plain fine-tuning was run' if alone else why}."
    if not any(learned(line) or learned(group.plain) for group, line, _ in pairs):
        return "There is no difference to judge: no model learned anything."
    equal = [(group, line) for group, line, difference in pairs if difference.equal]
    if len(equal) == len(pairs):
        exact = all(difference.equal == "exactly" for _, _, difference in pairs)
        return (
            f"{_rows(equal, groups)} and plain fine-tuning are identical on every seed"
            f"{'' if exact else ' up to rounding'}: there is no difference to judge."
        )
    lines = [(group, line) for group, line, _ in pairs if line.significant]
    whole = [row for row in over if row.significant]
    if lines or whole:
        return _significant(groups, lines, whole, len(pairs))
    same = f"; {_rows(equal, groups)} {'is' if len(equal) == 1 else 'are'} identical to it" if equal else ""
    return f"{_nothing_shown(groups, over, [pair for pair in pairs if not pair[2].equal])}{same}."


def _rows(lines: Sequence[tuple[Group, Line]], groups: Sequence[Group]) -> str:
    if len(groups) == 1:
        return listed([line.cell.label for _, line in lines])
    return shortened([f"{line.cell.label} on {tables_named([group])}" for group, line in lines], "row")


def _significant(
    groups: Sequence[Group], lines: Sequence[tuple[Group, Line]], whole: Sequence[Overall], tested: int
) -> str:
    places: dict[str, list[str]] = {}
    for row in whole:
        models = len({group.model for group in groups})
        place = "over all tasks " + (f"with {name_of(row.model)} " if models > 1 else "")
        places.setdefault(place, []).append(_difference_with_p(row.label, row.difference, row.p))
    for group, line in lines:
        place = f"on {group.task} with {name_of(group.model)} " if len(groups) > 1 else ""
        places.setdefault(place, []).append(_difference_with_p(line.cell.label, line.difference, line.p))
    text = "; ".join(place + listed(differences) for place, differences in places.items())
    single = " on a single task" if len(groups) > 1 else ""
    rest = "" if len(lines) == tested else f"; no other difference{single} was shown"
    start = "Shown against plain fine-tuning, at 5 % after Holm's correction, with 95 % intervals"
    return f"{start}: {text}{rest}."


def _difference_with_p(label: str, difference: Paired | None, p: float | None) -> str:
    assert difference is not None
    return f"{label} {gap(difference)} (p = {p:.3f})"


def _nothing_shown(
    groups: Sequence[Group], over: Sequence[Overall], pairs: Sequence[tuple[Group, Line, Paired]]
) -> str:
    """What could have been shown, where nothing was."""
    family = max(group.family for group in groups)
    n, needed = max(difference.n for _, _, difference in pairs), statistics.seeds_needed(family)
    able = [pair for pair in pairs if statistics.can_be_significant(pair[2].n, pair[0].family)]
    if not able:
        together = [row for row in over if row.difference is not None and row.p is not None]
        single = " on a single task" if together else ""
        sentence = (
            f"No difference{single} can be shown with {count(n, 'seed')}, whatever the scores "
            f"({needed} seeds would allow it for {count(family, 'comparison')})"
        )
        sentence += "; one seed says nothing about the spread" if n == 1 else ""
        return sentence + ("; none over all tasks was shown" if together else "")
    sentence = f"No difference to plain fine-tuning was shown with {count(n, 'seed')}"
    least = [difference.detectable for _, _, difference in able if difference.detectable is not None]
    if least:
        low, high = number(min(least)), number(max(least))
        size = low if low == high else f"{low} to {high}, depending on the row"
        sentence += f"; the smallest difference this number of seeds could have shown is about {size}"
    beyond = [(group, line) for group, line, difference in able if difference.beyond]
    if beyond:
        sentence += (
            f"; for {_rows(beyond, groups)} the seeds differ so much that none on the metric's scale could"
        )
    unable = [(group, line) for group, line, difference in pairs if (group, line, difference) not in able]
    if unable:
        sentence += (
            f"; {_rows(unable, groups)} {'has' if len(unable) == 1 else 'have'} too few common seeds for any"
        )
    return sentence
