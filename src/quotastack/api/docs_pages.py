"""The documents, served by the server itself: ``/docs``, ``/llms.txt``, ``/errors`` and ``/reference``."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Final

from quotastack.api.errors import PROBLEM_KINDS
from quotastack.api.markdown_pages import (
    DRAWING_TYPE,
    HTML_TYPE,
    MARKDOWN_TYPE,
    PAGE_HEADERS,
    find_drawing,
    find_page,
    list_pages,
    render_page,
)
from quotastack.api.routing import Request, Response, Route
from quotastack.core.errors import NotFoundError

STATIC: Final = Path(__file__).parent / "static"
SCRIPT_TYPE: Final = b"text/javascript; charset=utf-8"
TEXT_TYPE: Final = b"text/plain; charset=utf-8"
CACHED: Final = (b"cache-control", b"public, max-age=3600")

REFERENCE_HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            b"font-src 'self' data:; connect-src 'self'; worker-src blob:"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
)
REFERENCE_PAGE: Final = b"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>API reference - QuotaStack</title></head>
<body><div id="app"></div><script src="/reference/scalar.js"></script><script src="/reference/start.js"></script>
<noscript>The reference needs JavaScript; <a href="/openapi.json">/openapi.json</a> holds the same.</noscript>
</body></html>
"""
REFERENCE_START: Final = b"""Scalar.createApiReference('#app', {
  url: '/openapi.json', withDefaultFonts: false, telemetry: false, agent: {disabled: true}, mcp: {disabled: true},
  hideClientButton: true, showDeveloperTools: 'never', documentDownloadType: 'json', persistAuth: false,
  authentication: {preferredSecurityScheme: 'ApiKey'}
})
"""

LLMS_HEAD: Final = """# QuotaStack

> Open, self-hosted credit billing on PostgreSQL: credits, metering, quotas, entitlements, reservations, topups,
> subscriptions and webhooks. A charge is decided before the spend, atomically, on a balance that is true.

Amounts are integer millicredits (1 credit = 1,000). Every POST and PATCH that changes something needs an
`Idempotency-Key`. A customer is named by `customer_id` (ours) or `external_customer_id` (yours), never both.

## API

- [OpenAPI 3.1]({base}/openapi.json): every operation, schema and error
- [Errors]({base}/errors.md): every problem type with its cause and what to do

## Docs
"""


async def get_docs(_request: Request) -> Response:
    """The list of documents, or the page ``index`` where there is one."""
    index = find_page("index")
    if index is not None:
        return Response(200, index.page, headers=PAGE_HEADERS, content_type=HTML_TYPE)
    lines = [
        f"- [{page.title}](/docs/{page.path})" + (f": {page.summary}" if page.summary else "")
        for page in list_pages()
    ]
    source = "# QuotaStack\n\n" + "\n".join([*lines, "- [API reference](/reference)", "- [Errors](/errors)"])
    return Response(200, render_page("Docs", source), headers=PAGE_HEADERS, content_type=HTML_TYPE)


async def get_doc(request: Request) -> Response:
    """One document, as a page or, with ``.md``, as it was written."""
    path = "/".join(request.params.values())
    if path.endswith(".svg") and (drawing := find_drawing(path)) is not None:
        return Response(200, drawing, headers=PAGE_HEADERS, content_type=DRAWING_TYPE)
    page = find_page(path.removesuffix(".md"))
    if page is None:
        raise NotFoundError("There is no such document; /docs lists them.")
    if path.endswith(".md"):
        return Response(200, page.markdown, headers=PAGE_HEADERS, content_type=MARKDOWN_TYPE)
    return Response(200, page.page, headers=PAGE_HEADERS, content_type=HTML_TYPE)


async def get_llms(request: Request) -> Response:
    """What a language model should read first: the same documents, as Markdown."""
    base = request.base_url
    lines = [
        f"- [{page.title}]({base}/docs/{page.path}.md)" + (f": {page.summary}" if page.summary else "")
        for page in list_pages()
    ]
    text = LLMS_HEAD.replace("{base}", base) + "\n" + "\n".join(lines) + "\n"
    return Response(200, text.encode(), content_type=TEXT_TYPE)


