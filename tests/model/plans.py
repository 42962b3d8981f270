"""Random plan variants for the reference model."""

from random import Random

from tests.model.reference import Row


def random_variant(random: Random, number: int) -> Row:
    """A variant of the one plan: the first two are plain and postpaid, so that a change between them is decided."""
    plain = number < 2
    billing_mode = "postpaid" if plain or random.random() < 0.4 else "prepaid"
    variant: Row = {
        "id": f"variant_{number}",
        "billing_mode": billing_mode,
        "lists": random.random() < 0.6,
        "interval": "month" if plain else random.choice(["day", "week", "month", "year"]),
        "renewal_due_days": 3,
        "grace_period_days": random.choice([1, 3]),
        "templates": [_cycle(random, number, plain=plain)],
    }
    if plain:
        return variant
    if random.random() < 0.15:
        variant["trial_days"] = random.choice([1, 10])
    elif random.random() < 0.3:
        variant["templates"].append(_extra(random, number))
    return variant


def _cycle(random: Random, number: int, *, plain: bool) -> Row:
    template: Row = {
        "id": f"cycle_{number}",
        "unit": "credits",
        "recurrence": "cycle",
        "credits": random.choice([1_000, 3_001, 20_000]) + number,
        "priority": random.choice([0, 10]),
    }
    if plain:
        return template
    chance = random.random()
    if chance < 0.5:
        template["rollover_percentage"] = random.choice([33, 50, 100])
        if random.random() < 0.4:
            template["rollover_max"] = 1_500
    elif chance < 0.6:
        template["expires_after_seconds"] = 45 * 86_400
    if random.random() < 0.3:
        template["accumulation_cap"] = template["credits"] + 700
    return template


def _extra(random: Random, number: int) -> Row:
    template: Row = {"id": f"extra_{number}", "unit": "credits", "credits": 333 + number, "priority": 20}
    if random.random() < 0.5:
        return {**template, "recurrence": "activation"}
    return {**template, "recurrence": "interval", "interval_seconds": random.choice([6 * 3_600, 5 * 86_400])}
