"""Stopping: Ctrl-C and SIGTERM, once for a clean end, twice for an immediate one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Generator

from quotastack.cli.listening import Server


class Stopper:
    """Turns the first stop signal into an event, and into cancellation while the process is still starting.

    ``serving`` is set once there is a server that can end its requests; from then on the start is not cancelled.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._server: Server | None = None
        self._starting: asyncio.Task[object] | None = asyncio.current_task()

    @contextlib.contextmanager
    def watch(self) -> Generator[None]:
        """Handle the signals while the block runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def has_started(self, server: Server | None = None) -> None:
        """The start is over: a stop now ends ``server``, or only sets ``requested``."""
        self._starting = None
        self._server = server
        if self.requested.is_set() and server is not None:
            server.should_exit = True

    def stop(self) -> None:
        """Ask for the end; asked twice, do not wait for requests under way."""
        is_second = self.requested.is_set()
        self.requested.set()
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = is_second
        elif self._starting is not None:
            self._starting.cancel()
