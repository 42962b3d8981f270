"""Wraps the functions that ``points.py`` names, as their modules are imported, in a process that is to fall.

The environment variable ``FAILPOINTS`` names a folder. A file in it, named like a point, arms the point: the next
time the process comes there it renames the file, which tells that the point fired, and does what the file says:
``server`` (the process kills itself), ``backend`` (it kills the PostgreSQL process of its connection), ``cut`` (it
resets that connection), or ``pid N`` (it kills N). Unarmed points cost one look for a file.
"""

import asyncio
import contextlib
import contextvars
import importlib.machinery
import inspect
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

SWITCH = "FAILPOINTS"
# A file of this name makes the process write down which points it passes.
TRACE = "trace"
GONE_SECONDS = 2.0
# Turns of the event loop until what was written has left the process.
TURNS = 3

_connection: contextvars.ContextVar[Any] = contextvars.ContextVar("failpoint_connection", default=None)
_mark: contextvars.ContextVar[str] = contextvars.ContextVar("failpoint_mark", default="")
_last: list[Any] = [None]


def file_name(point_name: str) -> str:
    """The name of the file that arms a point."""
    return "".join(letter if letter.isalnum() else "-" for letter in point_name)


class Hooks:
    """The points of this process."""

    def __init__(self, points: Any) -> None:
        self.points = points
        self.by_module: dict[str, list[Any]] = {}
        for each in (*points.CARRIERS, *points.ALL):
            self.by_module.setdefault(f"quotastack.{each.module}", []).append(each)

    @property
    def folder(self) -> str:
        """Where this process looks for armed points; a forked one has a folder of its own."""
        return os.environ[SWITCH]

    def claim(self, point: Any) -> str | None:
        """What to do here; None when the point is not armed, or not for this task."""
        if point.mark and _mark.get() != point.mark:
            return None
        trace = f"{self.folder}/{TRACE}"
        if os.path.exists(trace):  # noqa: PTH110 - see below
            with Path(trace).open("a", encoding="utf-8") as passed:
                passed.write(f"{point.name}\n")
        path = f"{self.folder}/{file_name(point.name)}"
        if not os.path.exists(path):  # noqa: PTH110 - it is asked at each step of each request
            return None
        try:
            action = Path(path).read_text("ascii")
            Path(path).rename(f"{path}.fired")
        except FileNotFoundError:
            return None
        return action

    # Wrapping

    def wrap_all(self, module: ModuleType) -> None:
        """Replace each named function of a module that has just been run."""
        for each in self.by_module[module.__name__]:
            owner_name, _, name = each.function.rpartition(".")
            owner = getattr(module, owner_name) if owner_name else module
            setattr(owner, name, self.wrap(each, getattr(owner, name)))

    def wrap(self, each: Any, function: Any) -> Any:
        if isinstance(each, self.points.Carrier):
            return _carrying(each, function)
        if each.function == "migrate":
            return self._counting(each, function)
        if inspect.iscoroutinefunction(function):
            return self._wrap_async(each, function)
        return self._wrap_plain(each, function)

    def _wrap_plain(self, point: Any, function: Any) -> Any:
        points = self.points
        assert point.moment != points.SENT

        def wrapped(*args: Any, **named: Any) -> Any:
            if point.moment != points.AFTER and not (point.only_writes and _reads(args)):
                action = self.claim(point)
                if action is not None and point.moment == points.HALF:
                    halve(args[0])
                elif action is not None:
                    act(action, args)
            result = function(*args, **named)
            action = self.claim(point) if point.moment == points.AFTER else None
            if action is not None:
                act(action, args)
            return result

        return wrapped

    def _wrap_async(self, point: Any, function: Any) -> Any:
        points = self.points

        async def wrapped(*args: Any, **named: Any) -> Any:
            if point.moment == points.AFTER:
                result = await function(*args, **named)
                action = self.claim(point)
                if action is not None:
                    act(action, args)
                return result
            action = self.claim(point)
            if action is None:
                return await function(*args, **named)
            if point.moment == points.SENT:
                started = asyncio.ensure_future(function(*args, **named))
                for _ in range(_turns(point)):
                    await asyncio.sleep(0)
                act(action, args)
                return await started
            act(action, args)
            return await function(*args, **named)

        # What asks whether a function is a coroutine function must get the same answer again.
        wrapped.__name__ = function.__name__
        return wrapped

    def _counting(self, point: Any, function: Any) -> Any:
        async def wrapped(owner: Any) -> Any:
            return await function(_Counted(owner, self, point))

        return wrapped


