"""What a notebook shows: one bar while a study runs, and its report inline."""

import warnings
from html import escape
from typing import Any

from pats._imports import try_import

HEIGHT = 720  # pixels of a report in a notebook, which scrolls within


def inline(page: str) -> str:
    """A page in a frame of its own, so that its styles and scripts stay in it."""
    return (
        f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts" loading="lazy" title="PATS report" '
        f'style="width: 100%; height: {HEIGHT}px; border: 1px solid #8884; border-radius: 6px"></iframe>'
    )


class Bar:
    """One bar for a study's runs, drawn with widgets where the notebook has them, else as a line of text."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no widgets
            bar = try_import("tqdm.auto", "notebook").tqdm
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        self._bar: Any = bar(total=1, bar_format=form, mininterval=0.0)

    def show(self, done: int, total: int, share: float, now: str) -> None:
        """Show how many of all runs are done, how much of them is in sum, and what runs."""
        self._bar.total, self._bar.n = total, min(share, total)
        self._bar.set_description_str(f"{done} of {total} runs", refresh=False)
        self._bar.set_postfix_str(now, refresh=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
