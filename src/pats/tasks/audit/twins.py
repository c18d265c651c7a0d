"""Texts that are in several rows."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pats.tasks.audit.finding import WARNING, Finding, Row
from pats.tasks.audit.finding import count as _count


def twins(rows: Sequence[Row], divided: bool) -> list[Finding]:
    """Rows with the same texts but for case, blanks and invisible characters.

    Args:
        rows: The rows.
        divided: Train and dev are made from these rows, and do not come with them.
    """
    sizes = [size for size in Counter(row.key for row in rows).values() if size > 1]
    if not sizes:
        return []
    message = (
        f"{sum(sizes)} rows hold {_count(len(sizes), 'text', 'texts')} only, but for case, blanks and "
        f"invisible characters{': the rows of a text stay in one split' if divided else ''}."
    )
    return [Finding("twins", message, {"rows": sum(sizes), "texts": len(sizes)})]


def two_labels(rows: Sequence[Row], labels: Sequence[float], regression: bool) -> list[Finding]:
    """Texts with different labels, and the highest accuracy that they leave possible.

    Args:
        rows: The rows.
        labels: The class index or score of every row.
        regression: The labels are scores.
    """
    exact: dict[tuple[str, ...], Counter[float]] = defaultdict(Counter)
    alike: dict[tuple[str, ...], set[float]] = defaultdict(set)
    for row, label in zip(rows, labels, strict=True):
        exact[row.texts][label] += 1
        alike[row.key].add(label)
    what = "scores" if regression else "labels"
    same = [tally for tally in exact.values() if len(tally) > 1]
    near = sum(len(values) > 1 for values in alike.values())
    clauses = []
    if same:
        two = "two" if max(map(len, same)) == 2 else "two or more"
        clauses.append(f"{_count(len(same), 'text has', 'texts have')} {two} {what}")
        if not regression:
            best = sum(max(tally.values()) for tally in exact.values()) / len(rows)
            clauses[0] += f": no method can be above {100 * best:.4g} % accuracy"
    if near > len(same):
        more = _count(near - len(same), "text has", "texts have")
        clauses.append(f"{more} two {what} or more where case, blanks and invisible characters are set aside")
    counts = {"texts": len(same), "alike": near}
    return [Finding("two-labels", f"{'; '.join(clauses)}.", counts, WARNING)] if clauses else []


def across(rows: Sequence[Row], parts: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Rows of dev and test whose texts are in an earlier part, but for case, blanks and invisible characters.

    Args:
        rows: The rows.
        parts: The rows of train, dev and test, in this order.
    """
    seen: set[tuple[str, ...]] = set()
    before: list[str] = []
    findings = []
    for part, members in parts.items():
        keys = [rows[i].key for i in members]
        count = sum(own in seen for own in keys)
        if count:
            message = (
                f"{count} of {len(keys)} rows of {part} have the same text as a row of "
                f"{' or '.join(before)}, but for case, blanks and invisible characters: scores on {part} "
                "are flattered."
            )
            findings.append(Finding("twins-across", message, {"rows": count}, WARNING))
        seen.update(keys)
        before.append(part)
    return findings


def swapped(rows: Sequence[Row], labels: Sequence[float]) -> list[Finding]:
    """Pairs of texts that other rows hold the other way round.

    Args:
        rows: The rows.
        labels: The class index or score of every row.
    """
    known: dict[tuple[str, ...], set[float]] = defaultdict(set)
    for row, label in zip(rows, labels, strict=True):
        known[row.key].add(label)
    pairs = {pair for pair in known if len(pair) == 2 and pair[0] < pair[1] and pair[::-1] in known}
    if not pairs:
        return []
    apart = sum(known[pair] != known[pair[::-1]] for pair in pairs)
    message = f"{_count(len(pairs), 'pair is', 'pairs are')} also there with the two texts swapped"
    message += f", {apart} of them with another label." if apart else ", with the same label."
    return [Finding("swapped", message, {"pairs": len(pairs), "apart": apart}, WARNING)]
