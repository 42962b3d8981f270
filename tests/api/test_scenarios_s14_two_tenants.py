"""S14 Two tenants: with another's key, what is yours does not exist.

The answer to a foreign id must not differ from the answer to an id that nobody has. The table of
operations is held against the server's own OpenAPI document, so that a new endpoint needs a row.
"""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from tests.api import tenant_world as world
from tests.api.stories import Json, Story, answer


def call(api: Any, verb: str, path: str, body: Json | None) -> Any:
    if verb == "GET":
        return api.get(path)
    if verb == "DELETE":
        return api.delete(path)
    return getattr(api, verb.lower())(path, body)


def plain(response: Any, ids: dict[str, str]) -> str:
    """Status and body without the request's own id and without the ids that were asked for."""
    body = response.json
    if isinstance(body, dict):
        body.pop("request_id", None)
    text = json.dumps(body, sort_keys=True)
    for name in sorted(ids, key=lambda name: -len(ids[name])):
        for form in {ids[name], quote(ids[name], safe=""), quote(ids[name])}:
            text = text.replace(form, f"<{name}>")
    text = re.sub(r'"request_id": "[^"]*"', '"request_id": ""', text)
    return f"{response.status} {text}"


@pytest.fixture
def mine(story: Story) -> dict[str, str]:
    return world.build(story)


def strangers(story: Story, other_tenant: Any) -> list[Any]:
    """Clients that must not see the story's environment: another tenant's, and the own live one."""
    return [
        story.api.with_key(key)
        for key in (other_tenant.test_key, other_tenant.live_key, story.tenant.live_key)
    ]


def test_s14_foreign_ids_in_paths(story: Story, other_tenant: Any, mine: dict[str, str]) -> None:
    before = story.account(mine["customer"], include_blocks="true")
    unknown = world.nobody(mine)
    told: list[str] = []
    *others, own_live = strangers(story, other_tenant)
    for stranger in (*others, own_live):
        for verb, path, body in world.OPERATIONS:
            if "{tenant}" in path and stranger is own_live:
                continue  # The tenant's live key may read and change its own live settings.
            answers = [
                plain(
                    call(
                        stranger,
                        verb,
                        world.filled(path, ids, lambda text: quote(text, safe="")),
                        world.filled(body, ids),
                    ),
                    ids,
                )
                for ids in (mine, unknown)
            ]
            if answers[0] != answers[1] or not answers[0].startswith("404"):
                told.append(f"{verb} {path}\n  foreign {answers[0]}\n  unknown {answers[1]}")
    assert not told, "\n".join(told)
    assert story.account(mine["customer"], include_blocks="true") == before
    story.verify(mine["customer"])


def test_s14_foreign_ids_in_bodies(story: Story, other_tenant: Any, mine: dict[str, str]) -> None:
    before = story.account(mine["customer"], include_blocks="true")
    unknown = world.nobody(mine)
    told: list[str] = []
    for stranger in strangers(story, other_tenant):
        own = Story(stranger).customer("own-customer")
        for path, body in world.BODIES:
            answers = []
            for ids in ({**mine, "mine": own}, {**unknown, "mine": own}):
                response = stranger.post(path, world.filled(body, ids))
                answers.append(plain(response, ids))
            if answers[0] != answers[1] or answers[0].startswith(("201", "500")):
                told.append(f"POST {path} {body}\n  foreign {answers[0]}\n  unknown {answers[1]}")
    assert not told, "\n".join(told)
    assert story.account(mine["customer"], include_blocks="true") == before
    story.verify(mine["customer"])


def test_s14_lists_show_nothing_foreign(story: Story, other_tenant: Any, mine: dict[str, str]) -> None:
    unknown = world.nobody(mine)
    told: list[str] = []
    secret = [*mine.values(), world.PROBE]
    for stranger in strangers(story, other_tenant):
        for path, query in world.LISTS:
            foreign = stranger.get(path, **world.filled(query, mine))
            nobodys = stranger.get(path, **world.filled(query, unknown))
            asked = plain(foreign, mine if query else {})
            if foreign.status >= 500 or asked != plain(nobodys, unknown if query else {}):
                told.append(f"GET {path} {query}\n  foreign {asked}")
            elif not query:
                own_tenant = story.tenant.tenant_id
                leaks = [text for text in secret if text in asked and text != own_tenant]
                told.extend(f"GET {path} shows {text}" for text in leaks)
    assert not told, "\n".join(told)


def test_s14_same_names_in_both_tenants(story: Story, other_tenant: Any, mine: dict[str, str]) -> None:
    """The same external id, metric key and idempotency key are two different things in two tenants."""
    twin = Story(story.api.with_key(other_tenant.test_key), other_tenant)
    customer = twin.customer(mine["external"])
    assert customer != mine["customer"]
    twin.priced(mine["metric"], 7)
    twin.grant(customer, 70, key="same-key")
    story.grant(mine["customer"], 1_000, key="same-key")
    assert twin.used(customer, mine["metric"], 1, key="usage:same")["cost"] == 7
    assert twin.balance(customer) == 63
    twin.verify(customer)


def test_s14_table_names_every_operation(story: Story) -> None:
    """Each operation of a key that takes an id in its path stands in the table of this scenario."""
    paths = answer(story.api.get("/openapi.json"), 200)["paths"]
    served = {
        (verb.upper(), world.shape(path))
        for path, operations in paths.items()
        for verb in operations
        if "{" in path
        and path.startswith("/v1/")
        and verb in {"get", "post", "put", "patch", "delete"}
        and operations[verb].get("security") != []
    }
    tabled = {(verb, world.shape(path)) for verb, path, _ in world.OPERATIONS}
    assert served - tabled == set(), "these operations need a row in tests/api/tenant_world.py"
    assert tabled - served == set(), "these operations of the contract are not served or not documented"
