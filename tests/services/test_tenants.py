"""Tenants, keys, configuration, the reset of a test environment, and what the audit log says of them."""

import asyncio
from typing import Any

import pytest

from quotastack.core.api_keys import parse_api_key
from quotastack.core.errors import InsufficientScopeError, NotFoundError, ValidationFailedError
from quotastack.core.idempotency import make_idempotency_key
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.api_keys import create_api_key, find_key, list_api_keys, revoke_key, touch_keys
from quotastack.services.audit import list_audit_entries
from quotastack.services.caller import system_caller
from quotastack.services.tenants import (
    TenantConfigPatch,
    create_first_tenant,
    create_tenant,
    patch_config,
    read_config,
    reset_test_environment,
)

PAGE = {"after_id": None, "is_ascending": False, "limit": 50}


def a_key(text: str) -> Any:
    return make_idempotency_key(text, method="POST", path="/v1/x", body={})


def find(services: Any, run: Any, text: str) -> Any:
    parsed = parse_api_key(text)
    assert parsed is not None
    return run(find_key(services, parsed))


def test_both_keys_lead_to_their_environments(services: Any, made: Any, run: Any) -> None:
    for text, environment, environment_id in (
        (made.test_key, "test", made.test_environment_id),
        (made.live_key, "live", made.live_environment_id),
    ):
        known = find(services, run, text)
        assert (known.environment, known.environment_id) == (environment, environment_id)
        assert known.tenant_id == made.tenant_id
        assert known.scopes == ()


def test_a_first_tenant_is_made_once(database: Any) -> None:
    from tests.conftest import InProcess

    process = InProcess(database)

    async def together() -> list[Any]:
        return await asyncio.gather(*(create_first_tenant(process.services, name="first") for _ in range(4)))

    made = process.runner.run(together())
    process.close()
    assert len([one for one in made if one is not None]) == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 256, "a\x00b"])
def test_a_tenant_needs_a_name(services: Any, run: Any, name: str) -> None:
    with pytest.raises(ValidationFailedError):
        run(create_tenant(services, name=name))


def test_a_key_with_scopes(services: Any, caller: Any, run: Any) -> None:
    import msgspec

    scopes = ("usage:write", "credits:read")
    stored = run(create_api_key(services, caller, name="backend", scopes=scopes, key=a_key("k")))
    body = msgspec.json.decode(stored.body)
    assert body["scopes"] == ["credits:read", "usage:write"]
    assert find(services, run, body["key"]).scopes == ("credits:read", "usage:write")
    again = run(create_api_key(services, caller, name="backend", scopes=scopes, key=a_key("k")))
    assert (again.body, again.replayed) == (stored.body, True)


def test_the_text_of_a_key_is_stored_nowhere(services: Any, caller: Any, run: Any) -> None:
    import msgspec

    stored = run(create_api_key(services, caller, name="backend", scopes=(), key=a_key("k")))
    secret = msgspec.json.decode(stored.body)["key"][-49:]

    async def dump() -> str:
        async with environment_transaction(services.database.reads, caller.environment_id) as tx:
            rows = [
                *await tx.fetch("SELECT to_jsonb(t)::text FROM quotastack.api_keys AS t"),
                *await tx.fetch("SELECT encode(body, 'escape') FROM quotastack.idempotency_keys"),
                *await tx.fetch("SELECT to_jsonb(t)::text FROM quotastack.audit_log AS t"),
            ]
            return "\n".join(row[0] for row in rows)

    dumped = run(dump())
    assert "backend" in dumped
    assert secret not in dumped


def test_unknown_scopes_are_named(services: Any, caller: Any, run: Any) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        run(create_api_key(services, caller, name="", scopes=("usage:write", "all"), key=a_key("k")))
    assert [fault.pointer for fault in caught.value.errors] == ["/name", "/scopes/1"]


def test_a_revoked_key_is_found_no_more(services: Any, made: Any, caller: Any, run: Any) -> None:
    known = find(services, run, made.test_key)
    run(revoke_key(services, caller, api_key_id=known.id, key=a_key("r1")))
    first = run(list_api_keys(services, caller, **PAGE))[0].revoked_at
    assert first is not None
    assert find(services, run, made.test_key) is None
    assert find(services, run, made.live_key) is not None
    run(revoke_key(services, caller, api_key_id=known.id, key=a_key("r2")))
    assert run(list_api_keys(services, caller, **PAGE))[0].revoked_at == first
    entries = run(list_audit_entries(services, caller, **PAGE))
    assert [entry.action for entry in entries] == ["api_key.revoked", "api_key.created"]


