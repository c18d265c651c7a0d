"""``pats.study.place.worker`` with light runs: ``python worker_without_training.py FOLDER [PARENT]``."""

import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    # A package without its __init__, which would import torch in every process.
    package = types.ModuleType("pats")
    package.__path__ = [str(ROOT / "src" / "pats")]
    sys.modules["pats"] = package

    from pats.study.place.worker import attend, work
    from support.runs_without_training import pretend_to_train

    folder = Path(sys.argv[1])
    attend(folder, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.exit(work(folder, pretend_to_train))


if __name__ == "__main__":
    main()
