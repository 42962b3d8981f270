"""A proxy between server and PostgreSQL that fails on demand: swallows, resets, cuts after COMMIT was sent."""

import asyncio
import random
import threading
from typing import Any

COMMIT = b"COMMIT\x00"
HELD_SECONDS = 0.02


class FaultProxy:
    """Listens on a port of its own and forwards to a Unix socket, in a thread of its own.

    ``mode`` is ``pass``, ``swallow`` (nothing goes through in either direction), ``reset`` (every connection is
    reset and none is taken) or ``cut`` (a part of the COMMITs is delivered and the connection reset before the answer).
    """

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path
        self.mode = "pass"
        self.cuts = 0
        self.chance = random.Random(11)
        self.links: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.listener = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self.listener.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    def set_mode(self, mode: str) -> None:
        self.loop.call_soon_threadsafe(self._set_mode, mode)

    def _set_mode(self, mode: str) -> None:
        self.mode = mode
        if mode == "reset":
            for link in list(self.links):
                link.transport.abort()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _close(self) -> None:
        self.listener.close()
        for link in list(self.links):
            link.transport.abort()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if self.mode == "reset":
            writer.transport.abort()
            return
        await self._pass("swallow")
        up_reader, up_writer = await asyncio.open_unix_connection(self.socket_path)
        self.links |= {writer, up_writer}
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, writer),
                self._pump(up_reader, writer, None),
                return_exceptions=True,
            )
        finally:
            self.links -= {writer, up_writer}
            for each in (writer, up_writer):
                each.transport.abort()

    async def _pass(self, while_mode: str) -> None:
        while self.mode == while_mode:  # noqa: ASYNC110 - the mode is set from another thread
            await asyncio.sleep(HELD_SECONDS)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter | None
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await self._pass("swallow")
                writer.write(data)
                await writer.drain()
                if (
                    client is not None
                    and self.mode == "cut"
                    and COMMIT in data
                    and self.chance.random() < 0.3
                ):
                    self.cuts += 1
                    client.transport.abort()
                    await asyncio.sleep(HELD_SECONDS)
                    return
        finally:
            writer.close()
