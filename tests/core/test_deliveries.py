"""The retry schedule, Retry-After and the disabling of endpoints."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotastack.core.deliveries import (
    is_success,
    next_attempt_at,
    read_retry_after_ms,
    retry_wait_ms,
    should_disable,
)
from quotastack.runtime.settings import WEBHOOK_RETRY_WAITS

WAITS_MS = tuple(wait * 1_000 for wait in WEBHOOK_RETRY_WAITS)
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_the_documented_schedule() -> None:
    at = [NOW]
    for failures in range(1, 8):
        following = next_attempt_at(at[-1], failures, waits_ms=WAITS_MS, jitter_permille=0)
        assert following is not None
        at.append(following)
    assert [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(at)] == [
        5, 300, 1_800, 7_200, 18_000, 36_000, 36_000,
    ]  # fmt: skip
    assert at[-1] - NOW == timedelta(hours=27, minutes=35, seconds=5)
    assert next_attempt_at(at[-1], 8, waits_ms=WAITS_MS, jitter_permille=0) is None


@given(st.integers(1, 7), st.integers(-100, 100), st.none() | st.integers(0, 10**12))
def test_a_wait_is_never_below_its_own_step_nor_above_the_next(
    failures: int, jitter: int, retry_after: int | None
) -> None:
    wait = retry_wait_ms(failures, waits_ms=WAITS_MS, jitter_permille=jitter, retry_after_ms=retry_after)
    assert wait is not None
    assert WAITS_MS[failures - 1] * 9 <= wait * 10 <= WAITS_MS[min(failures, 6)] * 11


def test_jitter_moves_a_wait_its_own_way() -> None:
    assert [retry_wait_ms(1, waits_ms=WAITS_MS, jitter_permille=permille) for permille in (-100, 0, 100)] == [
        4_500, 5_000, 5_500,
    ]  # fmt: skip


def test_retry_after_is_honoured_up_to_the_next_step() -> None:
    def wait(retry_after: int | None, failures: int = 1) -> int | None:
        return retry_wait_ms(failures, waits_ms=WAITS_MS, jitter_permille=0, retry_after_ms=retry_after)

    assert [wait(None), wait(1_000), wait(60_000), wait(10**15)] == [5_000, 5_000, 60_000, 300_000]
    assert wait(10**15, failures=7) == 36_000_000


RETRY_AFTER = [
    # status  header                             seconds
    (429,     "10",                              10),
    (503,     "120",                             120),
    (502,     "0",                               0),
    (504,     " 7 ",                             7),
    (429,     "1000000000",                      10**9),
    (429,     "9" * 400,                         999999999999),
    (429,     "-5",                              None),
    (429,     "1.5",                             None),
    (429,     "soon",                            None),
    (429,     "٣",                               None),
    (429,     "Sun, 01 Mar 2026 10:01:00 GMT",   60),
    (429,     "Sun, 01 Mar 2026 09:00:00 GMT",   None),
    (429,     "Sun, 99 Mar 2026 09:00:00 GMT",   None),
    (429,     None,                              None),
    (500,     "10",                              None),
    (404,     "10",                              None),
    (None,    "10",                              None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "header", "seconds"), RETRY_AFTER)
def test_retry_after(status: int | None, header: str | None, seconds: int | None) -> None:
    assert read_retry_after_ms(status, header, now=NOW) == (None if seconds is None else seconds * 1_000)


def test_success_is_any_2xx() -> None:
    assert [status for status in (None, 100, 199, 200, 204, 299, 300, 301, 304, 410, 500) if is_success(status)] == [
        200, 204, 299,
    ]  # fmt: skip


def test_five_days_of_failures() -> None:
    assert not should_disable(None, NOW)
    assert not should_disable(NOW - timedelta(days=5) + timedelta(microseconds=1), NOW)
    assert should_disable(NOW - timedelta(days=5), NOW)
