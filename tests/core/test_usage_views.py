"""A stored event as it is answered."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from quotastack.core.catalog import Catalog, Metric
from quotastack.core.changes import UsageEvent
from quotastack.core.usage_views import UsageView, view_usage

AT = datetime(2041, 3, 1, tzinfo=UTC)


def view(catalog: Catalog, **fields: Any) -> UsageView:
    event = UsageEvent(**{"id": "u", "billable_metric_key": "m", "status": "applied", "units": 15, "timestamp": AT,
                          "created_at": AT, **fields})  # fmt: skip
    return view_usage(event, catalog, customer_id="c", external_customer_id="e")


def catalog(**metric: Any) -> Catalog:
    terms = {"key": "m", "id": "m", "name": "m", "created_at": AT, "updated_at": AT, **metric}
    return Catalog(version=1, metrics={"m": Metric(**terms)})


@pytest.mark.parametrize(("scale", "units"), [(0, 15), (1, "1.5")])
def test_units_are_at_the_scale_of_the_metric(scale: int, units: int | str) -> None:
    assert view(catalog(scale=scale)).units == units


def test_an_event_of_an_unknown_metric_has_no_units_and_its_value_as_it_stands() -> None:
    shown = view(Catalog(version=1), value=7)
    assert shown.units is UNSET
    assert shown.value == 7


@pytest.mark.parametrize("reservation_id", [None, "r"])
def test_the_reservation_is_named_where_there_is_one(reservation_id: str | None) -> None:
    assert view(catalog(), reservation_id=reservation_id).reservation_id == (reservation_id or UNSET)
