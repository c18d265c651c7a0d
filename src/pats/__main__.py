"""``python -m pats`` is the command ``pats``."""

import sys

from pats.cli import main

sys.exit(main())
