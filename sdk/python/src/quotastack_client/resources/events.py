"""``client.events``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Events(Resource):
    """``client.events``."""

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        type: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Envelope]:
        """List events.

        Every event that was written, whether or not an endpoint wanted it.
        """
        return self._pages(
            "/v1/events",
            models.Envelope,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "type": opt(type),
            },
            options=options,
        )

    def get(self, event_id: str, **options: Unpack[CallOptions]) -> models.Envelope:
        """Read an event."""
        return self._send("GET", f"/v1/events/{seg(event_id)}", models.Envelope, options=options)


class AsyncEvents(AsyncResource):
    """``client.events``."""

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        type: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Envelope]:
        """List events.

        Every event that was written, whether or not an endpoint wanted it.
        """
        return self._pages(
            "/v1/events",
            models.Envelope,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "type": opt(type),
            },
            options=options,
        )

    async def get(self, event_id: str, **options: Unpack[CallOptions]) -> models.Envelope:
        """Read an event."""
        return await self._send("GET", f"/v1/events/{seg(event_id)}", models.Envelope, options=options)
