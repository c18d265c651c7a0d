"""Write the pages of ``pats VERB --help`` again: ``python tests/golden/make_help.py``."""

import sys

from pats.cli import VERBS, _short_help

if __name__ == "__main__":
    for verb in VERBS:
        (_short_help.FOLDER / f"{verb}.txt").write_text(_short_help.render(verb), "utf-8")
    sys.stdout.write(f"{len(VERBS)} pages in {_short_help.FOLDER}\n")
