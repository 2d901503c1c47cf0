"""Fixtures: a settable clock and signing keys."""

from datetime import timedelta
from pathlib import Path

import pytest

from cisisk.identity.tokens import KeyRing


class Clock:
    """A clock that advances only on request."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A settable clock."""
    return Clock()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """New signing keys."""
    return KeyRing.load(tmp_path / "keys", timedelta(minutes=15))
