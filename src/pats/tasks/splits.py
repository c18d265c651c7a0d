"""Which rows are for training, for choosing and for the verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pats._errors import InputError
from pats.tasks import audit
from pats.tasks._data import stratify
from pats.tasks._text import shown
from pats.tasks.audit import Finding, Row
from pats.tasks.audit.finding import SHOWN, count

_NAMES = {"train": ("train", "training"), "dev": ("dev", "val", "valid", "validation"), "test": ("test",)}
NAMES = {name: split for split, names in _NAMES.items() for name in names}


def parts_of(
    rows: Sequence[Row],
    classes: Sequence[str],
    values: Sequence[float],
    seed: int,
    name: str,
) -> tuple[dict[str, list[int]], list[Finding]]:
    """Rows of every split, and findings about them; missing splits are made by the seed."""
    findings: list[Finding] = []
    parts: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        parts.setdefault(row.split or "train", []).append(i)
    if "train" not in parts:
        raise InputError(f"{name} has no train rows: mark some as train in its split column")
    if "dev" not in parts:
        shares = {"train": 0.7, "dev": 0.15, "test": 0.15}
        if "test" in parts:
            shares = {"train": 0.85, "dev": 0.15}
        members = parts["train"]
        groups = [rows[i].key for i in members]
        if classes:
            _check_classes(rows, [classes[int(value)] for value in values], name)
            strata = [int(values[i]) for i in members]
        else:
            strata = _quantiles([values[i] for i in members])
        divided = stratify(groups, strata, shares, seed)
        parts |= {part: [members[i] for i in chosen] for part, chosen in divided.items()}
        sizes = ", ".join(f"{len(parts[part])} {part}" for part in shares)
        message = f"The rows were divided into {sizes}, by split seed {seed}: all runs share them."
        findings.append(Finding("divided", message, {part: len(parts[part]) for part in shares}))
    parts = {part: parts[part] for part in ("train", "dev", "test") if part in parts}
    findings += audit.across(rows, parts)
    if "test" not in parts:
        message = "There is no test split: the verdict is from dev, on which epochs are chosen."
        findings.append(Finding("no-test", message, severity=audit.WARNING))
    return parts, findings


def rare_classes(rows: Sequence[Row], names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Classes with too few different texts to be in every part that is made, and these parts.

    Args:
        rows: The rows.
        names: The class of every row.

    Returns:
        The number of texts of every such class. Of a table with its own dev split, the classes that are not
        in train, with 0.
    """
    held = {row.split or "train" for row in rows}
    if "dev" in held:
        known = {name for row, name in zip(rows, names, strict=True) if row.split == "train"}
        return {name: 0 for name in sorted(set(names) - known)}, ("train",)
    parts = ("train", "dev") if "test" in held else ("train", "dev", "test")
    texts = Counter(
        name
        for _, name in {(row.key, name) for row, name in zip(rows, names, strict=True) if row.split != "test"}
    )
    return {name: texts[name] for name in sorted(set(names)) if texts[name] < len(parts)}, parts


def without_rare(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[Row], list[Finding]]:
    """The rows without those of rare classes, and what was left out."""
    rare, _ = rare_classes(rows, names)
    kept = [row for row, name in zip(rows, names, strict=True) if name not in rare]
    if not rare:
        return kept, []
    listed = ", ".join(map(shown, list(rare)[:SHOWN])) + (" ..." if len(rare) > SHOWN else "")
    gone = len(rows) - len(kept)
    message = (
        f"{count(len(rare), 'class is', 'classes are')} too rare, and left out with "
        f"{count(gone, 'row', 'rows')}: {listed}."
    )
    return kept, [Finding("rare", message, {"classes": len(rare), "rows": gone}, audit.WARNING)]


def _check_classes(rows: Sequence[Row], names: Sequence[str], name: str) -> None:
    """Refuse classes with fewer different texts than there are parts."""
    rare, parts = rare_classes(rows, names)
    if not rare:
        return
    first, texts = next(iter(rare.items()))
    more = f" ({count(len(rare) - 1, 'other class', 'other classes')} likewise)" if len(rare) > 1 else ""
    every = len(rare) == len(set(names))
    mend = "with other texts" if every else "of it, or leave out such classes with --drop-rare"
    doubt = ", or name the right column with --label" if len(rare) > len(set(names)) / 2 else ""
    raise InputError(
        f"class {first!r} has {count(texts, 'different text', 'different texts')} in {name}, too few to be "
        f"in {', '.join(parts)}{more}: add rows {mend}{doubt}"
    )


def _quantiles(scores: Sequence[float]) -> list[int]:
    """The quantile of every score: ten of them, fewer where each would hold under ten rows."""
    bins = max(1, min(10, len(scores) // 10))
    strata = [0] * len(scores)
    for rank, row in enumerate(sorted(range(len(scores)), key=scores.__getitem__)):
        strata[row] = rank * bins // len(scores)
    return strata


def check(
    parts: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    values: Sequence[float],
    name: str,
) -> None:
    """Refuse splits from which nothing can be learnt, or in which nothing can be measured."""
    train = {values[i] for i in parts["train"]}
    if len(train) < 2:
        raise InputError(f"train of {name} has one label only: add rows of another to it")
    for part, members in parts.items():
        if not members:
            raise InputError(f"{name} leaves {part} empty: add rows with other texts")
        unknown = {values[i] for i in members} - train
        if classes and unknown:
            raise InputError(
                f"class {classes[int(min(unknown))]!r} is in {part} of {name}, but never in train: "
                "add rows of it to train, or leave it out with --drop-rare"
            )
