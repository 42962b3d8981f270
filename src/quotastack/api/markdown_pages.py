"""Markdown as pages: the documents of ``docs/``, rendered once, without anything fetched from elsewhere."""

from __future__ import annotations

import html
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

HTML_TYPE: Final = b"text/html; charset=utf-8"
MARKDOWN_TYPE: Final = b"text/markdown; charset=utf-8"
DRAWING_TYPE: Final = b"image/svg+xml"

# A page runs nothing and loads nothing.
PAGE_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

_relative_page = re.compile(r"^(?![a-z]+:|/|#)([^#?]*?)\.md(#.*)?$")
_not_in_anchor = re.compile(r"[^\w\- ]")

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:#2563eb}
@media(prefers-color-scheme:dark){:root{--link:#7aa7ff}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.6 system-ui,sans-serif}
header{border-bottom:1px solid var(--line);padding:.8rem 1.2rem}
header a{margin-right:1.2rem}
main{max-width:56rem;margin:0 auto;padding:1rem 1.2rem 5rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:1.9rem;line-height:1.25}h2{margin-top:2.2rem;border-bottom:1px solid var(--line)}
pre,code{font:14px/1.5 ui-monospace,monospace}
code{background:var(--soft);padding:.1em .3em;border-radius:4px}
pre{background:var(--soft);padding:.9rem;border-radius:8px;overflow-x:auto}pre code{background:none;padding:0}
table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{border:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top}
""".strip().replace("\n", "")


class MarkdownPage(msgspec.Struct, frozen=True):
    """One document: ``path`` below ``/docs/`` without an ending, its title, its source and its page."""

    path: str
    title: str
    summary: str
    markdown: bytes
    page: bytes


@cache
def docs_folder() -> Path:
    """Where the documents are: inside the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / "docs"
    return installed if installed.is_dir() else package.parents[1] / "docs"


@cache
def _pages() -> dict[str, MarkdownPage]:
    folder = docs_folder()
    pages: dict[str, MarkdownPage] = {}
    for file in sorted([*folder.glob("*.md"), *folder.glob("*/*.md")]):
        path = file.relative_to(folder).with_suffix("").as_posix()
        source = file.read_text(encoding="utf-8")
        title, summary = _title_and_summary(source, fallback=file.stem)
        page = render_page(title, source, markdown_url=f"/docs/{path}.md")
        pages[path] = MarkdownPage(path, title, summary, source.encode(), page)
    return pages


def find_page(path: str) -> MarkdownPage | None:
    """A document by its path below ``/docs/``; one of a folder by its name alone too, where no other has it."""
    pages = _pages()
    found = pages.get(path)
    if found is None and "/" not in path:
        namesakes = [page for known, page in pages.items() if known.endswith(f"/{path}")]
        found = namesakes[0] if len(namesakes) == 1 else None
    return found


@cache
def _drawings() -> dict[str, bytes]:
    folder = docs_folder()
    files = [*folder.glob("*.svg"), *folder.glob("*/*.svg")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def find_drawing(path: str) -> bytes | None:
    """A picture that a document shows, by its path below ``/docs/`` or, as pages are found too, by its name."""
    for known, drawing in _drawings().items():
        if known == path or known.endswith(f"/{path}"):
            return drawing
    return None


def list_pages() -> list[MarkdownPage]:
    """The documents: those of the first level, ``index`` first, then folder by folder."""
    return sorted(_pages().values(), key=lambda page: ("/" in page.path, page.path != "index", page.path))


def render_page(title: str, source: str, *, markdown_url: str | None = None) -> bytes:
    """A whole HTML page out of Markdown; HTML inside the Markdown stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source)
    _add_anchors(tokens)
    _shorten_links(tokens)
    body = parser.renderer.render(tokens, parser.options, {})
    twin = f'<a href="{html.escape(markdown_url)}">as Markdown</a>' if markdown_url else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)} - QuotaStack</title><style>{_STYLE}</style></head><body>"
        '<header><a href="/docs"><b>QuotaStack</b></a><a href="/docs">Docs</a>'
        f'<a href="/reference">API reference</a><a href="/errors">Errors</a>{twin}</header>'
        f"<main>{body}</main></body></html>"
    ).encode()


def _title_and_summary(source: str, *, fallback: str) -> tuple[str, str]:
    title = fallback
    for line in source.splitlines():
        text = line.strip()
        if text.startswith("# ") and title == fallback:
            title = text[2:].strip()
        elif text and not text.startswith(("#", "|", "`", "-", "<", ">")):
            return title, re.sub(r"[*_`]|\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return title, ""


def anchor_of(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    return _not_in_anchor.sub("", heading.lower()).strip().replace(" ", "-")


def _add_anchors(tokens: Sequence[Token]) -> None:
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor_of(content.content))


def _shorten_links(tokens: Sequence[Token]) -> None:
    """Links between the files of a folder become links between pages."""
    for token in tokens:
        for child in token.children or ():
            href = child.attrGet("href") if child.type == "link_open" else None
            match = _relative_page.match(href) if isinstance(href, str) else None
            if match:
                child.attrSet("href", f"{match[1]}{match[2] or ''}")
