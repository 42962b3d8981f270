"""Query strings that come again are read once: those that name a customer for as many customers as are checked."""

from quotastack.api.entitlements import CheckQuery, NamedCheckQuery
from quotastack.api.query_params import CACHE_MAX, CUSTOMERS_CACHE_MAX, QueryReader


def _named(number: int) -> bytes:
    return b"external_customer_id=customer-%d&billable_metric_key=api_calls" % number


def test_checks_of_many_customers_are_each_read_once() -> None:
    reader = QueryReader(NamedCheckQuery)
    first, _ = reader.read(_named(0))
    for number in range(1, CUSTOMERS_CACHE_MAX):
        reader.read(_named(number))
    assert reader.read(_named(0))[0] is first


def test_what_is_remembered_is_bounded() -> None:
    reader = QueryReader(NamedCheckQuery)
    first, _ = reader.read(_named(0))
    for number in range(1, CUSTOMERS_CACHE_MAX + 1):
        reader.read(_named(number))
    again, _ = reader.read(_named(0))
    assert again is not first
    assert again == first


def test_queries_that_name_no_customer_are_few() -> None:
    reader = QueryReader(CheckQuery)
    first, _ = reader.read(b"units=1")
    for units in range(2, CACHE_MAX + 2):
        reader.read(b"units=%d" % units)
    assert reader.read(b"units=1")[0] is not first
