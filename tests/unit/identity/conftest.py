"""Time and real keys."""

from datetime import timedelta
from pathlib import Path

import pytest

from cisisk.identity.tokens import KeyRing


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """Time, as the test wants it."""
    return Clock()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """Keys, new."""
    return KeyRing.load(tmp_path / "keys", timedelta(minutes=15))
