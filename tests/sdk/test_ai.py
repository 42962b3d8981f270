"""Model calls: held before, charged by their real tokens after. The provider is a fake of its HTTP API on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, Self

import httpx2
import pytest
from tests.races.servers import ServerProcess, free_port
from tests.sdk.wires import answering

from quotastack.services.tenants import NewTenant
from quotastack_client import AsyncClient, Client, errors
from quotastack_client.ai import NotMeteredError, Tokens, TokensNotChargedError
from quotastack_client.ai.litellm import QuotaStackLogger
from quotastack_client.ai.metered import estimate_tokens

CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
MESSAGE_USAGE = {
    "input_tokens": 8,
    "output_tokens": 1,
    "cache_read_input_tokens": 4,
    "cache_creation_input_tokens": 2,
}
ASK = {"model": "gpt-large", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 20}


OPEN: list[httpx2.Client] = []


def sse(*events: Any) -> list[bytes]:
    return [b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events]


def provider(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
    """The few answers of OpenAI's and Anthropic's APIs that the tests ask for."""
    asked = json.loads(body)
    if asked.get("user") == "broken":
        return 500, {}, b'{"error": {"message": "overloaded"}}'
    if path == "/v1/messages" and asked.get("stream"):
        return (
            200,
            {"content-type": "text/event-stream"},
            sse(
                {"type": "message_start", "message": {"usage": MESSAGE_USAGE}},
                {"type": "content_block_delta", "delta": {"text": "Hel"}},
                {"type": "content_block_delta", "delta": {"text": "lo"}},
                {"type": "message_delta", "usage": {"output_tokens": 7}},
            ),
        )
    if path == "/v1/messages":
        return 200, {}, json.dumps({"id": "msg_1", "usage": {**MESSAGE_USAGE, "output_tokens": 7}}).encode()
    if path == "/v1/responses":
        return 200, {}, json.dumps({"id": "r_1", "usage": {"input_tokens": 5, "output_tokens": 3}}).encode()
    if asked.get("stream"):
        assert asked["stream_options"] == {"include_usage": True}
        pieces = [{"choices": [{"delta": {"content": text}}]} for text in ("Hel", "lo", "!")]
        last = [b""] if asked.get("user") == "cut" else sse({"choices": [], "usage": CHAT_USAGE}, b"[DONE]")
        return 200, {"content-type": "text/event-stream"}, [*sse(*pieces), *last]
    return 200, {}, json.dumps({"id": "chat_1", "model": asked["model"], "usage": CHAT_USAGE}).encode()


class Fake:
    """A provider's client as the libraries shape it: resources, ``create``, streams that iterate and close."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url)
        OPEN.append(self.http)
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.poster("/v1/chat/completions")))
        self.responses = SimpleNamespace(create=self.poster("/v1/responses"), stream=None)
        self.messages = SimpleNamespace(create=self.poster("/v1/messages"), stream=self.managed)
        self.models = SimpleNamespace(list=lambda: ["gpt-large"])

    def poster(self, path: str) -> Any:
        def create(**request: Any) -> Any:
            if request.get("stream"):
                return Events(self.http, path, request)
            response = self.http.post(path, json=request)
            response.raise_for_status()
            return json.loads(response.content, object_hook=lambda found: SimpleNamespace(**found))

        return create

    def managed(self, **request: Any) -> "Managed":
        return Managed(self, request)

    def with_options(self, **_: Any) -> "Fake":
        return Fake(self.url)


class Events:
    def __init__(self, http: httpx2.Client, path: str, request: dict[str, Any]) -> None:
        self.context = http.stream("POST", path, json=request)
        self.response = self.context.__enter__()

    def __iter__(self) -> Iterator[Any]:
        for line in self.response.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])

    def close(self) -> None:
        self.context.__exit__(None, None, None)


class Managed:
    def __init__(self, fake: Fake, request: dict[str, Any]) -> None:
        self.fake, self.request = fake, request
        self.current_message_snapshot: Any = None

    def __enter__(self) -> Self:
        self.current_message_snapshot = self.fake.messages.create(**self.request)
        return self

    def __exit__(self, *_: object) -> None:
        return


