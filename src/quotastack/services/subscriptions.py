"""Subscriptions: creating, triggering, reading. Deciding is ``core``'s, writing the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import CustomerNotFoundError, NotFoundError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.subscription_views import (
    SubscriptionView,
    TimelineView,
    view_subscription,
    view_timeline,
)
from quotastack.core.subscriptions import CreateSubscription, SubscriptionTrigger
from quotastack.engine.submission import Outcome
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.commands import submit_command
from quotastack.services.container import Services
from quotastack.store.subscriptions import (
    SubscriptionRow,
    select_subscription,
    select_subscription_owner,
    select_subscriptions,
)


async def create_subscription(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    command: CreateSubscription,
    *,
    key: IdempotencyKey | None,
) -> Outcome:
    """Subscribe a customer; an unknown external customer is created with the subscription.

    Raises:
        CustomerNotFoundError: a ``customer_id`` that is unknown or deleted.
        NotFoundError, ConflictError, ValidationFailedError: as ``CreateSubscription`` says.
    """
    return await submit_command(services, caller, customer, command, key=key, creates_customer=True)


async def trigger_subscription(
    services: Services, caller: Caller, command: SubscriptionTrigger, *, key: IdempotencyKey | None
) -> Outcome:
    """Send a trigger to a subscription.

    Raises:
        NotFoundError: no such subscription.
        SubscriptionStateConflictError and others: as the command says.
    """
    customer_id = await _find_owner(services, caller, command.subscription_id)
    return await submit_command(services, caller, CustomerRef.by_id(customer_id), command, key=key)


async def read_subscription(services: Services, caller: Caller, *, subscription_id: str) -> SubscriptionView:
    """A subscription as it stands now, live or ended.

    Raises:
        NotFoundError: no such subscription.
    """
    customer_id = await _find_owner(services, caller, subscription_id)
    try:
        draft, _ = await services.engine.peek(caller, CustomerRef.by_id(customer_id), strong=True)
    except CustomerNotFoundError:
        row = await _read_row(services, caller, subscription_id)
        return view_row(row)
    found = draft.subscriptions.get(subscription_id) or draft.extra.get(("subscription", subscription_id))
    if found is None:
        found = (await _read_row(services, caller, subscription_id)).subscription
    return view_subscription(
        found,
        customer_id=customer_id,
        external_customer_id=draft.customer.external_id,
        version=draft.version,
    )


async def read_timeline(services: Services, caller: Caller, *, subscription_id: str) -> TimelineView:
    """What a subscription went through and what time will do to it.

    Raises:
        NotFoundError: no such subscription, or its customer was deleted.
    """
    customer_id = await _find_owner(services, caller, subscription_id)
    try:
        draft, context = await services.engine.peek(caller, CustomerRef.by_id(customer_id), strong=True)
    except CustomerNotFoundError:
        raise NotFoundError("There is no such subscription.") from None
    found = draft.subscriptions.get(subscription_id) or draft.extra.get(("subscription", subscription_id))
    if found is None:
        found = (await _read_row(services, caller, subscription_id)).subscription
    return view_timeline(context.catalog, found, draft.customer, version=draft.version)


async def list_subscriptions(
    services: Services,
    caller: Caller,
    *,
    customer: CustomerRef | None,
    status: str | None,
    plan_id: str | None,
    plan_variant_id: str | None,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> Sequence[SubscriptionView]:
    """A page of subscriptions. Of one customer they are as of now; of many they may lag by a sweep.

    Raises:
        CustomerNotFoundError: the customer is unknown.
    """
    customer_id = None
    if customer is not None:
        customer_id = await services.engine.settle_time(caller, customer)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_subscriptions(
            tx,
            caller.environment_id,
            customer_id=customer_id,
            status=status,
            plan_id=plan_id,
            plan_variant_id=plan_variant_id,
            after=after,
            is_ascending=is_ascending,
            limit=limit,
        )
    return [view_row(row) for row in rows]


def view_row(row: SubscriptionRow) -> SubscriptionView:
    """A stored subscription in wire names."""
    return view_subscription(
        row.subscription,
        customer_id=row.customer_id,
        external_customer_id=row.external_customer_id,
    )


async def _find_owner(services: Services, caller: Caller, subscription_id: str) -> str:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        customer_id = await select_subscription_owner(
            tx, caller.environment_id, subscription_id=subscription_id
        )
    if customer_id is None:
        raise NotFoundError("There is no such subscription.")
    return customer_id


async def _read_row(services: Services, caller: Caller, subscription_id: str) -> SubscriptionRow:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        row = await select_subscription(tx, caller.environment_id, subscription_id=subscription_id)
    if row is None:
        raise NotFoundError("There is no such subscription.")
    return row
