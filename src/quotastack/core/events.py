"""The catalog of events: every type of the contract, with its group, the schema of its ``data`` and an example.

It is the only list. What subscribers may name, what ``/v1/webhooks/event-types`` answers and what the
documentation shows come from here, and a test holds the code that writes events to it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from quotastack.core import event_data as data

API_VERSION: Final = "v1"

# The type of what `POST .../{id}/test` sends when no other is asked for; never written for a customer.
TEST_EVENT_TYPE: Final = "webhook.test"

_NOW: Final = "2026-03-31T10:00:00Z"
_LATER: Final = "2026-04-30T10:00:00Z"
_BLOCK: Final = "019d43b6-8280-7c31-9a54-6b1e0c2f7a10"
_USAGE: Final = "019d43b6-8281-7d02-8b13-2f9a51c07e21"
_HOLD: Final = "019d43b6-8282-7a63-9c44-a0d8e3b15f32"
_PLAN: Final = "019d43b6-8284-7f11-8e20-51c3d9a4b854"
_VARIANT: Final = "019d43b6-8285-7b92-a1d7-0e6f4c2d1965"
_PACKAGE: Final = "019d43b6-8286-7c03-b2e8-1f705d3e2a76"
_SUBSCRIPTION: Final = "019d43b6-8283-7e54-8d75-3b2c7f6a9d43"


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One type. ``is_default`` is false for types that are written only when some endpoint names them."""

    type: str
    group: str
    description: str
    data: type[data.EventData]
    example: dict[str, Any]
    is_default: bool = True


def _credits(amount: int, balance: int, **more: Any) -> dict[str, Any]:
    return {"unit": "credits", "amount": amount, "balance": balance, **more}


def _subscription(status: str, **more: Any) -> dict[str, Any]:
    return {
        "subscription_id": _SUBSCRIPTION,
        "plan_id": _PLAN,
        "plan_variant_id": _VARIANT,
        "variant_version": 1,
        "status": status,
        "billing_mode": "prepaid",
        "current_period_start": _NOW,
        "current_period_end": _LATER,
        "cancel_at_period_end": False,
        **more,
    }


_CONTRACT: Final = {
    "subscription_id": _SUBSCRIPTION,
    "plan_id": _PLAN,
    "plan_variant_id": _VARIANT,
    "starts_at": _NOW,
    "ends_at": "2027-03-31T10:00:00Z",
    "auto_renew": True,
}
_ENDED_HOLD: Final = {
    "reservation_id": _HOLD,
    "unit": "credits",
    "returned_amount": 3_000,
    "billable_metric_key": "look",
    "effective_balance": 99_000,
}
_SUMMARY: Final = {
    "period_start": "2026-02-28T10:00:00Z",
    "period_end": _NOW,
    "total_cost": 220_000,
    "overage_cost": 220_000,
    "metrics": [
        {"billable_metric_key": "api_call", "units": 25_000, "cost": 220_000, "tiers": [], "rules": []}
    ],
    "late": [],
}

