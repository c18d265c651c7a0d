"""A report as one HTML file that asks no network: styles, charts and their library are inside."""

import json
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pats.page.content.document import Document

LIBRARY = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")

# Charts are as wide as their place, whatever the screen.
FRAME = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}


def html(document: Document) -> str:
    """The page. Without JavaScript every chart is a sentence, and every table is there."""
    specs = {
        f"{section.id}-{number}": {**FRAME, "description": chart.text, **chart.spec}
        for section in document.sections
        for number, chart in enumerate(section.charts, 1)
    }
    # "<" would end the script element early, wherever a text has it.
    packed = json.dumps(specs, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = packed.replace("<", "\\u003c")
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_asset("page.html")).render(
        document=document,
        version=_version(),
        css=Markup(_asset("page.css")),
        specs=Markup(packed) if specs else "",
        scripts=[Markup(_asset(name)) for name in LIBRARY],
        js=Markup(_asset("page.js")),
    )


def _asset(name: str) -> str:
    return (files("pats.page.formats") / "assets" / name).read_text(encoding="utf-8")


def _version() -> str:
    try:
        return version("pats-finetune")
    except PackageNotFoundError:
        return "unknown"
