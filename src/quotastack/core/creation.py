"""Creation: what a customer has from the first instant on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quotastack.core.customer_state import Account

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

DEFAULT_UNIT: Final = "credits"


def open_customer(draft: Draft, context: Context) -> None:
    """Open the default account of a customer who was created this instant, and tell of them."""
    draft.put_account(Account(unit=DEFAULT_UNIT))
    # The envelope names the customer; what stands in data outlives a deletion.
    draft.add_event(context, "customer.created", {"created_at": draft.customer.created_at})
