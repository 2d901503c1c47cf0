import math
from typing import Any

import pytest

from cisisk.identity import throttle as module
from cisisk.identity.throttle import (
    FIRST_WAIT,
    FORGIVEN_AFTER,
    FREE_FAILURES,
    LONGEST_WAIT,
    MAX_TRACKED,
    Key,
    Throttle,
    address_key,
)
from cisisk.model.errors import TooManyAttempts

ANNA = ("account", "anna")
HERE = ("address", "192.0.2.1")


@pytest.fixture
def brake(clock: Any) -> Throttle:
    return Throttle(clock)


def wait(brake: Throttle, *keys: Key) -> int:
    """Seconds that are asked for; 0 when an attempt may go on."""
    try:
        brake.require_free(*keys)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def fail(brake: Throttle, times: int, *keys: Key) -> None:
    for _ in range(times):
        brake.failed(*keys)


def test_the_first_slips_cost_nothing_and_each_further_one_doubles_the_wait(brake: Throttle, clock: Any) -> None:
    waits = []
    for _ in range(20):
        brake.failed(ANNA)
        waits.append(wait(brake, ANNA))
        clock.go_on(waits[-1])
        assert wait(brake, ANNA) == 0
    grown = [min(FIRST_WAIT * 2**n, LONGEST_WAIT) for n in range(20 - FREE_FAILURES + 1)]
    assert waits == [0] * (FREE_FAILURES - 1) + grown


def test_the_wait_is_told_in_whole_seconds_that_suffice(brake: Throttle, clock: Any) -> None:
    fail(brake, FREE_FAILURES, ANNA)
    clock.go_on(0.7)
    asked = wait(brake, ANNA)
    assert asked == math.ceil(FIRST_WAIT - 0.7)
    clock.go_on(asked)
    assert wait(brake, ANNA) == 0


def test_the_longest_wait_of_all_keys_counts(brake: Throttle) -> None:
    fail(brake, FREE_FAILURES, ANNA)
    fail(brake, FREE_FAILURES + 2, HERE)
    assert wait(brake, ANNA) == 2
    assert wait(brake, ANNA, HERE) == wait(brake, HERE, ANNA) == wait(brake, HERE) == 8
    assert wait(brake, ("account", "bert")) == 0
    assert wait(brake) == 0


def test_the_past_is_forgiven_after_a_quiet_hour(brake: Throttle, clock: Any) -> None:
    fail(brake, FREE_FAILURES + 3, ANNA)
    clock.go_on(FORGIVEN_AFTER + 1)
    fail(brake, FREE_FAILURES - 1, ANNA)
    assert wait(brake, ANNA) == 0


def test_the_past_is_not_forgiven_to_one_who_goes_on(brake: Throttle, clock: Any) -> None:
    for _ in range(FREE_FAILURES):
        clock.go_on(FORGIVEN_AFTER - 1)
        brake.failed(ANNA)
    assert wait(brake, ANNA) > 0


def test_who_gets_it_right_starts_anew(brake: Throttle) -> None:
    fail(brake, FREE_FAILURES, ANNA, HERE)
    brake.forget(ANNA)
    assert wait(brake, ANNA) == 0
    assert wait(brake, HERE) > 0


def test_what_is_taken_back_has_not_happened(brake: Throttle, clock: Any) -> None:
    fail(brake, FREE_FAILURES, HERE)
    clock.go_on(FIRST_WAIT)
    assert wait(brake, HERE) == 0
    brake.failed(HERE)
    assert wait(brake, HERE) == 4
    brake.take_back(HERE)
    assert wait(brake, HERE) == 0
    brake.take_back(("address", "never seen"))


def test_successes_do_not_keep_old_failures_alive(brake: Throttle, clock: Any) -> None:
    fail(brake, FREE_FAILURES - 1, HERE)
    for _ in range(10):
        clock.go_on(FORGIVEN_AFTER / 8)
        brake.failed(HERE)
        brake.take_back(HERE)
    fail(brake, FREE_FAILURES - 1, HERE)
    assert wait(brake, HERE) == 0


def test_a_success_shortens_no_others_longest_wait(brake: Throttle, clock: Any) -> None:
    for _ in range(40):
        brake.failed(HERE)
        clock.go_on(LONGEST_WAIT)
    brake.failed(HERE)
    brake.take_back(HERE)
    brake.failed(HERE)
    assert wait(brake, HERE) == LONGEST_WAIT


def test_only_so_many_are_remembered_the_latest_ones(brake: Throttle) -> None:
    fail(brake, FREE_FAILURES, ANNA)
    for number in range(MAX_TRACKED):
        brake.failed(("account", number))
    assert len(brake._failures["account"]) == MAX_TRACKED
    assert wait(brake, ANNA) == 0


def test_one_who_goes_on_failing_is_not_forgotten_for_the_others(
    brake: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TRACKED", 3)
    for number in range(20):
        brake.failed(("account", number))
        brake.failed(ANNA)
    assert wait(brake, ANNA) == LONGEST_WAIT
    assert len(brake._failures["account"]) == 3


def test_one_kind_is_not_forgotten_for_another(brake: Throttle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRACKED", 3)
    fail(brake, FREE_FAILURES, ANNA)
    for number in range(20):
        brake.failed(("address", number))
    assert wait(brake, ANNA) == FIRST_WAIT


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
def test_an_ipv6_network_is_one_guesser(one: str, other: str, are_one: bool) -> None:
    assert (address_key(one) == address_key(other)) is are_one
