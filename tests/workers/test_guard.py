"""The egress guard: the address corpus, names that change their mind, and a canary that must see nobody."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from quotastack.workers.guard import AddressDeniedError, GuardedConnector, is_denied
from quotastack.workers.sender import Answer, Sender

DENIED = [
    # IPv4: loopback, private, link-local and metadata, shared, benchmarking, documentation, multicast, reserved.
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3",
    "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.170",
    "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    # IPv6: the same in all of its disguises.
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2620:4f:8000::1", "3fff::1", "4000::1",
    "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
    # What is no address at all.
    "", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1 ", "[::1]",
    "1.1.1.1/32", "\u0661.1.1.1",
]  # fmt: skip
ALLOWED = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "93.184.216.34", "100.63.255.255", "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1", "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "223.255.255.255",
    "2600:1f18::1", "2a00:1450:4001::1", "2606:4700::1111", "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", DENIED)
def test_denied(address: str) -> None:
    assert is_denied(address, allow_private=False)


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed(address: str) -> None:
    assert not is_denied(address, allow_private=False)


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.1.1", True), ("::1", True), ("fd00::1", True),
        ("::ffff:127.0.0.1", True), ("100.64.0.1", True),
        # Allowing one's own networks does not allow the cloud's metadata, multicast or disguises.
        ("169.254.169.254", False), ("224.0.0.1", False), ("0.0.0.0", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("fe80::1", False),
    ],
)  # fmt: skip
def test_private_networks_may_be_allowed(address: str, *, is_allowed: bool) -> None:
    assert is_denied(address, allow_private=True) is not is_allowed


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_maps(address: Any) -> None:
    assert is_denied(f"::ffff:{address}", allow_private=False) == is_denied(str(address), allow_private=False)


class FixedResolver(AbstractResolver):
    """Answers each lookup with the next list of addresses, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


class Canary:
    """Listens on loopback, in both families, and counts who comes."""

    def __init__(self) -> None:
        self.connections = 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        six = None
        with contextlib.suppress(OSError):
            six = await asyncio.start_server(self._answer, "::1", port)
        try:
            yield port
        finally:
            server.close()
            if six is not None:
                six.close()


async def send(url: str, resolver: AbstractResolver | None = None, *, allow_private: bool = False) -> Answer:
    sender = Sender(allow_private=allow_private, connections_max=4, resolver=resolver)
    try:
        return await sender.send(url, body=b"{}", headers={}, deadline_seconds=2)
    finally:
        await sender.close()


LITERALS = [
    "http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://0.0.0.0:{port}/",
    "http://[::]:{port}/", "http://localhost:{port}/", "http://127.1:{port}/", "http://2130706433:{port}/",
    "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/", "http://127.0.0.1.:{port}/", "http://LOCALHOST.:{port}/",
    "http://%6c%6fcalhost:{port}/", "http://①②⑦.⓪.⓪.①:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("url", LITERALS)
def test_a_loopback_url_meets_nobody(url: str) -> None:
    async def story() -> None:
        canary = Canary()
        async with canary.listening() as port:
            answer = await send(url.format(port=port))
        assert answer.status is None
        assert answer.error
        assert "127.0.0.1" not in answer.error
        assert canary.connections == 0

    asyncio.run(story())


def test_the_canary_would_sing() -> None:
    async def story() -> None:
        canary = Canary()
        async with canary.listening() as port:
            answer = await send(f"http://127.0.0.1:{port}/", allow_private=True)
        assert answer.status == 200
        assert canary.connections == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "answers",
    [
        [["127.0.0.1"]],
        [["::1"]],
        [["::ffff:127.0.0.1"]],
        [["93.184.216.34", "127.0.0.1"]],
        [["8.8.8.8"] * 999 + ["127.0.0.1"]],
        [["64:ff9b::7f00:1"]],
        [["169.254.169.254"]],
    ],
    ids=["v4", "v6", "mapped", "one of two", "one of a thousand", "nat64", "metadata"],
)
def test_a_name_that_points_inside_meets_nobody(answers: list[list[str]]) -> None:
    async def story() -> None:
        canary = Canary()
        resolver = FixedResolver(*answers)
        async with canary.listening() as port:
            answer = await send(f"http://inside.example:{port}/", resolver)
        assert "not allowed" in (answer.error or "")
        assert canary.connections == 0
        assert resolver.lookups == 1

    asyncio.run(story())


def test_a_name_that_changes_its_mind_meets_nobody() -> None:
    """Rebinding: a public address at the first lookup, loopback at the next. Each attempt looks it up once."""

    async def story() -> None:
        canary = Canary()
        # 192.0.2.1 is never reached: the guard denies it as documentation space; then comes loopback.
        resolver = FixedResolver(["192.0.2.1"], ["127.0.0.1"], ["::ffff:127.0.0.1"], ["127.0.0.1"])
        async with canary.listening() as port:
            answers = [await send(f"http://rebind.example:{port}/", resolver) for _ in range(4)]
        assert all(answer.status is None for answer in answers)
        assert canary.connections == 0
        assert resolver.lookups == 4

    asyncio.run(story())


def test_the_socket_and_the_peer_are_checked_by_themselves() -> None:
    """Were the resolver fooled, no socket would be made; were the socket, the peer would give it away."""

    async def story() -> None:
        connector = GuardedConnector(allow_private=False, limit=1, resolver=FixedResolver(["8.8.8.8"]))
        info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
        with pytest.raises(AddressDeniedError):
            connector._make_socket(info)
        canary = Canary()
        async with canary.listening() as port:
            connector._socket_factory = lambda info: socket.socket(info[0], info[1], info[2])
            loop = asyncio.get_running_loop()
            with pytest.raises(AddressDeniedError):
                await connector._wrap_create_connection(
                    asyncio.Protocol,
                    addr_infos=[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
                    req=None,
                    timeout=type("T", (), {"sock_connect": None, "ceil_threshold": 5})(),
                )
            assert loop.is_running()
        await connector.close_all()

    asyncio.run(story())


def test_a_redirect_inside_is_not_followed() -> None:
    async def story() -> None:
        canary = Canary()

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                f"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n".encode()
            )
            await writer.drain()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        async with canary.listening() as port:
            server = await asyncio.start_server(redirect, "127.0.0.1", 0)
            answer = await send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", allow_private=True)
            server.close()
        assert answer.status == 307
        assert canary.connections == 0

    asyncio.run(story())


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        proxy, target = Canary(), Canary()
        async with proxy.listening() as proxy_port, target.listening() as port:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy_port}")
            answer = await send(f"http://127.0.0.1:{port}/", allow_private=True)
        assert answer.status == 200
        assert (proxy.connections, target.connections) == (0, 1)

    asyncio.run(story())
