"""The code blocks of a page, and what can be known of a line of shell without running it."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

from pats.cli import VERBS
from pats.cli._parser import parser_of

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
BLOCK = re.compile(
    r"^```(?P<language>[^\n]*)\n(?P<fenced>.*?)^```$"
    r"|(?:(?<=\n\n)|\A)(?P<indented>(?: {4}[^\n]*\n|\n(?= {4}))+)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block.

    Args:
        language: What stands behind its fence; of an indented block ``"sh"``.
        text: What is in it.
    """

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that its first comment names, such as ``# sweep.yaml: the flags``."""
        named = re.match(r"# ([\w.-]+\.(?:py|yaml))\b", self.text)
        return named and named[1]

    @property
    def lines(self) -> list[str]:
        """Its commands, without comments."""
        told = (re.sub(r"(?:^|\s+)#.*$", "", line).strip() for line in self.text.splitlines())
        return [line for line in told if line]


def blocks(page: str) -> Iterator[Block]:
    """The code blocks of a page in Markdown, in their order."""
    for found in BLOCK.finditer(page):
        if found["fenced"] is not None:
            yield Block(found["language"], found["fenced"])
        elif found["indented"].strip():
            yield Block("sh", dedent(found["indented"]))


def in_docstrings(path: Path) -> Iterator[Block]:
    """The calls of PATS in a module's docstrings: code behind a line that ends with a colon."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            for found in re.findall(r":\n\n((?: {4}.*\n|\n(?= {4}))+)", text + "\n"):
                if re.search(r"\bpats\.[\w.]+\(|perturbation\.", found):
                    yield Block("python", dedent(found))


def argv_of(line: str) -> list[str] | None:
    """What ``pats`` is given in a line of shell, whoever starts it; None if the line does not call it."""
    for part in line.split("|"):
        words = shlex.split(part.partition(" > ")[0])
        if words[:1] == ["pats"]:
            return words[1:]
        if words[:1] == ["torchrun"] or words[:2] == ["accelerate", "launch"]:
            return words[words.index("pats") + 1 :]
    return None


def wrong_with(line: str) -> str | None:
    """Why a line of shell could not work; None if nothing is known to be wrong with it.

    Raises:
        InputError: The verb does not take these flags.
    """
    argv, words = argv_of(line), shlex.split(line)
    if argv is not None:
        if argv[0] not in VERBS:
            return f"there is no verb {argv[0]}"
        parser_of(argv[0]).read(argv[1:])
        return None
    if words[:2] == ["pip", "install"]:
        extras = re.findall(r"\[([\w,]+)\]", words[-1])
        unknown = [name for names in extras for name in names.split(",") if name not in EXTRAS]
        return f"there is no extra {unknown[0]}" if unknown else None
    if words[0] == "make":
        made = re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        return None if made else f"make has no target {words[1]}"
    if words[:2] == ["python", "-m"]:
        return None if find_spec(words[2]) else f"there is no module {words[2]}"
    if words[0] in ("sh", "python"):
        return None if (ROOT / words[1]).is_file() else f"there is no file {words[1]}"
    return None if words[0] in ("curl", "cd") else f"nobody knows {words[0]}"
