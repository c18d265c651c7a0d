"""Rows that belong together, such as those of one author: a split never divides them."""

import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from pats._errors import InputError
from pats.tasks.audit.finding import WARNING, Finding, count

TRIES = 200
SCORED = 50  # groups up to which each has a score of its own


def blocks_of(keys: Sequence[Hashable], groups: Sequence[str]) -> list[list[int]]:
    """Rows that must stay together, as they share a group or a text, directly or through other rows."""
    parent = list(range(len(groups)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[Hashable, int] = {}
    for row, (key, group) in enumerate(zip(keys, groups, strict=True)):
        for one in (("text", key), ("group", group)):
            parent[root(row)] = root(first.setdefault(one, row))
    blocks: dict[int, list[int]] = {}
    for row in range(len(groups)):
        blocks.setdefault(root(row), []).append(row)
    return list(blocks.values())


def divided_by_group(
    blocks: Sequence[Sequence[int]], strata: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Divide whole blocks such that the parts' sizes and strata are as even as many random tries get them.

    Args:
        blocks: Rows that stay together.
        strata: Stratum of every row, such as its class.
        shares: Share of every part, of sum 1.
        seed: Seed of the tries.

    Raises:
        InputError: There are fewer blocks than parts.
    """
    if len(blocks) < len(shares):
        raise InputError(
            f"the column of --group divides the rows into {count(len(blocks), 'part', 'parts')}, but "
            f"{', '.join(shares)} need one each: name a column with more groups"
        )
    generator = random.Random(seed)
    total = Counter(strata)
    held = [Counter(strata[row] for row in block) for block in blocks]
    best: tuple[float, dict[str, list[int]]] | None = None
    for _ in range(TRIES):
        order = list(range(len(blocks)))
        generator.shuffle(order)
        order.sort(key=lambda number: len(blocks[number]), reverse=True)  # small ones even out the large ones
        room = {part: share * len(strata) for part, share in shares.items()}
        chosen: dict[str, list[int]] = {part: [] for part in shares}
        for number in order:
            # Relative to a part's share, so that a small part is served too; the order among equals is
            # random.
            part = max(shares, key=lambda one: room[one] / shares[one] + generator.random() * len(strata) / 4)
            chosen[part].append(number)
            room[part] -= len(blocks[number])
        uneven = _uneven(chosen, held, total, shares)
        if best is None or uneven < best[0]:
            best = uneven, chosen
    assert best is not None
    return {part: sorted(row for number in own for row in blocks[number]) for part, own in best[1].items()}


def _uneven(
    chosen: Mapping[str, Sequence[int]],
    held: Sequence[Counter[int]],
    total: Counter[int],
    shares: Mapping[str, float],
) -> float:
    """How far the strata of the parts are from their shares; a stratum that train lacks weighs most."""
    score = 0.0
    for part, numbers in chosen.items():
        own: Counter[int] = Counter()
        for number in numbers:
            own.update(held[number])
        for stratum, rows in total.items():
            score += abs(own[stratum] - shares[part] * rows) / rows
            score += (100.0 if part == "train" else 1.0) * (not own[stratum])
            # Of folds, no part is train: one that holds all of a stratum leaves nothing to learn it from.
            score += 100.0 * ("train" not in shares and own[stratum] == rows)
        score += abs(own.total() - shares[part] * total.total()) / (shares[part] * total.total())
        score += 1000.0 * (not own)
    return score


def across_parts(groups: Sequence[str], parts: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Rows of dev and test whose group is in train as well, which a table's own split may do."""
    train = {groups[i] for i in parts["train"]}
    found = []
    for part in ("dev", "test"):
        members = parts.get(part, ())
        rows = sum(groups[i] in train for i in members)
        if rows:
            message = (
                f"{count(rows, 'row', 'rows')} of {len(members)} in {part} have a group that is in train "
                f"too: "
                f"the table divides them so, and scores on {part} are flattered."
            )
            found.append(Finding("groups-across", message, {"rows": rows}, WARNING))
    return found
