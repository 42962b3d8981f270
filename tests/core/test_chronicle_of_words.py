"""What is told of values, addresses, metrics, rules, plans and events, whole: each fault with place and words."""

from datetime import UTC, datetime
from typing import Any

from tests.core.chronicle import Chronicle, metric, plain, rule
from tests.core.lives import START
from tests.core.plans import template, variant

from quotastack.core.amounts import AMOUNT_MAX, read_units, units_on_the_wire
from quotastack.core.catalog import Package
from quotastack.core.derived_ids import derived_id
from quotastack.core.envelopes import encode_envelope, make_envelope
from quotastack.core.errors import ProblemError
from quotastack.core.event_patterns import check_patterns
from quotastack.core.idempotency import make_idempotency_key, read_key_text
from quotastack.core.metering_terms import metric_faults, view_metric, view_rule
from quotastack.core.plan_views import view_entitlement, view_variant
from quotastack.core.signing import read_secret, show_secret, sign_payload
from quotastack.core.topup_views import view_package
from quotastack.core.value_faults import value_faults
from quotastack.core.webhook_urls import check_url

NORMAL = {"up_to": None, "level": "Normal", "policy": "NotifyOnly"}
KINDS = {
    "metered": metric("metered", scale=1),
    "up_down": metric("up_down", type="gauge", aggregation="UpDownCounter"),
    "gauge": metric("gauge", type="gauge", aggregation="Gauge"),
    "total": metric("total", aggregation="TotalCounter"),
    "boolean": metric("boolean", type="boolean", aggregation=None),
    "static": metric("static", type="static", aggregation=None),
}


def tiers(*found: Any, **more: Any) -> dict[str, Any]:
    return {"quota": {"period": "month", "tiers": list(found), **more}}


def first(**tier: Any) -> dict[str, Any]:
    return tiers({"up_to": 5, "level": "Warning", "policy": "NotifyOnly", **tier}, NORMAL)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]} if levels % 2 else {"a": value}
    return value