@cache
def _errors_markdown() -> str:
    rows = [
        f"| {kind.status} | [`{slug}`](/errors/{slug}) | {kind.title} |"
        for slug, kind in PROBLEM_KINDS.items()
    ]
    return (
        "# Errors\n\nEvery refusal is an RFC 9457 problem (`application/problem+json`). Switch on `type`: its last "
        "part is the slug below, and it never changes. `request_id` is also in the header `X-Request-Id` and in the "
        "logs.\n\n"
        "| Status | Type | Meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _error_markdown(slug: str) -> str:
    kind = PROBLEM_KINDS[slug]
    return (
        f"# {kind.title}\n\n`{slug}`, HTTP {kind.status}\n\n## Cause\n\n{kind.cause}\n\n## What to do\n\n"
        f"{kind.remedy}\n\n[All errors](/errors)\n"
    )


async def get_errors(_request: Request) -> Response:
    """All problem types."""
    page = render_page("Errors", _errors_markdown(), markdown_url="/errors.md")
    return Response(200, page, headers=PAGE_HEADERS, content_type=HTML_TYPE)


async def get_errors_markdown(_request: Request) -> Response:
    """All problem types, with cause and remedy, as one Markdown text."""
    text = _errors_markdown() + "\n" + "\n".join(_error_markdown(slug) for slug in PROBLEM_KINDS)
    return Response(200, text.encode(), headers=PAGE_HEADERS, content_type=MARKDOWN_TYPE)


async def get_error(request: Request) -> Response:
    """One problem type: what ``type`` of a problem points to."""
    name = request.params["slug"]
    slug = name.removesuffix(".md")
    if slug not in PROBLEM_KINDS:
        raise NotFoundError("There is no such error; /errors lists them.")
    source = _error_markdown(slug)
    if name.endswith(".md"):
        return Response(200, source.encode(), headers=PAGE_HEADERS, content_type=MARKDOWN_TYPE)
    page = render_page(PROBLEM_KINDS[slug].title, source, markdown_url=f"/errors/{slug}.md")
    return Response(200, page, headers=PAGE_HEADERS, content_type=HTML_TYPE)


async def get_reference(_request: Request) -> Response:
    """The reference, drawn in the browser from /openapi.json; nothing comes from another host."""
    return Response(200, REFERENCE_PAGE, headers=REFERENCE_HEADERS, content_type=HTML_TYPE)


async def get_reference_start(_request: Request) -> Response:
    """What starts the reference."""
    return Response(200, REFERENCE_START, content_type=SCRIPT_TYPE)


@cache
def _packed_script() -> bytes:
    return (STATIC / "scalar.standalone.js.gz").read_bytes()


async def get_reference_script(request: Request) -> Response:
    """The reference's program, compressed where the browser takes that."""
    packed = _packed_script()
    if b"gzip" in request.headers.get(b"accept-encoding", b""):
        headers = (CACHED, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
        return Response(200, packed, headers=headers, content_type=SCRIPT_TYPE)
    headers = (CACHED, (b"vary", b"accept-encoding"))
    return Response(200, gzip.decompress(packed), headers=headers, content_type=SCRIPT_TYPE)


async def get_start(_request: Request) -> Response:
    """The root leads to the documents."""
    return Response(307, headers=((b"location", b"/docs"),))


ROUTES: Final = tuple(
    Route(
        method="GET",
        path=path,
        handler=handler,
        scope=None,
        tag="Docs",
        summary=(handler.__doc__ or "").split("\n", 1)[0],
        answers={200: None},
        is_documented=False,
    )
    for path, handler in (
        ("/", get_start),
        ("/docs", get_docs),
        ("/docs/{page}", get_doc),
        ("/docs/{section}/{page}", get_doc),
        ("/llms.txt", get_llms),
        ("/errors", get_errors),
        ("/errors.md", get_errors_markdown),
        ("/errors/{slug}", get_error),
        ("/reference", get_reference),
        ("/reference/scalar.js", get_reference_script),
        ("/reference/start.js", get_reference_start),
    )
)
