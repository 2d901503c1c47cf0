"""The phone that is told to restart: who it is, what it runs and what it is to take."""

from dataclasses import dataclass, field

from cisisk.model import sep_config
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import CisiskError, Invalid
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.sep_config import SepConfig
from cisisk.model.sep_config.diff import RestartType


class NotRestarted(CisiskError):
    """The phone did not accept a restart.

    Args:
        notice: why.
    """

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice)


class Unreachable(NotRestarted):
    """The phone did not answer at all: another method on the same way would only wait again."""


class InCall(NotRestarted):
    """The phone has an active call: no other method may end it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How a phone is registered over SIP at its call manager.

    Attributes:
        user: of its contact's URI.
        call_id: of the REGISTER of its first line; another one after each start of the phone. Empty when the call
            manager does not tell it.
        peer: what the call manager calls it: the endpoint or the peer.
        in_call: None when that is not told.
    """

    user: str
    call_id: str
    peer: str = ""
    in_call: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The phone as it is before its config is replaced.

    Attributes:
        address: its IP address, None when nothing is known of it.
        software: what it runs, or what the profile is for when nobody has said.
        served: the config that it was served before, which it most likely runs; None when it was served none.
        wanted: the config that it is to take at this restart.
        action: what it is to be told; None for what the two configs differ in to decide.
        registration: None when nobody could be asked, or it is not registered.
        unregistered: why that is so; None when nobody was asked.
    """

    mac: Mac
    address: str | None
    model: str | None
    software: Software
    served: bytes | None = field(default=None, repr=False)
    wanted: bytes | None = field(default=None, repr=False)
    action: RestartType | None = None
    registration: Registration | None = None
    unregistered: NotRestarted | None = None

    @property
    def runs(self) -> SepConfig | None:
        """What it most likely runs; None when that is not known."""
        return _read(self.served)

    @property
    def takes(self) -> SepConfig | None:
        """What it is to run; None when that is no config that can be read."""
        return _read(self.wanted)

    @property
    def takes_commands(self) -> bool:
        """Whether it may obey over HTTP: it can be reached, and does not run a config that turns that off.

        As :attr:`runs` and :attr:`takes` this may take the time of reading a config.
        """
        if self.address is None:
            return False
        runs = self.runs
        return runs is None or runs.web_access in {None, "enabled"}

    def require_registration(self) -> Registration:
        """The registration. Raises NotRestarted: why it is not known."""
        if self.registration is None:
            raise self.unregistered or NotRestarted(RestartRefusal.REGISTRATION_NOT_ASKED.notice())
        return self.registration

    def require_address(self) -> str:
        """The address. Raises Unreachable when it is not known."""
        if self.address is None:
            raise Unreachable(RestartRefusal.ADDRESS_UNKNOWN.notice())
        return self.address


def _read(config: bytes | None) -> SepConfig | None:
    try:
        return None if config is None else sep_config.read(config)
    except Invalid:
        return None
