"""API keys: make, list, revoke. A key's text is in the answer of its making only."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import Body, Name, PageQuery
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.services.api_keys import ApiKey, NewApiKey, create_api_key, list_api_keys, revoke_key
from quotastack.services.caller import SCOPES


class CreateApiKey(Body, frozen=True, kw_only=True):
    """A key of the environment of the key that asks."""

    name: Name | UnsetType = UNSET
    scopes: (
        Annotated[
            list[str],
            Meta(max_length=len(SCOPES), description=f"Any of {', '.join(SCOPES)}; none: full access."),
        ]
        | UnsetType
    ) = UNSET


async def post_api_key(request: Request) -> Response:
    """The key, with its text."""
    body: CreateApiKey = request.body
    stored = await create_api_key(
        request.app,
        request.caller,
        name="API key" if body.name is UNSET else body.name,
        scopes=() if body.scopes is UNSET else tuple(body.scopes),
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_api_keys(request: Request) -> Response:
    """One page of keys, revoked ones included."""
    page = read_page(request)
    rows = await list_api_keys(
        request.app, request.caller, after_id=page.after_id, is_ascending=page.is_ascending, limit=page.fetch
    )
    return page_response(request, rows, position=lambda row: (row.id,))


async def post_revocation(request: Request) -> Response:
    """The key, revoked."""
    stored = await revoke_key(
        request.app, request.caller, api_key_id=request.params["id"], key=request.the_key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/admin/api-keys",
        handler=post_api_key,
        scope="admin",
        tag="API keys",
        summary="Create an API key",
        description="The text of the key is shown once, in this answer.",
        body=CreateApiKey,
        answers={201: NewApiKey},
        key="required",
        example={"name": "checkout service", "scopes": ["usage:write", "entitlements:read"]},
    ),
    Route(
        method="GET",
        path="/v1/admin/api-keys",
        handler=get_api_keys,
        scope="admin",
        tag="API keys",
        summary="List API keys",
        query=PageQuery,
        answers={200: PageOf[ApiKey]},
    ),
    Route(
        method="POST",
        path="/v1/admin/api-keys/{id}/revoke",
        handler=post_revocation,
        scope="admin",
        tag="API keys",
        summary="Revoke an API key",
        description="Requests with the key are refused from the answer on. Revoking twice changes nothing.",
        answers={200: ApiKey},
        errors=("not-found",),
        key="required",
    ),
)
