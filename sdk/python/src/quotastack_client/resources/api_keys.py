"""``client.api_keys``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class ApiKeys(Resource):
    """``client.api_keys``."""

    def create(
        self, *, name: str | None = None, scopes: Sequence[str] | None = None, **options: Unpack[WriteOptions]
    ) -> models.NewApiKey:
        """Create an API key.

        The text of the key is shown once, in this answer.
        """
        return self._send(
            "POST",
            "/v1/admin/api-keys",
            models.NewApiKey,
            body={"name": opt(name), "scopes": opt(scopes)},
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.ApiKey]:
        """List API keys."""
        return self._pages(
            "/v1/admin/api-keys",
            models.ApiKey,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    def revoke(self, api_key_id: str, **options: Unpack[WriteOptions]) -> models.ApiKey:
        """Revoke an API key.

        Requests with the key are refused from the answer on. Revoking twice changes nothing.
        """
        return self._send(
            "POST",
            f"/v1/admin/api-keys/{seg(api_key_id)}/revoke",
            models.ApiKey,
            body={},
            is_keyed=True,
            options=options,
        )


class AsyncApiKeys(AsyncResource):
    """``client.api_keys``."""

    async def create(
        self, *, name: str | None = None, scopes: Sequence[str] | None = None, **options: Unpack[WriteOptions]
    ) -> models.NewApiKey:
        """Create an API key.

        The text of the key is shown once, in this answer.
        """
        return await self._send(
            "POST",
            "/v1/admin/api-keys",
            models.NewApiKey,
            body={"name": opt(name), "scopes": opt(scopes)},
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.ApiKey]:
        """List API keys."""
        return self._pages(
            "/v1/admin/api-keys",
            models.ApiKey,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    async def revoke(self, api_key_id: str, **options: Unpack[WriteOptions]) -> models.ApiKey:
        """Revoke an API key.

        Requests with the key are refused from the answer on. Revoking twice changes nothing.
        """
        return await self._send(
            "POST",
            f"/v1/admin/api-keys/{seg(api_key_id)}/revoke",
            models.ApiKey,
            body={},
            is_keyed=True,
            options=options,
        )
