import pytest

from cisisk.model.listeners import Listeners


def test_notify_calls_every_listener_in_order() -> None:
    heard: list[str] = []
    listeners: Listeners[str] = Listeners()
    listeners.subscribe(lambda event: heard.append(f"first {event}"))
    listeners.subscribe(lambda event: heard.append(f"second {event}"))
    listeners.notify("a")
    assert heard == ["first a", "second a"]


def test_failed_listener_keeps_the_event_from_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_event: str) -> None:
        raise ValueError("broken")

    heard: list[str] = []
    listeners: Listeners[str] = Listeners()
    listeners.subscribe(fail)
    listeners.subscribe(heard.append)
    listeners.notify("a")
    assert heard == ["a"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_listeners_are_true_once_one_has_subscribed() -> None:
    listeners: Listeners[str] = Listeners()
    assert not listeners
    listeners.subscribe(lambda _event: None)
    assert listeners
