"""The answer of a comparison on a table: what to use, how good it is, beside what, and what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pats import baselines
from pats.page.content import several
from pats.page.content.blocks import Grid, Section
from pats.page.content.names import always, metric_name, metric_of
from pats.page.content.picked import Pick, pick
from pats.page.content.simpler import EPSILON, best_simple
from pats.page.content.words import CURE, between, count, listed, name_of, number, signed
from pats.page.numbers import judged
from pats.page.numbers.reading import Readings
from pats.page.numbers.rows import Rows
from pats.page.numbers.tables import CONSTANT, Group, Line
from pats.results import PLAIN

FEW = 400  # test rows below which more of them are what would make a score surer
UNSURE = 4.0  # points to either side from which on a score is called uncertain
TO_CHECK = 5  # rows whose labels are listed
POOR = 70.0  # recall × 100 below which more rows of a class are asked for

Known = Mapping[str, Mapping[str, Rows]]  # rows of tables by task and split


def lines(groups: Sequence[Group], read: Readings) -> tuple[str, ...]:
    """The answer in sentences: what to use, beside what, what it gets wrong, what to do next."""
    chosen = pick(groups, read)
    if chosen is None:
        return ()
    told = [_use(chosen), _beside(chosen), _wrong(chosen)]
    told += [f"Next: {' '.join(next_steps(chosen, groups)[:2])}"] if next_steps(chosen, groups) else []
    return tuple(sentence for sentence in told if sentence)


def _use(chosen: Pick) -> str:
    group, line = chosen.group, chosen.line
    if chosen.useless:
        score = "" if chosen.constant is None else f" ({number(chosen.constant)})"
        answer = f"always answering {always(group)}{score}"
        best = best_other(chosen)
        if best is None or not _better(group, best.mean, chosen.constant):
            return f"Use none of these models yet: none is better than {answer}."
        on = f"but on {group.where} it is no better than {answer}"
        return f"Use {line.cell.label} with care: dev chose it, {on}."
    simple = best_simple(group)
    tuned = [one for one in group.tuned if one.scores]
    beaten = simple is not None and not any(_better(group, one.mean, simple.mean) for one in tuned)
    if beaten and simple is not None and not line.cell.simple:
        return (
            f"No fine-tuned model beats {simple.cell.label}, {about(simple, group)}: it scores "
            f"{number(simple.mean)}, and {line.cell.label}, which was ahead on dev and is exported, "
            f"{number(line.mean)} ({metric_of(group)} × 100)."
        )
    start = f"Use {line.cell.label}, {about(line, group)}"
    start += ", which no fine-tuned model beats" if beaten and tuned and line is simple else ""
    return f"{start}: {_how_good(chosen)}"


def _how_good(chosen: Pick) -> str:
    mean, seen, metric = chosen.line.mean, chosen.examples, metric_name(chosen.group)
    share = metric == "accuracy" and mean is not None
    sure = ""
    if seen is not None and seen.plausible is not None:
        ends = " to ".join(f"{end:.{0 if share else 1}f}" for end in seen.plausible)
        ends += " of 100" if share else ""
        sure = f" With {count(seen.count, chosen.group.row)}, {ends} are plausible."
    if share:
        return f"it is right on {mean:.0f} of 100 texts.{sure}"
    right = ""
    if chosen.reading.labels and chosen.answers:
        hits = np.concatenate([one.true == one.predicted for one in chosen.answers])
        right = f", and it is right on {100 * hits.mean():.0f} of 100 texts"
    lower = ", lower is better" if chosen.group.sign < 0 else ""
    return f"its {metric_of(chosen.group)} × 100 is {number(mean)}{lower}{right}.{sure}"


def _better(group: Group, mean: float | None, other: float | None) -> bool:
    return mean is not None and (other is None or group.sign * (mean - other) > EPSILON)


def about(line: Line, group: Group) -> str:
    """What a row is, in a few words."""
    if not line.cell.simple:
        plain = "plain fine-tuning" if line.cell.method == PLAIN else "fine-tuning"
        return f"{plain} of {name_of(group.model)}"
    summary = baselines.registry()[line.cell.method].summary
    classes = any(result.labels for result in line.cell.results.values())
    first, second = (
        ("logistic", "the most frequent class") if classes else ("ridge", "the mean or median score")
    )
    return summary.replace("logistic or ridge", first).replace(
        "the most frequent class, or the mean or median score", second
    )


def _beside(chosen: Pick) -> str:
    group = chosen.group
    others = [line for line in group.lines if line is not chosen.line and line.scores]
    others.sort(key=lambda line: -group.sign * (line.mean or 0.0))
    scores = [f"{line.cell.label} {number(line.mean)}" for line in others if line.cell.method != CONSTANT]
    if chosen.constant is not None:
        scores.append(f"always {always(group)} {number(chosen.constant)}")
    if not scores:
        return ""
    own = f"{chosen.line.cell.label} {number(chosen.line.mean)}"
    where = f"In {metric_of(group)} × 100 on {group.where}"
    return f"{where}: {', '.join([own, *scores])}.{_rival(chosen)}{_passed(chosen)}"


def _rival(chosen: Pick) -> str:
    """Whether the best other row is really behind, or ahead."""
    best = best_other(chosen)
    gap = None if best is None else over_examples(chosen, best)
    if best is None or gap is None or chosen.useless:
        return ""
    ahead = chosen.group.sign * gap[0] > 0
    first, second = (chosen.line, best) if ahead else (best, chosen.line)
    if gap[1][0] <= 0 <= gap[1][1]:
        return f" These rows cannot tell {first.cell.label} from {second.cell.label}."
    told = f" {first.cell.label} is ahead of {second.cell.label} beyond the chance of these rows"
    flattered = f"as a choice on {chosen.group.split} would flatter what it chooses"
    why = f"; dev chose {second.cell.label}, {flattered}"
    if chosen.ahead is not None:
        why = f"; it was not chosen for that, {flattered}"
    return f"{told}{why if not ahead and chosen.group.split == 'test' else ''}."


def _passed(chosen: Pick) -> str:
    if chosen.ahead is None or chosen.useless:
        return ""
    return (
        f" On dev {chosen.ahead} was ahead of {chosen.line.cell.label} by less than one standard error, too "
        "little to prefer it to a simple model."
    )


def best_other(chosen: Pick) -> Line | None:
    """The best of the other rows that are no constant."""
    rest = [line for line in chosen.group.lines if line is not chosen.line and line.scores]
    able = [
        line for line in rest if line.cell.method != CONSTANT and line.cell.learned and not line.cell.control
    ]
    return max(able, key=lambda line: chosen.group.sign * (line.mean or 0.0), default=None)


def over_examples(chosen: Pick, other: Line) -> tuple[float, tuple[float, float]] | None:
    """The difference of the chosen row to another one, with its interval over examples."""
    read = chosen.reading.several or chosen.reading.answers
    theirs, ours = read.get(other.cell.label), chosen.several or chosen.answers
    metric = metric_name(chosen.group)
    if theirs is None or not ours or not metric:
        return None
    return judged.paired_over_examples(ours, theirs, metric)


def _wrong(chosen: Pick) -> str:
    if chosen.several and not chosen.useless:
        return several.told(chosen.line.cell.label, chosen.group.row, chosen.reading.labels, chosen.several)
    if not chosen.reading.labels or not chosen.answers or chosen.useless:
        return ""
    found, label = confused(chosen), chosen.line.cell.label
    size = sum(one.true.size for one in chosen.answers)
    wrong = sum(int((one.true != one.predicted).sum()) for one in chosen.answers)
    if not wrong:
        return f"{label} is wrong on none of the {size} {chosen.group.row}s."
    named = [f"{true!r} taken for {predicted!r} ({many})" for true, predicted, many in found]
    return f"{label} is wrong on {wrong} of {size} {chosen.group.row}s: {listed(named)}."


def confused(chosen: Pick) -> list[tuple[str, str, int]]:
    """The commonest confusions of the chosen row's first run."""
    counts = chosen.reading.counts.get(chosen.line.cell.label)
    return judged.confusions(chosen.reading.labels, counts[0], most=3) if counts else []