VALUES: list[Any] = [
    None,
    {},
    {"enabled": True},
    {"enabled": 1},
    {"enabled": False, "cap": 1},
    {"cap": 3},
    {"cap": -1},
    {"cap": "x"},
    {"cap": 3, "quota": {}},
    {"config": None},
    {"config": {}},
    {"config": []},
    {"config": deep(31)},
    {"config": deep(32)},
    {"config": deep(33)},
    {"other/~": 1},
    {"quota": []},
    {"quota": {}},
    {"quota": {"period": "hour", "tiers": []}},
    tiers(),
    tiers(*[NORMAL] * 51),
    tiers(NORMAL),
    tiers(NORMAL, alignment="anniversary"),
    tiers(NORMAL, alignment="x"),
    tiers(NORMAL, allowance=0),
    tiers(NORMAL, allowance=1),
    tiers(NORMAL, allowance="0.1"),
    tiers(NORMAL, more=1),
    tiers(1),
    tiers({}),
    tiers({"up_to": 1, **{k: v for k, v in NORMAL.items() if k != "up_to"}}),
    tiers(NORMAL, NORMAL),
    first(up_to=0),
    first(up_to=-1),
    first(up_to="0.5"),
    first(up_to="0.55"),
    first(up_to={}),
    first(up_to={"percent": 50}),
    tiers(
        {"up_to": {"percent": 50, "x": 1}, "level": "Normal", "policy": "NotifyOnly"}, NORMAL, allowance=10
    ),
    tiers({"up_to": {"percent": True}, "level": "Normal", "policy": "NotifyOnly"}, NORMAL, allowance=10),
    tiers({"up_to": {"percent": "33.3"}, "level": "Normal", "policy": "NotifyOnly"}, NORMAL, allowance=10),
    tiers(
        {"up_to": {"percent": 10**6}, "level": "Normal", "policy": "NotifyOnly"},
        NORMAL,
        allowance=AMOUNT_MAX // 10,
    ),
    tiers({"up_to": {"percent": 10**6 + 1}, "level": "Normal", "policy": "NotifyOnly"}, NORMAL, allowance=10),
    tiers({"up_to": {"percent": 50}, "level": "Normal", "policy": "NotifyOnly"}, NORMAL, allowance="x"),
    tiers(
        {"up_to": 5, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": 5, "level": "Warning", "policy": "Deny"},
        NORMAL,
    ),
    first(level="normal"),
    first(policy="Allow"),
    first(policy="Deny"),
    first(policy="SuspendUsage", resume="later"),
    first(policy="SuspendUsage", resume="manual"),
    first(policy="AllowWithGrace"),
    first(policy="AllowWithGrace", grace_units=1),
    tiers(
        {"up_to": 5, "level": "Warning", "policy": "AllowWithGrace", "grace_units": 0},
        {**NORMAL, "policy": "Deny"},
    ),
    tiers(
        {"up_to": 5, "level": "Warning", "policy": "AllowWithGrace", "grace_units": -1},
        {**NORMAL, "policy": "Deny"},
    ),
    tiers(
        {"up_to": 5, "level": "Warning", "policy": "AllowWithGrace", "grace_seconds": 1},
        {**NORMAL, "policy": "SuspendUsage"},
    ),
    tiers(
        {"up_to": 5, "level": "Warning", "policy": "AllowWithGrace", "grace_seconds": 0},
        {**NORMAL, "policy": "SuspendUsage"},
    ),
    tiers(
        {
            "up_to": 5,
            "level": "Warning",
            "policy": "AllowWithGrace",
            "grace_seconds": 366 * 86_400 + 1,
            "grace_units": 1,
        },
        NORMAL,
    ),
    first(grace_units=1, grace_seconds=1, rate={}, resume="manual"),
    first(policy="RateLimit"),
    first(policy="RateLimit", rate={}),
    first(policy="RateLimit", rate={"units": 1, "seconds": 1, "burst": 1}),
    first(policy="RateLimit", rate={"units": 0, "seconds": 0, "burst": 0, "x": 1}),
    first(policy="RateLimit", rate={"units": 1, "seconds": 366 * 86_400 + 1}),
    first(unit_cost=1),
    first(unit_cost=-1),
    first(per_units=1),
    first(unit_cost=1, per_units=0),
    first(base_cost=AMOUNT_MAX),
    first(base_cost=AMOUNT_MAX + 1),
    first(unit_cost=True),
]

URLS = [
    "",
    "https://a.example/x?y=1",
    "http://a.example:80",
    "https://a.example:0/",
    "https://a.example:99999/",
    "ftp://a.example",
    "https:///x",
    "https://u:p@a.example",
    "https://a.example/#",
    "https://a.example/#x",
    "https://a b",
    "https://a.example\\x",
    "https://-a.example",
    "https://a-.example",
    "https://a..example",
    "https://[::1]/",
    "https://[::1/",
    "https://bücher.example.",
    "https://a_b.example",
    "https://ex!mple",
    "https://" + "a" * 64 + ".example",
    "https://a.example/" + "x" * 2_030,
    "https://a.example/" + "x" * 2_031,
    "https://a.example/" + "x" * 4_100,
    "https://" + ".".join(["a" * 60] * 5),
    "HTTPS://A.EXAMPLE",
    "a.example",
    "https://a.example/\n",
]
KEYS = [
    "a",
    '"a"',
    '"a\\"b"',
    '"',
    '""',
    '"a',
    "a b",
    "a" * 255,
    "a" * 256,
    '"' + "a" * 256 + '"',
    "ä",
    "\x7f",
    "",
    " ",
    'a"b',
]
PATTERNS: list[list[str]] = [
    ["*"],
    ["credit.*"],
    ["credit.granted"],
    ["credit.gone"],
    [""],
    ["**"],
    [],
    ["usage.*", "usage.*"],
    ["credit"],
]
SECRETS = [
    "whsec_" + "YQ==" * 8,
    "whsec_" + "QUFB" * 8,
    "whsec_" + "QUFB" * 22,
    "QUFB" * 8,
    "whsec_",
    "whsec_!",
    "whsec_" + "QUFB" * 21 + "QQ==",
]
UNITS: list[Any] = [
    0,
    -1,
    5,
    "5",
    "5.0",
    "0.5",
    "-0.5",
    "1.25",
    "",
    "x",
    "1e3",
    True,
    1.5,
    None,
    AMOUNT_MAX,
    AMOUNT_MAX + 1,
    f"{AMOUNT_MAX}",
    "+1",
    " 1",
    "01",
]


def told(ask: Any) -> Any:
    try:
        return plain(ask())
    except ProblemError as refusal:
        return [refusal.slug, refusal.detail, plain(refusal.errors), plain(refusal.extra)]


def words() -> Chronicle:
    life = Chronicle(variant("free", template(1)))
    for kind, found in KINDS.items():
        for value in VALUES:
            shown = repr(value) if len(repr(value)) < 200 else repr(value)[:200]
            life.look(f"{kind} {shown}", value_faults(found, value, pointer="/v"))
    for url in URLS:
        life.look(url[:80], told(lambda url=url: check_url(url, pointer="/url")))
    for key in KEYS:
        life.look(key[:40], told(lambda key=key: read_key_text(key, pointer="/key")))
    for patterns in PATTERNS:
        life.look(str(patterns), told(lambda patterns=patterns: check_patterns(patterns, pointer="/events")))
    for text in SECRETS:
        life.look(text[:12], told(lambda text=text: show_secret(read_secret(text, pointer="/secret"))))
    for units in UNITS:
        life.look(repr(units), [read_units(units, scale) for scale in (0, 1, 6)])
    life.look(
        "wire", [units_on_the_wire(units, scale) for units in (0, 5, -5, 123_456, -7) for scale in (0, 1, 3)]
    )
    for found in KINDS.values():
        life.look(found.key, view_metric(found))
        for aggregation in ("CumulativeCounter", "Gauge", None):
            odd = metric(
                "odd", type=found.type, aggregation=aggregation, scale=2, description="d", default_value={}
            )
            life.look(f"{found.key} {aggregation}", metric_faults(odd))
            life.look("as", view_metric(odd))
    steps = ({"up_to": 15, "unit_cost": 2, "flat_cost": 3}, {"up_to": None, "per_units": 7})
    priced = [
        rule("a", "m", unit_cost=3, per_units=2, overage_policy="allow", overage_limit=9, match={"x": "y"}),
        rule("b", "m", cost_type="flat", flat_cost=4, active_to=START, rounding="down"),
        rule("c", "m", tiers=steps, tier_mode="volume", tier_scope="event"),
    ]
    for one in priced:
        life.look(one.id, view_rule(one, scale=1))
    contract = {"term_interval": "year", "term_count": 2, "auto_renew": False}
    grants = (
        template(5, rollover_percentage=10, metadata={"a": 1}),
        template(9, "i", recurrence="interval", interval_seconds=60),
    )
    plan = variant(
        "v",
        *grants,
        contract=contract,
        price=5,
        currency="EUR",
        rank=1,
        entitlements={"m": {"enabled": True}},
        metadata={"b": 2},
    )
    life.look("variant", view_variant(plan))
    life.look("bare variant", view_variant(variant("w")))
    life.look("entitlement", view_entitlement(plan, "m"))
    package = Package(id="p", name="P", credits=5, created_at=START, updated_at=START)
    life.look("package", view_package(package))
    full = Package(
        id="p",
        name="P",
        description="d",
        credits=5,
        price=1,
        currency="EUR",
        bonus_credits=2,
        expires_after_seconds=3,
        metadata={"a": 1},
        created_at=START,
        updated_at=START,
    )
    life.look("full package", view_package(full))
    for at in (
        START,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ):
        life.look("id", [derived_id(at, "ab", "c"), derived_id(at, "a", "bc"), derived_id(at)])
    life.look("signature", sign_payload(b"secret", "msg_1", 1_700_000_000, b"{}"))
    named = make_idempotency_key(
        "k", method="POST", path="/v1/x", body={"b": 1, "a": [1, {"z": None}], "idempotency_key": "k"}
    )
    other = make_idempotency_key("k", method="PUT", path="/v1/x", body=None)
    life.look("keys", [named.digest, named.fingerprint, other.digest, other.fingerprint])
    for format_ in ("standard", "cloudevents"):
        for who in ("customer", None):
            envelope = make_envelope(
                event_id="evt",
                type_="credit.granted",
                environment="test",
                tenant_id="tenant",
                created_at=START,
                sequence=7,
                customer_id=who,
                external_customer_id=who and "user",
                request_id=who and "req",
                data={"amount": 5},
            )
            life.look(f"{format_} {who}", encode_envelope(envelope, format_).decode())
    return life


def test_everything_is_told_as_approved() -> None:
    words().compare("words")
