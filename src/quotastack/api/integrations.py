"""Integrations: webhooks of payment providers, pointed at this server."""

from __future__ import annotations

from typing import Final

from quotastack.api.routing import Request, Response, Route
from quotastack.core.ids import EnvironmentId
from quotastack.services.stripe import StripeResult, take_stripe_event


async def post_stripe_event(request: Request) -> Response:
    """What came of the event."""
    result = await take_stripe_event(
        request.app,
        EnvironmentId(request.params["environment_id"]),
        body=request.raw_body,
        signature=request.headers.get(b"stripe-signature", b"").decode("latin-1"),
        request_id=request.request_id,
    )
    return Response(200, result)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/integrations/stripe/webhook/{environment_id}",
        handler=post_stripe_event,
        scope=None,
        tag="Topups",
        summary="Take an event of Stripe",
        description=(
            "Authenticated by Stripe's signature; off (404) until `stripe_webhook_secret` is set in the config. "
            "`checkout.session.completed` and `invoice.paid` grant or renew by their metadata, `charge.refunded` takes "
            "the difference back, `charge.dispute.created` suspends the account. Other events are ignored. The "
            "event's id is the idempotency key."
        ),
        answers={200: StripeResult},
        errors=("authentication-required", "not-found", "customer-not-found"),
        reads="raw",
    ),
)
