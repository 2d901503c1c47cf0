import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.services.cookies import IDLE_SECONDS, MAX_COOKIES, MAX_SESSIONS, Cookies, is_past


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_cookie_is_sent_only_to_its_host() -> None:
    cookies = Cookies()
    assert cookies.store("a", ["session=1; Path=/; HttpOnly", "colour = red"]) == 0
    assert (cookies.header("a"), cookies.header("b")) == ("session=1; colour=red", "")


def test_cookie_set_twice_keeps_newer_value() -> None:
    cookies = Cookies()
    cookies.store("a", ["session=1", "session=2"])
    assert cookies.header("a") == "session=2"


@pytest.mark.parametrize("attribute", ["Max-Age=0", "max-age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
def test_expired_cookie_is_deleted(attribute: str) -> None:
    cookies = Cookies()
    cookies.store("a", ["session=1; Max-Age=60", "other=2; Expires=Fri, 31 Dec 2199 00:00:00 GMT"])
    assert cookies.store("a", [f"session=; {attribute}", f"unknown=; {attribute}"]) == 0
    assert cookies.header("a") == "other=2"
    assert cookies.store("b", [f"session=; {attribute}"]) == 0


def test_fifth_cookie_of_host_is_refused() -> None:
    cookies = Cookies()
    assert cookies.store("a", [f"c{number}=x" for number in range(MAX_COOKIES + 1)]) == 1
    assert cookies.store("a", ["c0=new"]) == 0
    assert cookies.header("a") == "c0=new; c1=x; c2=x; c3=x"


@pytest.mark.parametrize(("value", "refused"), [("x" * 253, 0), ("x" * 254, 1), ("é", 1)])
def test_cookie_longer_than_255_bytes_is_refused(value: str, refused: int) -> None:
    assert Cookies().store("a", [f"c={value}"]) == refused


@pytest.mark.parametrize("header", ["", "=x", "bare", "; Path=/", "c=\udcff", "c=\x01"])
def test_malformed_cookie_is_refused(header: str) -> None:
    cookies = Cookies()
    assert cookies.store("a", [header]) == 1
    assert cookies.header("a") == ""


def test_ninth_session_replaces_longest_idle_session() -> None:
    clock = Clock()
    cookies = Cookies(clock)
    for number in range(MAX_SESSIONS):
        clock.now += 1
        cookies.store(f"host{number}", ["c=x"])
    clock.now += 1
    cookies.header("host0")
    cookies.store("another", ["c=x"])
    assert [cookies.header(host) for host in ("host0", "host1", "host2", "another")] == ["c=x", "", "c=x", "c=x"]


def test_session_idle_for_30_minutes_is_dropped() -> None:
    clock = Clock()
    cookies = Cookies(clock)
    cookies.store("a", ["c=x"])
    for _ in range(3):
        clock.now += IDLE_SECONDS
        assert cookies.header("a") == "c=x"
    clock.now += IDLE_SECONDS + 1
    assert cookies.header("a") == ""


@given(st.lists(st.text()))
def test_cookie_limits_hold_for_any_header(headers: list[str]) -> None:
    cookies = Cookies()
    refused = cookies.store("a", headers)
    assert 0 <= refused <= len(headers)
    assert len(cookies.header("a").encode(errors="replace")) <= MAX_COOKIES * (255 + 2)


@given(st.one_of(st.text(), st.binary().map(lambda header: header.decode("utf-8", "surrogateescape"))))
def test_is_past_unreadable_date_returns_false(date: str) -> None:
    assert not is_past(f"never {date}")
