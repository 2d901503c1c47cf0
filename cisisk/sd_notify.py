"""Telling systemd how the service is (sd_notify(3), sd_watchdog_enabled(3)); silent without it."""

import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send assignments such as ``READY=1``, one a line. That nobody listens is no reason to stop, but logged."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ stands for the zero byte of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(target)
            sender.sendall(state.encode())
    except OSError as error:
        log.warning("the service manager at %s was not told %s: %s", address, state, error)


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what the unit allows; None when none are wanted."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2_000_000 if ours and microseconds.isdecimal() and int(microseconds) else None
