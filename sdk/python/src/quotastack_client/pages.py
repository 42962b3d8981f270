"""Lists: iterate, and the pages are fetched as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from quotastack_client.answers import Model, Pagination

T = TypeVar("T")


class Page(Model, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    data: tuple[T, ...]
    pagination: Pagination


class Pages(Generic[T]):
    """Every item of a list, page by page. Nothing is asked before the first item is wanted."""

    def __init__(self, fetch: Callable[[str | None], Page[T]]) -> None:
        self._fetch = fetch

    def page(self, cursor: str | None = None) -> Page[T]:
        """One page: the first, or the one behind ``pagination.next_cursor``."""
        return self._fetch(cursor)

    def pages(self) -> Iterator[Page[T]]:
        """Page by page."""
        cursor: str | None = None
        while True:
            page = self._fetch(cursor)
            yield page
            cursor = page.pagination.next_cursor
            if not page.pagination.has_more or cursor is None:
                return

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data


class AsyncPages(Generic[T]):
    """The same for ``async for``."""

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        self._fetch = fetch

    async def page(self, cursor: str | None = None) -> Page[T]:
        """One page: the first, or the one behind ``pagination.next_cursor``."""
        return await self._fetch(cursor)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page."""
        cursor: str | None = None
        while True:
            page = await self._fetch(cursor)
            yield page
            cursor = page.pagination.next_cursor
            if not page.pagination.has_more or cursor is None:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.data:
                yield item
