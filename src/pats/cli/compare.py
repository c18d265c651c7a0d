"""``pats compare``: methods × tasks × models × seeds, and their table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pats import baselines
from pats.cli import _flags, _parser, _settings, _study
from pats.study import Study
from pats.study.compare import compare
from pats.study.report import PAGE

EXAMPLE = """
pats compare --tasks cola rte --data glue/ --models minilm --methods vanilla pats --seeds 5 --out out
pats compare --data reviews.csv --label stars --time-limit 1h --out out/reviews
pats compare --data train.csv --dev dev.csv --test test.csv --label stars --out out/files
pats compare --data few.csv --label stars --folds 5 --seeds 1 --out out/few
pats compare --tasks rte --data glue/ --methods vanilla pats std=pats --option std.intensity=std
pats compare --tasks rte --data /nfs/glue --out /nfs/rte --engine ray --ray-address 10.0.0.1:6379 --gpus 1
"""

FOLDS = (
    "cross-validation for tables of fewer than about 500 rows: each of K parts is the test split once. It "
    "takes K times the runs and trials, and one more run for the exported model, which trains on all rows"
)


def main(argv: Sequence[str]) -> int:
    """Compare as the flags say."""
    parser = _parser.Parser(
        "compare",
        "Compare methods over several seeds; finished runs are never repeated. A table (--data without "
        "--tasks) has preset table: 150 to 1,500 steps, a learning rate for each method from short trials of "
        "5e-5, 2e-4 and 5e-4, no control rows, --time-limit 20min, and it ends when more seeds cannot "
        "change which model to use (--all-seeds, --seeds); --preset paper has none of it. Other "
        "learning rates: --lr, else the paper's Table 2, else the best of --lr-grid, else plain "
        "fine-tuning's in Table 2, else 1e-4.",
        EXAMPLE,
    )
    _study.add_grid(parser, "folder of the comparison (default: out)")
    add = parser.add_argument
    add("--lr-grid", nargs="+", type=_flags.number, metavar="X", help="rates to tune over, one run each")
    simple = ", ".join(baselines.registry())
    sentence = f"rows that are no fine-tuning ({simple}), or none; default: all on a table and on GLUE"
    add("--baselines", nargs="+", metavar="NAME", help=sentence)
    sentence = "shorten the trials of --lr-grid: keep the best 1/N at every step of length (table: 3)"
    add("--halving", type=_flags.integer, metavar="N", help=sentence)
    sentence = "plain fine-tuning at the rate of PATS, too, where the rates differ (default: yes; table: no)"
    add("--control", action="store_true", help=sentence)
    add("--no-control", dest="control", action="store_false", help="leave that row out")
    sentence = (
        "stop there with what is known: 90s, 20min, 1h30 or none (default: none; table: 20min). Every call "
        "has the whole time again, also after a kill, and goes on where the last one stopped"
    )
    add("--time-limit", type=_flags.seconds, metavar="TIME", help=sentence)
    sentence = "run all seeds, even if more cannot change the choice (default: if --seeds is given)"
    add("--all-seeds", action="store_true", help=sentence)
    add("--folds", type=_flags.integer, metavar="K", help=FOLDS)
    _study.add_rest(parser)
    return _study.perform(_settings.with_preset(parser.read(argv)), _study.build, _do)


def _do(study: Study, out: str, **how: Any) -> _study.Shown:
    result = compare(study, out, **how)
    page = Path(result.out) / PAGE
    return _study.Shown(result.to_dict(), result.page, result.failures, (page,) if page.exists() else ())