class _Counted:
    """The owner's connection; falls before the statement whose number stands in the armed file."""

    def __init__(self, owner: Any, hooks: Hooks, point: Any) -> None:
        self._owner = owner
        self._hooks = hooks
        self._path = Path(hooks.folder) / file_name(point.name)
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)

    def _step(self) -> None:
        self._count += 1
        Path(f"{self._path}.count").write_text(str(self._count), "ascii")
        if self._path.exists():
            number, action = self._path.read_text("ascii").split()
            if int(number) == self._count:
                self._path.rename(f"{self._path}.fired")
                act(action, (self._owner,))

    async def execute(self, *args: Any, **named: Any) -> Any:
        self._step()
        return await self._owner.execute(*args, **named)

    async def fetch(self, *args: Any, **named: Any) -> Any:
        self._step()
        return await self._owner.fetch(*args, **named)

    @contextlib.asynccontextmanager
    async def transaction(self) -> Any:
        transaction = self._owner.transaction()
        self._step()
        await transaction.start()
        try:
            yield
        except BaseException:
            await transaction.rollback()
            raise
        self._step()
        await transaction.commit()


def _turns(point: Any) -> int:
    # A request to a receiver is out only after its connection was made.
    return 40 if point.function == "Sender.send" else TURNS


def _reads(args: tuple[Any, ...]) -> bool:
    return next(arg.verb for arg in args if hasattr(arg, "verb")) == "GET"


def _carrying(carrier: Any, function: Any) -> Any:
    async def wrapped(*args: Any, **named: Any) -> Any:
        connection = _connection_in(args)
        if connection is None:
            raise AssertionError(f"{carrier.function} carries no connection any more")
        _connection.set(connection)
        _mark.set(carrier.mark)
        if carrier.is_command:
            _last[0] = connection
        return await function(*args, **named)

    return wrapped


def _connection_in(args: tuple[Any, ...]) -> Any:
    """The connection itself, not what a pool lends: that can not be used once it was given back."""
    found = next((arg for arg in args if hasattr(arg, "get_server_pid")), None)
    return getattr(found, "_con", found)


def act(action: str, args: tuple[Any, ...]) -> None:
    """Do what the armed file said."""
    if action == "server":
        os.kill(os.getpid(), signal.SIGKILL)
    if action.startswith("pid "):
        os.kill(int(action[4:]), signal.SIGKILL)
        return
    connection = _connection_in(args) or _connection.get() or _last[0]
    assert connection is not None, "no connection to fail"
    if action == "cut":
        connection._transport.abort()
        return
    assert action == "backend", action
    pid = connection.get_server_pid()
    # After its answer was written a connection may have fallen with another one already.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        time.sleep(0.001)


def halve(connection: Any) -> None:
    """Let the next write to a caller's connection give half of its bytes, and end the process there."""
    connection._transport = _HalfTransport(connection._transport)


class _HalfTransport:
    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        os.write(self._transport.get_extra_info("socket").fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


class _Finder:
    """Stands before the other finders; what they find is wrapped once it has run."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        # The finder of planted bugs asks all others too.
        self.is_asking = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if self.is_asking or fullname not in self.hooks.by_module:
            return None
        self.is_asking = True
        try:
            for finder in sys.meta_path:
                spec = None if finder is self else finder.find_spec(fullname, path, target)
                if spec is not None and spec.loader is not None:
                    self._extend(spec)
                    return spec
        finally:
            self.is_asking = False
        return None

    def _extend(self, spec: importlib.machinery.ModuleSpec) -> None:
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            try:
                self.hooks.wrap_all(module)
            except Exception as error:  # noqa: BLE001 - whatever it is, the process must not go on
                sys.stderr.write(f"failpoints: {module.__name__} has changed: {error!r}\n")
                sys.stderr.flush()
                os._exit(70)

        loader.exec_module = exec_module


def install(points: Any) -> None:
    """Arm this process if it is asked for."""
    if os.environ.get(SWITCH):
        sys.meta_path.insert(0, _Finder(Hooks(points)))
