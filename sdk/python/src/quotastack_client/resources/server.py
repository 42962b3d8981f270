"""``client.server``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from typing import Any, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions
from quotastack_client.transport import AsyncResource, Resource


class Server(Resource):
    """``client.server``."""

    def live(self, **options: Unpack[CallOptions]) -> models.Alive:
        """Is the process alive."""
        return self._send("GET", "/livez", models.Alive, options=options)

    def ready(self, **options: Unpack[CallOptions]) -> models.Readiness:
        """Can the process serve requests."""
        return self._send("GET", "/readyz", models.Readiness, options=options)

    def version(self, **options: Unpack[CallOptions]) -> models.Version:
        """Which version runs."""
        return self._send("GET", "/version", models.Version, options=options)

    def metrics(self, **options: Unpack[CallOptions]) -> str:
        """Metrics for Prometheus."""
        return self._text("GET", "/metrics", options=options)

    def openapi(self, **options: Unpack[CallOptions]) -> dict[str, Any]:
        """This document."""
        return self._send("GET", "/openapi.json", dict[str, Any], options=options)


class AsyncServer(AsyncResource):
    """``client.server``."""

    async def live(self, **options: Unpack[CallOptions]) -> models.Alive:
        """Is the process alive."""
        return await self._send("GET", "/livez", models.Alive, options=options)

    async def ready(self, **options: Unpack[CallOptions]) -> models.Readiness:
        """Can the process serve requests."""
        return await self._send("GET", "/readyz", models.Readiness, options=options)

    async def version(self, **options: Unpack[CallOptions]) -> models.Version:
        """Which version runs."""
        return await self._send("GET", "/version", models.Version, options=options)

    async def metrics(self, **options: Unpack[CallOptions]) -> str:
        """Metrics for Prometheus."""
        return await self._text("GET", "/metrics", options=options)

    async def openapi(self, **options: Unpack[CallOptions]) -> dict[str, Any]:
        """This document."""
        return await self._send("GET", "/openapi.json", dict[str, Any], options=options)
