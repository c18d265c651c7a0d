"""The drawings of docs/how-it-works.md: the panels of the paper's Fig. 1, and what noise does to weights.

    python -m benchmarks.pictures

Every picture brings its own background and follows the reader's colour scheme, so that its text can be read
in both. The second is drawn from ``benchmarks/results/walks.json``.
"""

import math
import random
from collections.abc import Iterable, Sequence

from benchmarks import record
from benchmarks.record import Results
from benchmarks.tables import rows_of

DOCS = record.ROOT / "docs"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"

# Colours by role, on a light screen and on a dark one.
COLOURS = {
    "card": ("#ffffff", "#1b222c"),
    "edge": ("#d5dbe3", "#3a4554"),
    "ink": ("#1f2937", "#e8edf3"),
    "soft": ("#52606d", "#a9b6c4"),
    "box": ("#f1f4f8", "#27303c"),
    "low": ("#d9541e", "#ff8a5c"),
    "high": ("#6b3fa0", "#b99af0"),
    "even": ("#0f766e", "#4fd1c5"),
    "blue": ("#275a96", "#7db3f0"),
}
NAMES = {
    "paper": ("the paper's walk", "low"),
    "budget": ("a budget of 0.04", "blue"),
    "transient": ("transient, 0.02", "even"),
    "anticorrelated": ("anticorrelated, 0.02", "high"),
}


