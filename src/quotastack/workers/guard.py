"""The egress guard: which addresses a delivery may be sent to.

A URL is text that a tenant wrote, and a name resolves to what its owner likes, differently each time. So the check
is made on addresses: on every one that a name resolved to, on the one that a socket is made for, and on the one
that it is connected to. ``ipaddress`` is used to parse and to compare, never to judge: ``is_global`` is true for
multicast, for NAT64 of the metadata service and for 6to4 of loopback, ``is_private`` false for shared addresses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

RESOLVER_THREADS: Final = 32
ADDRESSES_MAX: Final = 4

# What an installation may allow for development: networks of one's own.
PRIVATE_V4: Final = tuple(
    IPv4Network(network)
    for network in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
PRIVATE_V6: Final = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))

# The IANA special-purpose registry, multicast and reserved space: never allowed.
RESERVED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

# Of IPv6 only global unicast is allowed, without what tunnels to or stands for something else.
GLOBAL_V6: Final = IPv6Network("2000::/3")
RESERVED_V6: Final = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)


class AddressDeniedError(OSError):
    """The address is private, reserved or our own. The message tells no address: it may be shown to a tenant."""

    def __init__(self) -> None:
        super().__init__("the address is private or reserved, and deliveries to it are not allowed")


def is_denied(address: str, *, allow_private: bool) -> bool:
    """Whether nothing may be sent to the address; what is no address is denied.

    An IPv4 address inside an IPv6 one (``::ffff:a.b.c.d``) is judged as that IPv4 address.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return True
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return _is_denied_v6(parsed, allow_private=allow_private)
        parsed = parsed.ipv4_mapped
    return _is_denied_v4(parsed, allow_private=allow_private)


def _is_denied_v4(address: IPv4Address, *, allow_private: bool) -> bool:
    if any(address in network for network in PRIVATE_V4):
        return not allow_private
    return any(address in network for network in RESERVED_V4)


def _is_denied_v6(address: IPv6Address, *, allow_private: bool) -> bool:
    if address.scope_id is not None:
        return True
    if any(address in network for network in PRIVATE_V6):
        return not allow_private
    return address not in GLOBAL_V6 or any(address in network for network in RESERVED_V6)


class SystemResolver(AbstractResolver):
    """``getaddrinfo`` on threads of its own, so that slow names do not take those of the rest of the process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="webhook-resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of the name, in the system's order."""
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(self._threads, self._look_up, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(info[4][0]),
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for info in infos
        ]

    @staticmethod
    def _look_up(host: str, port: int, family: int) -> list[Any]:
        return socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )

    async def close(self) -> None:
        """Let the threads end by themselves: one may sit in a lookup that cannot be interrupted."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """Refuses a name of which any address is denied: a name that points inside once is not to be trusted."""

    def __init__(self, inner: AbstractResolver, *, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The first few addresses of the name.

        Raises:
            AddressDeniedError: one of all its addresses is denied.
        """
        found = await self._inner.resolve(host, port, family)
        if any(is_denied(result["host"], allow_private=self._allow_private) for result in found):
            raise AddressDeniedError
        return found[:ADDRESSES_MAX]

    async def close(self) -> None:
        """Close the resolver behind."""
        await self._inner.close()


class GuardedConnector(aiohttp.TCPConnector):
    """Makes connections to allowed addresses only; the name is resolved anew for each.

    A connection that is kept alive was checked when it was made, and is used for the same host and port only.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        limit: int,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        super().__init__(
            ssl=True if tls is None else tls,
            resolver=GuardedResolver(resolver or SystemResolver(), allow_private=allow_private),
            use_dns_cache=False,
            limit=limit,
            keepalive_timeout=15.0,
            socket_factory=self._make_socket,
        )

    def _make_socket(self, info: Any) -> socket.socket:
        """The socket for one address: the last word before connecting, also for addresses that stood in the URL."""
        family, kind, protocol, _, address = info
        if is_denied(str(address[0]), allow_private=self._allow_private):
            raise AddressDeniedError
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, then look whom we are connected to; our own addresses are denied even when they are public."""
        transport, protocol = await super()._wrap_create_connection(*args, **kwargs)
        made: asyncio.Transport = transport
        peer, own = made.get_extra_info("peername"), made.get_extra_info("sockname")
        is_self = bool(peer and own) and peer[0] == own[0] and not self._allow_private
        if not peer or is_self or is_denied(str(peer[0]), allow_private=self._allow_private):
            made.abort()
            raise AddressDeniedError
        return transport, protocol

    async def close_all(self) -> None:
        """Close connections and the resolver."""
        await self.close()
        await self._resolver.close()
