"""The shared stories of sdk/scenarios.json, told by both clients of Python to a real server."""

import asyncio
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.races.servers import ServerProcess

from quotastack.services.tenants import NewTenant
from quotastack_client import AsyncClient, Client, ProblemError
from quotastack_client.pages import AsyncPages, Pages

STORIES = json.loads((Path(__file__).parents[2] / "sdk" / "scenarios.json").read_text())["scenarios"]
Json = dict[str, Any]


class Teller:
    """Makes the steps of one story with either client and holds the answers against it."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client
        self.saved: Json = {}

    async def tell(self, story: Json) -> None:
        for step in story["steps"]:
            if "together" in step:
                await self.at_once(step)
            else:
                await self.one(step)

    async def one(self, step: Json) -> None:
        wanted = step.get("error")
        if wanted:
            with pytest.raises(ProblemError) as caught:
                await self.call(step)
            refusal = caught.value
            assert refusal.kind == wanted["type"] == type(refusal).slug
            for name in wanted.keys() - {"type"}:
                assert getattr(refusal, name) == refusal.problem[name] == wanted[name]
            assert refusal.request_id
            return
        answer = await self.call(step)
        if "expect_length" in step:
            assert len(answer) == step["expect_length"]
            return
        if "replayed" in step:
            assert answer.http.is_replayed is step["replayed"], step
        told = msgspec.to_builtins(answer)
        self.save(step, told)
        assert_within(self.filled(step.get("expect", {})), told, step["call"])

    async def at_once(self, step: Json) -> None:
        async def outcome(one: Json) -> str:
            try:
                answer = await self.call(one, is_concurrent=True)
            except ProblemError as refusal:
                return refusal.kind
            self.save(one, msgspec.to_builtins(answer))
            return "replayed" if answer.http.is_replayed else "ok"

        outcomes = await asyncio.gather(*(outcome(one) for one in step["together"]))
        assert sorted(outcomes) == sorted(step["outcomes"])

    async def call(self, step: Json, *, is_concurrent: bool = False) -> Any:
        method: Callable[..., Any] = self.client  # type: ignore[assignment]
        for name in step["call"].split("."):
            method = getattr(method, name)
        arguments = self.filled(step.get("args", {}))
        if "key" in step:
            arguments["idempotency_key"] = step["key"]
        path = self.filled(step.get("path", []))
        if is_concurrent and not inspect.iscoroutinefunction(method):
            return await asyncio.to_thread(method, *path, **arguments)
        answer = method(*path, **arguments)
        if isinstance(answer, Pages):
            return list(answer)
        if isinstance(answer, AsyncPages):
            return [item async for item in answer]
        return await answer if inspect.isawaitable(answer) else answer

    def save(self, step: Json, told: Any) -> None:
        for name, path in step.get("save", {}).items():
            value = told
            for part in path.split("."):
                value = value[part]
            self.saved[name] = value

    def filled(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return self.saved[value[1:]]
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {name: self.filled(item) for name, item in value.items()}
        return value


def assert_within(wanted: Any, told: Any, where: str) -> None:
    """``wanted`` is a part of ``told``."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in told, f"{where}.{name}"
            assert_within(value, told[name], f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(wanted) == len(told), where
        for number, value in enumerate(wanted):
            assert_within(value, told[number], f"{where}[{number}]")
    else:
        assert told == wanted, where


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["name"])
def test_blocking(story: Json, server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner) -> None:
    with Client(tenant.test_key, server.base_url) as client:
        runner.run(Teller(client).tell(story))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["name"])
def test_async(story: Json, server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner) -> None:
    async def tell() -> None:
        async with AsyncClient(tenant.test_key, server.base_url) as client:
            await Teller(client).tell(story)

    runner.run(tell())
