"""The part that the restart methods through Asterisk share."""

from collections.abc import Iterator
from contextlib import contextmanager

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.restart import Worth
from cisisk.model.target import NotRestarted, Unreachable
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.wire import NotSendable


class AmiMethod:
    """A restart method that uses the manager interface of Asterisk.

    Args:
        asterisk: None without an Asterisk.
    """

    way = "asterisk"
    worth = Worth.SENT

    def __init__(self, asterisk: Asterisk | None, channel: str) -> None:
        self._configured = asterisk
        self._channel = channel

    def _asterisk(self) -> Asterisk:
        """Return the connection. Raises Unreachable if none is configured."""
        if self._configured is None:
            raise Unreachable(RestartRefusal.ASTERISK_NOT_SET.notice())
        return self._configured

    def _asterisk_with(self, *channels: str) -> Asterisk:
        """Return the connection. Raises NotRestarted if Asterisk uses another SIP driver."""
        asterisk = self._asterisk()
        if self._channel not in channels:
            raise NotRestarted(RestartRefusal.ASTERISK_CHANNEL.notice(channel=self._channel))
        return asterisk


@contextmanager
def refusals() -> Iterator[None]:
    """Raise the errors of Asterisk as those of a restart method."""
    try:
        yield
    except AsteriskAway as error:
        raise Unreachable(error.notice) from error
    except (AsteriskRefused, NotSendable) as error:
        raise NotRestarted(error.notice) from error
