import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.logout_times import local_zone, moment_on, next_time_of_day, time_of_day

LISBON = zoneinfo.ZoneInfo("Europe/Lisbon")
ZONES = st.sampled_from(
    [
        zoneinfo.ZoneInfo(name)
        for name in (
            *("UTC", "Europe/Lisbon", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"),
            *("Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati", "America/Sao_Paulo", "Africa/Cairo"),
        )
    ]
)
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.integers(631_152_000, 2_114_380_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""Return a strategy for times from 1990 to 2036."""


def lisbon(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LISBON)


@pytest.mark.parametrize(("text", "expected"), [("00:00", time(0)), ("09:05", time(9, 5)), ("23:59", time(23, 59))])
def test_time_of_day_is_parsed(text: str, expected: time) -> None:
    assert time_of_day(text) == expected


@pytest.mark.parametrize(
    "text", ["", "9:05", "24:00", "12:60", "12:00:00", "noon", "12:00\n", "-1:00", "\u0661\u0662:00"]
)
def test_invalid_time_of_day_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time of the day such as 20:00"):
        time_of_day(text)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-06-01T19:59", "2026-06-01T20:00"),
        ("2026-06-01T20:00", "2026-06-02T12:30"),
        ("2026-06-01T21:00", "2026-06-02T12:30"),
        ("2026-06-02T12:30", "2026-06-02T20:00"),
    ],
)
def test_next_of_several_times_is_first_later_one(after: str, expected: str) -> None:
    assert next_time_of_day(lisbon(after), [time(20), time(12, 30)], LISBON) == lisbon(expected)


def test_next_time_without_times_is_none() -> None:
    assert next_time_of_day(datetime(2026, 6, 1, tzinfo=UTC), [], LISBON) is None


def test_time_skipped_by_clock_change_happens_once_after_it() -> None:
    # On 29 March 2026 clocks in Lisbon change from 01:00 to 02:00.
    moment = moment_on(date(2026, 3, 29), time(1, 30), LISBON)
    assert moment == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert next_time_of_day(moment, [time(1, 30)], LISBON) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_time_repeated_by_clock_change_happens_once() -> None:
    # On 25 October 2026 they change from 02:00 back to 01:00.
    moment = moment_on(date(2026, 10, 25), time(1, 30), LISBON)
    assert moment == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert next_time_of_day(moment, [time(1, 30)], LISBON) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_time_on_skipped_day_moves_to_next_day() -> None:
    # Samoa had no 30 December 2011.
    apia = zoneinfo.ZoneInfo("Pacific/Apia")
    evening = moment_on(date(2011, 12, 29), time(20), apia)
    following = next_time_of_day(evening, [time(20)], apia)
    assert following == moment_on(date(2011, 12, 31), time(20), apia) == evening + timedelta(days=1)


@given(MOMENTS, st.lists(TIMES, min_size=1, max_size=4), ZONES)
def test_next_time_is_the_earliest_later_time(after: datetime, times: list[time], zone: zoneinfo.ZoneInfo) -> None:
    moment = next_time_of_day(after, times, zone)
    assert moment is not None
    assert after < moment <= after + timedelta(days=2, hours=2)
    assert next_time_of_day(moment - timedelta(microseconds=1), times, zone) == moment
    # No time lies between.
    day = after.astimezone(zone).date()
    happenings = [moment_on(day + timedelta(days=n), each, zone) for n in range(-2, 4) for each in times]
    assert not [each for each in happenings if after < each < moment]


@given(MOMENTS, TIMES, ZONES)
def test_time_of_day_happens_once_per_day(start: datetime, local: time, zone: zoneinfo.ZoneInfo) -> None:
    day = start.astimezone(zone).date()
    moments = {moment_on(day + timedelta(days=n), local, zone) for n in range(5)}
    found, moment = set(), min(moments) - timedelta(microseconds=1)
    while (following := next_time_of_day(moment, [local], zone)) is not None and following <= max(moments):
        found.add(following)
        moment = following
    assert found == moments


def test_local_zone_follows_tz_and_localtime(tmp_path: Path) -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def offset(**environ: str) -> timedelta | None:
        return noon.astimezone(local_zone(environ, tmp_path / "localtime")).utcoffset()

    assert offset() == timedelta(0)
    compiled = next(Path(path) / "Asia/Kathmandu" for path in zoneinfo.TZPATH if Path(path).is_dir())
    (tmp_path / "localtime").write_bytes(compiled.read_bytes())
    assert offset() == timedelta(hours=5, minutes=45)
    assert offset(TZ="Europe/Lisbon") == offset(TZ=":Europe/Lisbon") == timedelta(hours=1)
    assert offset(TZ=f":{compiled}") == offset(TZ=str(compiled)) == timedelta(hours=5, minutes=45)
    for wrong in ("Nowhere/Nothing", "../../etc/passwd", "/etc/passwd", "CET-1CEST,M3.5.0,M10.5.0/3"):
        assert offset(TZ=wrong) == timedelta(hours=5, minutes=45)
    (tmp_path / "localtime").write_bytes(b"nonsense")
    assert offset() == timedelta(0)
