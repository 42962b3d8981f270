"""How a request names a customer: by our id or by the caller's, never both."""

from __future__ import annotations

import msgspec

from quotastack.core.errors import CustomerIdentifierConflictError
from quotastack.core.ids import CustomerId


class CustomerRef(msgspec.Struct, frozen=True, gc=False):
    """Exactly one of the two is set. Make it with ``by_id``, ``by_external_id`` or ``one_of``."""

    customer_id: CustomerId | None = None
    external_id: str | None = None

    @classmethod
    def by_id(cls, customer_id: str) -> CustomerRef:
        """``customer_id`` is canonical already (``core.ids.read_uuid``)."""
        return cls(CustomerId(customer_id), None)

    @classmethod
    def by_external_id(cls, external_id: str) -> CustomerRef:
        """The caller's own id, byte for byte."""
        return cls(None, external_id)

    @classmethod
    def one_of(cls, customer_id: str | None, external_id: str | None) -> CustomerRef:
        """The reference out of two optional fields.

        Raises:
            CustomerIdentifierConflictError: both are there, or neither.
        """
        if (customer_id is None) == (external_id is None):
            count = "neither" if customer_id is None else "both"
            raise CustomerIdentifierConflictError(
                f"Name the customer by exactly one of customer_id and external_customer_id; {count} was given."
            )
        return cls(None if customer_id is None else CustomerId(customer_id), external_id)
