"""The client against the API's own description: nothing is missing, and both clients are one."""

import importlib.util
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.races.servers import Client as Api

from quotastack.core.errors import ERRORS_BY_SLUG
from quotastack_client import AsyncClient, Client, errors

SDK = Path(__file__).parents[2] / "sdk"
AGAIN = "run .venv/bin/python sdk/python/tools/generate.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", SDK / "python" / "tools" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_operation_has_a_method(api: Api) -> None:
    document = api.get("/openapi.json").json
    operations = {
        f"{verb.upper()} {path}"
        for path, verbs in document["paths"].items()
        if not path.startswith("/v1/customer-by-external-id/")
        for verb in verbs
    }
    table: dict[str, str] = json.loads((SDK / "operations.json").read_text())["operations"]
    assert operations == set(table.values()), "name the method in sdk/operations.json"
    twins = {
        path.replace("/v1/customer-by-external-id/{external_id}", "/v1/customers/{customer_id}")
        for path in document["paths"]
        if path.startswith("/v1/customer-by-external-id/")
    }
    of_customers = {path for path in document["paths"] if path.startswith("/v1/customers/{customer_id}")}
    assert twins == of_customers, "the methods choose the family by the customer's name"
    for client in (Client("key"), AsyncClient("key")):
        for name in table:
            resource, _, method = name.partition(".")
            assert callable(getattr(getattr(client, resource), method)), name


def test_the_methods_are_those_of_the_document(api: Api, generator: ModuleType) -> None:
    """The files say what this server says: arguments, answers, descriptions."""
    rendered: dict[Path, str] = generator.render(api.get("/openapi.json").json)
    different = [path.name for path, text in rendered.items() if path.read_text() != text]
    assert not different, AGAIN
    assert {path.name for path in (generator.PACKAGE / "resources").glob("*.py")} == {
        path.name for path in rendered if path.parent.name == "resources"
    }


def methods_of(kind: type) -> dict[str, Any]:
    return {
        name: [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(kind, callable)
        if not name.startswith("_") and not inspect.isclass(method)
    }


def test_both_clients_have_the_same_methods() -> None:
    blocking, other = Client("key"), AsyncClient("key")
    assert methods_of(Client) == methods_of(AsyncClient)
    for name, resource in vars(blocking).items():
        if type(resource).__module__.startswith("quotastack_client.resources."):
            assert methods_of(type(resource)) == methods_of(type(getattr(other, name))), name


def test_every_refusal_has_a_class() -> None:
    assert errors.BY_SLUG.keys() == ERRORS_BY_SLUG.keys()


def test_a_client_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUOTASTACK_API_KEY", raising=False)
    with pytest.raises(ValueError, match="QUOTASTACK_API_KEY"):
        Client()
    monkeypatch.setenv("QUOTASTACK_API_KEY", "qs_test_x")
    monkeypatch.setenv("QUOTASTACK_BASE_URL", "http://billing.internal/")
    assert Client().transport.settings[:2] == ("qs_test_x", "http://billing.internal")


def test_strange_ids_and_both_names(client: Client) -> None:
    for name in ("a/b:c%20d", "jürgen@example.org", "../customers", "x y"):
        made = client.customers.create(external_id=name)
        assert client.customers.get(external_customer_id=name).customer_id == made.customer_id
    with pytest.raises(TypeError, match="exactly one"):
        client.credits.get(customer_id="a", external_customer_id="b")
    changed = client.customers.update(external_customer_id="x y", display_name="X")
    assert changed.display_name == "X"
    assert client.customers.update(external_customer_id="x y", display_name=None).display_name is None


def test_models_ignore_what_they_do_not_know() -> None:
    import msgspec

    from quotastack_client.models import Verification

    read = msgspec.json.decode(b'{"ok": true, "invented_later": [1]}', type=Verification)
    assert read.ok is True
    with pytest.raises(AttributeError):
        read.ok = False  # type: ignore[misc]
    with pytest.raises(AttributeError, match="only what a call returned"):
        _ = read.http
