"""The lab of hostile receivers: none keeps us longer than the deadline, fills memory, or breaks the log."""

import asyncio
import resource
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from tests.conftest import ScratchDatabase
from tests.workers import hostile
from tests.workers.delivery_world import DeliveryWorld, all_ended

from quotastack.runtime.clock import monotonic_seconds
from quotastack.workers.sender import EXCERPT_MAX_BYTES, Answer, Sender, clean_excerpt

DEADLINE = 1.0
# The deadline and the second that an answer's body may take, and what a busy machine adds.
PATIENCE = 2 * DEADLINE + 3


class LoopbackResolver(AbstractResolver):
    """Every name is loopback, so that certificates can be tried with names."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


def attempt(act: hostile.Hostile, *, host: str = "127.0.0.1", **more: Any) -> Answer:
    """One attempt at the receiver."""
    server_tls, client_tls = more.get("server_tls"), more.get("client_tls")

    async def story() -> Answer:
        sender = Sender(
            allow_private=True,
            connections_max=4,
            resolver=more.get("resolver", LoopbackResolver()),
            tls=client_tls,
        )
        async with hostile.serving(act, server_tls) as port:
            scheme = "http" if server_tls is None else "https"
            try:
                return await sender.send(
                    f"{scheme}://{host}:{port}/hook",
                    body=b'{"id": 1}',
                    headers={"content-type": "application/json"},
                    deadline_seconds=DEADLINE,
                )
            finally:
                await sender.close()

    started_at = monotonic_seconds()
    answer = asyncio.run(story())
    assert monotonic_seconds() - started_at < PATIENCE
    return answer


ANSWERS = [
    # receiver                                                          status  retry-after
    (hostile.status(200, body=b"ok"),                                   200,    None),
    (hostile.status(204),                                               204,    None),
    (hostile.status(301, "location: http://169.254.169.254/latest"),    301,    None),
    (hostile.status(410),                                               410,    None),
    (hostile.status(429, "retry-after: 1"),                             429,    "1"),
    (hostile.status(429, "retry-after: 1000000000"),                    429,    "1000000000"),
    (hostile.status(503, "retry-after: -1"),                            503,    "-1"),
    (hostile.status(500, body=b"\x00\xff\xfe"),                         500,    None),
    (hostile.drip_body,                                                 200,    None),
    (hostile.gzip_bomb(),                                               200,    None),
    (hostile.says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"), 200,   None),
]  # fmt: skip


@pytest.mark.parametrize(("act", "status", "retry_after"), ANSWERS)
def test_what_counts_is_the_status(act: hostile.Hostile, status: int, retry_after: str | None) -> None:
    answer = attempt(act)
    assert (answer.status, answer.retry_after, answer.error) == (status, retry_after, None)


SILENCES = [
    (hostile.hang,                                "no answer within 1 s"),
    (hostile.drip_headers,                        "no answer within 1 s"),
    (hostile.continue_for_ever,                   "no answer within 1 s"),
    (hostile.megabyte_header(),                   "the answer is not HTTP"),
    (hostile.says(b"hello, I am HTTP/0.9\r\n"),   "the answer is not HTTP"),
    (hostile.says(b"\x16\x03\x01\x00\x00"),       "the answer is not HTTP"),
    (hostile.says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), "the answer is not HTTP"),
    (hostile.says(b""),                           "the connection was closed before an answer"),
    (hostile.says(b"HTTP/1.1 200 OK\r\nx: "),     "the connection was closed before an answer"),
    (hostile.reset,                               "the connection was closed before an answer"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error"), SILENCES)
def test_no_answer_is_told_in_plain_words(act: hostile.Hostile, error: str) -> None:
    answer = attempt(act)
    assert (answer.status, answer.error, answer.excerpt) == (None, error, "")


def test_headers_without_end_take_no_memory() -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = attempt(hostile.many_headers)
    assert answer.status is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


def test_a_body_of_ten_gigabytes_is_left_alone() -> None:
    endless = hostile.Endless()
    answer = attempt(endless)
    assert answer.status == 200
    assert len(answer.excerpt) == EXCERPT_MAX_BYTES
    assert endless.sent < 64 * 1024 * 1024, "what was not read was not taken either"


def test_nobody_listens() -> None:
    async def story() -> Answer:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            sender = Sender(allow_private=True, connections_max=1)
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            answer = await sender.send(url, body=b"{}", headers={}, deadline_seconds=DEADLINE)
            await sender.close()
            return answer

    assert asyncio.run(story()).error == "the connection was refused or failed"


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN], ids=["NXDOMAIN", "SERVFAIL"])
def test_a_name_that_cannot_be_resolved(code: int) -> None:
    class Failing(LoopbackResolver):
        async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
            raise socket.gaierror(code, "no")

    answer = attempt(hostile.status(200), host="nowhere.example", resolver=Failing())
    assert answer.error == "the host's name cannot be resolved"


def test_a_lookup_that_hangs_ends_with_the_deadline() -> None:
    class Hanging(LoopbackResolver):
        async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
            await asyncio.sleep(60)
            return []

    answer = attempt(hostile.status(200), host="slow.example", resolver=Hanging())
    assert answer.error == "no answer within 1 s"


def test_certificates(tmp_path: Path) -> None:
    authority = hostile.Authority(tmp_path)
    client = authority.client()
    good = authority.server("good.example")
    seen = {
        "good": attempt(hostile.status(200), host="good.example", server_tls=good, client_tls=client),
        "name": attempt(hostile.status(200), host="other.example", server_tls=good, client_tls=client),
        "expired": attempt(
            hostile.status(200),
            host="old.example",
            server_tls=authority.server("old.example", days=-1),
            client_tls=client,
        ),
        "self": attempt(
            hostile.status(200),
            host="self.example",
            server_tls=authority.server("self.example", is_self_signed=True),
            client_tls=client,
        ),
        "system": attempt(hostile.status(200), host="good.example", server_tls=good),
    }
    assert seen["good"].status == 200
    assert all(answer.status is None for name, answer in seen.items() if name != "good")
    assert "expired" in (seen["expired"].error or "")
    assert "match" in (seen["name"].error or "").lower()
    assert "self" in (seen["self"].error or "").lower()
    assert (seen["system"].error or "").startswith("TLS:")


def test_an_excerpt_can_be_stored_and_shown() -> None:
    text = clean_excerpt(b"fine\n\ttab\x00nul\x1b[31mred\xff\xfe" + "\u202eflip".encode() + b"x" * 5_000)
    assert text.startswith("fine\n\ttab\ufffdnul\ufffd[31mred\ufffd\ufffd\ufffdflip")
    assert "\x00" not in text
    assert len(text) <= EXCERPT_MAX_BYTES


def test_the_log_survives_them_all(database: ScratchDatabase) -> None:
    """Every hostile receiver as an endpoint of its own: each delivery ends, with an attempt that can be read."""

    async def story() -> None:
        acts: list[hostile.Hostile] = [act for act, *_ in ANSWERS] + [act for act, _ in SILENCES]
        acts += [hostile.Endless(), hostile.many_headers]
        async with DeliveryWorld(database, waits="0").opened() as world:
            async with world_of(acts) as ports:
                urls = {await world.endpoint(f"http://127.0.0.1:{port}/"): port for port in ports}
                customer = await world.customer()
                await world.tell(customer, 1)
                async with world.working():
                    rows = await world.until(all_ended)
            endpoints = await world.fetch(
                "SELECT id::text AS id, status, disabled_reason FROM quotastack.webhook_endpoints"
            )
        assert len(rows) == len(urls)
        for row in rows:
            for told in msgspec.json.decode(row["attempts"]):
                assert ("status" in told) != ("error" in told)
        disabled = [row["disabled_reason"] for row in endpoints if row["status"] == "disabled"]
        assert disabled == ["gone"]
        statuses = [row["status"] for row in rows]
        assert statuses.count("succeeded") == 6

    asyncio.run(story())


def world_of(acts: list[hostile.Hostile]) -> Any:
    import contextlib

    @contextlib.asynccontextmanager
    async def opened() -> Any:
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(hostile.serving(act)) for act in acts]

    return opened()
