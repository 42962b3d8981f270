"""Holds end by themselves: committed, or released."""

import asyncio

import pytest
from tests.races.servers import ServerProcess, free_port

from quotastack.services.tenants import NewTenant
from quotastack_client import AsyncClient, Client, errors
from quotastack_client.holds import AsyncHold, Hold

LOOK = {"external_customer_id": "maker", "billable_metric_key": "look"}


def balances(client: Client) -> tuple[int, int]:
    account = client.credits.get(external_customer_id="maker")
    return account.balance, account.reserved_balance


def test_the_actual_units_are_committed(client: Client, priced: str) -> None:
    with client.hold(**LOOK, estimated_units=5) as hold:
        assert balances(client) == (100_000, 5_000)
        hold.actual_units = 2
    assert hold.reservation.status == "committed"
    assert balances(client) == (98_000, 0)
    with client.hold(**LOOK, estimated_units=5):
        pass
    assert balances(client) == (93_000, 0)


def test_an_exception_releases(client: Client, priced: str) -> None:
    with pytest.raises(ZeroDivisionError), client.hold(**LOOK, estimated_units=5) as hold:
        _ = 1 / 0
    assert hold.reservation.status == "released"
    assert balances(client) == (100_000, 0)


def test_a_commit_that_is_not_covered_leaves_the_hold(client: Client, priced: str) -> None:
    with pytest.raises(errors.InsufficientCreditsError), client.hold(**LOOK, estimated_units=60) as hold:
        hold.actual_units = 101
    assert balances(client) == (100_000, 60_000)
    hold.commit(actual_units=100)
    assert balances(client) == (0, 0)


def test_settled_by_hand_and_refused(client: Client, priced: str) -> None:
    with client.hold(**LOOK, estimated_units=5) as hold:
        hold.extend(ttl_seconds=900)
        hold.release()
    assert balances(client) == (100_000, 0)
    with pytest.raises(errors.InsufficientCreditsError), client.hold(**LOOK, estimated_units=101):
        raise AssertionError("a refused hold has no block")
    with pytest.raises(RuntimeError, match="with"):
        _ = Hold(client.reservations, {}).id


def test_the_work_s_own_exception_comes_first(client: Client, priced: str, tenant: NewTenant) -> None:
    with (  # noqa: PT012 - the two lines are the block of the hold.
        Client(tenant.test_key, f"http://127.0.0.1:{free_port()}", max_retries=0) as lost,
        pytest.raises(ZeroDivisionError) as caught,
        client.hold(**LOOK, estimated_units=5) as hold,
    ):
        hold._reservations = lost.reservations
        _ = 1 / 0
    assert "was not released" in caught.value.__notes__[0]


def test_async_holds(
    client: Client, priced: str, server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner
) -> None:
    async def work() -> None:
        async with AsyncClient(tenant.test_key, server.base_url) as other:
            async with other.hold(**LOOK, estimated_units=5) as hold:
                hold.actual_units = 3
            entered = asyncio.Event()

            async def forever() -> AsyncHold:
                async with other.hold(**LOOK, estimated_units=5) as held:
                    entered.set()
                    await asyncio.Event().wait()
                return held

            task = asyncio.create_task(forever())
            await entered.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    runner.run(work())
    assert balances(client) == (97_000, 0)


def test_when_the_server_cannot_be_asked(tenant: NewTenant) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    asked: list[tuple[str, str]] = []

    def by_hand(customer: str, metric: str, error: errors.QuotaStackError) -> bool:
        asked.append((customer, metric))
        return isinstance(error, errors.UnreachableError)

    for policy, allowed in (("allow", True), ("deny", False), (by_hand, True)):
        with Client("key", nowhere, max_retries=0, on_unavailable=policy) as client:
            check = client.check_entitlement("user_1", "look")
            assert (check.allowed, check.reason) == (allowed, "unavailable")
    assert asked == [("user_1", "look")]
    with Client("key", nowhere, max_retries=0) as client, pytest.raises(errors.UnreachableError):
        client.check_entitlement("user_1", "look")
