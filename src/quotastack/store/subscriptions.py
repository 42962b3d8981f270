"""Subscriptions as they are listed, ended ones included. Writing is the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from quotastack.core.customer_state import Subscription

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

SELECT_SUBSCRIPTION_OWNER: Final = """
    SELECT customer_id::text FROM subscriptions WHERE environment_id = $1::uuid AND id = $2::uuid
"""

_SELECT_SUBSCRIPTIONS: Final = """
    SELECT s.customer_id::text AS customer_id, c.external_id, s.doc::text AS doc
      FROM subscriptions AS s
      JOIN customers AS c ON c.environment_id = s.environment_id AND c.id = s.customer_id
     WHERE s.environment_id = $1::uuid
       AND ($2::uuid IS NULL OR s.customer_id = $2)
       AND ($3::text IS NULL OR s.status = $3)
       AND ($4::uuid IS NULL OR s.plan_id = $4)
       AND ($5::uuid IS NULL OR s.plan_variant_id = $5)
       AND ($6::timestamptz IS NULL OR (s.created_at, s.id) {after} ($6, $7::uuid))
     ORDER BY s.created_at {order}, s.id {order}
     LIMIT $8
"""
SELECT_SUBSCRIPTIONS_ASC: Final = _SELECT_SUBSCRIPTIONS.format(after=">", order="ASC")
SELECT_SUBSCRIPTIONS_DESC: Final = _SELECT_SUBSCRIPTIONS.format(after="<", order="DESC")

SELECT_SUBSCRIPTION: Final = """
    SELECT s.customer_id::text AS customer_id, c.external_id, s.doc::text AS doc
      FROM subscriptions AS s
      JOIN customers AS c ON c.environment_id = s.environment_id AND c.id = s.customer_id
     WHERE s.environment_id = $1::uuid AND s.id = $2::uuid
"""

_decode = msgspec.json.Decoder(Subscription).decode


class SubscriptionRow(NamedTuple):
    """A subscription with both names of its customer."""

    customer_id: str
    external_customer_id: str | None
    subscription: Subscription


async def select_subscription_owner(
    tx: Connection, environment_id: str, *, subscription_id: str
) -> str | None:
    """The customer whose subscription it is."""
    return await tx.fetchval(SELECT_SUBSCRIPTION_OWNER, environment_id, subscription_id)


async def select_subscription(
    tx: Connection, environment_id: str, *, subscription_id: str
) -> SubscriptionRow | None:
    """The subscription as it was last written."""
    row = await tx.fetchrow(SELECT_SUBSCRIPTION, environment_id, subscription_id)
    return None if row is None else _read(row)


async def select_subscriptions(
    tx: Connection,
    environment_id: str,
    *,
    customer_id: str | None,
    status: str | None,
    plan_id: str | None,
    plan_variant_id: str | None,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> Sequence[SubscriptionRow]:
    """A page of subscriptions by creation, then id; filters that are None let all pass."""
    statement = SELECT_SUBSCRIPTIONS_ASC if is_ascending else SELECT_SUBSCRIPTIONS_DESC
    after_at, after_id = after or (None, None)
    rows = await tx.fetch(
        statement,
        environment_id,
        customer_id,
        status,
        plan_id,
        plan_variant_id,
        after_at,
        after_id,
        limit,
    )
    return [_read(row) for row in rows]


def _read(row: Any) -> SubscriptionRow:
    return SubscriptionRow(row["customer_id"], row["external_id"], _decode(row["doc"]))
