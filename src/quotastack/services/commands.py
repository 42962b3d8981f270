"""Commands and histories: the two ways from a service to one customer."""

from __future__ import annotations

from collections.abc import Callable

from quotastack.core.commands import Command
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import CustomerNotFoundError, UnavailableError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.engine.lanes import overloaded
from quotastack.engine.submission import Outcome, Submission
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.store.customers import select_deleted_customer

# What a layer above needs of the engine's words stands here; it never asks the engine itself.
__all__ = [
    "Outcome",
    "Submission",
    "no_room",
    "queue_command",
    "require_room",
    "settle_history",
    "submit_command",
]


def queue_command(
    services: Services, submission: Submission, tell: Callable[[Outcome | Exception], None]
) -> None:
    """Have the engine carry out one command; ``tell`` is called once, with the outcome or the refusal.

    Raises:
        UnavailableError: more waits than can be taken; ``tell`` is not called.
    """
    services.engine.submit_then(submission, tell)


def require_room(services: Services, *, is_late: bool) -> None:
    """Refuse, before any work is done for it, a command that would be refused because too many wait.

    Raises:
        UnavailableError: it has waited for too long already (``is_late``), or the engine has no room.
    """
    services.engine.require_room(is_late=is_late)


def no_room() -> UnavailableError:
    """The refusal of a command that finds no room."""
    return overloaded()


async def submit_command(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    command: Command,
    *,
    key: IdempotencyKey | None,
    creates_customer: bool = False,
) -> Outcome:
    """Have the engine carry out one command.

    Raises:
        ProblemError: the engine's refusals, then the command's own.
    """
    return await services.engine.submit(
        Submission(
            caller=caller,
            customer=customer,
            command=command,
            key=key,
            creates_customer=creates_customer,
        )
    )


async def settle_history(services: Services, caller: Caller, customer: CustomerRef) -> str:
    """The id of a customer whose history is complete up to now; the ledger of a deleted one stays readable.

    Raises:
        CustomerNotFoundError: unknown, or deleted and named by the external id that is free again.
    """
    try:
        return await services.engine.settle_time(caller, customer)
    except CustomerNotFoundError:
        if customer.customer_id is None:
            raise
        async with environment_transaction(
            services.database.reads, caller.environment_id, read_only=True
        ) as tx:
            deleted = await select_deleted_customer(tx, customer.customer_id)
        if deleted is None:
            raise
        return deleted
