"""A tenant's settings, per environment: the API key says which."""

from __future__ import annotations

from typing import Final

from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.services.tenants import TenantConfig, TenantConfigPatch, patch_config, read_config


async def get_config(request: Request) -> Response:
    """The settings, defaults filled in."""
    return Response(200, await read_config(request.app, request.caller, tenant_id=request.params["id"]))


async def change_config(request: Request) -> Response:
    """The settings after the change."""
    stored = await patch_config(
        request.app,
        request.caller,
        tenant_id=request.params["id"],
        patch=request.body,
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/tenants/{id}/config",
        handler=get_config,
        scope="admin",
        tag="Tenants",
        summary="Read the settings of the environment",
        answers={200: TenantConfig},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/tenants/{id}/config",
        handler=change_config,
        scope="admin",
        tag="Tenants",
        summary="Change settings of the environment",
        description="What is left out stays; null puts a setting back to its default.",
        body=TenantConfigPatch,
        answers={200: TenantConfig},
        errors=("not-found",),
        key="required",
        example={"overage_policy": "notify", "low_balance_threshold": 5000},
    ),
)
