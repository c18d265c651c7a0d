"""The flags of a small study of one run."""

from pathlib import Path


def study_flags(inputs: Path, out: Path) -> list[str]:
    """A study of one run on the table and the model of ``inputs``."""
    base = ["--data", str(inputs / "texts.csv"), "--models", str(inputs / "bert"), "--out", str(out)]
    settings = "--preset paper --methods pats --seeds 1 --epochs 1 --batch-size 16"
    return [*base, "--quiet", *settings.split()]
