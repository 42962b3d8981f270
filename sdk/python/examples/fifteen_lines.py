# ruff: noqa: D103, E402 - the lines are those of the README.
"""The README's fifteen lines, with the part of the application that they stand in."""


def think(question: str) -> str:
    """What your product does."""
    return f"Forty-two, I think, as to {question}"


from quotastack_client import Client

client = Client()  # QUOTASTACK_API_KEY, QUOTASTACK_BASE_URL


def signed_up(user: str) -> None:
    client.topups.grant(external_customer_id=user, credits=10_000, idempotency_key=f"signup:{user}")


def answer(user: str, question: str) -> str:
    if not client.check_entitlement(user, "words").allowed:
        return "Please top up."
    with client.hold(external_customer_id=user, billable_metric_key="words", estimated_units=8) as hold:
        text = think(question)
        hold.actual_units = len(text.split())
    return text
