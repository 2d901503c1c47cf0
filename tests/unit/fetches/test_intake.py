import logging

import pytest

from cisisk.fetches.intake import FetchIntake
from cisisk.provisioning.fetch import Fetch, FetchOutcome


def fetch(name: str) -> Fetch:
    return Fetch(
        protocol="tftp",
        started_at="2026-06-28T12:00:00.000Z",
        peer=("192.0.2.7", 1024),
        local="192.0.2.5",
        name=name,
        outcome=FetchOutcome.COMPLETED,
    )


def names(fetches: list[Fetch]) -> list[str]:
    return [each.name for each in fetches]


def test_intake_returns_the_oldest_first() -> None:
    queue = FetchIntake("test")
    queue.put([fetch("a"), fetch("b")])
    queue.put([fetch("c")])
    assert names(queue.take(2)) == ["a", "b"]
    assert names(queue.take(2)) == ["c"]
    assert queue.take(2) == []


def test_full_intake_drops_the_newest() -> None:
    queue = FetchIntake("test", 3)
    for batch in ("ab", "cd", "e"):
        queue.put([fetch(name) for name in batch])
    assert names(queue.take(9)) == ["a", "b", "c"]


def test_intake_accepts_again_after_take() -> None:
    queue = FetchIntake("test", 1)
    queue.put([fetch("a"), fetch("b")])
    queue.take(1)
    queue.put([fetch("c")])
    assert names(queue.take(9)) == ["c"]


def test_intake_logs_dropped_fetches_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    queue = FetchIntake("test", 1)
    with caplog.at_level(logging.WARNING):
        for name in "abcd":
            queue.put([fetch(name)])
        now += 59.0
        queue.take(0)
        assert caplog.messages == ["fetches dropped, queue full: queue=test dropped=1 waiting=1"]
        now += 1.0
        queue.take(0)
        now += 60.0
        queue.take(0)
    assert caplog.messages[1:] == ["fetches dropped, queue full: queue=test dropped=2 waiting=1"]
