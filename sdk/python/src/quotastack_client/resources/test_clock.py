"""``client.test_clock``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt
from quotastack_client.transport import AsyncResource, Resource


class TestClock(Resource):
    """``client.test_clock``."""

    def get(self, **options: Unpack[CallOptions]) -> models.Clock:
        """Read the test clock."""
        return self._send("GET", "/v1/test-clock", models.Clock, options=options)

    def freeze(self, *, frozen_at: datetime | str, **options: Unpack[WriteOptions]) -> models.Clock:
        """Freeze the test clock."""
        return self._send(
            "POST",
            "/v1/test-clock",
            models.Clock,
            body={"frozen_at": frozen_at},
            is_keyed=True,
            options=options,
        )

    def advance(
        self,
        *,
        seconds: int | None = None,
        to: datetime | str | None = None,
        sweep: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Clock:
        """Advance the test clock.

        Everything that would have happened in between runs, in order, before the answer.
        """
        return self._send(
            "POST",
            "/v1/test-clock/advance",
            models.Clock,
            body={"seconds": opt(seconds), "to": opt(to), "sweep": opt(sweep)},
            is_keyed=True,
            options=options,
        )

    def release(self, **options: Unpack[WriteOptions]) -> models.Clock:
        """Let the test clock run on."""
        return self._send(
            "POST", "/v1/test-clock/release", models.Clock, body={}, is_keyed=True, options=options
        )

    def reset(self, **options: Unpack[WriteOptions]) -> models.Reset:
        """Start over with an empty test environment.

        Catalog, configuration and endpoints are empty, its clock runs on real time, the keys move
        along.
        """
        return self._send("POST", "/v1/test/reset", models.Reset, body={}, is_keyed=True, options=options)


class AsyncTestClock(AsyncResource):
    """``client.test_clock``."""

    async def get(self, **options: Unpack[CallOptions]) -> models.Clock:
        """Read the test clock."""
        return await self._send("GET", "/v1/test-clock", models.Clock, options=options)

    async def freeze(self, *, frozen_at: datetime | str, **options: Unpack[WriteOptions]) -> models.Clock:
        """Freeze the test clock."""
        return await self._send(
            "POST",
            "/v1/test-clock",
            models.Clock,
            body={"frozen_at": frozen_at},
            is_keyed=True,
            options=options,
        )

    async def advance(
        self,
        *,
        seconds: int | None = None,
        to: datetime | str | None = None,
        sweep: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Clock:
        """Advance the test clock.

        Everything that would have happened in between runs, in order, before the answer.
        """
        return await self._send(
            "POST",
            "/v1/test-clock/advance",
            models.Clock,
            body={"seconds": opt(seconds), "to": opt(to), "sweep": opt(sweep)},
            is_keyed=True,
            options=options,
        )

    async def release(self, **options: Unpack[WriteOptions]) -> models.Clock:
        """Let the test clock run on."""
        return await self._send(
            "POST", "/v1/test-clock/release", models.Clock, body={}, is_keyed=True, options=options
        )

    async def reset(self, **options: Unpack[WriteOptions]) -> models.Reset:
        """Start over with an empty test environment.

        Catalog, configuration and endpoints are empty, its clock runs on real time, the keys move
        along.
        """
        return await self._send(
            "POST", "/v1/test/reset", models.Reset, body={}, is_keyed=True, options=options
        )
