"""What the site adds: a page for each method, pages from outside this folder, links into the repository.

`mkdocs.yml` names this module as its hook. The pages are read on GitHub as well, so they link to files of
the repository by relative paths.
"""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
METHODS = ROOT / "src" / "pats" / "methods"
# What every method's class has, described once with the class `Method`.
COMMON = "option_fields|search|about|noise|prepare_|optimizer|attached|loss|state|load_state|telemetry"
OUTSIDE = {name: name.lower() for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
LINK = re.compile(r'(?P<before>\]\(|(?:href|src)=")(?P<target>(?!\w+:|#|/)[^)\s"#]*)')


def methods() -> dict[str, str]:
    """The first line of every method's module, by the module's name."""
    found = {}
    for path in sorted(METHODS.glob("[a-z]*.py")):
        found[path.stem] = (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the methods' pages below the page on all methods."""
    config.nav = [_with_methods(entry) for entry in config.nav or []]
    return config


def _with_methods(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, pages),) = entry.items()
    if isinstance(pages, str) or "methods.md" not in pages:
        return entry
    at = pages.index("methods.md")
    below = {"Each method": [f"methods/{name}.md" for name in methods()]}
    return {title: [*pages[: at + 1], below, *pages[at + 1 :]]}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of this folder."""
    for name, summary in methods().items():
        text = (
            f"# {summary.partition(':')[0]}\n\nAll methods side by side, with their options on the command "
            f"line: [Fine-tuning methods](../methods.md).\n\n::: pats.methods.{name}\n"
            f"    options: {{show_root_heading: false, filters: ['!^_', '!^({COMMON})$']}}\n"
        )
        files.append(File.generated(config, f"methods/{name}.md", content=text))
    for source, target in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, target, content=linked(text, source, config.repo_url or "")))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, **_: Any) -> str:
    """Lead links to files outside this folder to the repository."""
    if page.file.generated_by:
        return markdown
    return linked(markdown, f"docs/{page.file.src_uri}", config.repo_url or "")


def linked(markdown: str, source: str, repository: str) -> str:
    """A page whose links lead to pages of the site, else to the repository.

    Args:
        markdown: The page.
        source: Its path in the repository.
        repository: The repository's address.
    """
    base = posixpath.dirname(source)

    def lead(match: re.Match[str]) -> str:
        if not match["target"]:
            return match[0]
        path = posixpath.normpath(posixpath.join(base, match["target"]))
        if path in OUTSIDE:
            return match["before"] + OUTSIDE[path]
        if path.startswith("docs/"):
            return match["before"] + posixpath.relpath(path, "docs")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{match['before']}{repository}/{kind}/main/{path}"

    return LINK.sub(lead, markdown)
