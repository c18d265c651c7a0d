"""Numbers and names as the tables and sentences write them."""

from collections.abc import Sequence

from pats.tasks import metrics

METRICS = {name: about.words for name, about in metrics.ABOUT.items()}

# What to do where a model learned nothing.
CURE = "train longer (--steps or --epochs), with a higher learning rate (--lr), or on more data"

_TITLES = {
    "cola": "CoLA",
    "mnli": "MNLI",
    "mrpc": "MRPC",
    "qnli": "QNLI",
    "qqp": "QQP",
    "rte": "RTE",
    "sst2": "SST-2",
    "stsb": "STS-B",
    "wnli": "WNLI",
    "minilm": "MiniLM-L6",
}


def title_of(name: str) -> str:
    """A task or model as its authors write it, where we know."""
    return _TITLES.get(name, name)


def number(value: float | None, sign: bool = False, digits: int = 1) -> str:
    """A number with so many decimals; a dash for none."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def short(value: float | None) -> str:
    """Three significant digits; a dash for none."""
    return "-" if value is None else f"{value:.3g}"


MOST_DIGITS = 6


def signed(value: float) -> str:
    """A difference with one decimal, or with as many as distinguish it from zero."""
    digits = next((d for d in range(1, MOST_DIGITS) if round(value, d)), MOST_DIGITS)
    return number(value, sign=True, digits=1 if not value else digits)


def between(interval: tuple[float, float] | None, sign: bool = False) -> str:
    """``[low, high]`` with as many decimals as distinguish the ends; a dash for none, or where none does."""
    if interval is None or interval[1] - interval[0] < 10.0**-MOST_DIGITS:
        return "-"
    low, high = interval
    width = (high - low) * (1 + 1e-9)
    digits = next((d for d in range(1, MOST_DIGITS) if 10.0**-d <= width), MOST_DIGITS)
    return f"[{number(low, sign, digits)}, {number(high, sign, digits)}]"


def count(many: int, noun: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{many} {noun}{'' if many == 1 else 's'}"


def listed(texts: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def name_of(model: str) -> str:
    """A model's name without owner or folder."""
    return model.rstrip("/").rpartition("/")[2] or model


def duration(seconds: float) -> str:
    """Seconds in words: ``"40 s"``, ``"12 min"``, ``"3 h 05 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
