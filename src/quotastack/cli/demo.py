"""The demo of a first start: a metric with a price, and a customer who can pay for 49 units of it."""

from __future__ import annotations

from typing import Any, Final

from quotastack.api.metering import MetricBody, RuleBody
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.idempotency import IdempotencyKey, make_idempotency_key
from quotastack.services.caller import Caller, system_caller
from quotastack.services.commands import submit_command
from quotastack.services.container import Services
from quotastack.services.customers import create_customer
from quotastack.services.metering import create_metric, create_rule
from quotastack.services.tenants import NewTenant

METRIC: Final = "api_calls"
UNIT_COST_MC: Final = 1_000
CUSTOMER: Final = "user_123"
BALANCE_MC: Final = 49_000


async def create_demo(services: Services, tenant: NewTenant) -> None:
    """Fill the test environment of a new tenant, as a caller of the API would."""
    caller = system_caller(tenant.test_environment_id, tenant_id=tenant.tenant_id, environment="test")
    await create_metric(services, caller, terms=MetricBody(key=METRIC, name="API calls"), key=_key("metric"))
    rule = RuleBody(billable_metric_key=METRIC, cost_type="per_unit", unit_cost=UNIT_COST_MC)
    await create_rule(services, caller, terms=rule, key=_key("rule"))
    await _create_customer(services, caller)


async def _create_customer(services: Services, caller: Caller) -> None:
    fields: dict[str, Any] = {"display_name": "Demo customer"}
    await create_customer(services, caller, external_id=CUSTOMER, fields=fields, key=_key("customer"))
    terms = GrantTerms(credits_mc=BALANCE_MC, reason="demo")
    customer = CustomerRef.by_external_id(CUSTOMER)
    await submit_command(services, caller, customer, GrantCredits(terms=terms), key=_key("grant"))


def _key(act: str) -> IdempotencyKey:
    return make_idempotency_key(f"demo:{act}", method="DEMO", path=f"/{act}", body=None)
