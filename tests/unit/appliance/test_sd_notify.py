import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cisisk.appliance.process import notify, watchdog_interval


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of the service manager."""
    name = f"@cisisk-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(variable, raising=False)


def test_notify_sends_exact_message(unwatched: None, manager: socket.socket) -> None:
    for state in ("READY=1", "STATUS=Zoë\nWATCHDOG=1"):
        notify(state)
        assert manager.recv(1024).decode() == state


def test_notify_without_service_manager_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    notify("READY=1")
    assert watchdog_interval() is None


def test_notify_failure_is_logged_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "absent"))
    notify("READY=1")
    assert "READY=1" in caplog.text
    assert "No such file or directory" in caplog.text


@pytest.mark.parametrize(("microseconds", "seconds"), [("30000000", 15.0), ("1000000", 0.5), ("1", 0.0000005)])
def test_watchdog_interval_is_half_of_requested(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, seconds: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert watchdog_interval() == seconds
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval() == seconds


@pytest.mark.parametrize("microseconds", ["", "0", "-1", "soon", "1.5"])
def test_watchdog_interval_without_valid_request_is_none(monkeypatch: pytest.MonkeyPatch, microseconds: str) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert watchdog_interval() is None


def test_watchdog_interval_for_other_process_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert watchdog_interval() is None
