"""The resources of both clients. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from quotastack_client.resources.analytics import Analytics, AsyncAnalytics
from quotastack_client.resources.api_keys import ApiKeys, AsyncApiKeys
from quotastack_client.resources.assets import Assets, AsyncAssets
from quotastack_client.resources.audit_log import AsyncAuditLog, AuditLog
from quotastack_client.resources.credits import AsyncCredits, Credits
from quotastack_client.resources.customers import AsyncCustomers, Customers
from quotastack_client.resources.entitlements import AsyncEntitlements, Entitlements
from quotastack_client.resources.events import AsyncEvents, Events
from quotastack_client.resources.integrations import AsyncIntegrations, Integrations
from quotastack_client.resources.ledger import AsyncLedger, Ledger
from quotastack_client.resources.metrics import AsyncMetrics, Metrics
from quotastack_client.resources.packages import AsyncPackages, Packages
from quotastack_client.resources.plans import AsyncPlans, Plans
from quotastack_client.resources.reservations import AsyncReservations, Reservations
from quotastack_client.resources.rules import AsyncRules, Rules
from quotastack_client.resources.server import AsyncServer, Server
from quotastack_client.resources.subscriptions import AsyncSubscriptions, Subscriptions
from quotastack_client.resources.tenants import AsyncTenants, Tenants
from quotastack_client.resources.test_clock import AsyncTestClock, TestClock
from quotastack_client.resources.topups import AsyncTopups, Topups
from quotastack_client.resources.usage import AsyncUsage, Usage
from quotastack_client.resources.webhooks import AsyncWebhooks, Webhooks
from quotastack_client.transport import AsyncTransport, Transport


class Resources:
    """One attribute for each resource."""

    def __init__(self, transport: Transport) -> None:
        self.server = Server(transport)
        self.customers = Customers(transport)
        self.credits = Credits(transport)
        self.topups = Topups(transport)
        self.packages = Packages(transport)
        self.metrics = Metrics(transport)
        self.rules = Rules(transport)
        self.usage = Usage(transport)
        self.entitlements = Entitlements(transport)
        self.reservations = Reservations(transport)
        self.assets = Assets(transport)
        self.plans = Plans(transport)
        self.subscriptions = Subscriptions(transport)
        self.webhooks = Webhooks(transport)
        self.events = Events(transport)
        self.test_clock = TestClock(transport)
        self.ledger = Ledger(transport)
        self.analytics = Analytics(transport)
        self.audit_log = AuditLog(transport)
        self.tenants = Tenants(transport)
        self.api_keys = ApiKeys(transport)
        self.integrations = Integrations(transport)


class AsyncResources:
    """One attribute for each resource."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.server = AsyncServer(transport)
        self.customers = AsyncCustomers(transport)
        self.credits = AsyncCredits(transport)
        self.topups = AsyncTopups(transport)
        self.packages = AsyncPackages(transport)
        self.metrics = AsyncMetrics(transport)
        self.rules = AsyncRules(transport)
        self.usage = AsyncUsage(transport)
        self.entitlements = AsyncEntitlements(transport)
        self.reservations = AsyncReservations(transport)
        self.assets = AsyncAssets(transport)
        self.plans = AsyncPlans(transport)
        self.subscriptions = AsyncSubscriptions(transport)
        self.webhooks = AsyncWebhooks(transport)
        self.events = AsyncEvents(transport)
        self.test_clock = AsyncTestClock(transport)
        self.ledger = AsyncLedger(transport)
        self.analytics = AsyncAnalytics(transport)
        self.audit_log = AsyncAuditLog(transport)
        self.tenants = AsyncTenants(transport)
        self.api_keys = AsyncApiKeys(transport)
        self.integrations = AsyncIntegrations(transport)


__all__ = ["AsyncResources", "Resources"]
