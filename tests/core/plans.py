"""Short forms of plans for tests of subscriptions: variants, templates, and a life subscribed to one."""

from datetime import UTC, datetime
from typing import Any

from tests.core.lives import Life

from quotastack.core.catalog import Contract, EnvironmentConfig, GrantTemplate, Variant
from quotastack.core.customer_state import Subscription
from quotastack.core.draft import replace
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.subscription_views import SubscriptionView
from quotastack.core.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PauseSubscription,
    ReactivateSubscription,
    RenewSubscription,
    ResumeSubscription,
)

LONG_AGO = datetime(2030, 1, 1, tzinfo=UTC)
TRIGGERS: dict[str, Any] = {
    "renew": RenewSubscription,
    "pause": PauseSubscription,
    "resume": ResumeSubscription,
    "cancel": CancelSubscription,
    "reactivate": ReactivateSubscription,
    "change-plan": ChangePlan,
}


def template(credits_mc: int, id_: str = "cycle", **terms: Any) -> GrantTemplate:
    recurrence = terms.setdefault("recurrence", "cycle")
    terms.setdefault("expires_with_cycle", recurrence == "cycle" and "expires_after_seconds" not in terms)
    return GrantTemplate(id=id_, credits=credits_mc, **terms)


def variant(key: str = "month", *templates: GrantTemplate, version: int = 1, **terms: Any) -> Variant:
    contract = terms.pop("contract", None)
    return Variant(
        id=key,
        version=version,
        plan_id=f"plan-{terms.get('family', key)}",
        plan_key=key,
        family=terms.pop("family", key),
        key=key,
        name=key,
        templates=templates,
        contract=None if contract is None else Contract(**contract),
        created_at=LONG_AGO,
        updated_at=terms.pop("updated_at", LONG_AGO),
        **terms,
    )


class Subscriber(Life):
    """A life with plans. The first variant is what ``subscribe`` takes."""

    def __init__(self, *variants: Variant, config: EnvironmentConfig | None = None, **catalog: Any) -> None:
        latest: dict[str, Variant] = {}
        for found in variants:
            if found.id not in latest or latest[found.id].version < found.version:
                latest[found.id] = found
        super().__init__(
            config=config,
            variants={(found.id, found.version): found for found in variants},
            latest_variants=latest,
            **catalog,
        )
        self.first = variants[0].id

    def subscribe(self, variant_id: str | None = None, **more: Any) -> str:
        command = CreateSubscription(plan_variant_id=variant_id or self.first, **more)
        view: SubscriptionView = self.run(command)
        return view.id

    def trigger(self, name: str, subscription_id: str, **more: Any) -> SubscriptionView:
        return self.run(TRIGGERS[name](subscription_id=subscription_id, **more))

    def sub(self, subscription_id: str) -> Subscription:
        live = self.draft.subscriptions.get(subscription_id)
        return live or self.draft.extra["subscription", subscription_id]

    def publish(self, newer: Variant) -> None:
        """Add a version to the catalog."""
        known = {**self.catalog.variants, (newer.id, newer.version): newer}
        latest = {**self.catalog.latest_variants, newer.id: newer}
        self.catalog = replace(self.catalog, variants=known, latest_variants=latest)

    def to(self, at: datetime) -> None:
        self.now = at
        self.catch_up()

    def kinds(self) -> list[str]:
        """Types of the subscription's and contract's events, in order."""
        return [
            event.type.removeprefix("subscription.")
            for event in self.events
            if event.type.startswith(("subscription.", "contract."))
        ]
