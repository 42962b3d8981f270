"""The shortcut: one endpoint for everything that follows ``webhook_url`` and ``webhook_secret`` of the settings."""

from __future__ import annotations

import msgspec

from quotastack.core.signing import read_secret
from quotastack.core.webhook_urls import check_url
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.webhooks import seal_secret, set_status
from quotastack.store.webhooks import (
    EndpointRow,
    cancel_deliveries,
    delete_endpoint,
    insert_endpoint,
    select_endpoints,
    update_endpoint,
)

replace = msgspec.structs.replace


async def follow_config(
    tx: Connection, services: Services, caller: Caller, *, url: str | None, secret_text: str | None
) -> None:
    """Keep the one endpoint for everything in step with ``webhook_url`` and ``webhook_secret``.

    Called in the transaction that changes the configuration, which holds the environment's lock and raises its
    version. Without a URL there is no such endpoint; without a secret it exists and nothing is delivered to it.

    Raises:
        ValidationFailedError: the URL or the secret.
    """
    now = services.clock.now()
    plain = None if secret_text is None else read_secret(secret_text, pointer="/webhook_secret")
    known = await select_endpoints(tx, caller.environment_id, kind="shortcut")
    if url is None:
        for row in known:
            await cancel_deliveries(tx, caller.environment_id, endpoint_id=row.id)
            await delete_endpoint(tx, caller.environment_id, endpoint_id=row.id, deleted_at=now)
        return
    checked = check_url(url, pointer="/webhook_url")
    row = known[0] if known else None
    endpoint_id = new_id() if row is None else row.id
    secret = None if plain is None else seal_secret(services, caller, endpoint_id, plain)
    if row is None:
        made = EndpointRow(
            id=endpoint_id,
            kind="shortcut",
            url=checked,
            patterns=("*",),
            secret=secret,
            created_at=now,
            updated_at=now,
        )
        await insert_endpoint(tx, caller.environment_id, endpoint=made)
        return
    changed = replace(set_status(row, "active", now), url=checked, secret=secret, updated_at=now)
    await update_endpoint(tx, caller.environment_id, endpoint=changed)


def config_secret_text(services: Services, caller: Caller, sealed_hex: str | None) -> str | None:
    """The configuration's ``webhook_secret`` as it was given."""
    if sealed_hex is None:
        return None
    purpose = f"webhook secret {caller.environment_id}"
    return services.secret.unseal(bytes.fromhex(sealed_hex), purpose=purpose).decode()
