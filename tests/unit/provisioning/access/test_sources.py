"""Throttling of searches: counts, alarms and expiry."""

import sys

import pytest

from cisisk.model.codes.access import AlarmCode
from cisisk.provisioning.access.alarm import Alarm, AlarmKind
from cisisk.provisioning.access.sources import (
    ALARM_INTERVAL_SECONDS,
    FIRST_ALARM_SECONDS,
    FREE_DEVICES,
    MAX_ALARMS,
    SETTLE_SECONDS,
    THROTTLE_SECONDS,
    WINDOW_SECONDS,
    FetchSources,
    SourceLimits,
)

HOST = "10.0.0.66"


def ask(sources: FetchSources, count: int, host: str = HOST, now: float = 0.0) -> None:
    for number in range(count):
        sources.asked(host, f"0011220{number:05X}", now, is_decoy=False)


def due(sources: FetchSources, now: float) -> list[Alarm]:
    return sources.due(now, is_observed=False)


def test_asking_for_few_phones_is_no_search() -> None:
    sources = FetchSources()
    for _ in range(3):
        ask(sources, FREE_DEVICES)
    assert not sources.throttled
    assert due(sources, WINDOW_SECONDS / 2) == []


def test_search_is_throttled_at_once_and_its_alarm_follows() -> None:
    sources = FetchSources()
    ask(sources, FREE_DEVICES + 1)
    assert HOST in sources.throttled
    assert due(sources, SETTLE_SECONDS - 0.1) == []
    ask(sources, 4096, now=3.5)
    (alarm,) = due(sources, SETTLE_SECONDS)
    assert (alarm.kind, alarm.host, alarm.devices, alarm.asked) == (AlarmKind.ENUMERATION, HOST, 4096, 4096 + 11)
    assert alarm.seconds == 4
    assert alarm.notice.code == AlarmCode.ENUMERATION
    ask(sources, 5000, now=100)
    assert due(sources, 200) == []


def test_new_search_after_the_throttle_raises_an_alarm() -> None:
    sources = FetchSources()
    ask(sources, 20)
    assert len(due(sources, SETTLE_SECONDS)) == 1
    ask(sources, 20, now=THROTTLE_SECONDS)
    assert HOST in sources.throttled
    assert len(due(sources, THROTTLE_SECONDS + SETTLE_SECONDS)) == 1


def test_repeated_phones_are_no_search() -> None:
    sources = FetchSources()
    for window in range(5):
        ask(sources, FREE_DEVICES, now=window * WINDOW_SECONDS)
    assert not sources.throttled


def test_single_refusal_raises_one_alarm_per_interval() -> None:
    sources = FetchSources()
    now = 0.0
    raised = []
    while now < ALARM_INTERVAL_SECONDS + WINDOW_SECONDS:
        sources.asked(HOST, "001122000001", now, is_decoy=False).refuse("001122000001")
        raised += [(now, alarm.kind, alarm.refused) for alarm in due(sources, now)]
        now += 10
    first = (FIRST_ALARM_SECONDS, AlarmKind.ELSEWHERE, ("00:11:22:00:00:01",))
    assert raised[0] == first
    assert [time for time, *_ in raised[1:]] == [pytest.approx(ALARM_INTERVAL_SECONDS + FIRST_ALARM_SECONDS, abs=60)]


def test_idle_source_is_forgotten() -> None:
    sources = FetchSources()
    ask(sources, 1)
    ask(sources, 20, host="10.0.0.67")
    due(sources, WINDOW_SECONDS)
    assert len(sources) == 1
    due(sources, THROTTLE_SECONDS)
    assert len(sources) == 0
    assert sources._named == 0


def test_forged_sources_are_bounded_and_raise_one_alarm() -> None:
    sources = FetchSources(SourceLimits(max_sources=100))
    alarms = []
    for number in range(1000):
        sources.asked(f"10.{number >> 8}.{number & 255}.1", "001122000001", number / 100, is_decoy=False)
        alarms += due(sources, number / 100)
    assert len(sources) == 100
    assert [alarm.kind for alarm in alarms] == [AlarmKind.FLOOD]
    assert alarms[0].notice.code == AlarmCode.FLOOD


def test_forged_searches_fill_neither_memory_nor_log() -> None:
    sources = FetchSources(SourceLimits(max_throttled=200, max_named_in_all=3000, max_named=100))
    for number in range(300):
        ask(sources, 150, host=f"10.{number >> 8}.{number & 255}.1")
    assert len(sources.throttled) == 200
    assert sources._named <= 3000 + 200 * (FREE_DEVICES + 1)
    assert sources._named == sum(len(source.devices) for source in sources.throttled.values())
    alarms = due(sources, SETTLE_SECONDS)
    assert [alarm.kind for alarm in alarms].count(AlarmKind.ENUMERATION) == MAX_ALARMS
    assert [alarm.kind for alarm in alarms].count(AlarmKind.FLOOD) == 1
    assert due(sources, 2 * SETTLE_SECONDS) == []


def test_forged_source_uses_little_memory() -> None:
    sources = FetchSources()
    for number in range(1000):
        sources.asked(f"10.0.{number >> 8}.{number & 255}", "001122000001", 0.0, is_decoy=False)
    one = next(iter(sources._free.values()))
    parts = (one, one.devices, one.refused, one.host, one.since, one.latest)
    assert sum(map(sys.getsizeof, parts)) * SourceLimits().max_sources < 16e6
