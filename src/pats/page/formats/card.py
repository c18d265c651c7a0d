"""The model card of an exported model: what it is, how it was made, what it can and cannot claim."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pats import baselines, paper
from pats.page.content.verdict import gap
from pats.page.content.words import CURE, METRICS, count, name_of, number
from pats.page.numbers.reading import Reading, Readings
from pats.page.numbers.tables import Group, Line
from pats.results import Result

# Baselines that read no pretrained model.
WITHOUT_ENCODER = [name for name, one in baselines.registry().items() if not one.encoder]
WEAK = 60  # F1 × 100 below which a class is called weak
MOST_LABELS = 30  # classes that are listed
MARKUP = "\\`*_{}[]<>#|!&~"


def card(about: Mapping[str, Any], groups: Sequence[Group], read: Readings | None = None) -> str | None:
    """The text of ``README.md`` beside the weights.

    Args:
        about: What ``pats.json`` beside the weights says.
        groups: The tables of the study that the model comes from.
        read: What the predictions of the study's runs show; None where they were not read.

    Returns:
        None where no run of the study made this model.
    """
    for group in groups:
        for line in group.lines:
            for outcome in line.cell.outcomes:
                ids = {outcome.run_id, *(part.run_id for part in outcome.parts)}
                if about.get("run_id") in ids and outcome.result is not None:
                    reading = (read or {}).get((group.task, group.model), Reading())
                    return _card(about, group, line, outcome.result, reading)
    return None


def _card(about: Mapping[str, Any], group: Group, line: Line, result: Result, reading: Reading) -> str:
    name, task = plain(name_of(result.run.model)), plain(group.task)
    method = result.about_method.get("sentence", result.run.method)  # older results do not say
    body = [
        f"# {plain(line.cell.method) if line.cell.simple else name} {_made(line)} on {task}",
        "",
        *(
            [f"**Nothing was learned: on dev this model predicts one constant.** To mend it, {CURE}.", ""]
            if result.degenerate
            else []
        ),
        f"A {_kind(about, result)}. Made by `pats compare` with {plain(method)}"
        f"{', fitted again on all labelled rows' if line.cell.simple else f', seed {result.run.data_seed}'}; "
        f"{'; '.join(_scores(result))}.",
        "",
        *_use(about, line, result),
        *_goodness(group, line, reading),
        *_making(line, result, task, method),
        *_seeds(group, line),
        *_limits(about, group, line, result),
    ]
    return "\n".join([*_front(group, line, result), "", *body]) + "\n"


def _made(line: Line) -> str:
    return "fitted" if line.cell.simple else "fine-tuned"


def _kind(about: Mapping[str, Any], result: Result) -> str:
    pair = "two texts" if about.get("pair") else "one text"
    if not result.labels:
        return f"sequence classifier for {pair}, one score"
    shown = ", ".join(map(code, result.labels[:MOST_LABELS]))
    rest = len(result.labels) - MOST_LABELS
    more = f" and {rest} more" if rest > 0 else ""
    what = "labels, of which a text may have several" if about.get("thresholds") else "classes"
    return f"sequence classifier for {pair}, {len(result.labels)} {what}: {shown}{more}"


def _scores(result: Result) -> list[str]:
    metric = METRICS.get(result.metric, result.metric)
    scores = [
        f"dev {metric} {number(100 * (result.best or 0))} (best of {count(len(result.epochs), 'epoch')})"
    ]
    return scores + ([f"test {metric} {number(100 * result.test[result.metric])}"] if result.test else [])


def _front(group: Group, line: Line, result: Result) -> list[str]:
    """The front matter, as the Hugging Face hub reads it."""
    run, task = result.run, group.task
    named = f"{name_of(run.model)}-{task}-{line.cell.label}"
    splits = {"dev": result.best or 0.0} | ({"test": result.test[result.metric]} if result.test else {})
    return [
        "---",
        f"library_name: {'pats-finetune' if line.cell.simple else 'transformers'}",
        "pipeline_tag: text-classification",
        f"tags: [pats-finetune, {in_yaml(run.method)}, {in_yaml(task)}]",
        *([f"base_model: {in_yaml(run.model)}"] if _on_hub(run.model) and not line.cell.simple else []),
        "model-index:",
        f"- name: {in_yaml(named)}",
        "  results:",
        "  - task: {type: text-classification}",
        f"    dataset: {{name: {in_yaml(task)}, type: {in_yaml(task)}}}",
        "    metrics:",
        *(
            f"    - {{type: {in_yaml(result.metric)}, value: {value:.4f}, name: {split}}}"
            for split, value in splits.items()
        ),
        "---",
    ]


def _use(about: Mapping[str, Any], line: Line, result: Result) -> list[str]:
    command = ["## Use", "", "```", "pats predict MODEL TABLE", "```", ""]
    columns = [about[key] for key in ("text", "text_pair") if about.get(key)]
    flat = [one for column in columns for one in ([column] if isinstance(column, str) else column)]
    if flat:
        command += [
            f"It reads the table's column {' and '.join(map(code, map(str, flat)))}, as in training.",
            "",
        ]
    if line.cell.simple:
        return command
    texts = '{"text": "first text", "text_pair": "second text"}' if about.get("pair") else '"a text"'
    plainly = "" if result.labels else ', function_to_apply="none"'
    limits = about.get("thresholds")
    plainly += ", top_k=None" if limits else ""
    length = about.get("max_length", result.run.max_length)
    command += [
        "```python",
        "from transformers import pipeline",
        'classify = pipeline("text-classification", "MODEL")',
        f"classify({texts}, truncation=True, max_length={length}{plainly})",
        "```",
        "",
    ]
    if limits:
        listed = ", ".join(f"{code(name)} {one:g}" for name, one in zip(result.labels, limits, strict=False))
        command += [
            f"`pats predict` gives a text every label whose probability reaches its threshold, tuned on dev: "
            f"{listed}. The three lines above give the probability of every label.",
            "",
        ]
    warmth = about.get("temperature", 1)
    if result.labels and isinstance(warmth, int | float) and warmth != 1:
        command += [
            f"`pats predict` divides the outputs by the temperature {warmth:.3g}, which was fitted on dev, "
            "before they become probabilities. The three lines above do not.",
            "",
        ]
    return command


def _goodness(group: Group, line: Line, reading: Reading) -> list[str]:
    """What it is good for: its score beside those of simpler answers, and its weak classes."""
    metric = METRICS.get(str(line.cell.metric), str(line.cell.metric))
    lines = [
        "## What it is good for",
        "",
        f"Texts like those of {plain(group.task)}. {_measured(group)}",
        "",
        f"| on {group.where} | {metric} × 100 |",
        "| --- | --- |",
    ]
    doubts = reading.first.get(line.cell.label)
    if doubts is None:
        lines.append(f"| this method, mean over seeds | {number(line.mean)} |")
    else:
        low, high = doubts.interval
        lines.append(
            f"| this method, first seed, {count(doubts.count, 'row')} | {number(doubts.score)} "
            f"[95 % over rows: {number(low)}, {number(high)}] |"
        )
    if reading.majority is not None and group.majority is None:  # else the row of the baseline tells it
        lines.append(f"| always the most frequent class | {number(reading.majority)} |")
    simple = [one for one in group.lines if one.cell.simple and one is not line and one.scores]
    lines += [f"| {plain(one.cell.label)}, no fine-tuning | {number(one.mean)} |" for one in simple]
    return [*lines, "", *_classes(line, reading)]


def _measured(group: Group) -> str:
    if group.folds is None:
        return f"It was measured on the {group.split} split alone."
    return (
        f"It was measured in {group.folds} folds: every row was tested once, by a model that had not seen "
        "it. This model was trained afterwards, on all rows, so that none is left to measure it on."
    )


def _classes(line: Line, reading: Reading) -> list[str]:
    """How well each class is found, the weakest first."""
    counts = reading.counts.get(line.cell.label)
    if not counts:
        return []
    total = sum(counts[1:], counts[0])
    rows = []
    for place, label in enumerate(reading.labels):
        hits, true, said = (int(n) for n in (total[place, place], total[place].sum(), total[:, place].sum()))
        f1 = 200 * hits / (true + said) if true + said else 0.0
        found = number(100 * hits / true) if true else "no rows"
        rows.append(
            (f1, label, true // len(counts), found, number(100 * hits / said) if said else "never said")
        )
    rows.sort(key=lambda row: row[0])
    weak = [code(label) for f1, label, true, *_ in rows if f1 < WEAK and true][:5]
    table = [
        f"| {cell(code(label))} | {true:,} | {found} | {right} | {number(f1)} |"
        for f1, label, true, found, right in rows[:MOST_LABELS]
    ]
    return [
        f"Classes, the weakest first, over {count(len(counts), 'seed')}"
        + (f". Do not rely on it for {', '.join(weak)}" if weak else "")
        + ".",
        "",
        "| class | rows | found, % | right when said, % | F1 × 100 |",
        "| --- | --- | --- | --- | --- |",
        *table,
        "",
    ]


def _making(line: Line, result: Result, task: str, method: str) -> list[str]:
    run = result.run
    name = "none" if line.cell.method in WITHOUT_ENCODER else plain(name_of(run.model))
    share = f" ({100 * run.fraction:g} % of the training set)" if run.fraction < 1 else ""
    return [
        "## How it was made",
        "",
        "| setting | value |",
        "| --- | --- |",
        f"| pretrained model | {cell(name)} |",
        f"| training data | {cell(task)}, {result.sizes.get('train', 0):,} examples{share} |",
        *([f"| method | {cell(plain(method))} |"] if line.cell.simple else _training(result, method)),
        f"| precision | {result.environment.get('precision', run.precision)} |",
        f"| versions | {cell(_versions(result))} |",
        f"| run | {result.run_id} |",
        "",
    ]


def _training(result: Result, method: str) -> list[str]:
    """Rows of the table of settings that say how it was fine-tuned."""
    run, best = result.run, result.best_epoch or 0
    return [
        f"| method | {cell(plain(method) + _options(run.options))} |",
        f"| optimizer | {run.optimizer}, learning rate {run.lr:g}, {run.schedule} decay, "
        f"{100 * run.warmup:g} % warm-up, weight decay {run.weight_decay:g}, clipping {run.clip:g} |",
        f"| schedule | {_length(result)}; batch size {run.batch_size}, {run.max_length} tokens |",
        f"| weights kept | epoch {result.epochs[best].epoch:g}, the best one on dev |"
        if result.epochs
        else "| weights kept | the last |",
    ]


def _seeds(group: Group, line: Line) -> list[str]:
    kept = f"One seed was kept of {count(len(line.cell.outcomes), 'seed')}, the best on dev; "
    return [
        "## How good the method is, and how sure that is",
        "",
        ("" if line.cell.simple else kept) + f"over all seeds, × 100 on {group.where}:",
        "",
        "| method | mean ± std | every seed | difference to plain [95 %] |",
        "| --- | --- | --- | --- |",
        *(_row(other) for other in group.lines),
        "",
    ]


def _row(line: Line) -> str:
    spread = "" if line.std is None else f" ± {line.std:.1f}"
    difference = "" if line.difference is None else gap(line.difference)
    values = " ".join(number(score) for score in line.scores.values())
    return (
        f"| {cell(plain(line.cell.label))} | {number(line.mean)}{spread} | {values} | {difference} |".replace(
            "|  |", "| |"
        )
    )


def _limits(about: Mapping[str, Any], group: Group, line: Line, result: Result) -> list[str]:
    lines = ["## Limits", ""]
    if not line.cell.simple:
        length = about.get("max_length", result.run.max_length)
        lines.append(f"- It reads the first {length} tokens of an input, and nothing behind them.")
    lines.append("- Its language is that of the training data; no other was tried.")
    if group.folds is not None:
        lines.append("- Epochs and method were chosen on dev rows; these are test rows of other folds.")
    elif group.split == "dev":
        lines.append(
            "- The score is on dev, on which epoch, method and seed were chosen: expect less on new data."
        )
    else:
        lines.append("- Epoch, method and seed were chosen on dev; the test set was not used for any choice.")
    if line.difference is not None and not line.significant:
        lines.append(
            f"- That {line.cell.label} is better than plain fine-tuning is not shown by these "
            f"{count(line.difference.n, 'seed')}."
        )
    lines.append("- Nothing was measured outside this data: other domains, languages or groups of people.")
    if any(other.paper is not None for other in group.lines):
        lines.append(f"- {paper.SOURCE} are of other runs; they are no claim about this model.")
    lines.append("- Licence and terms are those of the pretrained model and of the training data.")
    return lines


def _length(result: Result) -> str:
    if result.run.steps is not None:
        return count(result.run.steps, "step")
    return f"{result.run.epochs:g} epochs"


def _options(options: Mapping[str, Any]) -> str:
    texts = ", ".join(f"{key} {value}" for key, value in options.items())
    return f" with {texts}" if texts else ", its default settings"


def _versions(result: Result) -> str:
    packages = result.environment.get("packages") or {}
    return ", ".join(f"{name} {number}" for name, number in packages.items()) or "unknown"


def _on_hub(model: str) -> bool:
    """Whether a model's name could be one on the hub: neither the embedded one nor a path."""
    return model != "minilm" and not model.startswith((".", "/", "~")) and model.count("/") <= 1


def in_yaml(text: str) -> str:
    """A text in double quotes, as YAML reads it, on one line."""
    return (
        '"' + "".join(one if one.isprintable() and one not in '"\\' else _escape(one) for one in text) + '"'
    )


def _escape(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return f"\\x{ord(one):02x}" if ord(one) < 256 else f"\\U{ord(one):08x}"


def plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return "".join(f"\\{one}" if one in MARKUP else one for one in _line(text))


def code(text: str) -> str:
    """A text in backquotes, on one line; a longer fence where it has some of its own."""
    line = _line(text)
    fence = "`" * (max((len(found) for found in re.findall("`+", line)), default=0) + 1)
    edge = " " if "`" in line or line != line.strip() else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def cell(markdown: str) -> str:
    """Markdown in a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", markdown)


def _line(text: str) -> str:
    """A text without line ends and what else cannot be seen."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
