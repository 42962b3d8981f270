"""Stripe's own webhook: payments, refunds and disputes, as they concern credits.

Off until the environment's configuration has the endpoint's secret. Stripe's event id is the
idempotency key, so an event that comes again does nothing again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quotastack.core.commands import Command
from quotastack.core.credits import SetAccountStatus
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import (
    AuthenticationRequiredError,
    ConflictError,
    MalformedRequestError,
    NotFoundError,
    SubscriptionStateConflictError,
    ValidationFailedError,
)
from quotastack.core.idempotency import IdempotencyKey, make_idempotency_key
from quotastack.core.ids import EnvironmentId
from quotastack.core.stripe import (
    GrantAct,
    RenewAct,
    StripeAct,
    StripeEvent,
    SuspendAct,
    TakeBackAct,
    is_signed,
    plan_act,
)
from quotastack.core.subscriptions import RenewSubscription
from quotastack.core.topups import RefundTopup
from quotastack.engine.environments import UnknownEnvironmentError
from quotastack.runtime.clock import unix_seconds
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.commands import submit_command
from quotastack.services.container import Services
from quotastack.store.environments import select_config
from quotastack.store.subscriptions import select_subscription_owner
from quotastack.store.topups import PaidBlock, select_paid_block

SETTING = "stripe_webhook_secret_sealed"


class StripeResult(msgspec.Struct, frozen=True):
    """What came of an event: ``granted``, ``renewed``, ``refunded``, ``suspended`` or ``ignored``."""

    result: str
    detail: str = ""


_decode_event = msgspec.json.Decoder(StripeEvent).decode


def secret_purpose(environment_id: str) -> str:
    """What the secret is sealed for: in another environment it cannot be opened."""
    return f"stripe webhook secret {environment_id}"


async def take_stripe_event(
    services: Services, environment_id: EnvironmentId, *, body: bytes, signature: str, request_id: str
) -> StripeResult:
    """Do what a signed event asks for. What was done before, or is not for us, is answered as ignored.

    Raises:
        NotFoundError: no such environment, or no secret is configured in it.
        AuthenticationRequiredError: the signature does not verify or is older than five minutes.
        MalformedRequestError: signed, but no event.
        ValidationFailedError: an event of the other mode, or metadata that cannot be read.
        ProblemError: the refusals of the grant, so that Stripe tries again and shows them.
    """
    caller = await _authenticate(
        services, environment_id, body=body, signature=signature, request_id=request_id
    )
    try:
        event = _decode_event(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedRequestError("The body is no Stripe event.") from None
    if event.livemode != (caller.environment == "live"):
        raise ValidationFailedError.at("/livemode", "Live events go to live environments, others to test.")
    act = plan_act(event)
    if act is None:
        return StripeResult("ignored", "Nothing in the event concerns credits.")
    key = make_idempotency_key(event.id, method="POST", path="stripe", body={"id": event.id})
    try:
        return await _carry_out(services, caller, act, key)
    except (ConflictError, SubscriptionStateConflictError) as refusal:
        return StripeResult("ignored", refusal.detail)


async def _authenticate(
    services: Services, environment_id: EnvironmentId, *, body: bytes, signature: str, request_id: str
) -> Caller:
    try:
        environment = await services.environments.get(environment_id)
    except UnknownEnvironmentError:
        raise NotFoundError("There is no such integration.") from None
    async with environment_transaction(services.database.reads, environment_id, read_only=True) as tx:
        config = await select_config(tx, environment_id)
    sealed = config.get(SETTING)
    if sealed is None:
        raise NotFoundError("There is no such integration.")
    purpose = secret_purpose(environment_id)
    secret = services.secret.unseal(bytes.fromhex(sealed), purpose=purpose).decode()
    if not is_signed(secret, signature, body, now_seconds=unix_seconds()):
        raise AuthenticationRequiredError("The Stripe-Signature header does not verify.")
    known: Any = environment
    return Caller(
        environment_id=environment_id,
        tenant_id=known.tenant_id,
        environment=known.environment,
        key_id=None,
        actor="stripe",
        scopes=frozenset(),
        request_id=request_id,
    )


async def _carry_out(services: Services, caller: Caller, act: StripeAct, key: IdempotencyKey) -> StripeResult:
    if isinstance(act, GrantAct):
        await submit_command(services, caller, act.customer, act.topup, key=key, creates_customer=True)
        return StripeResult("granted")
    if isinstance(act, RenewAct):
        return await _renew(services, caller, act, key)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        paid = await select_paid_block(tx, act.payment_ids)
    if paid is None:
        return StripeResult("ignored", "No block was granted for this payment.")
    command, result = _after_payment(act, paid)
    await submit_command(services, caller, CustomerRef.by_id(paid.customer_id), command, key=key)
    return StripeResult(result)


def _after_payment(act: TakeBackAct | SuspendAct, paid: PaidBlock) -> tuple[Command, str]:
    if isinstance(act, SuspendAct):
        return SetAccountStatus(unit=paid.unit, is_suspended=True), "suspended"
    refund = RefundTopup(block_id=paid.block_id, fraction=act.fraction, reason="refunded by Stripe")
    return refund, "refunded"


async def _renew(services: Services, caller: Caller, act: RenewAct, key: IdempotencyKey) -> StripeResult:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        owner = await select_subscription_owner(
            tx, caller.environment_id, subscription_id=act.subscription_id
        )
    if owner is None:
        raise NotFoundError("There is no such subscription.")
    command = RenewSubscription(subscription_id=act.subscription_id)
    await submit_command(services, caller, CustomerRef.by_id(owner), command, key=key)
    return StripeResult("renewed")
