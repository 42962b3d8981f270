"""A provider's client with a meter in front: the same attributes, methods and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from quotastack_client.ai.metered import NotMeteredError, Spend, Spending, make_async, make_blocking
from quotastack_client.ai.providers import COPIES, METERED, PREFIXES, REFUSED, Metered, Tally
from quotastack_client.errors import QuotaStackError

T = TypeVar("T")

Run = Callable[[Metered, Callable[..., Any], dict[str, Any]], Any]


class Proxy:
    """Stands for ``inner``; only the calls that spend tokens are different."""

    def __init__(self, inner: Any, path: tuple[str, ...], run: Run) -> None:
        self._inner = inner
        self._path = path
        self._run = run

    def __getattr__(self, name: str) -> Any:
        path = (*self._path, name)
        value = getattr(self._inner, name)
        metered = METERED.get(path)
        if metered is not None:
            return lambda **request: self._run(metered, value, request)
        if name in REFUSED or path in REFUSED:
            raise NotMeteredError(f"{'.'.join(path)} is not metered: call it on the provider's own client")
        if path in PREFIXES:
            return Proxy(value, path, self._run)
        if name in COPIES:
            return lambda **options: Proxy(value(**options), self._path, self._run)
        return value

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exit_: object) -> Any:
        return self._inner.__exit__(*exit_)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exit_: object) -> Any:
        return await self._inner.__aexit__(*exit_)


def wrap_blocking(client: Any, provider: T, spending: Spending) -> T:
    """The provider's client behind a meter that blocks."""

    def run(metered: Metered, call: Callable[..., Any], request: dict[str, Any]) -> Any:
        request = metered.prepare(request)
        spend = spending.start(request, has_output=metered.has_output)
        if metered.is_managed_stream:
            return BlockingManager(client, spend, metered, lambda: call(**request))
        make_blocking(client, spend.hold(may_go_on=_policy(client, spend)))
        try:
            answer = call(**request)
        except BaseException:
            make_blocking(client, spend.release())
            raise
        if request.get("stream"):
            return BlockingStream(client, spend, answer)
        make_blocking(client, spend.charge(metered.tokens_of(answer), answer))
        return answer

    return cast("T", Proxy(provider, (), run))


def wrap_async(client: Any, provider: T, spending: Spending) -> T:
    """The provider's client behind a meter that does not block."""

    async def run(metered: Metered, call: Callable[..., Awaitable[Any]], request: dict[str, Any]) -> Any:
        spend = spending.start(request, has_output=metered.has_output)
        await make_async(client, spend.hold(may_go_on=_policy(client, spend)))
        try:
            answer = await call(**request)
        except BaseException:
            await make_async(client, spend.release())
            raise
        if request.get("stream"):
            return AsyncStream(client, spend, answer)
        await make_async(client, spend.charge(metered.tokens_of(answer), answer))
        return answer

    def start(metered: Metered, call: Callable[..., Any], request: dict[str, Any]) -> Any:
        request = metered.prepare(request)
        if metered.is_managed_stream:
            return AsyncManager(client, spending.start(request), metered, lambda: call(**request))
        return run(metered, call, request)

    return cast("T", Proxy(provider, (), start))


def _policy(client: Any, spend: Spend) -> Callable[[QuotaStackError], bool]:
    """May the call go on unheld, when the server cannot be asked? Its tokens are recorded afterwards."""

    def may_go_on(error: QuotaStackError) -> bool:
        policy = client.on_unavailable
        if callable(policy):
            return bool(policy(spend.customer, spend.metric, error))
        return policy == "allow"

    return may_go_on


class BlockingStream:
    """A provider's stream. Charged at its end; released when it fails; charged for what came when it is left early."""

    def __init__(self, client: Any, spend: Spend, inner: Any) -> None:
        self._client = client
        self._spend = spend
        self._inner = inner
        self._tally = Tally(spend.estimate)
        self._events = self._read()

    def _read(self) -> Iterator[Any]:
        try:
            for event in self._inner:
                self._tally.observe(event)
                yield event
        except GeneratorExit:
            raise
        except BaseException:
            make_blocking(self._client, self._spend.release())
            raise
        if self._spend.is_open:
            make_blocking(self._client, self._spend.charge(self._tally.tokens, None))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._events)

    def close(self) -> None:
        """Stop reading; what came so far is charged."""
        self._inner.close()
        if self._spend.is_open:
            make_blocking(self._client, self._spend.charge(self._tally.partial, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class AsyncStream:
    """The same for ``async for``."""

    def __init__(self, client: Any, spend: Spend, inner: Any) -> None:
        self._client = client
        self._spend = spend
        self._inner = inner
        self._tally = Tally(spend.estimate)
        self._events = self._read()

    async def _read(self) -> AsyncIterator[Any]:
        try:
            async for event in self._inner:
                self._tally.observe(event)
                yield event
        except GeneratorExit:
            raise
        except BaseException:
            await make_async(self._client, self._spend.release())
            raise
        if self._spend.is_open:
            await make_async(self._client, self._spend.charge(self._tally.tokens, None))

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def close(self) -> None:
        """Stop reading; what came so far is charged."""
        await self._inner.close()
        if self._spend.is_open:
            await make_async(self._client, self._spend.charge(self._tally.partial, None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exit_: object) -> None:
        await self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BlockingManager:
    """Anthropic's ``messages.stream(...)``: held on entering, charged on leaving, released when the block raises."""

    def __init__(self, client: Any, spend: Spend, metered: Metered, open_: Callable[[], Any]) -> None:
        self._client = client
        self._spend = spend
        self._metered = metered
        self._open = open_
        self._manager: Any = None
        self._stream: Any = None

    def __enter__(self) -> Any:
        make_blocking(self._client, self._spend.hold(may_go_on=_policy(self._client, self._spend)))
        try:
            self._manager = self._open()
            self._stream = self._manager.__enter__()
        except BaseException:
            make_blocking(self._client, self._spend.release())
            raise
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        handled = self._manager.__exit__(kind, error, trace)
        if error is not None:
            make_blocking(self._client, self._spend.release())
        else:
            snapshot = self._stream.current_message_snapshot
            make_blocking(self._client, self._spend.charge(self._metered.tokens_of(snapshot), snapshot))
        return handled


class AsyncManager:
    """The same for ``async with``."""

    def __init__(self, client: Any, spend: Spend, metered: Metered, open_: Callable[[], Any]) -> None:
        self._client = client
        self._spend = spend
        self._metered = metered
        self._open = open_
        self._manager: Any = None
        self._stream: Any = None

    async def __aenter__(self) -> Any:
        await make_async(self._client, self._spend.hold(may_go_on=_policy(self._client, self._spend)))
        try:
            self._manager = self._open()
            self._stream = await self._manager.__aenter__()
        except BaseException:
            await make_async(self._client, self._spend.release())
            raise
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        handled = await self._manager.__aexit__(kind, error, trace)
        if error is not None:
            await make_async(self._client, self._spend.release())
        else:
            snapshot = self._stream.current_message_snapshot
            await make_async(self._client, self._spend.charge(self._metered.tokens_of(snapshot), snapshot))
        return handled
