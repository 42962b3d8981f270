"""Credits: account, blocks, ledger; grant, adjust, withdraw, void, exchange, suspend, resume."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from quotastack.api.credit_bodies import (
    AccountQuery,
    AccountStatus,
    Adjustment,
    BlockList,
    BlockVoid,
    EntryList,
    Exchange,
    Grant,
    Withdrawal,
    given,
    read_terms,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.commands import Command
from quotastack.core.credit_views import AccountView, BlockView, view_block
from quotastack.core.credits import (
    AddAdjustment,
    DebitAnswer,
    ExchangeAnswer,
    ExchangeCredits,
    SetAccountStatus,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.customer_state import NEVER
from quotastack.core.errors import ValidationFailedError
from quotastack.core.grants import GrantAnswer, GrantCredits, GrantTerms
from quotastack.services.commands import submit_command
from quotastack.services.credits import (
    EntryView,
    list_blocks,
    list_burn_order,
    list_entries,
    read_account,
)

TAG: Final = "Credits"


async def _submit(request: Request, command: Command) -> Response:
    outcome = await submit_command(
        request.app, request.caller, request.the_customer, command, key=request.the_key
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def get_account(request: Request) -> Response:
    """The account, now or then."""
    query: AccountQuery = request.query
    account = await read_account(
        request.app,
        request.caller,
        request.the_customer,
        unit=query.unit,
        include_blocks=query.include_blocks,
        at=given(query.at),
    )
    return Response(200, account)


async def get_blocks(request: Request) -> Response:
    """One page of blocks."""
    page = read_page(request)
    query: BlockList = request.query
    if query.sort == "burn_order":
        if query.status not in {UNSET, "active"} or query.order == "desc":
            raise ValidationFailedError.at(
                "/sort", "Only active blocks have a burn order, and it runs from the first to burn."
            )
        placed = await list_burn_order(
            request.app,
            request.caller,
            request.the_customer,
            unit=query.unit,
            source=given(query.source),
            after=page.after,
            limit=page.fetch,
        )
        places = {block.id: place for place, block in placed}
        views = [view_block(block) for _, block in placed]
        return page_response(request, views, position=lambda view: places[view.id])
    blocks = await list_blocks(
        request.app,
        request.caller,
        request.the_customer,
        unit=query.unit,
        status=given(query.status),
        source=given(query.source),
        sort=query.sort,
        after=page.after,
        is_ascending=query.order == "asc" or (query.order is UNSET and query.sort == "expires_at"),
        limit=page.fetch,
    )
    return page_response(
        request,
        [view_block(block) for block in blocks],
        position=lambda view: (
            (view.created_at if query.sort == "created_at" else view.expires_at or NEVER),
            view.id,
        ),
    )


async def get_ledger(request: Request) -> Response:
    """One page of entries."""
    page = read_page(request)
    query: EntryList = request.query
    entries = await list_entries(
        request.app,
        request.caller,
        request.the_customer,
        unit=query.unit,
        entry_type=given(query.type),
        from_at=given(query.from_at),
        to_at=given(query.to_at),
        reference_id=given(query.reference_id),
        block_id=given(query.block_id),
        after_sequence=None if page.after is None else page.after[0],
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    return page_response(request, entries, position=lambda entry: (entry.sequence,))


async def post_grant(request: Request) -> Response:
    """The block and the account."""
    return await _submit(request, GrantCredits(terms=read_terms(request.body)))


async def post_adjust(request: Request) -> Response:
    """The block or the debit, and the account."""
    body: Adjustment = request.body
    if body.delta == 0:
        raise ValidationFailedError.at("/delta", "An adjustment moves credits: delta is not 0.")
    metadata: dict[str, Any] = given(body.metadata, {})
    if body.delta > 0:
        terms = GrantTerms(
            credits_mc=body.delta,
            unit=body.unit,
            source="adjustment",
            reason=body.reason,
            metadata=metadata,
        )
        return await _submit(request, AddAdjustment(terms=terms))
    command = TakeAdjustment(
        amount_mc=-body.delta,
        unit=body.unit,
        reason=body.reason,
        metadata=metadata,
        allow_negative=body.allow_negative,
    )
    return await _submit(request, command)


async def post_withdraw(request: Request) -> Response:
    """The debit and the account."""
    body: Withdrawal = request.body
    command = WithdrawCredits(
        amount_mc=body.credits,
        unit=body.unit,
        reason=given(body.reason),
        metadata=given(body.metadata, {}),
    )
    return await _submit(request, command)


async def post_void(request: Request) -> Response:
    """What could be taken back, and the account."""
    command = VoidBlock(block_id=request.params["block_id"], reason=given(request.body.reason))
    return await _submit(request, command)


async def post_exchange(request: Request) -> Response:
    """Both legs."""
    body: Exchange = request.body
    command = ExchangeCredits(debit_mc=body.debit_credits, unit=body.unit, grant=read_terms(body.grant))
    return await _submit(request, command)


async def post_suspend(request: Request) -> Response:
    """The account, suspended."""
    return await _submit(request, SetAccountStatus(unit=request.body.unit, is_suspended=True))


async def post_resume(request: Request) -> Response:
    """The account, active."""
    return await _submit(request, SetAccountStatus(unit=request.body.unit, is_suspended=False))


def _write(path: str, **fields: Any) -> Route:
    errors = ("customer-not-found", *fields.pop("errors", ()))
    return Route(
        method="POST",
        path=f"/v1/{{customer}}/credits/{path}",
        scope="credits:write",
        tag=TAG,
        key="required",
        errors=errors,
        **fields,
    )


def _read(path: str, **fields: Any) -> Route:
    return Route(
        method="GET",
        path=f"/v1/{{customer}}/credits{path}",
        scope="credits:read",
        tag=TAG,
        errors=("customer-not-found",),
        **fields,
    )


ROUTES: Final = (
    _read(
        "",
        handler=get_account,
        summary="Read the account",
        description="`at` rebuilds the account of any past instant from the ledger.",
        query=AccountQuery,
        answers={200: AccountView},
    ),
    _read(
        "/blocks",
        handler=get_blocks,
        summary="List blocks",
        query=BlockList,
        answers={200: PageOf[BlockView]},
    ),
    _read(
        "/ledger",
        handler=get_ledger,
        summary="List ledger entries",
        query=EntryList,
        answers={200: PageOf[EntryView]},
    ),
    _write(
        "grant",
        handler=post_grant,
        summary="Grant credits",
        description="Creates one block. With `effective_at` ahead it is pending until then.",
        body=Grant,
        answers={201: GrantAnswer},
        errors=("conflict",),
        example={"credits": 100_000, "source": "promotional", "reason": "welcome"},
    ),
    _write(
        "adjust",
        handler=post_adjust,
        summary="Adjust the balance",
        description="Above 0: 201 and a block. Below 0: 200 and a debit; `allow_negative` lets it overdraw.",
        body=Adjustment,
        answers={201: GrantAnswer, 200: DebitAnswer},
        errors=("insufficient-credits", "asset-suspended", "conflict"),
        example={"delta": -5_000, "reason": "duplicate order"},
    ),
    _write(
        "withdraw",
        handler=post_withdraw,
        summary="Withdraw credits",
        body=Withdrawal,
        answers={200: DebitAnswer},
        errors=("insufficient-credits", "asset-suspended"),
        example={"credits": 5_000, "reason": "paid out"},
    ),
    _write(
        "blocks/{block_id}/void",
        handler=post_void,
        summary="Void a block",
        description="Takes back what is left of it, as far as holds stay covered.",
        body=BlockVoid,
        answers={200: DebitAnswer},
        errors=("not-found", "conflict"),
        example={"reason": "charged back"},
    ),
    _write(
        "exchange",
        handler=post_exchange,
        summary="Exchange credits for a block",
        description="One step: the debit and the grant both happen, or neither.",
        body=Exchange,
        answers={201: ExchangeAnswer},
        errors=("insufficient-credits", "asset-suspended", "conflict"),
        example={"debit_credits": 100_000, "grant": {"credits": 250_000, "expires_after_seconds": 3_600}},
    ),
    _write(
        "suspend",
        handler=post_suspend,
        summary="Suspend an account",
        description="New debits and holds are refused; grants and commits of earlier holds still land.",
        body=AccountStatus,
        answers={200: AccountView},
    ),
    _write(
        "resume",
        handler=post_resume,
        summary="Resume an account",
        body=AccountStatus,
        answers={200: AccountView},
    ),
)
