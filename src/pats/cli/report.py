"""``pats report``: one page that shows a comparison."""

import sys
from collections.abc import Sequence

from pats.cli import _parser
from pats.cli._output import write_json
from pats.study.report import report

EXAMPLE = """
pats report out/glue
pats report out/glue --sensitivity out/figure2 --data-size out/size --out out/page
"""
FIGURES = {"sensitivity": 2, "data-size": 3}


def main(argv: Sequence[str]) -> int:
    """Write the page as the flags say."""
    parser = _parser.Parser(
        "report",
        "Write what a comparison shows: report.html (one file, no network), and the same tables as "
        "report.md, report.tex and report.csv; and, without --out, a model card beside the exported model.",
        EXAMPLE,
    )
    parser.add_argument("folder", metavar="OUT", help="folder of a comparison; it may be unfinished")
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: OUT)")
    for verb, figure in FIGURES.items():
        parser.add_argument(
            f"--{verb}",
            metavar="DIR",
            help=f"folder in which pats {verb} wrote, for figure {figure} (default: OUT, if it did there)",
        )
    parser.add_argument("--json", action="store_true", help="write verdict and files as JSON on stdout")
    values = parser.read(argv)
    as_json = values.pop("json", False)
    written = report(**values)
    files = [str(file) for file in written.files]
    if as_json:
        answer = {"answer": written.answer} if written.answer else {}
        write_json({**answer, "verdict": written.verdict, "files": files})
    else:
        lead = [*written.answer, ""] if written.answer else []
        sys.stdout.write("\n".join([*lead, *written.verdict, "", *files]) + "\n")
    return 0
