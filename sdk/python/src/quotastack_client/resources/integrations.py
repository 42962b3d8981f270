"""``client.integrations``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from typing import Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, seg
from quotastack_client.transport import AsyncResource, Resource


class Integrations(Resource):
    """``client.integrations``."""

    def send_stripe_event(
        self, environment_id: str, *, payload: bytes, stripe_signature: str, **options: Unpack[CallOptions]
    ) -> models.StripeResult:
        """Take an event of Stripe.

        Authenticated by Stripe's signature; off (404) until `stripe_webhook_secret` is set in the
        config. `checkout.session.completed` and `invoice.paid` grant or renew by their metadata,
        `charge.refunded` takes the difference back, `charge.dispute.created` suspends the account.
        Other events are ignored. The event's id is the idempotency key.
        """
        return self._send(
            "POST",
            f"/v1/integrations/stripe/webhook/{seg(environment_id)}",
            models.StripeResult,
            content=payload,
            headers={"Stripe-Signature": stripe_signature},
            options=options,
        )


class AsyncIntegrations(AsyncResource):
    """``client.integrations``."""

    async def send_stripe_event(
        self, environment_id: str, *, payload: bytes, stripe_signature: str, **options: Unpack[CallOptions]
    ) -> models.StripeResult:
        """Take an event of Stripe.

        Authenticated by Stripe's signature; off (404) until `stripe_webhook_secret` is set in the
        config. `checkout.session.completed` and `invoice.paid` grant or renew by their metadata,
        `charge.refunded` takes the difference back, `charge.dispute.created` suspends the account.
        Other events are ignored. The event's id is the idempotency key.
        """
        return await self._send(
            "POST",
            f"/v1/integrations/stripe/webhook/{seg(environment_id)}",
            models.StripeResult,
            content=payload,
            headers={"Stripe-Signature": stripe_signature},
            options=options,
        )
