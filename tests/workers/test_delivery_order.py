"""Lanes: order per customer and endpoint, leases, several workers, and what a bad receiver does to others."""

import asyncio
import contextlib
from typing import Any

import msgspec
from aiohttp import web
from tests.conftest import ScratchDatabase
from tests.workers.delivery_world import DeliveryWorld, all_ended
from tests.workers.receiver_lab import Lab

DUE_LANES = "SELECT FROM quotastack.webhook_lanes WHERE due_at IS NOT NULL"


def test_a_failing_event_holds_up_its_lane_only(database: ScratchDatabase) -> None:
    async def story() -> None:
        failures: list[str] = []

        def decide(event: dict[str, Any]) -> int:
            if event["external_customer_id"] == "slow" and len(failures) < 3:
                failures.append(event["id"])
                return 500
            return 204

        async with DeliveryWorld(database).opened() as world, Lab(decide) as lab:
            await world.endpoint(f"{lab.url}/a")
            slow, quick = await world.customer("slow"), await world.customer("quick")
            for customer in (slow, quick):
                await world.tell(customer, 4)
            async with world.working(2):
                rows = await world.until(all_ended)
        assert {row["status"] for row in rows} == {"succeeded"}
        assert len(set(failures)) == 1
        for customer in (slow, quick):
            accepted = lab.accepted(customer)
            assert [came[0]["sequence"] for came in accepted] == [1, 2, 3, 4]
            previous = [came[1].get("webhook-previous-sequence") for came in accepted]
            assert previous == [None, "1", "2", "3"]
        first = (
            rows[0]
            if rows[0]["customer_id"] == slow
            else next(r for r in rows if str(r["customer_id"]) == slow)
        )
        attempts = msgspec.json.decode(first["attempts"])
        assert [attempt["status"] for attempt in attempts] == [500, 500, 500, 204]
        assert lab.most_in_flight == 1

    asyncio.run(story())


def test_an_exhausted_delivery_gives_way_and_leaves_a_gap(database: ScratchDatabase) -> None:
    async def story() -> None:
        lab = Lab(lambda event: 500 if event["sequence"] == 2 else 200)
        async with DeliveryWorld(database, waits="0.01,0.01").opened() as world, lab:
            await world.endpoint(f"{lab.url}/a")
            customer = await world.customer()
            await world.tell(customer, 4)
            async with world.working():
                rows = await world.until(all_ended)
        assert [row["status"] for row in rows] == ["succeeded", "failed", "succeeded", "succeeded"]
        assert [came[0]["sequence"] for came in lab.received] == [1, 2, 2, 2, 3, 4]
        assert len({came[1]["webhook-id"] for came in lab.received if came[0]["sequence"] == 2}) == 1
        # The receiver knows 1 and hears that 2 came before 3: it sees the gap.
        assert [came[1].get("webhook-previous-sequence") for came in lab.accepted(customer)] == [
            None,
            "2",
            "3",
        ]

    asyncio.run(story())


