"""What a check answers when the server cannot be asked: your decision, made before it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from quotastack_client.errors import QuotaStackError, UnavailableError, UnreachableError
from quotastack_client.models import EntitlementAnswer, Units

# The callable is given the customer, the metric and what went wrong; it says whether to let the request through.
OnUnavailable = Literal["allow", "deny"] | Callable[[str, str, QuotaStackError], bool]

NO_ANSWER = (UnreachableError, UnavailableError)


def decide_without_server(
    policy: OnUnavailable | None, *, customer: str, metric: str, units: Units, error: QuotaStackError
) -> EntitlementAnswer:
    """The answer of the policy: ``reason`` is ``unavailable``, the amounts are 0 because nobody knows them.

    Raises:
        QuotaStackError: there is no policy: ``error`` itself.
    """
    if policy is None:
        raise error
    allowed = policy(customer, metric, error) if callable(policy) else policy == "allow"
    return EntitlementAnswer(
        allowed=allowed,
        reason="unavailable",
        customer_id="",
        external_customer_id=customer,
        billable_metric_key=metric,
        type="",
        units=units if isinstance(units, int) else str(units),
        unit="",
        balance=0,
        reserved_balance=0,
        effective_balance=0,
        estimated_cost=0,
        balance_after=0,
        affordable_units=None,
        overage_policy="",
        value={},
        value_source="",
    )
