"""The two clients: the same methods, blocking and not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack

import httpx2

from quotastack_client.ai.metered import Metering, Spending
from quotastack_client.ai.proxies import wrap_async, wrap_blocking
from quotastack_client.availability import NO_ANSWER, OnUnavailable, decide_without_server
from quotastack_client.calls import CallOptions, WriteOptions
from quotastack_client.holds import AsyncHold, Hold, HoldTerms
from quotastack_client.models import EntitlementAnswer, Units, Usage
from quotastack_client.recorder import AsyncRecorder, Recorder, RecorderOptions
from quotastack_client.resources import AsyncResources, Resources
from quotastack_client.transport import AsyncTransport, Settings, Transport
from quotastack_client.webhooks import verify

T = TypeVar("T")

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8080"


class UsageTerms(TypedDict, total=False):
    """What ``record_usage`` takes besides the metric."""

    units: Units
    value: Units
    dimensions: Mapping[str, str]
    metadata: Mapping[str, Any]


def read_settings(
    api_key: str | None, base_url: str | None, timeout: float | None, max_retries: int
) -> Settings:
    """Arguments first, then the environment.

    Raises:
        ValueError: no API key anywhere.
    """
    key = api_key or os.environ.get("QUOTASTACK_API_KEY")
    if not key:
        raise ValueError("no API key: pass api_key or set QUOTASTACK_API_KEY")
    url = base_url or os.environ.get("QUOTASTACK_BASE_URL") or DEFAULT_BASE_URL
    return Settings(key, url.rstrip("/"), timeout, max_retries)


class Client(Resources):
    """A client that blocks. Safe to share between threads; close it, or use it in a ``with``.

    Args:
        api_key: picks the environment; default ``QUOTASTACK_API_KEY``.
        base_url: of the server; default ``QUOTASTACK_BASE_URL``, else this machine's port 8080.
        timeout: seconds for each attempt.
        max_retries: attempts after the first, for what time may mend; each carries the same idempotency key.
        on_unavailable: what ``check_entitlement`` and the gates answer when the server cannot be asked; without it
            they raise.
        http_client: a transport of your own; it stays yours to close.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float | None = 30.0,
        max_retries: int = 3,
        on_unavailable: OnUnavailable | None = None,
        http_client: httpx2.Client | None = None,
    ) -> None:
        self.transport = Transport(read_settings(api_key, base_url, timeout, max_retries), http_client)
        super().__init__(self.transport)
        self.on_unavailable: OnUnavailable | None = on_unavailable
        self._owns_http = http_client is None

    verify_webhook = staticmethod(verify)

    def check_entitlement(
        self, user: str, feature: str, *, units: Units = 1, **options: Unpack[CallOptions]
    ) -> EntitlementAnswer:
        """May your user ``user`` spend ``units`` of ``feature``? Holds nothing: see ``hold``."""
        try:
            return self.entitlements.check(
                external_customer_id=user, billable_metric_key=feature, units=units, **options
            )
        except NO_ANSWER as error:
            return decide_without_server(
                self.on_unavailable, customer=user, metric=feature, units=units, error=error
            )

    def record_usage(
        self, user: str, *, feature_key: str, idempotency_key: str | None = None, **terms: Unpack[UsageTerms]
    ) -> Usage:
        """Charge your user ``user``. The key names the act: the same one again charges nothing more."""
        options: WriteOptions = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
        return self.usage.record(
            external_customer_id=user, billable_metric_key=feature_key, **terms, **options
        )

    def hold(self, **terms: Unpack[HoldTerms]) -> Hold:
        """A reservation as a ``with``: committed at its end, released when the block raises."""
        return Hold(self.reservations, terms)

    def recorder(self, **options: Unpack[RecorderOptions]) -> Recorder:
        """Usage recorded in the background, in batches; flushed when it is closed and at exit."""
        return Recorder(self.usage, options)

    def wrap(self, provider: T, **metering: Unpack[Metering]) -> T:
        """The provider's client (OpenAI's or Anthropic's, blocking), whose calls are gated, held and charged."""
        return wrap_blocking(self, provider, Spending.of(metering))

    def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            self.transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(AsyncResources):
    """The client for ``async``; arguments and methods as those of ``Client``."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float | None = 30.0,
        max_retries: int = 3,
        on_unavailable: OnUnavailable | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self.transport = AsyncTransport(read_settings(api_key, base_url, timeout, max_retries), http_client)
        super().__init__(self.transport)
        self.on_unavailable: OnUnavailable | None = on_unavailable
        self._owns_http = http_client is None

    verify_webhook = staticmethod(verify)

    async def check_entitlement(
        self, user: str, feature: str, *, units: Units = 1, **options: Unpack[CallOptions]
    ) -> EntitlementAnswer:
        """May your user ``user`` spend ``units`` of ``feature``? Holds nothing: see ``hold``."""
        try:
            return await self.entitlements.check(
                external_customer_id=user, billable_metric_key=feature, units=units, **options
            )
        except NO_ANSWER as error:
            return decide_without_server(
                self.on_unavailable, customer=user, metric=feature, units=units, error=error
            )

    async def record_usage(
        self, user: str, *, feature_key: str, idempotency_key: str | None = None, **terms: Unpack[UsageTerms]
    ) -> Usage:
        """Charge your user ``user``. The key names the act: the same one again charges nothing more."""
        options: WriteOptions = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
        return await self.usage.record(
            external_customer_id=user, billable_metric_key=feature_key, **terms, **options
        )

    def hold(self, **terms: Unpack[HoldTerms]) -> AsyncHold:
        """A reservation as an ``async with``: committed at its end, released when the block raises."""
        return AsyncHold(self.reservations, terms)

    def recorder(self, **options: Unpack[RecorderOptions]) -> AsyncRecorder:
        """Usage recorded in the background, in batches; flushed when it is closed."""
        return AsyncRecorder(self.usage, options)

    def wrap(self, provider: T, **metering: Unpack[Metering]) -> T:
        """The provider's client (OpenAI's or Anthropic's, async), whose calls are gated, held and charged."""
        return wrap_async(self, provider, Spending.of(metering))

    async def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            await self.transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
