"""Where the providers say how many tokens a call took; read by name, so that neither library is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from quotastack_client.ai.metered import Tokens

TEXT_EVENTS: Final = {"content_block_delta", "response.output_text.delta"}


def get(value: Any, *names: str) -> Any:
    """The member behind the names, of objects and of dictionaries; None where one is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if value is None:
            return None
    return value


def openai_tokens(answer: Any) -> Tokens | None:
    """Of chat completions, responses and embeddings: cached tokens are part of the input there."""
    usage = get(answer, "usage")
    if usage is None:
        return None
    asked = get(usage, "prompt_tokens")
    if asked is None:
        asked = get(usage, "input_tokens")
    if asked is None:
        return None
    cached = get(usage, "prompt_tokens_details", "cached_tokens") or get(
        usage, "input_tokens_details", "cached_tokens"
    )
    answered = get(usage, "completion_tokens") or get(usage, "output_tokens") or 0
    return Tokens(asked - (cached or 0), answered, cached or 0)


def anthropic_tokens(answer: Any) -> Tokens | None:
    """Of messages: cached tokens are beside the input there."""
    usage = get(answer, "usage")
    if usage is None:
        return None
    return Tokens(
        get(usage, "input_tokens") or 0,
        get(usage, "output_tokens") or 0,
        get(usage, "cache_read_input_tokens") or 0,
        get(usage, "cache_creation_input_tokens") or 0,
    )


class Tally:
    """What a stream has told so far."""

    def __init__(self, estimate: Tokens) -> None:
        self.tokens: Tokens | None = None
        self._estimate = estimate
        self._pieces = 0

    def observe(self, event: Any) -> None:
        """One event of any of the providers' streams."""
        if get(event, "type") in TEXT_EVENTS or get(event, "choices"):
            self._pieces += 1
        started, finished = get(event, "message"), get(event, "response")
        if get(event, "type") == "message_start" and started is not None:
            self.tokens = anthropic_tokens(started)
        elif get(event, "type") == "message_delta" and self.tokens is not None:
            self.tokens = self.tokens._replace(
                output=get(event, "usage", "output_tokens") or self.tokens.output
            )
        elif finished is not None and get(finished, "usage") is not None:
            self.tokens = openai_tokens(finished)
        elif get(event, "choices") is not None and get(event, "usage") is not None:
            self.tokens = openai_tokens(event)

    @property
    def partial(self) -> Tokens:
        """Of a stream that was left early: what was told, at least a token for each piece that came."""
        known = self.tokens or Tokens(self._estimate.input)
        return known._replace(output=max(known.output, self._pieces))


def with_usage_in_stream(request: dict[str, Any]) -> dict[str, Any]:
    """Chat completions tell a stream's usage only when asked to."""
    if not request.get("stream"):
        return request
    return {**request, "stream_options": {**(request.get("stream_options") or {}), "include_usage": True}}


def unchanged(request: dict[str, Any]) -> dict[str, Any]:
    """The request as it is."""
    return request


class Metered(NamedTuple):
    """How one method of a provider's client is metered."""

    tokens_of: Callable[[Any], Tokens | None]
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
    has_output: bool = True
    is_managed_stream: bool = False


METERED: Final[dict[tuple[str, ...], Metered]] = {
    ("chat", "completions", "create"): Metered(openai_tokens, with_usage_in_stream),
    ("chat", "completions", "parse"): Metered(openai_tokens),
    ("completions", "create"): Metered(openai_tokens, with_usage_in_stream),
    ("responses", "create"): Metered(openai_tokens),
    ("responses", "parse"): Metered(openai_tokens),
    ("embeddings", "create"): Metered(openai_tokens, has_output=False),
    ("messages", "create"): Metered(anthropic_tokens),
    ("messages", "stream"): Metered(anthropic_tokens, is_managed_stream=True),
}
PREFIXES: Final = {path[:length] for path in METERED for length in range(1, len(path))}
# These spend too, in forms that are not read: better an error than a gift.
REFUSED: Final = {
    "beta",
    "batches",
    "images",
    "audio",
    "realtime",
    "with_raw_response",
    "with_streaming_response",
    ("chat", "completions", "stream"),
    ("responses", "stream"),
    ("messages", "parse"),
}
COPIES: Final = {"with_options", "copy"}
