"""The model card of an exported model: what it is, how it was made, what it can and cannot claim."""

from collections.abc import Mapping, Sequence
from typing import Any

from pats import baselines, paper
from pats.page.content.verdict import gap
from pats.page.content.words import CURE, METRICS, count, name_of, number
from pats.page.numbers.tables import Group, Line
from pats.results import Result

# Baselines that read no pretrained model.
WITHOUT_ENCODER = [name for name, one in baselines.registry().items() if not one.encoder]


def card(about: Mapping[str, Any], groups: Sequence[Group]) -> str | None:
    """The text of ``README.md`` beside the weights.

    Args:
        about: What ``pats.json`` beside the weights says.
        groups: The tables of the study that the model comes from.

    Returns:
        None where no run of the study made this model.
    """
    for group in groups:
        for line in group.lines:
            for outcome in line.cell.outcomes:
                if outcome.run_id == about.get("run_id") and outcome.result is not None:
                    return _card(about, group, line, outcome.result)
    return None


def _card(about: Mapping[str, Any], group: Group, line: Line, result: Result) -> str:
    run, metric = result.run, METRICS.get(result.metric, result.metric)
    name, task = name_of(run.model), group.task
    labels = ", ".join(f"`{label}`" for label in result.labels)
    what = f"{len(result.labels)} classes: {labels}" if result.labels else "one score"
    method = result.about_method.get("sentence", run.method)  # older results do not say
    scores = [
        f"dev {metric} {number(100 * (result.best or 0))} (best of {count(len(result.epochs), 'epoch')})"
    ]
    scores += [f"test {metric} {number(100 * result.test[result.metric])}"] if result.test else []
    pair = "two texts" if about.get("pair") else "one text"
    texts = 'tokenizer("first text", "second text"' if about.get("pair") else 'tokenizer("a text"'
    front = [
        "---",
        f"library_name: {'pats-finetune' if line.cell.simple else 'transformers'}",
        "pipeline_tag: text-classification",
        f"tags: [pats-finetune, {_yaml(run.method)}, {_yaml(task)}]",
        *([f"base_model: {_yaml(run.model)}"] if _on_hub(run.model) and not line.cell.simple else []),
        "model-index:",
        f"- name: {_yaml(f'{name}-{task}-{line.cell.label}')}",
        "  results:",
        "  - task: {type: text-classification}",
        f"    dataset: {{name: {_yaml(task)}, type: {_yaml(task)}}}",
        "    metrics:",
        f"    - {{type: {_yaml(result.metric)}, value: {result.best or 0:.4f}, name: dev}}",
        *(
            [f"    - {{type: {_yaml(result.metric)}, value: {result.test[result.metric]:.4f}, name: test}}"]
            if result.test
            else []
        ),
        "---",
    ]
    body = [
        f"# {line.cell.label} on {task}" if line.cell.simple else f"# {name} fine-tuned on {task}",
        "",
        *(
            [f"**Nothing was learned: on dev this model predicts one constant.** To mend it, {CURE}.", ""]
            if result.degenerate
            else []
        ),
        f"A {'simple' if line.cell.simple else 'sequence'} classifier for {pair}, {what}. Made by "
        f"`pats compare` with {method}"
        f"{', fitted again on all labelled rows' if line.cell.simple else f', seed {run.data_seed}'}; "
        f"{'; '.join(scores)}.",
        "",
        "## Use",
        "",
        "```",
        "pats predict MODEL TABLE",
        "```",
        "",
        *([] if line.cell.simple else _in_python(texts, int(about.get("max_length", run.max_length)))),
        "## How it was made",
        "",
        "| setting | value |",
        "| --- | --- |",
        f"| pretrained model | {'none' if line.cell.method in WITHOUT_ENCODER else name} |",
        f"| training data | {task}, {result.sizes.get('train', 0):,} examples"
        + (f" ({100 * run.fraction:g} % of the training set)" if run.fraction < 1 else "")
        + " |",
        *([f"| method | {method} |"] if line.cell.simple else _training(result, method)),
        f"| precision | {result.environment.get('precision', run.precision)} |",
        f"| versions | {_versions(result)} |",
        f"| run | {result.run_id} |",
        "",
        "## How good the method is, and how sure that is",
        "",
        ("" if line.cell.simple else f"One seed was kept of {_seeds(line)}, the best on dev; ")
        + f"over all seeds, × 100 on {group.split}:",
        "",
        "| method | mean ± std | every seed | difference to plain [95 %] |",
        "| --- | --- | --- | --- |",
        *(_row(other) for other in group.lines),
        "",
        *_limits(group, line),
    ]
    return "\n".join([*front, "", *body]) + "\n"


def _in_python(texts: str, max_length: int) -> list[str]:
    return [
        "```python",
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        "",
        'model = AutoModelForSequenceClassification.from_pretrained("MODEL")',
        'tokenizer = AutoTokenizer.from_pretrained("MODEL")',
        f'logits = model(**{texts}, return_tensors="pt", truncation=True, max_length={max_length})).logits',
        "```",
        "",
    ]


def _training(result: Result, method: str) -> list[str]:
    """Rows of the table of settings that say how it was fine-tuned."""
    run, best = result.run, result.best_epoch or 0
    return [
        f"| method | {method}{_options(run.options)} |",
        f"| optimizer | {run.optimizer}, learning rate {run.lr:g}, {run.schedule} decay, "
        f"{100 * run.warmup:g} % warm-up, weight decay {run.weight_decay:g}, clipping {run.clip:g} |",
        f"| schedule | {_length(result)}; batch size {run.batch_size}, {run.max_length} tokens |",
        f"| weights kept | epoch {result.epochs[best].epoch:g}, the best one on dev |"
        if result.epochs
        else "| weights kept | the last |",
    ]


def _seeds(line: Line) -> str:
    return count(len(line.cell.outcomes), "seed")


def _row(line: Line) -> str:
    spread = "" if line.std is None else f" ± {line.std:.1f}"
    difference = "" if line.difference is None else gap(line.difference)
    values = " ".join(number(score) for score in line.scores.values())
    return f"| {line.cell.label} | {number(line.mean)}{spread} | {values} | {difference} |".replace(
        "|  |", "| |"
    )


def _limits(group: Group, line: Line) -> list[str]:
    lines = ["## Limits", ""]
    if group.split == "dev":
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


def _yaml(text: str) -> str:
    """A text in double quotes, as YAML reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
