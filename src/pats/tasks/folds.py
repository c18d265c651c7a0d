"""Cross-validation of a small table: every row is test once, by a model that has not seen it."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks._data import stratify
from pats.tasks.audit import Finding, Row
from pats.tasks.groups import blocks_of, divided_by_group
from pats.tasks.labels import Labels
from pats.tasks.splits import WITHOUT_TEST, check, check_classes, divided_by_seed, strata_of

LEAST = 2  # different texts of a fold
FEW = 500  # rows below which one test split leaves a score too open
PROPOSED = (5, 3)  # folds, the first number of them that the table allows


class Folded(NamedTuple):
    """The rows of a table in folds.

    Args:
        whole: Train and dev of the model that is fitted in the end, on all rows.
        folds: Train, dev and test of every fold.
        findings: What was done, in sentences.
    """

    whole: Mapping[str, Sequence[int]]
    folds: Sequence[Mapping[str, Sequence[int]]]
    findings: list[Finding]

    def parts(self, fold: int | None) -> Mapping[str, Sequence[int]]:
        """The splits of one fold, counted from 1; None is all rows, without a test split."""
        return self.whole if fold is None else self.folds[fold - 1]

    def fingerprint(self, rows: Sequence[Row], labels: Labels) -> str:
        """A hash of everything that the results of all folds depend on."""
        content = [[list(row.texts), value] for row, value in zip(rows, labels.values, strict=True)]
        known = [labels.classes, labels.sets, content, self.whole, self.folds]
        return hashlib.blake2b(json.dumps(known).encode(), digest_size=16).hexdigest()


def folded(rows: Sequence[Row], labels: Labels, folds: int, seed: int, name: str) -> Folded:
    """Divide all rows into folds, and the rows outside each of them into train and dev.

    Rows of one text, but for case, blanks and invisible characters, and rows of one group are in one fold,
    and every fold has its share of every class.

    Raises:
        InputError: The table brings splits, or has too few rows, groups or rows of a class; or a class is in
            one fold alone.
    """
    if any(row.split is not None for row in rows):
        raise InputError(
            f"{name} brings its own splits, but --folds divides all rows: leave one of the two out"
        )
    grouped = rows[0].group is not None
    keys, members = [row.key for row in rows], range(len(rows))
    blocks = blocks_of(keys, [str(row.group) for row in rows] if grouped else [str(i) for i in members])
    what = "groups of rows" if grouped else "different texts"
    most = len(blocks) if grouped else len(blocks) // LEAST
    if folds > most:
        raise InputError(f"{name} has {len(blocks)} {what}, too few for {folds} folds: take at most {most}")
    shares = {str(fold): 1 / folds for fold in range(folds)}
    if grouped:
        tests = divided_by_group(blocks, strata_of(labels, members), shares, seed)
    else:
        check_classes(rows, labels, name, folds)
        tests = stratify(keys, strata_of(labels, members), shares, seed)
    made = []
    for test in tests.values():
        held = set(test)
        rest = [i for i in members if i not in held]
        made.append({**divided_by_seed(rows, labels, rest, WITHOUT_TEST, seed), "test": test})
        check(made[-1], labels, name)
    whole = divided_by_seed(rows, labels, members, WITHOUT_TEST, seed)
    together = "rows of one group" if grouped else "rows of one text"
    message = (
        f"The {len(rows)} rows were divided into {folds} folds by split seed {seed}, {together} in one of "
        "them: every row is test once, and of the other rows 15 % are dev. All methods share the folds."
    )
    return Folded(whole, made, [Finding("divided", message, {"folds": folds})])


def proposal(rows: Sequence[Row], labels: Labels, tested: int, seed: int, name: str) -> list[Finding]:
    """That folds would make the score of a small table surer, why, and what they cost.

    Args:
        rows: The rows, which bring no splits and no times.
        labels: Their labels.
        tested: Rows of the test split that there would be without folds.
        seed: Seed of the division.
        name: What messages call the table.

    Returns:
        Nothing where there are rows enough, or where no number of folds is possible.
    """
    many = len(rows)
    folds = next((k for k in PROPOSED if many < FEW and _possible(rows, labels, k, seed, name)), None)
    if folds is None:
        return []
    if labels.classes and not labels.sets:
        why = (
            f"an accuracy on {tested} test rows is open by up to {_open(tested)} points either way, on all "
            f"{many} rows by {_open(many)}"
        )
    else:
        why = f"a score on {tested} test rows is far less sure than one on all {many}"
    message = (
        f"{many} rows are few: {why}. pats compare with --folds {folds} --seeds 1 tests every row once; each "
        f"seed takes {folds} times as long, and the exported model one run more."
    )
    return [Finding("few", message, {"rows": many, "test": tested, "folds": folds})]


def _possible(rows: Sequence[Row], labels: Labels, folds: int, seed: int, name: str) -> bool:
    try:
        folded(rows, labels, folds, seed, name)
    except InputError:
        return False
    return True


def _open(rows: int) -> str:
    """Half of the widest 95 % interval of a share of so many rows, in points."""
    return f"{196 * math.sqrt(0.25 / rows):.0f}"