def test_filters_and_off_by_default_types(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world, Lab() as lab:
            await world.endpoint(f"{lab.url}/all")
            await world.endpoint(f"{lab.url}/named", patterns=("credit.consumed",))
            await world.endpoint(f"{lab.url}/metric", billable_metric_key="look")
            customer = await world.customer()
            await world.tell(customer, 1, "credit.consumed")
            await world.tell(customer, 1, "customer.created")
            async with world.working():
                rows = await world.until(all_ended)
        assert sorted(row["event_type"] for row in rows) == ["credit.consumed", "customer.created"]

    asyncio.run(story())


def test_a_dead_endpoint_delays_nobody_else(database: ScratchDatabase) -> None:
    """300 lanes hang at one endpoint until their deadline; 300 lanes of another are done long before."""

    async def story() -> None:
        hanging = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hanging.wait()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        dead = await asyncio.start_server(hang, "127.0.0.1", 0)
        async with DeliveryWorld(database, waits="600").opened() as world, Lab() as lab:
            dead_id = await world.endpoint(f"http://127.0.0.1:{dead.sockets[0].getsockname()[1]}/")
            await world.endpoint(f"{lab.url}/good")
            for _ in range(300):
                await world.tell(await world.customer())
            async with world.working(2):
                rows = await world.until(lambda _: len(lab.received) == 300)
                hanging.set()
        tried = [row for row in rows if row["endpoint_id"] == dead_id and row["attempts"] != "[]"]
        assert len(tried) < 300, "the good endpoint did not wait for the dead one's deadlines"
        dead.close()

    asyncio.run(story())


def test_a_worker_that_vanishes_gives_its_lanes_back(database: ScratchDatabase) -> None:
    """A lease that nobody ended runs out, and the result of its late owner is dropped."""

    async def story() -> None:
        async with DeliveryWorld(database).opened() as world, Lab() as lab:
            await world.endpoint(f"{lab.url}/a")
            customer = await world.customer()
            await world.tell(customer, 2)
            claimed = await world.fetch(
                "SELECT * FROM quotastack.claim_webhook_lanes(gen_random_uuid(), 0.3, 10, '{}')"
            )
            assert len(claimed) == 1
            assert (
                await world.fetch(
                    "SELECT * FROM quotastack.claim_webhook_lanes(gen_random_uuid(), 0.3, 10, '{}')"
                )
                == []
            )
            async with world.working():
                rows = await world.until(all_ended)
        assert [came[0]["sequence"] for came in lab.received] == [1, 2]
        assert {row["status"] for row in rows} == {"succeeded"}

    asyncio.run(story())


def test_a_graceful_stop_writes_what_was_on_the_wire(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world, Lab() as lab:
            await world.endpoint(f"{lab.url}/a")
            for _ in range(50):
                await world.tell(await world.customer(), 3)
            async with world.working():
                await world.until(lambda _: len(lab.received) > 20)
            rows = await world.deliveries()
            succeeded = sum(row["status"] == "succeeded" for row in rows)
            assert succeeded == len(lab.received), "each request that was answered is written down"
            leases = await world.fetch("SELECT FROM quotastack.webhook_lanes WHERE lease_id IS NOT NULL")
            assert leases == []
            async with world.working(2):
                rows = await world.until(all_ended)
        assert len(lab.received) == 150

    asyncio.run(story())


def test_cloudevents(database: ScratchDatabase) -> None:
    async def story() -> None:
        seen: list[dict[str, Any]] = []

        async def receive(request: web.Request) -> web.Response:
            assert request.content_type == "application/cloudevents+json"
            seen.append(await request.json())
            return web.Response()

        app = web.Application()
        app.router.add_post("/", receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with DeliveryWorld(database).opened() as world:
            port = site._server.sockets[0].getsockname()[1]
            await world.endpoint(f"http://127.0.0.1:{port}/", format="cloudevents")
            customer = await world.customer("ext/1")
            (event_id,) = await world.tell(customer)
            async with world.working():
                await world.until(all_ended)
        await runner.cleanup()
        (event,) = seen
        assert event["specversion"] == "1.0"
        assert (event["id"], event["type"], event["subject"]) == (event_id, "credit.granted", customer)
        assert (event["externalcustomerid"], event["sequence"]) == ("ext/1", "1")
        assert event["data"]["amount"] == 1_000
        assert all(name.isalnum() and name == name.lower() for name in event)

    asyncio.run(story())


def test_a_test_environment_that_was_reset_tells_nothing_any_more(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world, Lab() as lab:
            await world.endpoint(f"{lab.url}/a")
            await world.tell(await world.customer())
            await world.fetch("SELECT quotastack.reset_test_environment(gen_random_uuid(), now())")
            async with world.working():
                while await world.fetch(DUE_LANES):  # noqa: ASYNC110 - a lane that sleeps tells nobody
                    await asyncio.sleep(0.02)
            assert lab.received == []

    asyncio.run(story())