class AsyncFake:
    """The same for async, on top of the blocking one."""

    def __init__(self, url: str) -> None:
        fake = Fake(url)

        async def create(**request: Any) -> Any:
            made = await asyncio.to_thread(fake.chat.completions.create, **request)
            return AsyncEvents(made) if request.get("stream") else made

        self.chat = SimpleNamespace(completions=SimpleNamespace(create=create))


class AsyncEvents:
    def __init__(self, inner: Events) -> None:
        self.inner = inner

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self.inner:
            yield event

    async def close(self) -> None:
        self.inner.close()


@pytest.fixture
def url() -> Iterator[str]:
    with answering(provider) as made:
        yield made
        while OPEN:
            OPEN.pop().close()


@pytest.fixture
def tokens(client: Client) -> str:
    """Large models: 10 mc a token, 30 for output, 1 for cached. Every other model: 1."""
    client.metrics.create(key="tokens", name="Tokens")
    for match, cost in (
        ({}, 1),
        ({"model": "gpt-large"}, 10),
        ({"model": "gpt-large", "token_type": "output"}, 30),
        ({"model": "gpt-large", "token_type": "cached"}, 2),
    ):
        client.rules.create(billable_metric_key="tokens", cost_type="per_unit", unit_cost=cost, match=match)
    client.topups.grant(external_customer_id="maker", credits=10_000)
    return "tokens"


CHAT_COST = 8 * 10 + 7 * 30 + 4 * 2


def standing(client: Client) -> tuple[int, int]:
    account = client.credits.get(external_customer_id="maker")
    assert client.ledger.verify().ok
    return 10_000 - account.balance, account.reserved_balance


def test_the_real_tokens_are_charged(client: Client, tokens: str, url: str) -> None:
    wrapped = client.wrap(Fake(url), customer="maker", metric=tokens)
    answer = wrapped.chat.completions.create(**ASK)
    assert answer.usage.completion_tokens == 7
    assert standing(client) == (CHAT_COST, 0)
    kinds = {one.dimensions["token_type"]: one.units for one in client.usage.list() if one.dimensions}
    assert kinds == {"input": 8, "output": 7, "cached": 4}
    assert wrapped.models.list() == ["gpt-large"]
    wrapped.with_options(timeout=5).responses.create(model="small", input="hello", max_output_tokens=9)
    assert standing(client) == (CHAT_COST + 8, 0)


def test_anthropic_s_tokens(client: Client, tokens: str, url: str) -> None:
    wrapped = client.wrap(Fake(url), customer=lambda request: request["metadata"]["user_id"], metric=tokens)
    ask = {**ASK, "model": "claude", "metadata": {"user_id": "maker"}}
    wrapped.messages.create(**ask)
    assert standing(client) == (8 + 7 + 4 + 2, 0)
    assert len(list(wrapped.messages.create(**ask, stream=True))) == 4
    assert standing(client) == (42, 0)
    with wrapped.messages.stream(**ask) as stream:
        assert standing(client)[1] > 0
        assert stream.current_message_snapshot.id == "msg_1"
    assert standing(client) == (63, 0)
    with pytest.raises(ZeroDivisionError), wrapped.messages.stream(**ask):
        _ = 1 / 0
    assert standing(client) == (63, 0)


def test_streams(client: Client, tokens: str, url: str) -> None:
    wrapped = client.wrap(Fake(url), customer="maker", metric=tokens)
    stream = wrapped.chat.completions.create(**ASK, stream=True)
    assert standing(client)[1] > 0
    assert len(list(stream)) == 4
    assert standing(client) == (CHAT_COST, 0)
    with wrapped.chat.completions.create(**ASK, stream=True) as left_early:
        next(left_early)
        next(left_early)
    estimate = estimate_tokens(ASK)
    assert standing(client) == (CHAT_COST + estimate.input * 10 + 2 * 30, 0)
    with pytest.raises(httpx2.TransportError):
        list(wrapped.chat.completions.create(**ASK, stream=True, user="cut"))
    assert standing(client) == (CHAT_COST + estimate.input * 10 + 2 * 30, 0)


