"""Numbers and names as the tables and sentences write them."""

from collections.abc import Sequence

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


def between(interval: tuple[float, float] | None, sign: bool = False) -> str:
    """``[low, high]`` with one decimal; a dash for none."""
    return "-" if interval is None else f"[{number(interval[0], sign)}, {number(interval[1], sign)}]"


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
