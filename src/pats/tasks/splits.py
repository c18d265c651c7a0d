"""Which rows are for training, for choosing and for the verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pats._errors import InputError
from pats.tasks import audit, multilabel
from pats.tasks._data import stratify
from pats.tasks._text import shown
from pats.tasks.audit import Finding, Row
from pats.tasks.audit.finding import SHOWN, WARNING, count
from pats.tasks.groups import across_parts, blocks_of, divided_by_group
from pats.tasks.labels import Labels

WITHOUT_TEST = {"train": 0.85, "dev": 0.15}  # shares of rows that are not for the verdict
TINY = 20  # rows of a part that the table brings, below which it measures nothing
THIN = 5  # rows in train that a class needs at least


def parts_of(
    rows: Sequence[Row],
    labels: Labels,
    seed: int,
    name: str,
) -> tuple[dict[str, list[int]], list[Finding]]:
    """Rows of every split, and findings about them; missing splits are made by the seed, groups or times."""
    timed, grouped = rows[0].time is not None, rows[0].group is not None
    findings: list[Finding] = []
    parts: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        parts.setdefault(row.split or "train", []).append(i)
    brought = {"dev", "test"} & {*parts}
    if "train" not in parts:
        raise InputError(f"{name} has no train rows: mark some as train in its split column")
    if "dev" not in parts:
        shares = WITHOUT_TEST if "test" in parts else {"train": 0.7, "dev": 0.15, "test": 0.15}
        members = parts["train"]
        how = f"by split seed {seed}"
        if timed:
            divided = by_time([float(rows[i].time or 0) for i in members], shares)
            parts |= {part: [members[i] for i in chosen] for part, chosen in divided.items()}
            how = f"the oldest first, by time ({_spans(rows, {part: parts[part] for part in shares})})"
        else:
            if grouped:
                how = f"{how}, no group of which is in two of them"
            else:
                check_classes(rows, labels, name)
            parts |= divided_by_seed(rows, labels, members, shares, seed)
        sizes = ", ".join(f"{len(parts[part])} {part}" for part in shares)
        message = f"The rows were divided into {sizes}, {how}: all runs share them."
        findings.append(Finding("divided", message, {part: len(parts[part]) for part in shares}))
        if timed or grouped:
            findings += _lacking(parts, labels)
    elif timed:
        raise InputError(f"{name} brings a dev split of its own, so no time divides it: leave --time out")
    parts = {part: parts[part] for part in ("train", "dev", "test") if part in parts}
    findings += _thin(parts["train"], labels)
    findings += _poor({part: parts[part] for part in parts if part in brought}, labels)
    findings += audit.across(rows, parts)
    if grouped:
        findings += across_parts([str(row.group) for row in rows], parts)
    if "test" not in parts:
        message = "There is no test split: the verdict is from dev, on which epochs are chosen."
        findings.append(Finding("no-test", message, severity=audit.WARNING))
    return parts, findings


def _spans(rows: Sequence[Row], parts: Mapping[str, Sequence[int]]) -> str:
    """From when to when the parts are, as the table writes it."""
    ends = {
        part: [choose(own, key=lambda i: rows[i].time or 0.0) for choose in (min, max)]
        for part, own in parts.items()
        if own
    }
    return ", ".join(
        f"{part} {rows[first].when} to {rows[last].when}" for part, (first, last) in ends.items()
    )


def divided_by_seed(
    rows: Sequence[Row], labels: Labels, members: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Some of the rows in parts, those of one text or one group together, each part with every class."""
    keys, strata = [rows[i].key for i in members], strata_of(labels, members)
    if rows[0].group is None:
        divided = stratify(keys, strata, shares, seed)
    else:
        blocks = blocks_of(keys, [str(rows[i].group) for i in members])
        divided = divided_by_group(blocks, strata, shares, seed)
    return {part: [members[i] for i in chosen] for part, chosen in divided.items()}


