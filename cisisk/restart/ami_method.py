"""What the restart methods that go through Asterisk have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.target import NotRestarted, Unreachable
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.wire import NotSendable


class AmiMethod:
    """A way through the manager interface of one Asterisk.

    Args:
        asterisk: None when there is none to ask.
    """

    way = "asterisk"

    def __init__(self, asterisk: Asterisk | None, channel: str) -> None:
        self._configured = asterisk
        self._channel = channel

    def _asterisk(self) -> Asterisk:
        """Raises Unreachable: none is set."""
        if self._configured is None:
            raise Unreachable(RestartRefusal.ASTERISK_NOT_SET.notice())
        return self._configured

    def _asterisk_with(self, *channels: str) -> Asterisk:
        """Raises NotRestarted: it has another driver for SIP."""
        asterisk = self._asterisk()
        if self._channel not in channels:
            raise NotRestarted(RestartRefusal.ASTERISK_CHANNEL.notice(channel=self._channel))
        return asterisk


@contextmanager
def refusals() -> Iterator[None]:
    """What Asterisk answers or does not answer, as the refusals of a restart method."""
    try:
        yield
    except AsteriskAway as error:
        raise Unreachable(error.notice) from error
    except (AsteriskRefused, NotSendable) as error:
        raise NotRestarted(error.notice) from error