def choice(chosen: Pick) -> Section:
    """The rows of the comparison beside each other, the one to use first."""
    group, label = chosen.group, chosen.line.cell.label
    rest = [line for line in group.lines if line is not chosen.line and line.scores]
    ordered = [chosen.line, *sorted(rest, key=lambda line: -group.sign * (line.mean or 0.0))]
    cells = []
    for line in ordered:
        seen = chosen.reading.first.get(line.cell.label)
        gap = None if line is chosen.line else over_examples(chosen, line)
        behind = "" if gap is None else _gap(gap)
        cells.append(
            (
                line.cell.label,
                number(line.mean),
                between(seen.interval) if seen else "-",
                behind,
                about(line, group),
            )
        )
    heads = (
        "method",
        f"{metric_of(group)} × 100",
        "plausible [95 %]",
        f"beside {label} [95 %]",
        "what it is",
    )
    text = (
        f"Scores on {group.where}; of several seeds their mean. Intervals are of the first run, "
        f"over the {group.row}s: other rows of the same kind could have given these scores."
    )
    grid = Grid(f"{group.task}: every method", heads, tuple(cells))
    return Section("choice", "Beside the simple models", text, (grid,))


def _gap(gap: tuple[float, tuple[float, float]]) -> str:
    """How far the other row is ahead of the chosen one."""
    if gap[1][0] == gap[1][1] == 0:
        return "the same"
    return f"{signed(-gap[0])} {between((-gap[1][1], -gap[1][0]), sign=True)}"


def advice(
    chosen: Pick, groups: Sequence[Group], known: Known, findings: Sequence[Mapping[str, Any]] = ()
) -> Section | None:
    """What to do next, the most important first; None where nothing is."""
    steps = next_steps(chosen, groups)
    many = sum(one.get("severity") in ("warning", "error") for one in findings)
    if many:
        steps.insert(0, f"Read the {count(many, 'warning')} about your table below: results may mislead.")
    return (
        Section("next", "What to do next", "", _to_check(chosen, known), items=tuple(steps))
        if steps
        else None
    )