# (type, description, struct, example); types of one group stand together.
_CUSTOMER: Final = (
    ("customer.created", "A customer was created.", data.CustomerCreated, {"created_at": _NOW}),
    (
        "customer.deleted",
        "A customer was deleted and their texts erased.",
        data.CustomerDeleted,
        {"deleted_at": _NOW, "canceled_subscription_ids": []},
    ),
)
_CREDIT: Final = (
    (
        "credit.granted",
        "A credit block was created and is spendable.",
        data.CreditGranted,
        {
            **_credits(50_000, 149_000, block_id=_BLOCK, source="topup", effective_balance=149_000),
            "priority": 0,
            "effective_at": _NOW,
            "expires_at": _LATER,
            "price_paid": 5_000,
            "currency": "EUR",
        },
    ),
    (
        "credit.consumed",
        "A usage event was charged.",
        data.CreditConsumed,
        {
            "usage_id": _USAGE,
            "billable_metric_key": "api_call",
            "units": 1,
            "unit": "credits",
            "cost": 1_000,
            "balance": 98_000,
            "effective_balance": 98_000,
        },
    ),
    (
        "credit.expiring_soon",
        "A block expires in 72 hours and is not used up.",
        data.CreditExpiringSoon,
        {"block_id": _BLOCK, "unit": "credits", "remaining_amount": 20_000, "expires_at": _LATER},
    ),
    (
        "credit.expired",
        "What was left of a block expired.",
        data.CreditExpired,
        _credits(20_000, 79_000, block_id=_BLOCK),
    ),
    (
        "credit.adjusted",
        "Credits were put in or taken out by hand.",
        data.CreditAdjusted,
        {
            "unit": "credits",
            "kind": "withdrawal",
            "delta": -5_000,
            "balance": 74_000,
            "effective_balance": 74_000,
        },
    ),
    (
        "credit.refunded",
        "Credits went back to the customer, or those of a refunded topup were taken back.",
        data.CreditRefunded,
        _credits(1_000, 75_000, effective_balance=75_000, usage_id=_USAGE),
    ),
    (
        "credit.balance_low",
        "The effective balance fell below the threshold.",
        data.CreditBalanceLow,
        {"unit": "credits", "threshold": 50_000, "balance": 49_000, "effective_balance": 49_000},
    ),
    (
        "credit.exhausted",
        "Nothing is left to spend.",
        data.CreditExhausted,
        {"unit": "credits", "balance": 0, "effective_balance": 0},
    ),
)
_USAGE_GROUP: Final = (
    (
        "usage.overage",
        "Usage went beyond the credits, for the first time in the period.",
        data.UsageOverage,
        {
            "usage_id": _USAGE,
            "billable_metric_key": "api_call",
            "unit": "credits",
            "overage": 500,
            "overdraft": 500,
            "balance": -500,
            "period_start": _NOW,
            "period_end": _LATER,
        },
    ),
    (
        "usage.rejected",
        "A usage event that was accepted for later was refused.",
        data.UsageRejected,
        {
            "usage_id": _USAGE,
            "billable_metric_key": "api_call",
            "units": 1,
            "problem": {
                "type": "/errors/insufficient-credits",
                "status": 402,
                "detail": "Not enough credits.",
            },
        },
    ),
    (
        "usage.reversed",
        "A usage event was taken back.",
        data.UsageReversed,
        {
            "usage_id": _USAGE,
            "billable_metric_key": "api_call",
            "unit": "credits",
            "refunded": 1_000,
            "balance": 99_000,
        },
    ),
)
_QUOTA: Final = (
    (
        "quota.level_changed",
        "A quota's level was reached on the way up, or its grace ended.",
        data.QuotaLevelChanged,
        {
            "billable_metric_key": "api_call",
            "level": "Warning",
            "policy": "NotifyOnly",
            "severity": "warning",
            "value": 801,
            "limit": 1_000,
            "period_start": _NOW,
            "period_end": _LATER,
        },
    ),
    (
        "asset.suspended",
        "A monitored asset takes no more usage.",
        data.AssetSuspended,
        {"billable_metric_key": "api_call", "reason": "quota", "resume": "manual", "value": 1_101},
    ),
    (
        "asset.resumed",
        "A monitored asset takes usage again.",
        data.AssetResumed,
        {"billable_metric_key": "api_call", "reason": "manual"},
    ),
    (
        "asset.period_closed",
        "A period of an asset is over: what a billing provider invoices.",
        data.AssetPeriodClosed,
        {
            "billable_metric_key": "api_call",
            "aggregation": "CumulativeCounter",
            "period_start": "2026-02-28T10:00:00Z",
            "period_end": _NOW,
            "value": 1_100,
            "overage_units": 100,
            "cost": 0,
        },
    ),
)
_RESERVATION: Final = (
    (
        "reservation.created",
        "Credits are held.",
        data.ReservationCreated,
        {
            "reservation_id": _HOLD,
            "unit": "credits",
            "reserved_amount": 3_000,
            "billable_metric_key": "look",
            "estimated_units": 3,
            "effective_balance": 96_000,
            "expires_at": "2026-03-31T10:05:00Z",
        },
    ),
    (
        "reservation.committed",
        "What was held is spent, the rest is free again.",
        data.ReservationCommitted,
        {
            "reservation_id": _HOLD,
            "unit": "credits",
            "committed_amount": 2_000,
            "returned_amount": 1_000,
            "billable_metric_key": "look",
            "usage_id": _USAGE,
            "balance": 97_000,
            "effective_balance": 97_000,
        },
    ),
    ("reservation.released", "A hold was given back.", data.ReservationEnded, _ENDED_HOLD),
    ("reservation.expired", "A hold met its TTL and was given back.", data.ReservationEnded, _ENDED_HOLD),
)
_TOPUP: Final = (
    (
        "topup.requested",
        "The auto-topup's threshold was met: charge the customer, then call the grant.",
        data.TopupRequested,
        {
            "unit": "credits",
            "threshold": 10_000,
            "credits": 50_000,
            "package_id": _PACKAGE,
            "price": 5_000,
            "currency": "EUR",
            "balance": 9_000,
            "effective_balance": 9_000,
        },
    ),
)
_SUBSCRIPTION_GROUP: Final = tuple(
    (f"subscription.{name}", description, data.SubscriptionChanged, example)
    for name, description, example in (
        ("created", "A subscription was created.", _subscription("trialing", trial_ends_at=_LATER)),
        ("activated", "A subscription is active for the first time.", _subscription("active")),
        ("trial_ending", "A trial ends in 3 days.", _subscription("trialing", trial_ends_at=_LATER)),
        ("renewal_due", "A prepaid period ends soon and is not paid for.", _subscription("active")),
        ("renewed", "The next period has begun.", _subscription("active", usage_summary=_SUMMARY)),
        ("overdue", "A prepaid period ended unpaid.", _subscription("overdue", grace_ends_at=_LATER)),
        ("expired", "The grace, or an unpaid trial, is over.", _subscription("expired", ended_at=_NOW)),
        ("paused", "The period's clock stands still.", _subscription("paused", pause_resumes_at=_LATER)),
        ("resumed", "The period's clock runs on.", _subscription("active")),
        (
            "cancel_scheduled",
            "The subscription ends with its period.",
            _subscription("active", cancel_at_period_end=True),
        ),
        ("canceled", "A subscription ended.", _subscription("canceled", canceled_at=_NOW, ended_at=_NOW)),
        (
            "reactivated",
            "A scheduled end was taken back, or an ended one started again.",
            _subscription("active"),
        ),
        (
            "plan_changed",
            "A subscription moved to another variant, or will at the period's end.",
            _subscription("active", previous_plan_variant_id=_PACKAGE),
        ),
    )
)
_CONTRACT_GROUP: Final = (
    ("contract.ending_soon", "A contract nears its end.", data.ContractChanged, _CONTRACT),
    ("contract.renewed", "A contract runs for another term.", data.ContractChanged, _CONTRACT),
    ("contract.ended", "A contract ended.", data.ContractChanged, {**_CONTRACT, "auto_renew": False}),
)

