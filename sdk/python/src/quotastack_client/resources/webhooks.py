"""``client.webhooks``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Webhooks(Resource):
    """``client.webhooks``."""

    def create_endpoint(
        self,
        *,
        url: str,
        secret: str | None = None,
        events: Sequence[str] | None = None,
        severity: str | None = None,
        billable_metric_key: str | None = None,
        description: str | None = None,
        format: Literal["cloudevents", "standard"] | None = None,
        status: Literal["active", "disabled"] | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.EndpointWithSecret:
        """Create a webhook endpoint.

        Events from now on are delivered to it, signed with its secret.
        """
        return self._send(
            "POST",
            "/v1/webhooks/endpoints",
            models.EndpointWithSecret,
            body={
                "url": url,
                "secret": opt(secret),
                "events": opt(events),
                "severity": opt(severity),
                "billable_metric_key": opt(billable_metric_key),
                "description": opt(description),
                "format": opt(format),
                "status": opt(status),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list_endpoints(self, **options: Unpack[CallOptions]) -> models.Endpoints:
        """List webhook endpoints."""
        return self._send("GET", "/v1/webhooks/endpoints", models.Endpoints, options=options)

    def get_endpoint(self, endpoint_id: str, **options: Unpack[CallOptions]) -> models.Endpoint:
        """Read a webhook endpoint."""
        return self._send(
            "GET", f"/v1/webhooks/endpoints/{seg(endpoint_id)}", models.Endpoint, options=options
        )

    def update_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        severity: str | UnsetType | None = UNSET,
        billable_metric_key: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        format: Literal["cloudevents", "standard"] | None = None,
        status: Literal["active", "disabled"] | None = None,
        feature_key: str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Endpoint:
        """Change a webhook endpoint.

        Disabling it, or taking an event type away, cancels the deliveries that wait.
        """
        return self._send(
            "PATCH",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}",
            models.Endpoint,
            body={
                "url": opt(url),
                "events": opt(events),
                "severity": severity,
                "billable_metric_key": billable_metric_key,
                "description": description,
                "format": opt(format),
                "status": opt(status),
                "feature_key": feature_key,
            },
            is_keyed=True,
            options=options,
        )

    def delete_endpoint(self, endpoint_id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a webhook endpoint."""
        self._nothing("DELETE", f"/v1/webhooks/endpoints/{seg(endpoint_id)}", is_keyed=True, options=options)

    def rotate_secret(
        self,
        endpoint_id: str,
        *,
        secret: str | None = None,
        overlap_seconds: int | None = None,
        force: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.EndpointWithSecret:
        """Rotate an endpoint's secret.

        Deliveries carry two signatures until the old secret's overlap is over.
        """
        return self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/rotate-secret",
            models.EndpointWithSecret,
            body={"secret": opt(secret), "overlap_seconds": opt(overlap_seconds), "force": opt(force)},
            is_keyed=True,
            options=options,
        )

    def send_test(
        self, endpoint_id: str, *, type: str | None = None, **options: Unpack[WriteOptions]
    ) -> models.Delivery:
        """Send a sample to an endpoint."""
        return self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/test",
            models.Delivery,
            body={"type": opt(type)},
            is_keyed=True,
            options=options,
        )

    def replay(
        self, endpoint_id: str, *, from_: datetime | str, to: datetime | str, **options: Unpack[WriteOptions]
    ) -> models.ReplayAnswer:
        """Send the events of a span again."""
        return self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/replay",
            models.ReplayAnswer,
            body={"from": from_, "to": to},
            is_keyed=True,
            options=options,
        )

    def list_event_types(self, **options: Unpack[CallOptions]) -> models.EventTypes:
        """List the types of events.

        Each with the JSON Schema of its data and an example; no API key is needed.
        """
        return self._send("GET", "/v1/webhooks/event-types", models.EventTypes, options=options)

    def list_deliveries(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        status: Literal["canceled", "failed", "pending", "succeeded"] | None = None,
        endpoint_id: str | None = None,
        event_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Delivery]:
        """List deliveries.

        With every attempt: status, duration and the first 2 KiB of the answer.
        """
        return self._pages(
            "/v1/webhooks/deliveries",
            models.Delivery,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "endpoint_id": opt(endpoint_id),
                "event_id": opt(event_id),
            },
            options=options,
        )

    def get_delivery(self, delivery_id: str, **options: Unpack[CallOptions]) -> models.Delivery:
        """Read a delivery."""
        return self._send(
            "GET", f"/v1/webhooks/deliveries/{seg(delivery_id)}", models.Delivery, options=options
        )

    def redeliver(self, delivery_id: str, **options: Unpack[WriteOptions]) -> models.Delivery:
        """Send a delivery again.

        Same id and body, outside the order of its lane, marked `webhook-redelivery: manual`.
        """
        return self._send(
            "POST",
            f"/v1/webhooks/deliveries/{seg(delivery_id)}/redeliver",
            models.Delivery,
            body={},
            is_keyed=True,
            options=options,
        )

    def skip_delivery(self, delivery_id: str, **options: Unpack[WriteOptions]) -> models.Delivery:
        """Give up the delivery that its lane waits for.

        The events behind it go on at once; the receiver sees the gap.
        """
        return self._send(
            "POST",
            f"/v1/webhooks/deliveries/{seg(delivery_id)}/skip",
            models.Delivery,
            body={},
            is_keyed=True,
            options=options,
        )

    def create_listener(
        self, *, events: Sequence[str] | None = None, **options: Unpack[WriteOptions]
    ) -> models.Listener:
        """Listen to a test environment's events.

        What `quotastack listen` calls. A listener that fetches nothing for a minute is removed.
        """
        return self._send(
            "POST",
            "/v1/webhooks/listeners",
            models.Listener,
            body={"events": opt(events)},
            is_keyed=True,
            options=options,
        )

    def pull(
        self,
        listener_id: str,
        *,
        results: Sequence[models.ForwardResultBody] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.PulledDeliveries:
        """Fetch what waits for a listener.

        Repeating it does no harm: a delivery is written down once and fetched until it is.
        """
        return self._send(
            "POST",
            f"/v1/webhooks/listeners/{seg(listener_id)}/pull",
            models.PulledDeliveries,
            body={"results": opt(results)},
            is_keyed=True,
            options=options,
        )

    def trigger(self, *, type: str, **options: Unpack[WriteOptions]) -> models.TriggerAnswer:
        """Send a sample to all that want its type.

        Test environments only: what `quotastack trigger` calls.
        """
        return self._send(
            "POST",
            "/v1/webhooks/trigger",
            models.TriggerAnswer,
            body={"type": type},
            is_keyed=True,
            options=options,
        )


class AsyncWebhooks(AsyncResource):
    """``client.webhooks``."""

    async def create_endpoint(
        self,
        *,
        url: str,
        secret: str | None = None,
        events: Sequence[str] | None = None,
        severity: str | None = None,
        billable_metric_key: str | None = None,
        description: str | None = None,
        format: Literal["cloudevents", "standard"] | None = None,
        status: Literal["active", "disabled"] | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.EndpointWithSecret:
        """Create a webhook endpoint.

        Events from now on are delivered to it, signed with its secret.
        """
        return await self._send(
            "POST",
            "/v1/webhooks/endpoints",
            models.EndpointWithSecret,
            body={
                "url": url,
                "secret": opt(secret),
                "events": opt(events),
                "severity": opt(severity),
                "billable_metric_key": opt(billable_metric_key),
                "description": opt(description),
                "format": opt(format),
                "status": opt(status),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    async def list_endpoints(self, **options: Unpack[CallOptions]) -> models.Endpoints:
        """List webhook endpoints."""
        return await self._send("GET", "/v1/webhooks/endpoints", models.Endpoints, options=options)

    async def get_endpoint(self, endpoint_id: str, **options: Unpack[CallOptions]) -> models.Endpoint:
        """Read a webhook endpoint."""
        return await self._send(
            "GET", f"/v1/webhooks/endpoints/{seg(endpoint_id)}", models.Endpoint, options=options
        )

    async def update_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        severity: str | UnsetType | None = UNSET,
        billable_metric_key: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        format: Literal["cloudevents", "standard"] | None = None,
        status: Literal["active", "disabled"] | None = None,
        feature_key: str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Endpoint:
        """Change a webhook endpoint.

        Disabling it, or taking an event type away, cancels the deliveries that wait.
        """
        return await self._send(
            "PATCH",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}",
            models.Endpoint,
            body={
                "url": opt(url),
                "events": opt(events),
                "severity": severity,
                "billable_metric_key": billable_metric_key,
                "description": description,
                "format": opt(format),
                "status": opt(status),
                "feature_key": feature_key,
            },
            is_keyed=True,
            options=options,
        )

    async def delete_endpoint(self, endpoint_id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a webhook endpoint."""
        await self._nothing(
            "DELETE", f"/v1/webhooks/endpoints/{seg(endpoint_id)}", is_keyed=True, options=options
        )

    async def rotate_secret(
        self,
        endpoint_id: str,
        *,
        secret: str | None = None,
        overlap_seconds: int | None = None,
        force: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.EndpointWithSecret:
        """Rotate an endpoint's secret.

        Deliveries carry two signatures until the old secret's overlap is over.
        """
        return await self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/rotate-secret",
            models.EndpointWithSecret,
            body={"secret": opt(secret), "overlap_seconds": opt(overlap_seconds), "force": opt(force)},
            is_keyed=True,
            options=options,
        )

    async def send_test(
        self, endpoint_id: str, *, type: str | None = None, **options: Unpack[WriteOptions]
    ) -> models.Delivery:
        """Send a sample to an endpoint."""
        return await self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/test",
            models.Delivery,
            body={"type": opt(type)},
            is_keyed=True,
            options=options,
        )

    async def replay(
        self, endpoint_id: str, *, from_: datetime | str, to: datetime | str, **options: Unpack[WriteOptions]
    ) -> models.ReplayAnswer:
        """Send the events of a span again."""
        return await self._send(
            "POST",
            f"/v1/webhooks/endpoints/{seg(endpoint_id)}/replay",
            models.ReplayAnswer,
            body={"from": from_, "to": to},
            is_keyed=True,
            options=options,
        )

    async def list_event_types(self, **options: Unpack[CallOptions]) -> models.EventTypes:
        """List the types of events.

        Each with the JSON Schema of its data and an example; no API key is needed.
        """
        return await self._send("GET", "/v1/webhooks/event-types", models.EventTypes, options=options)

    def list_deliveries(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        status: Literal["canceled", "failed", "pending", "succeeded"] | None = None,
        endpoint_id: str | None = None,
        event_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Delivery]:
        """List deliveries.

        With every attempt: status, duration and the first 2 KiB of the answer.
        """
        return self._pages(
            "/v1/webhooks/deliveries",
            models.Delivery,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "endpoint_id": opt(endpoint_id),
                "event_id": opt(event_id),
            },
            options=options,
        )

    async def get_delivery(self, delivery_id: str, **options: Unpack[CallOptions]) -> models.Delivery:
        """Read a delivery."""
        return await self._send(
            "GET", f"/v1/webhooks/deliveries/{seg(delivery_id)}", models.Delivery, options=options
        )

    async def redeliver(self, delivery_id: str, **options: Unpack[WriteOptions]) -> models.Delivery:
        """Send a delivery again.

        Same id and body, outside the order of its lane, marked `webhook-redelivery: manual`.
        """
        return await self._send(
            "POST",
            f"/v1/webhooks/deliveries/{seg(delivery_id)}/redeliver",
            models.Delivery,
            body={},
            is_keyed=True,
            options=options,
        )

    async def skip_delivery(self, delivery_id: str, **options: Unpack[WriteOptions]) -> models.Delivery:
        """Give up the delivery that its lane waits for.

        The events behind it go on at once; the receiver sees the gap.
        """
        return await self._send(
            "POST",
            f"/v1/webhooks/deliveries/{seg(delivery_id)}/skip",
            models.Delivery,
            body={},
            is_keyed=True,
            options=options,
        )

    async def create_listener(
        self, *, events: Sequence[str] | None = None, **options: Unpack[WriteOptions]
    ) -> models.Listener:
        """Listen to a test environment's events.

        What `quotastack listen` calls. A listener that fetches nothing for a minute is removed.
        """
        return await self._send(
            "POST",
            "/v1/webhooks/listeners",
            models.Listener,
            body={"events": opt(events)},
            is_keyed=True,
            options=options,
        )

    async def pull(
        self,
        listener_id: str,
        *,
        results: Sequence[models.ForwardResultBody] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.PulledDeliveries:
        """Fetch what waits for a listener.

        Repeating it does no harm: a delivery is written down once and fetched until it is.
        """
        return await self._send(
            "POST",
            f"/v1/webhooks/listeners/{seg(listener_id)}/pull",
            models.PulledDeliveries,
            body={"results": opt(results)},
            is_keyed=True,
            options=options,
        )

    async def trigger(self, *, type: str, **options: Unpack[WriteOptions]) -> models.TriggerAnswer:
        """Send a sample to all that want its type.

        Test environments only: what `quotastack trigger` calls.
        """
        return await self._send(
            "POST",
            "/v1/webhooks/trigger",
            models.TriggerAnswer,
            body={"type": type},
            is_keyed=True,
            options=options,
        )
