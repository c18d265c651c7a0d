"""Ten lines for a practitioner. What each says follows from the results; nothing is typed in."""

import statistics
from dataclasses import dataclass
from statistics import fmean

from benchmarks import record
from benchmarks.evidence import findings
from benchmarks.evidence.agenda import Known, Row
from benchmarks.evidence.findings import Compared
from benchmarks.evidence.plan import Plan
from benchmarks.record import Results
from benchmarks.tables import rows_of
from pats.page.numbers.statistics import detectable

SEEDS = 5  # a usual number of them
DEAR = 1.4  # times plain fine-tuning's cost


@dataclass(frozen=True)
class Evidence:
    """All committed results that the page is made from.

    Args:
        base: MPNet-base.
        readings: MiniLM, the readings.
        small: MiniLM, four methods.
        sizes: MiniLM, by size of the data.
        costs: Of the methods.
        plan_rows: Of the planned search, as far as it has been run.
    """

    base: Results
    readings: Results
    small: Results
    sizes: Results
    costs: Results
    plan_rows: tuple[Row, ...]

    @classmethod
    def read(cls) -> "Evidence":
        """What is there.

        Raises:
            SystemExit: A result file is missing that is not of the planned search.
        """
        base, readings, small, sizes, costs = map(
            _needed, ("mpnet_h100", "readings", "minilm_glue", "data_size", "methods")
        )
        planned = record.read("evidence")
        rows = () if planned is None else tuple(dict(one) for one in planned.rows)
        return cls(base, readings, small, sizes, costs, rows)

    @property
    def at_base(self) -> list[Compared]:
        """Arms on MPNet-base."""
        return findings.base_size(self.base)

    @property
    def of_readings(self) -> list[Compared]:
        """Readings on MiniLM."""
        return findings.readings(self.readings)

    @property
    def of_small(self) -> list[Compared]:
        """Methods on MiniLM with little data."""
        return findings.small_study(self.small)


def _needed(name: str) -> Results:
    results = record.read(name)
    if results is None:
        raise SystemExit(f"the page needs {name}.json: python -m benchmarks.stale --run {name}")
    return results


def difference(one: Compared) -> str:
    """The mean difference with its interval."""
    bounds = one.all.interval
    return f"{one.all.mean:+.1f}" + ("" if bounds is None else f" [{bounds[0]:+.1f}, {bounds[1]:+.1f}]")


def lines(plan: Plan, known: Evidence) -> list[str]:
    """The ten lines."""
    return [
        _first(plan, known),
        _literal(plan, known),
        _amount(known),
        _default(plan, known),
        _best(known),
        _seeds(known),
        _little_data(known),
        _epochs(known),
        _cost(known),
        _open(plan, known),
    ]


def _confirmed(plan: Plan, known: Evidence) -> list[Compared]:
    return findings.of_stage(plan, Known(plan, known.plan_rows), plan.stages["confirmation"])


def _first(plan: Plan, known: Evidence) -> str:
    found = _confirmed(plan, known)
    ended = Known(plan, known.plan_rows).ended(plan.stages["confirmation"])
    better = [one for one in found if one.better]
    if better and ended:  # before, p-values are adjusted for fewer arms than there are
        names = "; ".join(f"`{one.arm}` {difference(one)}, {one.tried} settings tried" for one in better)
        return f"**Beside plain fine-tuning, try what was confirmed on fresh seeds**: {names}."
    so_far = "has not ended: what follows of it is of the runs so far" if found else "has not been run"
    done = "" if ended else f" The confirmation on fresh seeds {so_far}."
    near = next((one for one in found if ended and one.note != findings.FAVOURED), None)
    if near is not None and near.p is not None:
        done = (
            f" Nearest to it is `{near.arm}`: {difference(near)} over {near.pairs} pairs on fresh seeds, p = "
            f"{near.p:.2f} after Holm."
        )
    return f"**Begin with plain fine-tuning.** Nothing here is confirmed to beat it.{done}"


def _literal(plan: Plan, known: Evidence) -> str:
    base = next(one for one in known.at_base if one.arm == "literal")
    fresh = [one for one in _confirmed(plan, known) if one.arm == "pats-paper"]
    small = next(iter(fresh), None) or next(one for one in known.of_small if one.arm == findings.LITERAL)
    tasks = [fmean(gaps) for gaps in base.gaps.values()]
    below = f"below it on {sum(gap < 0 for gap in tasks)} of {len(tasks)} tasks"
    return (
        "**Leave the paper's literal reading (`pats-paper`) to reproductions.** Beside plain fine-tuning "
        f"it scores {difference(base)} on MPNet-base ({base.pairs} pairs), {below}, and {difference(small)} "
        f"on MiniLM with little data ({small.pairs} pairs)."
    )


