"""Who is calling: from a header to a ``Caller``.

Keys that were found right lately are remembered by the header's very bytes, so an ordinary request costs one
dictionary lookup. What is remembered ends with the notice of a change of its environment: a revoked key works no
longer, whichever process it was revoked on. In case a notice is lost, the versions of the environments whose keys are
in use are compared every second beside the requests, all in one statement, and a key whose environment could not be
asked about for four seconds is not believed any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import msgspec

from quotastack.api.routing import Headers
from quotastack.core.api_keys import parse_api_key
from quotastack.core.errors import AuthenticationRequiredError, MalformedRequestError
from quotastack.core.ids import ApiKeyId, EnvironmentId, TenantId
from quotastack.runtime.clock import monotonic_seconds
from quotastack.services.api_keys import find_key, read_environment_versions, touch_keys
from quotastack.services.caller import Caller
from quotastack.services.container import Services

REMEMBERED_MAX: Final = 10_000
REFRESH_SECONDS: Final = 1.0
REMEMBERED_SECONDS: Final = 4.0
TOUCH_SECONDS: Final = 60.0
LOOK_SECONDS_MAX: Final = 4.0
BEARER: Final = b"bearer "
# Keys that are due within this time of each other are asked about together.
GATHER_SECONDS: Final = 0.2


class KnownCaller(msgspec.Struct, frozen=True, gc=False):
    """What a key leads to while its environment has ``environment_version``, and ``good_until`` lies ahead.

    Whether it still has is to be asked from ``refresh_at`` on. Both are monotonic seconds.
    """

    environment_id: EnvironmentId
    environment_version: int
    tenant_id: TenantId
    environment: Literal["live", "test"]
    key_id: ApiKeyId
    actor: str
    scopes: frozenset[str]
    requests_per_minute: int | None
    good_until: float
    refresh_at: float

    def as_caller(self, request_id: str) -> Caller:
        """The caller of one request."""
        return Caller(
            environment_id=self.environment_id,
            tenant_id=self.tenant_id,
            environment=self.environment,
            key_id=self.key_id,
            actor=self.actor,
            scopes=self.scopes,
            request_id=request_id,
        )


def presented_key(headers: Headers) -> bytes:
    """The header that carries the key, ``Bearer`` included where it is that form.

    Raises:
        AuthenticationRequiredError: no key.
        MalformedRequestError: two keys that are not the same.
    """
    plain = headers.get(b"x-api-key")
    bearer = headers.get(b"authorization")
    if plain is None:
        if bearer is None:
            raise AuthenticationRequiredError("Send an API key in the header X-API-Key.")
        return bearer
    if bearer is not None and bearer[:7].lower() == BEARER and bearer[7:].strip() != plain:
        raise MalformedRequestError("X-API-Key and Authorization carry two different keys: send one.")
    return plain


class KeyRing:
    """The keys that were found right lately, and when each was last used."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[bytes, KnownCaller] = {}
        self._epoch = 0
        self._touched: dict[ApiKeyId, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        # Those in use about which it is time to ask, and who asks.
        self._due: set[bytes] = set()
        self._refreshing: asyncio.Task[None] | None = None
        # One look at a time for each header: when many requests wait for the same key, one asks.
        self._looking: dict[bytes, asyncio.Task[KnownCaller]] = {}
        services.environment_watchers.append(self.forget)

    def recall(self, header: bytes, now_seconds: float) -> KnownCaller | None:
        """The caller, when the header was found right lately; asks again beside the request when it is time."""
        known = self._known.get(header)
        if known is None or known.good_until <= now_seconds:
            return None
        if known.refresh_at <= now_seconds:
            self._due.add(header)
            if self._refreshing is None:
                self._refreshing = asyncio.create_task(self._refresh_soon())
                self._refreshing.add_done_callback(self._end_refresh)
        return known

    def forget(self, environment_id: EnvironmentId) -> None:
        """Look again at every key of an environment."""
        self._epoch += 1
        stale = [header for header, known in self._known.items() if known.environment_id == environment_id]
        for header in stale:
            del self._known[header]

    async def _refresh_soon(self) -> None:
        """Ask about all that are due; whoever has another version by now is looked up at the next request."""
        await asyncio.sleep(GATHER_SECONDS)
        due, self._due = self._due, set()
        asked = {header: known for header in due if (known := self._known.get(header)) is not None}
        asked_at = monotonic_seconds()
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            versions = await read_environment_versions(
                self._services, {known.environment_id for known in asked.values()}
            )
        used: list[KnownCaller] = []
        for header, known in asked.items():
            if self._known.get(header) is not known:
                continue
            if versions.get(known.environment_id) == known.environment_version:
                self._known[header] = _renew(known, asked_at)
                used.append(known)
            else:
                del self._known[header]
        self._note_use(used)

    def _end_refresh(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            # Who could not be asked about is due still, as long as they are believed at all.
            task.exception()

    async def find(self, header: bytes) -> KnownCaller:
        """The caller that a header proves, from the database.

        Raises:
            AuthenticationRequiredError: unknown, mistyped, revoked: one answer for all.
            TimeoutError: the database does not answer.
        """
        looking = self._looking.get(header) or self._look(header)
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            return await asyncio.shield(looking)

    def _look(self, header: bytes) -> asyncio.Task[KnownCaller]:
        task = asyncio.create_task(self._read(header))
        self._looking[header] = task
        task.add_done_callback(lambda done: self._end_look(header, done))
        return task

    def _end_look(self, header: bytes, task: asyncio.Task[KnownCaller]) -> None:
        del self._looking[header]
        if not task.cancelled() and isinstance(task.exception(), AuthenticationRequiredError):
            self._known.pop(header, None)

    async def _read(self, header: bytes) -> KnownCaller:
        text = header[7:].strip() if header[:7].lower() == BEARER else header
        parsed = parse_api_key(text.decode("latin-1"))
        if parsed is None:
            raise _refused()
        epoch, asked_at = self._epoch, monotonic_seconds()
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            row = await find_key(self._services, parsed)
        if row is None:
            raise _refused()
        known = KnownCaller(
            environment_id=row.environment_id,
            environment_version=row.environment_version,
            tenant_id=row.tenant_id,
            environment=cast("Literal['live', 'test']", row.environment),
            key_id=row.id,
            actor=f"key:{row.id}",
            scopes=frozenset(row.scopes),
            requests_per_minute=row.requests_per_minute,
            good_until=asked_at + REMEMBERED_SECONDS,
            refresh_at=asked_at + REFRESH_SECONDS,
        )
        if epoch == self._epoch:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[header] = known
        self._note_use([known])
        return known

    def _note_use(self, used: Iterable[KnownCaller]) -> None:
        """Write ``last_used_at``, at most once a minute and out of the request's way."""
        now = monotonic_seconds()
        noted: list[tuple[EnvironmentId, ApiKeyId]] = []
        for known in used:
            if now - self._touched.get(known.key_id, -TOUCH_SECONDS) < TOUCH_SECONDS:
                continue
            if len(self._touched) >= REMEMBERED_MAX:
                self._touched.clear()
            self._touched[known.key_id] = now
            noted.append((known.environment_id, known.key_id))
        if noted:
            task = asyncio.create_task(touch_keys(self._services, noted))
            self._tasks.add(task)
            task.add_done_callback(self._end_touch)

    def _end_touch(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # A note that could not be written is not worth a refusal; the next minute writes it.
            task.exception()


def _renew(known: KnownCaller, asked_at: float) -> KnownCaller:
    return msgspec.structs.replace(
        known, good_until=asked_at + REMEMBERED_SECONDS, refresh_at=asked_at + REFRESH_SECONDS
    )


def _refused() -> AuthenticationRequiredError:
    return AuthenticationRequiredError("The API key is not valid in any environment of this installation.")
