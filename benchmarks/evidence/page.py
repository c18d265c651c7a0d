"""The page ``docs/evidence.md``, made from the committed results alone."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import record
from benchmarks.evidence import advice, cost, findings
from benchmarks.evidence.agenda import AGAIN, Known
from benchmarks.evidence.findings import Compared
from benchmarks.evidence.plan import PATH, Plan, read
from benchmarks.paper import hours
from benchmarks.tables import table

UNENDED = "This stage has not ended. Its p-values are adjusted for the rows that are here."
PAGE = record.ROOT / "docs" / "evidence.md"
NAMED = {"cola": "CoLA", "mrpc": "MRPC", "rte": "RTE", "stsb": "STS-B"}


def write() -> None:
    """Write the page."""
    PAGE.write_text(made(), encoding="utf-8")
    print(f"{PAGE.relative_to(record.ROOT)}")


def made() -> str:
    """The page's text."""
    plan, known = read(), advice.Evidence.read()
    parts = [
        "# Does noise help? What was found",
        "This page is made from result files by `make evidence`. Differences are in points (score × 100) "
        "to plain "
        "fine-tuning, paired by task and seed. A bracket is a 95 % interval over seeds.",
        "## For a practitioner",
        "\n".join(f"{number}. {line}" for number, line in enumerate(advice.lines(plan, known), 1)),
        _planned(plan, known),
        *_base(known),
        *_minilm(known),
        hours.section(),
        "## How to make it again",
        "    make evidence                                                 # this page, from the results\n"
        "    python -m benchmarks.evidence --stage all --data GLUE         # the runs; goes on after a stop\n"
        "    python -m benchmarks.evidence --again 5 --data GLUE           # repeats five runs that are "
        "chosen at random",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _planned(plan: Plan, known: advice.Evidence) -> str:
    """The plan, its cost, and its stages as far as they have been run."""
    parts = [
        "## The planned search",
        f"**Question.** {plan.question}",
        f"**Primary comparison.** {_sentence(plan.primary)}",
        f"**What counts as better.** {_sentence(plan.better)}",
        f"The plan is [`{PATH.name}`](../{PATH.relative_to(record.ROOT)}). It was committed before the first "
        "run, each row of the results names its hash and commit, and the command that runs it refuses "
        "another plan for a stage that has begun."
        + _grown(plan, known)
        + " The seeds that rates are tuned on, "
        "those that arms are chosen on, and those of the confirmation share none. Two earlier versions were "
        "given up after two trials each, all of plain fine-tuning; the plan says what they showed.",
        f"<!-- results: {cost.PACE}.json methods.json -->",
        _stages(plan, known),
    ]
    for name, stage in plan.stages.items():
        # Rows of an earlier stage count for a later one, but do not begin it.
        if stage.tunes or all(row["stage"] != name for row in known.plan_rows):
            continue
        so_far = Known(plan, known.plan_rows)
        found = findings.of_stage(plan, so_far, stage)
        if found:
            parts += [f"### {name.capitalize()}", "<!-- results: evidence.json -->", compared(found)]
            parts += [] if so_far.ended(stage) else [UNENDED]
    if known.plan_rows:
        parts += [_simple(plan, known), _again(known)]
    return "\n\n".join(part for part in parts if part)


def _grown(plan: Plan, known: advice.Evidence) -> str:
    """Which stages came later, where rows are of more than one plan."""
    first: dict[str, str] = {}
    for row in known.plan_rows:
        first.setdefault(row["plan"], row["stage"])
    added = [
        f"`{name}`"
        for name, stage in plan.stages.items()
        if stage.arms and any(plan.arms[arm].late for arm in stage.arms.also)
    ]
    if len(first) < 2 or not added:
        return ""
    begun = f"`{[*first.values()][1]}`"
    return f" Before {begun} began, the stage {' and '.join(added)} was added. The others are as they were."


def _stages(plan: Plan, known: advice.Evidence) -> str:
    spent: dict[str, list[float]] = {}
    for row in known.plan_rows:
        if row["arm"] not in plan.simple:  # which the plan's hours do not count either
            spent.setdefault(row["stage"], []).append((row["seconds"] or 0.0) / 3600)
    lines = []
    for one in cost.planned(plan):
        stage, done = plan.stages[one.name], spent.get(one.name, [])
        seeds = f"{stage.seeds[0]} to {stage.seeds[-1]}" if len(stage.seeds) > 1 else str(stage.seeds[0])
        tasks = (plan.tasks[task].task or task for task in stage.tasks)
        where = ", ".join(NAMED.get(task, task) for task in tasks)
        lines.append(
            [one.name, stage.model, where, seeds, one.runs, f"{one.hours:.1f}", len(done), f"{sum(done):.1f}"]
        )
    heads = [
        "stage",
        "model",
        "tasks",
        "seeds",
        "runs at most",
        "hours of a core",
        "run so far",
        "hours taken",
    ]
    total = sum(one.hours for one in cost.planned(plan))
    return (
        f"{table(heads, lines)}\n\nTogether at most {total:.1f} hours of one core, of {plan.hours:g} allowed."
    )


def _simple(plan: Plan, known: advice.Evidence) -> str:
    """The rows without fine-tuning."""
    models = {stage.model for stage in plan.stages.values() if stage.tunes}  # on another, `frozen` differs
    simple = [row for row in known.plan_rows if row["arm"] in plan.simple and row["model"] in models]
    found = {(row["arm"], row["task"]): row for row in simple}
    if not found:
        return ""
    tasks = [task for task in plan.tasks if any(where == task for _, where in found)]
    lines = []
    for name in plan.simple:
        rows = [found.get((name, task)) for task in tasks]
        lines.append(
            [
                f"`{name}`",
                *("" if row is None or row["best"] is None else f"{100 * row['best']:.1f}" for row in rows),
            ]
        )
    heads = ["without fine-tuning", *(NAMED.get(task, task) for task in tasks)]
    return f"### Simple models\n\n<!-- results: evidence.json -->\n\n{table(heads, lines)}"


def _again(known: advice.Evidence) -> str:
    rows = [row for row in known.plan_rows if row["stage"] == AGAIN]
    if not rows:
        return ""
    equal = sum(row["equal"] for row in rows)
    return f"{len(rows)} runs were chosen at random and repeated: {equal} gave the committed scores exactly."


def _base(known: advice.Evidence) -> Iterable[str]:
    """MPNet-base on a GPU."""
    results = known.base
    settings = results.settings
    runs = ", ".join(f"{NAMED[task]} {epochs}" for task, epochs in settings["epochs"].items())
    quarter = " and ".join(NAMED[task] for task, share in settings["fraction"].items() if share < 1)
    yield "## Base size: MPNet-base on a GPU"
    yield (
        f"{len(results.rows)} runs, batch {settings['batch_size']}, Adamax, epochs: {runs}; {quarter} on a "
        "quarter of the data. Weights were rounded to 8 bits a row before fine-tuning. We planned five seeds "
        "and had time for one or two. The runs were started by hand, so no command of this project repeats "
        "them. These pairs can show large effects only."
    )
    yield "<!-- results: mpnet_h100.json -->"
    yield compared(known.at_base, last=findings.base_size(results, "last"))


def _minilm(known: advice.Evidence) -> Iterable[str]:
    """MiniLM on a CPU."""
    yield "## MiniLM: the readings of the paper"
    yield (
        "CoLA and RTE on half of the data, five epochs, one rate for all, one seed; on CoLA three seeds "
        "for four "
        "rows. [How much noise](noise.md) explains the readings."
    )
    yield "<!-- results: readings.json -->"
    yield compared(known.of_readings)
    yield "## MiniLM: four methods on little data"
    yield (
        "CoLA and MRPC on a quarter of the data, five epochs, one rate for all, two seeds. "
        "[The whole report](minilm-glue.md)."
    )
    yield "<!-- results: minilm_glue.json -->"
    yield compared(known.of_small)


def compared(found: Sequence[Compared], last: Sequence[Compared] = ()) -> str:
    """The table of a comparison, what harms in the same table as what helps."""
    tasks = list(dict.fromkeys(task for one in found for task in one.gaps))
    at_last = {one.arm: one.all.mean for one in last}
    noted = any(one.note for one in found)
    heads = ["row", "pairs", "− plain, mean over tasks [95 %]", *(NAMED.get(task, task) for task in tasks)]
    heads += [
        *(["at the last epoch"] if last else []),
        "p (Holm)",
        "settings tried",
        *(["note"] if noted else []),
    ]
    lines: list[list[Any]] = []
    for one in found:
        each = (" ".join(f"{gap:+.1f}" for gap in one.gaps.get(task, ())) for task in tasks)
        extra = [f"{at_last[one.arm]:+.1f}"] if last else []
        p = "" if one.p is None else f"{one.p:.3f}"
        lines.append(
            [
                one.arm,
                one.pairs,
                advice.difference(one),
                *each,
                *extra,
                p,
                one.tried,
                *([one.note] if noted else []),
            ]
        )
    return table(heads, lines)


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