_OFF_BY_DEFAULT: Final = frozenset({"credit.consumed", "reservation.created"})

EVENT_TYPES: Final[dict[str, EventType]] = {
    type_: EventType(
        type=type_,
        group=group,
        description=description,
        data=struct,
        example=example,
        is_default=type_ not in _OFF_BY_DEFAULT,
    )
    for group, rows in (
        ("customer", _CUSTOMER),
        ("credit", _CREDIT),
        ("usage", _USAGE_GROUP),
        ("quota", _QUOTA),
        ("reservation", _RESERVATION),
        ("topup", _TOPUP),
        ("subscription", _SUBSCRIPTION_GROUP),
        ("contract", _CONTRACT_GROUP),
    )
    for type_, description, struct, example in rows
}

OFF_BY_DEFAULT: Final = frozenset(name for name, known in EVENT_TYPES.items() if not known.is_default)


def data_schema(event_type: EventType) -> dict[str, Any]:
    """JSON Schema of the type's ``data``, self-contained."""
    schema, definitions = next(
        iter([msgspec.json.schema_components([event_type.data], ref_template="#/$defs/{name}")])
    )
    body = definitions.pop(event_type.data.__name__) if "$ref" in schema[0] else schema[0]
    return {**body, "$defs": definitions} if definitions else dict(body)


def validate_data(type_: str, value: Any) -> None:
    """Hold the ``data`` of a written event, as decoded from JSON, against its schema.

    Raises:
        KeyError: no such type.
        msgspec.ValidationError: a field is missing, unknown, or of another type.
    """
    msgspec.convert(value, EVENT_TYPES[type_].data)