def by_time(times: Sequence[float], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """The oldest rows for the first part, the newest for the last; rows of one time stay together.

    Args:
        times: When every row was written.
        shares: Share of every part, of sum 1.

    Raises:
        InputError: There are fewer different times than parts.
    """
    ordered = sorted(range(len(times)), key=times.__getitem__)
    breaks = [i for i in range(1, len(ordered)) if times[ordered[i]] != times[ordered[i - 1]]]
    if len(breaks) < len(shares) - 1:
        raise InputError(
            f"the column of --time has {len(breaks) + 1} different times, but {', '.join(shares)} need one "
            "each: name a finer one"
        )
    parts: dict[str, list[int]] = {}
    start, share = 0, 0.0
    for left, (part, own) in zip(range(len(shares) - 1, -1, -1), shares.items(), strict=True):
        share += own
        # Of the places where the time changes the nearest one that leaves something to every later part.
        free = [place for place in breaks if place > start]
        ends = free[: len(free) - left + 1] if left else [len(ordered)]
        wanted = share * len(ordered)
        end = min(ends, key=lambda place: abs(place - wanted))
        parts[part] = sorted(ordered[start:end])
        start = end
    return parts


def strata_of(labels: Labels, members: Sequence[int]) -> list[int]:
    """What a split keeps even: the class, the quantile of the score, or the rarest label of a row."""
    if labels.sets:
        held = Counter(label for i in members for label in labels.sets[int(labels.values[i])])
        rank = {label: place for place, (label, _) in enumerate(reversed(held.most_common()))}
        own = (labels.sets[int(labels.values[i])] for i in members)
        return [min((rank[label] for label in labels_of_row), default=len(rank)) for labels_of_row in own]
    values = [labels.values[i] for i in members]
    return [int(value) for value in values] if labels.classes else _quantiles(values)


def _lacking(parts: Mapping[str, Sequence[int]], labels: Labels) -> list[Finding]:
    """Classes that a part lacks that was not divided by class."""
    if not labels.classes:
        return []
    held = {part: {name for i in members for name in labels.names(i)} for part, members in parts.items()}
    found = []
    for part in ("dev", "test"):
        lacks = [name for name in labels.classes if part in held and name not in held[part]]
        if lacks:
            listed = ", ".join(map(shown, lacks[:SHOWN])) + (" ..." if len(lacks) > SHOWN else "")
            message = (
                f"{part} has no row of {count(len(lacks), 'class', 'classes')}: {listed}"
                f"; nothing is measured there."
            )
            found.append(Finding("class-lacking", message, {"classes": len(lacks)}, WARNING))
    return found


def _poor(parts: Mapping[str, Sequence[int]], labels: Labels) -> list[Finding]:
    """Parts that the table brings, and in which little can be measured."""
    found = []
    for part, members in parts.items():
        if len(members) < TINY:
            message = (
                f"{part} has {count(len(members), 'row', 'rows')}: a score on so few is chance. Move rows "
                "there, or leave the split out, and PATS makes one."
            )
            found.append(Finding("tiny-split", message, {"rows": len(members)}, WARNING))
        elif len({labels.values[i] for i in members}) == 1:
            one = ", ".join(labels.names(members[0])) or f"{labels.values[members[0]]:g}"
            message = (
                f"All {len(members)} rows of {part} have the same label, {shown(one)}: their score tells "
                "nothing. Look whether these are its labels."
            )
            found.append(Finding("constant-split", message, {"rows": len(members)}, WARNING))
    return found + _lacking(parts, labels)


def _thin(train: Sequence[int], labels: Labels) -> list[Finding]:
    """Classes with so few rows to train on that no model can know them."""
    held = Counter(name for i in train for name in labels.names(i)) if labels.classes else Counter()
    thin = {name: rows for name, rows in held.items() if rows < THIN}
    if not thin:
        return []
    rarest = sorted(thin.items(), key=lambda one: one[1])[:SHOWN]
    listed = ", ".join(f"{shown(name)} ({rows})" for name, rows in rarest)
    message = (
        f"{count(len(thin), 'class has', 'classes have')} fewer than {THIN} rows in train, such as {listed}: "
        "no model learns much from so few. Label more rows, or join classes."
    )
    return [Finding("class-thin", message, {"classes": len(thin)}, WARNING)]


def rare_classes(
    rows: Sequence[Row], names: Sequence[str], folds: int | None = None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Classes with too few different texts to be in every part, or fold, that is made, and these parts.

    Args:
        rows: The rows.
        names: The class of every row.
        folds: The number of folds; None divides into parts.

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
    least = max(len(parts), folds or 0)
    return {name: texts[name] for name in sorted(set(names)) if texts[name] < least}, parts


def without_rare(
    rows: Sequence[Row], labels: Labels, folds: int | None = None
) -> tuple[list[Row], Labels, list[Finding]]:
    """The rows and labels without rare classes, and what was left out.

    A row of several labels loses the rare ones alone.
    """
    rare, _ = rare_classes(*_named(rows, labels), folds)
    if not rare:
        return list(rows), labels, []
    places = [i for i in range(len(rows)) if labels.sets or labels.names(i)[0] not in rare]
    kept = [rows[i] for i in places]
    left = [[name for name in labels.names(i) if name not in rare] for i in places]
    if labels.sets:
        labels = Labels(*multilabel.numbered(left))
    else:
        names = [name for name in labels.classes if name not in rare]
        labels = Labels(tuple(names), [float(names.index(own[0])) for own in left])
    listed = ", ".join(map(shown, list(rare)[:SHOWN])) + (" ..." if len(rare) > SHOWN else "")
    gone = len(rows) - len(kept)
    message = (
        f"{count(len(rare), 'class is', 'classes are')} too rare, and left out with "
        f"{count(gone, 'row', 'rows')}: {listed}."
    )
    return kept, labels, [Finding("rare", message, {"classes": len(rare), "rows": gone}, audit.WARNING)]


def _named(rows: Sequence[Row], labels: Labels) -> tuple[list[Row], list[str]]:
    """Every row with its class; one of several labels once for each."""
    pairs = [(row, name) for i, row in enumerate(rows) for name in labels.names(i)]
    return [row for row, _ in pairs], [name for _, name in pairs]


def check_classes(rows: Sequence[Row], labels: Labels, name: str, folds: int | None = None) -> None:
    """Refuse classes with fewer different texts than there are parts, or folds."""
    names = labels.classes
    rare, parts = rare_classes(*_named(rows, labels), folds)
    if not rare:
        return
    first, texts = next(iter(rare.items()))
    more = f" ({count(len(rare) - 1, 'other class', 'other classes')} too)" if len(rare) > 1 else ""
    every = len(rare) == len(names)
    mend = "with other texts" if every else "of it, or leave out such classes with --drop-rare"
    doubt = ", or name the right column with --label" if len(rare) > len(names) / 2 else ""
    if len({row.key for row in rows}) < len(rows) / 2:
        doubt = ", or name the right column of texts with --text, as most rows have the same one"
    few = f"to be in {', '.join(parts)}"
    least = min(rare.values())
    if folds and folds > len(parts):
        few = f"for {folds} folds"
        mend = f"{mend}, or take --folds {least}" if least >= len(parts) else mend
    raise InputError(
        f"class {first!r} has {count(texts, 'different text', 'different texts')} in {name}, too few "
        f"{few}{more}: add rows {mend}{doubt}"
    )


def _quantiles(scores: Sequence[float]) -> list[int]:
    """The quantile of every score: ten of them, fewer where each would hold under ten rows."""
    bins = max(1, min(10, len(scores) // 10))
    strata = [0] * len(scores)
    for rank, row in enumerate(sorted(range(len(scores)), key=scores.__getitem__)):
        strata[row] = rank * bins // len(scores)
    return strata


def check(parts: Mapping[str, Sequence[int]], labels: Labels, name: str) -> None:
    """Refuse splits from which nothing can be learnt, or in which nothing can be measured."""
    if len({labels.values[i] for i in parts["train"]}) < 2:
        raise InputError(f"train of {name} has one label only: add rows of another to it")
    train = {name for i in parts["train"] for name in labels.names(i)}
    for part, members in parts.items():
        if not members:
            raise InputError(f"{name} leaves {part} empty: add rows with other texts")
        unknown = {name for i in members for name in labels.names(i)} - train
        if unknown:
            raise InputError(
                f"class {min(unknown, key=labels.classes.index)!r} is in {part} of {name}, but never in "
                f"train: "
                "add rows of it to train, or leave it out with --drop-rare"
            )