def _amount(known: Evidence) -> str:
    arms = {one.arm: one for one in known.at_base}
    order = [arms[f"lr-scaled, kappa {kappa}"] for kappa in (1, 5, 14)]
    shown = ", ".join(map(difference, order))
    means = [one.all.mean for one in order]
    falls = (
        "The score falls as the noise grows" if means == sorted(means, reverse=True) else "The order is mixed"
    )
    return (
        f"**If you add noise, add little.** {falls}: {shown} on MPNet-base, with 1, 5 and 14 times the "
        "learning rate as noise (`--scale lr --kappa`). `pats check` reports the amount."
    )


def _default(plan: Plan, known: Evidence) -> str:
    own = next((one for one in _confirmed(plan, known) if one.arm == "pats"), None)
    if own is None or own.all.interval is None:
        return (
            "**The default (`pats`, a budget of 0.04) is bounded**; whether it loses less than a point is a "
            "question of the planned search, whose confirmation has not been run."
        )
    low = own.all.interval[0]
    held = "loses less than a point" if low > -1 else "is not shown to lose less than a point"
    found = f"**The default (`pats`) {held}**: {difference(own)} over {own.pairs} pairs on fresh seeds."
    if low > -1:
        return found
    return f"{found} By the plan the interval must lie above -1 point. {_half(plan, known)}"


def _half(plan: Plan, known: Evidence) -> str:
    """What half of the default's budget does."""
    stage, so_far = plan.stages.get("half"), Known(plan, known.plan_rows)
    own = next(iter(findings.of_stage(plan, so_far, stage)), None) if stage and so_far.ended(stage) else None
    if own is None or own.all.interval is None:
        return "Half the budget (`--noise-budget 0.02`) is in the plan, and its runs have not ended."
    held = "" if own.all.interval[0] > -1 else "not "
    return (
        f"Half the budget (`--noise-budget 0.02`) is {held}shown to lose less: {difference(own)} over "
        f"{own.pairs} pairs on other seeds."
    )


def _best(known: Evidence) -> str:
    best = max(known.of_readings, key=lambda one: one.all.mean)
    above = sum(one.all.mean > 0 for one in known.of_readings)
    many = len(known.of_readings)
    return (
        f"**Do not try one reading of the paper after the other.** On MiniLM {above} of {many} are above "
        "plain fine-tuning, each on "
        f'few seeds; the best of the {many}, "{best.arm}", is at {difference(best)}. The best of many '
        "settings is partly luck."
    )


def _seeds(known: Evidence) -> str:
    rows = [row for row in rows_of(known.readings) if not row["options"] and row["task"] == "cola"]
    spread = statistics.stdev(100 * row["best"] for row in rows)
    least = detectable(2**0.5 * spread, 10)
    shown = (
        ""
        if least is None
        else f" A comparison of 10 seeds can show about {least:.1f} points, if pairs are independent."
    )
    return (
        f"**Run more seeds before you try more methods.** Plain fine-tuning of MiniLM on CoLA differs by "
        f"{spread:.1f} points (standard deviation over {len(rows)} seeds) by chance alone.{shown}"
    )


def _little_data(known: Evidence) -> str:
    found: dict[int, dict[str, list[float]]] = {}
    for row in rows_of(known.sizes):
        found.setdefault(row["examples"], {}).setdefault(row["method"], []).append(row["score"])
    gaps = {size: fmean(by["pats"]) - fmean(by["vanilla"]) for size, by in sorted(found.items())}
    shown = ", ".join(f"{gap:+.1f} with {size:,} rows" for size, gap in gaps.items())
    least = min(gaps)
    helps = "does not help" if gaps[least] < 0.05 else "is ahead"
    seeds = max(len(scores) for by in found.values() for scores in by.values())
    return (
        f"**Little data is no reason for noise as published.** On CoLA with the fewest rows it {helps} "
        f"(MiniLM, {seeds} seeds: {shown})."
    )


def _epochs(known: Evidence) -> str:
    gap = findings.gap_of_epochs(known.base)
    return (
        "**Know what the best epoch is worth.** On MPNet-base plain fine-tuning's best epoch on dev is "
        f"{gap:.1f} "
        "points above its last, on the rows that chose it. Compare methods by both."
    )


def _cost(known: Evidence) -> str:
    dear = sorted((row["time"], str(row["method"])) for row in rows_of(known.costs) if row["time"] >= DEAR)
    own = next(row["time"] for row in rows_of(known.costs) if row["method"] == "pats")
    names = ", ".join(f"`{name}` {time:.1f}" for time, name in dear)
    return (
        "**Before you pay for an expensive method, run more seeds of plain fine-tuning.** Times of a step, "
        f"beside plain fine-tuning's: {names}; `pats` {own:.1f}, as its kernel also makes the update."
    )


def _open(plan: Plan, known: Evidence) -> str:
    so_far = Known(plan, known.plan_rows)
    open_stages = [name for name, stage in plan.stages.items() if not so_far.ended(stage)]
    stages = " and ".join(f"`{name}`" for name in open_stages)
    many = "s" * (len(open_stages) > 1)
    rest = f"the results of the plan's stage{many} {stages}; " if open_stages else ""
    return (
        f"**Not known**: {rest}models above base size, tasks other than GLUE's four here, and languages "
        "other than "
        "English."
    )
