"""The listening socket: many who come at once are let in at once."""

import asyncio
import contextlib
import socket

import uvloop

from quotastack.cli.listening import ACCEPTED_EACH_TURN, accept_often, bind

COUNT = 64


async def _turns_to_accept(*, is_often: bool) -> int:
    """How many turns of the loop pass until all are accepted who had connected before the first of them."""
    loop = asyncio.get_running_loop()
    accepted: list[asyncio.BaseTransport] = []

    class Door(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    with contextlib.ExitStack() as stack:
        listener = await bind("127.0.0.1", 0)
        for _ in range(COUNT):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        sockets = accept_often(listener) if is_often else [listener]
        servers = [await loop.create_server(Door, sock=one) for one in sockets]
        turns = 0
        while len(accepted) < COUNT:
            turns += 1
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        for transport in accepted:
            transport.close()
    return turns


def test_many_connections_are_accepted_in_one_turn() -> None:
    one_by_one = uvloop.run(_turns_to_accept(is_often=False))
    often = uvloop.run(_turns_to_accept(is_often=True))
    assert one_by_one >= COUNT - 2, "the loop accepts many by itself: the duplicates are of no use any more"
    assert often <= COUNT // ACCEPTED_EACH_TURN + 2