def test_errors_release_and_refusals_do_not_call(client: Client, tokens: str, url: str) -> None:
    wrapped = client.wrap(Fake(url), customer="maker", metric=tokens)
    with pytest.raises(httpx2.HTTPStatusError):
        wrapped.chat.completions.create(**ASK, user="broken")
    assert standing(client) == (0, 0)
    with pytest.raises(errors.InsufficientCreditsError):
        wrapped.chat.completions.create(**{**ASK, "max_tokens": 10_000}, user="broken")
    assert standing(client) == (0, 0)
    with pytest.raises(NotMeteredError, match=r"responses\.stream"):
        _ = wrapped.responses.stream
    with pytest.raises(TypeError, match="customer and metric"):
        client.wrap(Fake(url), customer="", metric="tokens")


def test_spent_tokens_are_charged_above_the_estimate(client: Client, tokens: str, url: str) -> None:
    wrapped = client.wrap(Fake(url), customer="maker", metric=tokens, estimate=lambda _: Tokens(1, 1))
    client.credits.withdraw(external_customer_id="maker", credits=9_950)
    wrapped.chat.completions.create(**ASK)
    account = client.credits.get(external_customer_id="maker")
    assert (account.balance, account.reserved_balance) == (50 - CHAT_COST, 0)


def test_a_charge_that_cannot_be_made_is_told(
    client: Client, tokens: str, url: str, tenant: NewTenant
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with Client("key", nowhere, max_retries=0) as lost, pytest.raises(errors.UnreachableError):
        lost.wrap(Fake(url), customer="maker", metric=tokens).chat.completions.create(**ASK)
    with (
        Client("key", nowhere, max_retries=0, on_unavailable="allow") as lost,
        pytest.raises(TokensNotChargedError) as caught,
    ):
        lost.wrap(Fake(url), customer="maker", metric=tokens).chat.completions.create(**ASK)
    assert caught.value.answer.usage.completion_tokens == 7
    assert caught.value.tokens == Tokens(8, 7, 4)
    for event in caught.value.missing:
        client.usage.record(**{name: value for name, value in event.items() if name != "error"})
    assert standing(client) == (CHAT_COST, 0)


def test_async(
    client: Client, tokens: str, url: str, server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner
) -> None:
    async def ask() -> None:
        async with AsyncClient(tenant.test_key, server.base_url) as other:
            wrapped = other.wrap(AsyncFake(url), customer="maker", metric=tokens)
            answer = await wrapped.chat.completions.create(**ASK)
            assert answer.usage.completion_tokens == 7
            stream = await wrapped.chat.completions.create(**ASK, stream=True)
            assert len([event async for event in stream]) == 4
            with pytest.raises(httpx2.HTTPStatusError):
                await wrapped.chat.completions.create(**ASK, user="broken")
            async with await wrapped.chat.completions.create(**ASK, stream=True) as left_early:
                await anext(left_early)

    runner.run(ask())
    assert standing(client) == (2 * CHAT_COST + estimate_tokens(ASK).input * 10 + 30, 0)


def test_litellm(client: Client, tokens: str, runner: asyncio.Runner) -> None:
    with client.recorder() as recorder:
        logger = QuotaStackLogger(recorder, metric=tokens)
        answer = {"id": "chat_1", "usage": CHAT_USAGE}
        call = {"model": "gpt-large", "optional_params": {"user": "maker"}}
        logger.log_success_event(call, answer, None, None)
        runner.run(logger.async_log_success_event(call, answer, None, None))
        with pytest.raises(ValueError, match="whose tokens"):
            logger.log_success_event({"model": "gpt-large"}, answer, None, None)
    assert standing(client) == (CHAT_COST, 0)