def picture(title: str, told: str, width: int, height: int, parts: Iterable[str]) -> str:
    """A drawing on a card of its own."""
    light, dark = (
        " ".join(
            f".{name}{{fill:{pair[at]}}} .{name}-line{{stroke:{pair[at]}}}" for name, pair in COLOURS.items()
        )
        for at in (0, 1)
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="title desc" font-family="{FONT}">',
        f'<title id="title">{title}</title>',
        f'<desc id="desc">{told}</desc>',
        f"<style>{light} path{{fill:none}} @media (prefers-color-scheme: dark){{{dark}}}</style>",
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="16" class="card edge-line" '
        'stroke-width="2"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def text(x: float, y: float, words: str, size: int = 21, kind: str = "soft", more: str = "") -> str:
    """Words around a point."""
    where = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="middle"'
    return f'<text {where} class="{kind}" {more}>{words}</text>'


def line(points: Sequence[tuple[float, float]], kind: str, width: float = 3, more: str = "") -> str:
    """A line through points."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<path d="M{through}" class="{kind}-line" stroke-width="{width:g}" stroke-linejoin="round" '
        f'stroke-linecap="round" {more}/>'
    )


def arrow(x: float, top: float, bottom: float) -> str:
    """An arrow downwards."""
    head = line([(x - 8, bottom - 10), (x, bottom), (x + 8, bottom - 10)], "soft")
    return line([(x, top), (x, bottom)], "soft") + head


CELL, GAP, SIDE = 30, 4, 4
LOW, HIGH = (1, 0), (2, 2)  # row and column of the two parameters that are followed


def matrix(x: float, y: float, marked: bool) -> list[str]:
    """A matrix of weights around x, two of them marked."""
    draw, parts = random.Random(4), []
    left = x - (SIDE * (CELL + GAP) - GAP) / 2
    for row in range(SIDE):
        for column in range(SIDE):
            shade = 0.25 + 0.5 * draw.random()
            kind, shade = ("low", 1) if marked and (row, column) == LOW else ("blue", shade)
            kind, shade = ("high", 1) if marked and (row, column) == HIGH else (kind, shade)
            where = f'x="{left + column * (CELL + GAP):g}" y="{y + row * (CELL + GAP):g}"'
            size = f'width="{CELL}" height="{CELL}" rx="4"'
            parts.append(f'<rect {where} {size} class="{kind}" fill-opacity="{shade:.2f}"/>')
    return parts


def bell(x: float, bottom: float, width: float, height: float, kind: str) -> str:
    """A Gaussian, whose standard deviation is ``width``."""
    ticks = [at / 20 for at in range(-60, 61, 3)]
    points = [(x + width * at, bottom - height * math.exp(-at * at / 2)) for at in ticks]
    return line(points, kind)


def schemata() -> str:
    """The three panels of Fig. 1."""
    parts = []
    for x, title in ((140, "a. Fine-tuning"), (410, "b. NoisyTune"), (680, "c. PATS")):
        parts += [text(x, 48, title, 28, "ink", 'font-weight="600"'), *matrix(x, 74, marked=x > 600)]
    box = '<rect x="{0}" y="{1}" width="220" height="{2}" rx="12" class="box"/>'
    words = ("training", "ink")
    # a: nothing comes between the pretrained weights and the training
    parts += [arrow(140, 216, 372), box.format(30, 380, 56), text(140, 415, words[0], 26, words[1])]
    parts += [text(140, 472, "no noise", 24)]
    # b: one distribution for the whole matrix, before the training
    flat = [(340, 306), (350, 306), (350, 252), (470, 252), (470, 306), (480, 306)]
    parts += [arrow(410, 216, 240), line(flat, "even"), arrow(410, 338, 372)]
    parts += [text(410, 330, "the same for all", 22), box.format(300, 380, 56)]
    parts += [text(410, 415, words[0], 26, words[1]), text(410, 472, "noise once, before", 24)]
    # c: in the training, of its own size for each parameter
    parts += [arrow(680, 216, 240), box.format(568, 248, 188).replace("220", "224")]
    parts += [bell(628, 330, 15, 50, "low"), bell(736, 330, 4.5, 62, "high")]
    parts += [text(630, 360, "insensitive", 21), text(740, 360, "sensitive", 21)]
    parts += [text(680, 412, words[0], 26, words[1]), text(680, 472, "noise at every step", 24)]
    told = (
        "Three panels. Fine-tuning trains the pretrained weights as they are. NoisyTune adds noise of one "
        "distribution to a whole matrix before training. PATS adds noise at every step of training: wide to "
        "the red weight, which is insensitive, narrow to the purple one, which is sensitive."
    )
    return picture("Fine-tuning, NoisyTune and PATS", told, 820, 500, parts)


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 820, 520, 90, 30, 150, 70


def walks(results: Results) -> str:
    """The noise that is in the weights, by step."""
    rows = {row["noise"]: row for row in rows_of(results)}
    last = max(row["steps"][-1] for row in rows.values())
    most = max(max(row["median"]) for row in rows.values())
    top = 0.02 * math.ceil(most / 0.02)

    def at(step: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * step / last
        return across, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top

    parts = [text(WIDTH / 2, 44, "Noise in the weights, over their spread", 28, "ink", 'font-weight="600"')]
    for place, (name, (words, kind)) in enumerate(NAMES.items()):
        x, y = (110, 490)[place % 2], 86 + 34 * (place // 2)
        dashes = 'stroke-dasharray="2 9"' if name == "anticorrelated" else ""
        parts += [line([(x, y - 7), (x + 44, y - 7)], kind, 5, dashes)]
        parts += [text(x + 58, y, words, 24, "ink", 'style="text-anchor:start"')]
        row = rows[name]
        parts.append(
            line([at(s, v) for s, v in zip(row["steps"], row["median"], strict=True)], kind, 4, dashes)
        )
    for tick in range(5):
        value = top * tick / 4
        level = at(0, value)[1]
        parts += [line([(LEFT, level), (WIDTH - RIGHT, level)], "edge", 1.5)]
        parts += [text(LEFT - 12, level + 7, f"{value:.3g}", 23, "soft", 'style="text-anchor:end"')]
    for shown in range(0, last + 1, last // 4):
        parts.append(text(at(shown, 0)[0], HEIGHT - BOTTOM + 28, str(shown), 23))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, f"step of a run of {last} steps", 24))
    told = (
        "Lines over the steps of a run. The paper's noise adds up and goes on growing. With a budget it adds "
        "up to a bound and ends there. Transient and anticorrelated noise is there at once and fades to zero."
    )
    return picture("What noise does to weights over a run", told, WIDTH, HEIGHT, parts)


def drawn() -> dict[str, str]:
    """Every picture by its file's name."""
    measured = record.read("walks")
    if measured is None:
        raise SystemExit("walks.svg needs walks.json: python -m benchmarks.walks")
    return {"schemata.svg": schemata(), "walks.svg": walks(measured)}


def main() -> None:
    """Draw all pictures anew."""
    for name, content in drawn().items():
        (DOCS / name).write_text(content, encoding="utf-8")
        print(f"drew docs/{name}")


if __name__ == "__main__":
    main()
