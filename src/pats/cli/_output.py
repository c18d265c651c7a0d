"""What verbs write on stdout."""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def write_json(content: Any) -> None:
    """The result of ``--json``."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def wide() -> "Console":
    """The terminal, or where there is none a width at which no table is folded."""
    from rich.console import Console  # here, because `pats env` writes JSON without rich

    console = Console()
    return console if console.is_terminal else Console(width=160)
