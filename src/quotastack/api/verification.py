"""Verification of the ledger, by the server itself."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import Query
from quotastack.api.routing import Request, Response, Route
from quotastack.core.errors import ConflictError
from quotastack.services.verification import Verification, verify_customer, verify_environment


class VerifyQuery(Query, frozen=True, kw_only=True):
    """Whose books: a customer by either id; every customer of the environment without one."""

    customer: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


async def get_verify(request: Request) -> Response:
    """What was checked.

    Raises:
        ConflictError: something is broken; ``broken`` lists the first broken entry of each account.
    """
    name = request.query.customer
    if name is UNSET:
        report = await verify_environment(request.app, request.caller.environment_id)
    else:
        report = await verify_customer(request.app, request.caller, name=name)
    if not report.ok:
        raise ConflictError(
            "The ledger is broken: see the first broken entry of each account.",
            extra=msgspec.to_builtins(report),
        )
    return Response(200, report)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/ledger/verify",
        handler=get_verify,
        scope="credits:read",
        tag="Operations",
        summary="Verify the ledger",
        description=(
            "Checks every invariant: hash chain, gapless sequences, sums, and that a replay of the ledger rebuilds "
            "every account, block and hold. Answers 409 with the first broken entries if one does not hold."
        ),
        query=VerifyQuery,
        answers={200: Verification},
        errors=("customer-not-found", "conflict"),
    ),
)
