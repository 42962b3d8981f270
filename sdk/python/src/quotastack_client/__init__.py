"""QuotaStack's client for Python: check, hold, charge.

from quotastack_client import Client

client = Client()  # QUOTASTACK_API_KEY, QUOTASTACK_BASE_URL
if client.check_entitlement("user_123", "api_calls").allowed:
client.record_usage("user_123", feature_key="api_calls", units=1, idempotency_key="req_1")
"""

from quotastack_client import errors, models
from quotastack_client.availability import OnUnavailable
from quotastack_client.client import AsyncClient, Client
from quotastack_client.errors import ProblemError, QuotaStackError
from quotastack_client.recorder import AsyncRecorder, BufferFullError, Recorder, UsageNotRecordedError
from quotastack_client.transport import VERSION
from quotastack_client.webhooks import WebhookError, verify

__version__ = VERSION

__all__ = [
    "AsyncClient",
    "AsyncRecorder",
    "BufferFullError",
    "Client",
    "OnUnavailable",
    "ProblemError",
    "QuotaStackError",
    "Recorder",
    "UsageNotRecordedError",
    "WebhookError",
    "__version__",
    "errors",
    "models",
    "verify",
]
