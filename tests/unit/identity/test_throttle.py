import math
from typing import Any

import pytest

from cisisk.identity.throttle import (
    FIRST_WAIT,
    FREE_FAILURES,
    LONGEST_WAIT,
    MAX_TRACKED,
    RESET_AFTER,
    Key,
    Throttle,
    address_key,
)
from cisisk.model.errors import TooManyAttempts
from tests.unit.identity.conftest import Clock

ANNA = ("account", "anna")
HERE = ("address", "192.0.2.1")


@pytest.fixture
def throttle(clock: Any) -> Throttle:
    return Throttle(clock)


def wait(throttle: Throttle, *keys: Key) -> int:
    """Return the required wait in seconds; 0 if an attempt is allowed."""
    try:
        throttle.check(*keys)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def fail(throttle: Throttle, times: int, *keys: Key) -> None:
    for _ in range(times):
        throttle.record_failure(*keys)


def test_wait_doubles_after_free_failures(throttle: Throttle, clock: Any) -> None:
    waits = []
    for _ in range(20):
        throttle.record_failure(ANNA)
        waits.append(wait(throttle, ANNA))
        clock.go_on(waits[-1])
        assert wait(throttle, ANNA) == 0
    grown = [min(FIRST_WAIT * 2**n, LONGEST_WAIT) for n in range(20 - FREE_FAILURES + 1)]
    assert waits == [0] * (FREE_FAILURES - 1) + grown


def test_retry_after_is_rounded_up_to_whole_seconds(throttle: Throttle, clock: Any) -> None:
    fail(throttle, FREE_FAILURES, ANNA)
    clock.go_on(0.7)
    asked = wait(throttle, ANNA)
    assert asked == math.ceil(FIRST_WAIT - 0.7)
    clock.go_on(asked)
    assert wait(throttle, ANNA) == 0


def test_check_uses_longest_wait_of_keys(throttle: Throttle) -> None:
    fail(throttle, FREE_FAILURES, ANNA)
    fail(throttle, FREE_FAILURES + 2, HERE)
    assert wait(throttle, ANNA) == 2
    assert wait(throttle, ANNA, HERE) == wait(throttle, HERE, ANNA) == wait(throttle, HERE) == 8
    assert wait(throttle, ("account", "bert")) == 0
    assert wait(throttle) == 0


def test_failures_are_dropped_after_hour_without_failure(throttle: Throttle, clock: Any) -> None:
    fail(throttle, FREE_FAILURES + 3, ANNA)
    clock.go_on(RESET_AFTER + 1)
    fail(throttle, FREE_FAILURES - 1, ANNA)
    assert wait(throttle, ANNA) == 0


def test_failures_within_hour_are_kept(throttle: Throttle, clock: Any) -> None:
    for _ in range(FREE_FAILURES):
        clock.go_on(RESET_AFTER - 1)
        throttle.record_failure(ANNA)
    assert wait(throttle, ANNA) > 0


def test_reset_removes_failures_of_key(throttle: Throttle) -> None:
    fail(throttle, FREE_FAILURES, ANNA, HERE)
    throttle.reset(ANNA)
    assert wait(throttle, ANNA) == 0
    assert wait(throttle, HERE) > 0


def test_undo_failure_restores_previous_wait(throttle: Throttle, clock: Any) -> None:
    fail(throttle, FREE_FAILURES, HERE)
    clock.go_on(FIRST_WAIT)
    assert wait(throttle, HERE) == 0
    throttle.record_failure(HERE)
    assert wait(throttle, HERE) == 4
    throttle.undo_failure(HERE)
    assert wait(throttle, HERE) == 0
    throttle.undo_failure(("address", "never seen"))


def test_undone_failures_do_not_renew_old_ones(throttle: Throttle, clock: Any) -> None:
    fail(throttle, FREE_FAILURES - 1, HERE)
    for _ in range(10):
        clock.go_on(RESET_AFTER / 8)
        throttle.record_failure(HERE)
        throttle.undo_failure(HERE)
    fail(throttle, FREE_FAILURES - 1, HERE)
    assert wait(throttle, HERE) == 0


def test_undo_failure_keeps_longest_wait(throttle: Throttle, clock: Any) -> None:
    for _ in range(40):
        throttle.record_failure(HERE)
        clock.go_on(LONGEST_WAIT)
    throttle.record_failure(HERE)
    throttle.undo_failure(HERE)
    throttle.record_failure(HERE)
    assert wait(throttle, HERE) == LONGEST_WAIT


def test_tracked_keys_are_limited_to_latest(throttle: Throttle) -> None:
    fail(throttle, FREE_FAILURES, ANNA)
    for number in range(MAX_TRACKED):
        throttle.record_failure(("account", number))
    assert len(throttle._failures["account"]) == MAX_TRACKED
    assert wait(throttle, ANNA) == 0


def test_failing_key_is_not_displaced_by_others(clock: Clock) -> None:
    throttle = Throttle(clock, max_tracked=3)
    for number in range(20):
        throttle.record_failure(("account", number))
        throttle.record_failure(ANNA)
    assert wait(throttle, ANNA) == LONGEST_WAIT
    assert len(throttle._failures["account"]) == 3


def test_key_is_not_displaced_by_other_kind(clock: Clock) -> None:
    throttle = Throttle(clock, max_tracked=3)
    fail(throttle, FREE_FAILURES, ANNA)
    for number in range(20):
        throttle.record_failure(("address", number))
    assert wait(throttle, ANNA) == FIRST_WAIT


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("no address", "no address", True),
    ],
)
def test_address_key_groups_ipv6_by_network(one: str, other: str, are_one: bool) -> None:
    assert (address_key(one) == address_key(other)) is are_one
