"""Studies in a store whose results are made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pats.study import Study
from pats.study.store.results import Store
from support.made_results import make_result


def store_study(folder: Path, study: Study, scores: Mapping[str, Sequence[float]]) -> Store:
    """A store with the study's cells and, for every row in ``scores``, the results of its first seeds."""
    store, cells = Store(folder), study.cells()
    store.save_study({"study": study.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    for cell in cells:
        for run, score in zip(cell.runs, scores.get(cell.label, ()), strict=False):
            store.folder(run.id).mkdir(parents=True)
            (store.folder(run.id) / "result.json").write_text(
                make_result(run, [score, score - 0.1]).to_json()
            )
    return store
