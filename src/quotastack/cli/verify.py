"""``quotastack verify``: every invariant of every ledger, and the first broken entry of each account that has one."""

from __future__ import annotations

from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.settings import Settings
from quotastack.services.container import open_services
from quotastack.services.verification import Broken, verify_all


async def verify_installation(settings: Settings) -> int:
    """Print what was checked and what is broken; returns 1 when anything is, else 0."""
    is_broken = False
    async with (
        open_installation(settings) as installation,
        open_services(settings, installation.target, installation.secret) as services,
    ):
        async for environment, found in verify_all(services):
            state = "ok" if found.ok else "BROKEN"
            print(
                f"{state:8}{environment.tenant_name} ({environment.environment}): {found.customers} customers,"
                f" {found.accounts} accounts, {found.entries} entries",
                flush=True,
            )
            for broken in found.broken:
                print(f"        {_describe(broken)}", flush=True)
            is_broken = is_broken or not found.ok
    return int(is_broken)


def _describe(broken: Broken) -> str:
    where = f"customer {broken.customer_id}"
    if broken.unit:
        where += f", unit {broken.unit}"
    if broken.sequence:
        where += f", entry {broken.sequence} ({broken.entry_id})"
    return f"{where}: {broken.check}: {broken.detail}"
