"""What schemathesis has to know of the API beyond its schemas; loaded by the name in SCHEMATHESIS_HOOKS.

``positive_data_acceptance`` is switched off: it takes every 400 to a request that fits its schemas for a fault, but
some rules are about two fields at once, about what exists, or about text that no portable pattern describes. The check
below stands in for it: such a request may be refused for a reason of this list only.
"""

import atexit
import json
import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import GenerationMode

ALIASES = ("external_customer_id", "customer_id")
SHORT = 8
NUL_EVERY = 16
WRITES = {"POST", "PUT", "PATCH", "DELETE"}

# Refusals that follow from what the environment holds at the moment.
STATES = {
    "insufficient-credits",
    "idempotency-key-reused",
    "no-active-metering-rule",
    "overage-exceeded",
    "billing-period-closed",
    "amount-overflow",
    "payload-too-large",
}

# Why a request may be refused although it fits the schemas of its parts.
RULES = {
    "the customer is named exactly once, in the query or the body": (
        r"^Name the customer by exactly one of",
        r"is another name of (billable_metric_key|external_customer_id)",
    ),
    "the key stands in the header or in the body": (
        r"^Name the act in the header Idempotency-Key",
        r"idempotency key was used for another request",
        r"^The Idempotency-Key header and the field",
    ),
    "JSON Schema calls 1.0 an integer; a strict reader does not": (
        r"must be an integer( or [a-z ]+)?, not a number with decimals",
        r"must fit into 64 bits",
    ),
    "JSON Schema's date-time knows no range": (r"must be from 2000-01-01 to 2200-01-01",),
    "no control characters in addresses, no NUL in what is stored": (
        r"^The (path|query) holds a control character",
        r"must not hold the character NUL",
        r"^Some values in the body cannot be stored",
    ),
    "a cursor is one that was handed out": (r"^The cursor does not belong to this list",),
    "fields that need each other, or exclude each other": (
        r"[Ee]xactly one of",
        r"^(Give|Name) (credits|either)",
        r"[Ii]s required (with|by)",
        r"^Required for",
        r"^Is for (gauges|meters)",
        r"^(Does not apply|Belongs) to",
        r"^Either expires_after_seconds or",
        r"^Needs overage_policy",
        r"^Only what ends with its cycle",
        r"contradict each other",
        r"not both\.$",
        r"^A [a-z]+ metric (takes|is never counted)",
        r"^A [A-Za-z]+ carries no price",
        r"^The value does not fit a",
        r"^An adjustment moves credits",
    ),
    "instants in order, and on the right side of now": (
        r"must be after",
        r"^Must lie (ahead|in the future)",
        r"^A (period|term) is at most",
        r"^A block expires after",
        r"^A subscription cannot start",
        r"^The (clock ends with|block would expire|timestamp is|ledger knows)",
        r"^Only the past is known",
    ),
    "amounts and sums within bounds": (
        r"would (pass|be beyond) \d+",
        r"(is|are) beyond what can be",
        r"is out of range: ",
        r"^Must be (0 or more|from|an integer.*, within)",
    ),
    "a value is what its metric's type asks for": (
        r"^Must be (a list|a number|an integer|an object|calendar|manual|one of|true or false)",
        r"^Is (not a parameter of|nested deeper|too large|required\.$)",
        r"^(Needs a|A percentage needs|Nothing may follow|Unknown field)",
        r"^Units of a",
        r"metric is never counted",
        r" takes (a value|units)",
        r"^The (reservation|package) is (in|for)",
    ),
    "operations that hold in some states only": (
        r"^A batch has no dry runs",
        r"^A live environment sends",
        r"^Only (active blocks|a change with)",
        r"^Required: neither",
        r"are two different keys",
        r"^Metadata has at most",
    ),
    "tiers in order": (r"[Tt]ier", r"^/tiers"),
    "words of a closed list, and texts with a grammar": (
        r"^There is no such event type",
        r"is no event type, no prefix such as",
        r"is not a scope\.",
        r"^Some event patterns stand for nothing",
        r"^The key cannot be made",
        r"^A secret (is base64|has 16 to 64 bytes)",
        r"^Must have (16 to 255|1 to 255 printable)",
        r"^((A|The) URL |The (host|address) |Must be an http)",
        r"^A dimension is there twice",
        r"^An idempotency key has 1 to 255",
        r"^A fraction is above 0",
        r"^Expected ",
    ),
}


def put_nul(value: Any) -> bool:
    """A NUL into the first text within; generated texts hold one too seldom."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and name not in {"idempotency_key", *ALIASES}:
                value[name] = f"{inner[:3]}\0{inner[3:]}"
                return True
            if put_nul(inner):
                return True
    return isinstance(value, list) and any(put_nul(inner) for inner in value)


def is_positive(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A valid request names its customer once, its act by a key of its own; no schema of a parameter says so."""
    if ord(case.id[1]) % NUL_EVERY == 0 and case.method in WRITES:
        put_nul(case.body)
    if not is_positive(case):
        return
    if all(name in (case.query or {}) for name in ALIASES):
        case.query.pop(ALIASES[ord(case.id[0]) % 2])
    if case.method in WRITES:
        in_body = case.body.pop("idempotency_key", "") if isinstance(case.body, dict) else ""
        in_header = case.headers.get("Idempotency-Key", "")
        # A short key is one that boundary values hit again and again.
        if len(in_header) <= SHORT and len(in_body) > SHORT:
            case.headers.pop("Idempotency-Key", None)
            case.body["idempotency_key"] = in_body
        elif len(in_header) <= SHORT:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())


operations: Counter[str] = Counter()
statuses: Counter[int] = Counter()


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    operations[case.operation.label] += 1
    statuses[response.status_code] += 1


@atexit.register
def write_counts() -> None:
    Path("counts.json").write_text(json.dumps({"operations": operations, "statuses": statuses}))


def reasons(problem: dict[str, Any]) -> list[str]:
    """What a problem says is wrong: each fault, or the whole."""
    return [fault["detail"] for fault in problem.get("errors", ())] or [problem["detail"]]


def is_known(reason: str) -> bool:
    return any(re.search(pattern, reason) for patterns in RULES.values() for pattern in patterns)


@schemathesis.check
def refuses_for_a_reason(ctx: Any, response: Any, case: Any) -> None:
    """What fits the schemas is refused for a rule between its parts only."""
    if not is_positive(case) or response.status_code not in {400, 402, 413, 415, 422}:
        return
    problem = json.loads(response.content)
    if problem["type"].rpartition("/")[2] in STATES:
        return
    unknown = [reason for reason in reasons(problem) if not is_known(reason)]
    assert not unknown, f"refused for no rule of the list: {unknown}"