def test_a_foreign_key_cannot_be_revoked(services: Any, made: Any, caller: Any, run: Any) -> None:
    live = find(services, run, made.live_key)
    with pytest.raises(NotFoundError):
        run(revoke_key(services, caller, api_key_id=live.id, key=a_key("r")))
    assert find(services, run, made.live_key) is not None


def test_last_use_is_noted_and_never_moves_back(services: Any, made: Any, caller: Any, run: Any) -> None:
    known = find(services, run, made.test_key)
    run(touch_keys(services, [(known.environment_id, known.id)]))
    used = run(list_api_keys(services, caller, **PAGE))[0].last_used_at
    assert used is not None
    from datetime import timedelta

    from quotastack.store.api_keys import touch_api_keys

    earlier = used - timedelta(days=1)
    run(touch_api_keys(services.database.workers, [(known.environment_id, known.id, earlier)]))
    assert run(list_api_keys(services, caller, **PAGE))[0].last_used_at == used


def test_configuration_is_changed_in_part(services: Any, made: Any, caller: Any, run: Any) -> None:
    def patch(number: int, **changes: Any) -> Any:
        return run(
            patch_config(
                services,
                caller,
                tenant_id=made.tenant_id,
                patch=TenantConfigPatch(**changes),
                key=a_key(f"p{number}"),
            )
        )

    patch(1, overage_policy="allow", overage_limit=5_000)
    patch(2, requests_per_minute=60)
    config = run(read_config(services, caller, tenant_id=made.tenant_id))
    assert (config.overage_policy, config.overage_limit, config.requests_per_minute) == ("allow", 5_000, 60)
    patch(3, overage_policy=None, requests_per_minute=None)
    config = run(read_config(services, caller, tenant_id=made.tenant_id))
    assert (config.overage_policy, config.overage_limit, config.requests_per_minute) == ("block", 5_000, None)


def test_every_setting_out_of_range_is_named(services: Any, made: Any, caller: Any, run: Any) -> None:
    patch = TenantConfigPatch(
        overage_limit=-1, requests_per_minute=0, late_event_window=32 * 86_400, webhook_url="ftp://x"
    )
    with pytest.raises(ValidationFailedError) as caught:
        run(patch_config(services, caller, tenant_id=made.tenant_id, patch=patch, key=a_key("p")))
    assert {fault.pointer for fault in caught.value.errors} == {
        "/overage_limit",
        "/requests_per_minute",
        "/late_event_window",
        "/webhook_url",
    }


def test_the_webhook_secret_is_sealed(services: Any, made: Any, caller: Any, run: Any) -> None:
    patch = TenantConfigPatch(
        webhook_url="https://example.com/hook", webhook_secret="c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    )
    stored = run(patch_config(services, caller, tenant_id=made.tenant_id, patch=patch, key=a_key("p")))
    assert b"c2VjcmV0" not in stored.body

    async def dump() -> str:
        async with environment_transaction(services.database.reads, caller.environment_id) as tx:
            return await tx.fetchval("SELECT to_jsonb(e)::text FROM quotastack.environments AS e")

    assert "c2VjcmV0" not in run(dump())


def test_only_the_own_tenant_is_configured(services: Any, caller: Any, process: Any, run: Any) -> None:
    other = process.create_tenant("other")
    with pytest.raises(NotFoundError):
        run(read_config(services, caller, tenant_id=other.tenant_id))


def test_reset_moves_the_keys_to_an_empty_environment(
    services: Any, made: Any, caller: Any, run: Any
) -> None:
    run(
        patch_config(
            services,
            caller,
            tenant_id=made.tenant_id,
            patch=TenantConfigPatch(overage_limit=7),
            key=a_key("p"),
        )
    )
    first = run(reset_test_environment(services, caller, key=a_key("reset")))
    known = find(services, run, made.test_key)
    assert known.environment_id != made.test_environment_id
    moved = system_caller(known.environment_id, tenant_id=made.tenant_id, environment="test")
    assert run(read_config(services, moved, tenant_id=made.tenant_id)).overage_limit is None
    replay = run(reset_test_environment(services, moved, key=a_key("reset")))
    assert (replay.body, replay.replayed) == (first.body, True)
    assert find(services, run, made.test_key).environment_id == known.environment_id
    assert find(services, run, made.live_key).environment_id == made.live_environment_id


def test_a_live_environment_is_never_reset(services: Any, made: Any, run: Any) -> None:
    live = system_caller(made.live_environment_id, tenant_id=made.tenant_id, environment="live")
    with pytest.raises(InsufficientScopeError):
        run(reset_test_environment(services, live, key=a_key("reset")))
