"""docs/evidence.md."""


def write() -> None:
    """Write the page."""