def _to_check(chosen: Pick, known: Known) -> tuple[Grid, ...]:
    """The rows whose labels are to be checked."""
    labels, cells = chosen.reading.labels, []
    for split, found in missed(chosen):
        rows = known.get(chosen.group.task, {}).get(split)
        size = next(one.true.size for one in chosen.answers if one.split == split)
        texts = rows if rows is not None and len(rows.texts) == size else None
        for place, true, predicted, _ in found:
            text = f"row {place + 1}" if texts is None else texts.shown(place)
            cells.append((text, labels[int(true)], labels[int(predicted)]))
    if not cells:
        return ()
    heads = ("text", "its label", "most methods say")
    return (Grid("Labels to check", heads, tuple(cells[:TO_CHECK])),)


def next_steps(chosen: Pick, groups: Sequence[Group]) -> list[str]:
    """What to do next in sentences, the most important first."""
    missing = sum(outcome.missing for g in groups for line in g.lines for outcome in line.failures)
    steps = []
    if missing:
        runs = count(missing, "run")
        steps.append(
            f"Start the same command again: {runs} are still to come, and it goes on where it stopped."
        )
    tuned = [line for line in chosen.group.tuned if line.scores]
    if tuned and not any(line.cell.learned for line in tuned):
        steps.append(f"Fine-tuning learned nothing here: {CURE}.")
    hard = sum(len(found) for _, found in missed(chosen))
    if hard:
        rows = "the row" if hard == 1 else f"the {hard} rows"
        steps.append(f"Check the labels of {rows} that every method gets wrong: the report lists them.")
    steps += _rare(chosen)
    return [*_instead(chosen), *steps, *_surer(chosen)]


def _instead(chosen: Pick) -> list[str]:
    """How to have the simple model where it is clearly ahead on test of the fine-tuned one that dev chose."""
    best = best_other(chosen)
    gap = None if best is None else over_examples(chosen, best)
    if best is None or gap is None or not best.cell.simple or chosen.line.cell.simple or chosen.useless:
        return []
    if chosen.group.sign * gap[0] >= 0 or gap[1][0] <= 0 <= gap[1][1]:
        return []
    return [
        f"To have {best.cell.label} in place of what is exported, compare with --methods {best.cell.label} "
        "--baselines none and another --out."
    ]


def missed(chosen: Pick) -> list[tuple[str, list[tuple[int, float, float, int]]]]:
    """By split, the rows that all methods which learned something get wrong."""
    able = [
        line.cell.label for line in chosen.group.lines if line.cell.learned and line.cell.method != CONSTANT
    ]
    found = []
    for place, one in enumerate(chosen.answers if chosen.reading.labels else ()):
        others = {label: chosen.reading.answers.get(label, ()) for label in able}
        same = {
            label: parts[place]
            for label, parts in others.items()
            if len(parts) > place and np.array_equal(parts[place].true, one.true)
        }
        found.append((one.split, judged.missed_by_all(same)))
    return found


def _rare(chosen: Pick) -> list[str]:
    """The class that more rows would help most."""
    counts = chosen.reading.counts.get(chosen.line.cell.label)
    if not counts or chosen.useless or len(chosen.reading.labels) < 2:
        return []
    able = [one for one in judged.per_class(chosen.reading.labels, counts[0]) if one.recall is not None]
    worst = min(able, key=lambda one: one.recall or 0.0, default=None)
    if worst is None or (worst.recall or 0.0) >= POOR:
        return []
    hits = round((worst.recall or 0.0) * worst.count / 100)
    return [
        f"Label more rows of {worst.label!r}: of its {count(worst.count, chosen.group.row)} only "
        f"{hits} {'is' if hits == 1 else 'are'} found."
    ]


def _surer(chosen: Pick) -> list[str]:
    """What makes the score surer, and what does not."""
    seen = chosen.examples
    if seen is None or chosen.useless:
        return []
    best = best_other(chosen)
    gap = None if best is None else over_examples(chosen, best)
    half = (seen.interval[1] - seen.interval[0]) / 2
    steps = []
    if half >= UNSURE and seen.count < FEW:
        steps.append(
            f"Label more rows: {seen.count} {chosen.group.row}s leave the score open by about "
            f"{half:.0f} points either way."
        )
    if best is not None and gap is not None and gap[1][0] <= 0 <= gap[1][1]:
        names = f"{chosen.line.cell.label} and {best.cell.label}"
        steps.append(
            f"More methods or seeds would gain little: {names} differ within the chance of these rows."
        )
    return steps


def data(findings: Sequence[Mapping[str, Any]]) -> Section | None:
    """What was found in the table, in order of weight."""
    order = {"error": 0, "warning": 1, "note": 2}
    ordered = sorted(findings, key=lambda one: order.get(str(one.get("severity")), 2))
    told = tuple(
        ("" if one.get("severity") == "note" else f"{str(one.get('severity')).capitalize()}: ")
        + str(one.get("message", ""))
        for one in ordered
    )
    return Section("data", "Your table", "", items=told) if told else None
