"""Which events go to which endpoint."""

import pytest

from quotastack.core.errors import ValidationFailedError
from quotastack.core.event_patterns import (
    EndpointFilter,
    check_patterns,
    matches_type,
    named_types,
    wanted_types,
    wants_event,
)
from quotastack.core.events import EVENT_TYPES, OFF_BY_DEFAULT

MATCHES = [
    # pattern                type                    wanted
    ("credit.granted",       "credit.granted",       True),
    ("credit.granted",       "credit.expired",       False),
    ("credit.*",             "credit.expired",       True),
    ("credit.*",             "customer.created",     False),
    ("asset.*",              "asset.suspended",      True),
    ("*",                    "subscription.renewed", True),
    # Off by default: by its own name only.
    ("*",                    "credit.consumed",      False),
    ("credit.*",             "credit.consumed",      False),
    ("credit.consumed",      "credit.consumed",      True),
    ("reservation.*",        "reservation.created",  False),
    ("reservation.created",  "reservation.created",  True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "type_", "wanted"), MATCHES)
def test_patterns(pattern: str, type_: str, *, wanted: bool) -> None:
    assert matches_type([pattern], type_) is wanted


FILTERS = [
    # severity    metric      data                                                       wanted
    (None,        None,       {},                                                        True),
    ("warning",   None,       {"severity": "warning"},                                   True),
    ("warning",   None,       {"severity": "critical"},                                  False),
    ("warning",   None,       {},                                                        False),
    (None,        "api_call", {"billable_metric_key": "api_call"},                       True),
    (None,        "api_call", {"billable_metric_key": "look"},                           False),
    (None,        "api_call", {"block_id": "1"},                                         False),
    ("warning",   "api_call", {"severity": "warning", "billable_metric_key": "api_call"}, True),
    ("warning",   "api_call", {"severity": "warning", "billable_metric_key": "look"},     False),
]  # fmt: skip


@pytest.mark.parametrize(("severity", "metric", "data", "wanted"), FILTERS)
def test_filters(severity: str | None, metric: str | None, data: dict[str, str], *, wanted: bool) -> None:
    endpoint = EndpointFilter(id="e", patterns=("*",), severity=severity, billable_metric_key=metric)
    assert wants_event(endpoint, "quota.level_changed", data) is wanted


def test_no_filter_brings_a_type_that_is_not_named() -> None:
    data = {"severity": "warning", "billable_metric_key": "api_call"}
    endpoint = EndpointFilter(
        id="e", patterns=("credit.*",), severity="warning", billable_metric_key="api_call"
    )
    assert wants_event(endpoint, "quota.level_changed", data) is False
    assert wants_event(endpoint, "credit.granted", data) is True


def test_wanted_types() -> None:
    assert set(wanted_types(["*"])) == EVENT_TYPES.keys() - OFF_BY_DEFAULT
    assert set(wanted_types(["contract.*", "credit.consumed"])) == {
        "contract.ending_soon",
        "contract.renewed",
        "contract.ended",
        "credit.consumed",
    }


def test_named_types() -> None:
    endpoints = [
        EndpointFilter(id="a", patterns=("*", "credit.granted")),
        EndpointFilter(id="b", patterns=("credit.consumed",)),
    ]
    assert named_types(endpoints) == {"credit.consumed"}
    assert named_types(endpoints[:1]) == frozenset()


def test_patterns_are_checked() -> None:
    assert check_patterns(["*", "credit.*", "*"], pointer="/events") == ("*", "credit.*")
    with pytest.raises(ValidationFailedError) as caught:
        check_patterns(["credit.grated", "*", "credits.*", "**", "credit.", ""], pointer="/events")
    assert [fault.pointer for fault in caught.value.errors] == [
        f"/events/{index}" for index in (0, 2, 3, 4, 5)
    ]
