"""``python -m pats.cli`` is ``pats``."""

import sys

from pats.cli import main

sys.exit(main())
