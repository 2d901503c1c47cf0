"""Callbacks that are called for each event of one kind: the way one part of the service tells others."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Listeners(Generic[_T]):
    """Calls every subscribed listener with every event, in the order of subscription.

    A part that offers events has a method ``subscribe`` that adds to one of these. A listener must return at once. What
    it raises is logged, and keeps the event from no other listener.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[_T], None]] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def subscribe(self, listener: Callable[[_T], None]) -> None:
        """Call ``listener`` with every event from now on."""
        self._listeners.append(listener)

    def notify(self, event: _T) -> None:
        """Call every listener with ``event``."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("listener failed: listener=%r", listener)
