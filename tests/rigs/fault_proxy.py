"""A proxy that fails on demand, between server and PostgreSQL and between worker and receiver."""

import asyncio
import random
import re
import threading

COMMIT = b"COMMIT\x00"
# A call that is a transaction by itself says so only while it is prepared: P, length, name, text.
_prepared_call = re.compile(rb"P.{4}(\w+)\x00[^\x00]*quotastack\.write_known_batches\(", re.DOTALL)
HELD_SECONDS = 0.02
DELAY_SECONDS = 0.1
CUT_SHARE = 0.3
TURNS = 8


class Link:
    """One connection and its continuation. A stranded one says nothing any more and is never closed for it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.is_stranded = False
        self.calls: set[bytes] = set()

    def commits(self, data: bytes, cut_at: bytes) -> bool:
        """Whether what the caller says is the end of a transaction."""
        prepared = _prepared_call.findall(data)
        self.calls.update(b"\x00" + name + b"\x00" for name in prepared)
        return cut_at in data or (not prepared and any(call in data for call in self.calls))

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultProxy:
    """Listens on a port of its own, or a Unix socket, and forwards to such a one, in a thread of its own.

    ``mode`` is one of

    * ``pass``
    * ``swallow``: nothing goes through in either direction, until it does again.
    * ``strand``: what is connected is silent for ever, as behind a router that forgot it; new connections pass.
    * ``reset``: every connection is reset and none is taken.
    * ``half-close``: the caller is told that the other side has ended, which it has not.
    * ``half-close-up``: the other side is told so of the caller; the caller is told nothing until the fault ends.
    * ``delay``: each piece is late.
    * ``cut``: a part of what contains ``cut_at`` is delivered, and the connection reset before the answer.
    """

    def __init__(
        self, target: str | tuple[str, int], *, cut_at: bytes = COMMIT, socket_path: str | None = None
    ) -> None:
        self.target = target
        self.socket_path = socket_path
        self.cut_at = cut_at
        self.mode = "pass"
        self.cuts = 0
        self.call_cuts = 0
        self.connections = 0
        self.chance = random.Random(11)
        self.links: set[Link] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.listener = self.loop.run_until_complete(self._listen())
        if self.socket_path is None:
            self.port: int = self.listener.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def _listen(self) -> asyncio.Server:
        if self.socket_path is not None:
            return await asyncio.start_unix_server(self._serve, self.socket_path)
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def set_mode(self, mode: str) -> None:
        self.loop.call_soon_threadsafe(self._set_mode, mode)

    def _set_mode(self, mode: str) -> None:
        before, self.mode = self.mode, mode
        for link in list(self.links):
            if mode == "reset" or before.startswith("half-close"):
                link.abort()
            elif mode == "strand":
                link.is_stranded = True
            else:
                self._half_close(link)

    def _half_close(self, link: Link) -> None:
        writer = {"half-close": link.client, "half-close-up": link.server}.get(self.mode)
        if writer is not None and not writer.transport.is_closing():
            writer.write_eof()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _close(self) -> None:
        # Nothing is cancelled: the streams of this version of asyncio complain of cancelled tasks.
        self.mode = "closed"
        # Nor is a server closed under a connection that it is accepting: asyncio would leave that one open.
        for one in self.listener.sockets:
            self.loop.remove_reader(one.fileno())
        await self._turn()
        self.listener.close()
        for link in list(self.links):
            link.is_stranded = False
            link.abort()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._turn()

    async def _turn(self) -> None:
        """Let who was being accepted become a task, and what was aborted be closed: both take turns of the loop."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.connections += 1
        if self.mode == "reset":
            writer.transport.abort()
            return
        await self._hold()
        if self.mode == "closed":
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, up_writer)
        if self.mode == "closed":
            link.abort()
            return
        self.links.add(link)
        self._half_close(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, up_writer, is_up=True),
                self._pump(link, up_reader, writer, is_up=False),
                return_exceptions=True,
            )
        finally:
            self.links.discard(link)
            link.abort()

    async def _hold(self) -> None:
        while self.mode == "swallow":  # noqa: ASYNC110 - the mode is set from another thread
            await asyncio.sleep(HELD_SECONDS)

    async def _silent(self, link: Link) -> None:
        """As long as the caller must not learn that the other side has ended."""
        while link.is_stranded or self.mode == "half-close-up":  # noqa: ASYNC110 - see _hold
            await asyncio.sleep(HELD_SECONDS)

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await self._hold()
                if self.mode == "delay":
                    await asyncio.sleep(DELAY_SECONDS)
                if link.is_stranded or writer.transport.is_closing() or _has_ended(writer):
                    continue
                writer.write(data)
                await writer.drain()
                is_end = is_up and link.commits(data, self.cut_at)
                # Calls are rare after a cut: what is settled anew has a COMMIT.
                share = CUT_SHARE if self.cut_at in data else 1.0
                if is_end and self.mode == "cut" and self.chance.random() < share:
                    self.cuts += 1
                    self.call_cuts += self.cut_at not in data
                    link.client.transport.abort()
                    await asyncio.sleep(HELD_SECONDS)
                    return
            await self._silent(link)
        finally:
            writer.close()


def _has_ended(writer: asyncio.StreamWriter) -> bool:
    """Whether it was half closed: what comes for it goes nowhere."""
    return bool(getattr(writer.transport, "_eof", False))
