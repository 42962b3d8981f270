"""LiteLLM: every successful completion's tokens are recorded in the background.

import litellm
from quotastack_client.ai.litellm import QuotaStackLogger

litellm.callbacks = [QuotaStackLogger(client.recorder(), metric="tokens")]
litellm.completion(model="...", messages=[...], user="user_123")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from quotastack_client.ai.providers import get, openai_tokens
from quotastack_client.recorder import AsyncRecorder, Recorder

if TYPE_CHECKING:
    Logger = object
else:
    try:
        from litellm.integrations.custom_logger import CustomLogger as Logger
    except ImportError:
        Logger = object


def user_of(call: Mapping[str, Any]) -> str | None:
    """The ``user`` of the call, also where LiteLLM's proxy puts it."""
    user = call.get("user") or get(call, "optional_params", "user")
    return user or get(call, "litellm_params", "metadata", "user_api_key_end_user_id")


class QuotaStackLogger(Logger):
    """A LiteLLM callback. A call without a user is an error of yours: it is raised where LiteLLM lets it.

    One answer is one act: its id is part of the keys, so a callback that runs twice charges once.
    """

    def __init__(
        self,
        recorder: Recorder | AsyncRecorder,
        *,
        metric: str,
        customer: Callable[[Mapping[str, Any]], str | None] = user_of,
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._metric = metric
        self._customer = customer

    def log_success_event(
        self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """LiteLLM calls it after each blocking completion."""
        del start_time, end_time
        self._record(kwargs, response_obj)

    async def async_log_success_event(
        self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """LiteLLM calls it after each async completion."""
        del start_time, end_time
        self._record(kwargs, response_obj)

    def _record(self, call: Mapping[str, Any], answer: Any) -> None:
        customer, tokens = self._customer(call), openai_tokens(answer)
        if not customer:
            raise ValueError(
                "whose tokens are these? Pass user= to the completion, or customer= to the logger"
            )
        if tokens is None:
            raise ValueError("the answer does not tell its usage")
        model = str(call.get("model") or get(answer, "model") or "")
        for kind, units in tokens._asdict().items():
            if units:
                self._recorder.record(
                    external_customer_id=customer,
                    billable_metric_key=self._metric,
                    units=units,
                    dimensions={"model": model, "token_type": kind},
                    idempotency_key=f"litellm:{get(answer, 'id')}:{kind}",
                )
