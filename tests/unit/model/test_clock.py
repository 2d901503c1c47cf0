from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from cisisk.model import clock

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds


def test_timestamp_is_utc_with_milliseconds() -> None:
    summer = timezone(timedelta(hours=2))
    assert clock.timestamp(datetime(2026, 6, 28, 14, 0, tzinfo=summer)) == "2026-06-28T12:00:00.000Z"
    assert clock.timestamp(datetime(2026, 6, 28, 12, 0, 0, 999_999, tzinfo=UTC)) == "2026-06-28T12:00:00.999Z"


@given(MOMENTS, MOMENTS)
def test_timestamps_sort_like_times(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    assert clock.timestamp(earlier) <= clock.timestamp(later)


def test_now_lies_between_past_and_future() -> None:
    before = clock.after(timedelta(seconds=-1))
    assert before < clock.now() < clock.after(timedelta(seconds=1))
