"""Caller: who asks, in which environment, with which rights. The first argument of every operation."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from quotastack.core.errors import InsufficientScopeError
from quotastack.core.ids import ApiKeyId, EnvironmentId, TenantId
from quotastack.runtime.random_ids import new_id

SCOPES: Final = (
    "customers:read",
    "customers:write",
    "catalog:read",
    "catalog:write",
    "credits:read",
    "credits:write",
    "usage:read",
    "usage:write",
    "entitlements:read",
    "reservations:write",
    "subscriptions:read",
    "subscriptions:write",
    "webhooks:read",
    "webhooks:write",
    "audit:read",
    "admin",
)


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An authenticated caller. Made only by ``api/auth.py``, the workers' loop and the command line.

    ``scopes`` empty means full access to the environment. ``actor`` is what ledger entries and the audit
    log show: ``key:<id>``, ``user:<email>`` or ``system``.
    """

    environment_id: EnvironmentId
    tenant_id: TenantId
    environment: Literal["live", "test"]
    key_id: ApiKeyId | None
    actor: str
    scopes: frozenset[str]
    request_id: str

    def require_scope(self, scope: str) -> None:
        """Refuse unless the key has the scope; no scope includes another.

        Raises:
            InsufficientScopeError: naming the scope needed.
        """
        if self.scopes and scope not in self.scopes:
            raise InsufficientScopeError(
                f"This needs the scope {scope}, which the API key does not have.",
                extra={"required_scope": scope},
            )


def system_caller(
    environment_id: EnvironmentId, *, tenant_id: TenantId, environment: Literal["live", "test"]
) -> Caller:
    """The installation itself, with full access to one environment: for the command line and the first start."""
    return Caller(
        environment_id=environment_id,
        tenant_id=tenant_id,
        environment=environment,
        key_id=None,
        actor="system",
        scopes=frozenset(),
        request_id=new_id(),
    )
