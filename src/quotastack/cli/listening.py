"""The listening socket, and the HTTP server on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator
from typing import Final

import uvicorn

from quotastack.api.app import create_app
from quotastack.api.http_protocol import HttpProtocol
from quotastack.runtime.embedded import EmbeddedError
from quotastack.runtime.settings import Settings
from quotastack.services.container import Services

BACKLOG: Final = 2048
BIND_ATTEMPTS: Final = 20
BIND_WAIT_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 30
# The loop accepts one connection of a listening socket in each of its turns, and under load there are two hundred turns
# a second. As so many duplicates of the socket it accepts as many.
ACCEPTED_EACH_TURN: Final = 8

# A socket that listens on all addresses is reached on the machine itself by its loopback address.
LOOPBACKS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Server(uvicorn.Server):
    """uvicorn, stopped by us: it installs no signal handlers and raises none again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone; whoever runs the server handles them."""
        yield


def make_server(settings: Settings, services: Services) -> Server:
    """The HTTP server of one process."""
    config = uvicorn.Config(
        create_app(services),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        loop="none",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return Server(config)


async def bind(host: str, port: int) -> socket.socket:
    """A listening socket that children may inherit.

    The processes of a server that was killed may hold the port for a moment longer, so a taken port is tried again
    for two seconds.

    Raises:
        EmbeddedError: the port stays taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(1, BIND_ATTEMPTS + 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise EmbeddedError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
            if attempt == BIND_ATTEMPTS:
                raise EmbeddedError(
                    f"Port {port} on {host} is in use. Choose another with --port (0 picks a free one)."
                ) from None
            await asyncio.sleep(BIND_WAIT_SECONDS)
        else:
            return listener
    raise AssertionError("the last attempt returns or raises")


def accept_often(listener: socket.socket) -> list[socket.socket]:
    """The socket and duplicates of it, to be served all: connections that come at once do not wait for a turn each."""
    return [listener, *(listener.dup() for _ in range(ACCEPTED_EACH_TURN - 1))]


async def wait_until_answered(listener: socket.socket, stop: asyncio.Event) -> None:
    """Return once some process answers on the socket; a request waits in its queue until one does."""

    async def ask() -> None:
        host, port = listener.getsockname()[:2]
        reader, writer = await asyncio.open_connection(LOOPBACKS.get(host, host), port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()

    asked = asyncio.create_task(ask())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([asked, stopping], timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in (asked, stopping):
        task.cancel()
    await asyncio.gather(asked, stopping, return_exceptions=True)


def base_url(settings: Settings, listener: socket.socket) -> str:
    """Where callers reach the server: the setting, else the socket's own address."""
    if settings.origin is not None:
        return settings.origin.rstrip("/")
    host, port = listener.getsockname()[:2]
    reached = str(LOOPBACKS.get(host, host))
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
