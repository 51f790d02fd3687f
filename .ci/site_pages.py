"""Hooks of mkdocs: what lies outside of docs/ and belongs on the site as well, the examples and the project's own pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OWN_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md")


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each example, one that lists them, and the project's own pages."""
    rows = []
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        title = path.stem.replace("_", " ").capitalize()
        summary = (ast.get_docstring(ast.parse(code)) or "").partition("\n")[0]
        rows.append(f"- [{title}]({path.stem}.md): {summary}")
        files.append(File.generated(config, f"examples/{path.stem}.md", content=f"# {title}\n\n````python\n{code}````\n"))
    text = "# Examples\n\nShort programs that do a real thing, each to be read in five minutes.\n\n" + "\n".join(rows)
    files.append(File.generated(config, "examples/index.md", content=text + "\n"))
    for name in OWN_PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links from a page to an example's file go to the example's page."""
    root = "../" * page.file.src_uri.count("/")
    return re.sub(r"\]\((?:\.\./)+examples/(\w+)\.py\)", rf"]({root}examples/\1.md)", markdown)
