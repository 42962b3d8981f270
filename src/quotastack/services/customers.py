"""Customers: what a caller can do with one."""

from __future__ import annotations

from typing import Any

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.customers import (
    ChangeCustomer,
    CreateCustomer,
    CustomerView,
    DeleteCustomer,
    view_customer,
)
from quotastack.core.idempotency import IdempotencyKey
from quotastack.engine.submission import Outcome
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.commands import submit_command
from quotastack.services.container import Services
from quotastack.store.customers import select_customers


async def create_customer(
    services: Services,
    caller: Caller,
    *,
    external_id: str,
    fields: dict[str, Any],
    key: IdempotencyKey | None,
) -> Outcome:
    """Create a customer of the caller's environment.

    Replay: the customer as created.

    Raises:
        ConflictError: the external id is taken; ``customer_id`` says by whom.
    """
    return await submit_command(
        services,
        caller,
        CustomerRef.by_external_id(external_id),
        CreateCustomer(**fields),
        key=key,
        creates_customer=True,
    )


async def list_customers(services: Services, caller: Caller, **page: Any) -> list[CustomerView]:
    """A page of the environment's customers; the arguments are those of ``select_customers``."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_customers(tx, **page)
    return [view_customer(row.customer, version=row.version) for row in rows]


async def read_customer(services: Services, caller: Caller, customer: CustomerRef) -> CustomerView:
    """The customer as of now.

    Raises:
        CustomerNotFoundError: unknown or deleted.
    """
    draft, _ = await services.engine.peek(caller, customer, strong=True)
    return view_customer(draft.customer, version=draft.version)


async def change_customer(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    change: ChangeCustomer,
    key: IdempotencyKey | None,
) -> Outcome:
    """Change a customer's own fields.

    Raises:
        CustomerNotFoundError, ValidationFailedError: see ``ChangeCustomer``.
    """
    return await submit_command(services, caller, customer, change, key=key)


async def delete_customer(
    services: Services, caller: Caller, customer: CustomerRef, *, key: IdempotencyKey | None
) -> Outcome:
    """End and erase a customer; a second time there is no such customer any more.

    Raises:
        CustomerNotFoundError: unknown or deleted.
    """
    return await submit_command(services, caller, customer, DeleteCustomer(), key=key)
