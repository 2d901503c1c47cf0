"""The phone that Cisisk restarts: its identity, its address, and the configs before and after."""

from dataclasses import dataclass, field

from cisisk.model import sep_config
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.content_type import ContentType, content_type_of
from cisisk.model.errors import CisiskError, Invalid
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.registration import Before
from cisisk.model.sep_config import SepConfig
from cisisk.model.sep_config.diff import RestartType


class NotRestarted(CisiskError):
    """The phone did not accept a restart.

    Args:
        notice: the reason.
    """

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice)


class Unreachable(NotRestarted):
    """The phone did not answer at all. Another method over the same way would only wait again."""


class InCall(NotRestarted):
    """The phone has an active call, which no method may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The SIP registration of a phone at its call manager.

    Attributes:
        user: the user of its contact's URI.
        call_id: the Call-ID of the REGISTER of its first line, a new one after each start of the phone. Empty if the
            call manager does not show it.
        peer: the name of the endpoint or peer at the call manager.
        in_call: None if it is not known.
    """

    user: str
    call_id: str
    peer: str = ""
    in_call: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The phone before its config is replaced.

    Attributes:
        address: its IP address; None if it is not known.
        software: what it runs, or what the profile is for if that is not known.
        is_adapter: it is an analogue adapter, which reads ``ATA<MAC>.cnf.xml``.
        served: the config that it was served before, which it most likely runs; None if it was served none.
        wanted: the config that it fetches after this restart.
        action: what to ask of it; None to decide by the difference between the two configs.
        registration: None if the phone is not registered, or could not be identified.
        unregistered: why there is no registration; None if the call manager was not asked.
        before: what is registered before the restart; None if it is not known.
    """

    mac: Mac
    address: str | None
    model: str | None
    software: Software
    is_adapter: bool = False
    served: bytes | None = field(default=None, repr=False)
    wanted: bytes | None = field(default=None, repr=False)
    action: RestartType | None = None
    registration: Registration | None = None
    unregistered: NotRestarted | None = None
    before: Before | None = None

    @property
    def reads_flat_config(self) -> bool:
        """Whether it is a 7940 or 7960 with SIP firmware, by the configs that it is served."""
        contents = (content for content in (self.served, self.wanted) if content is not None)
        return any(content_type_of(content) is ContentType.CNF for content in contents)

    def file_name(self, present: str | None) -> str:
        """Return the name under which the phone requests the config ``wanted``.

        Args:
            present: the name of the config that it is served now; None if there is none.
        """
        if self.wanted is not None and content_type_of(self.wanted) is ContentType.CNF:
            return self.mac.flat_config_name
        is_adapter = self.is_adapter or (present or "").casefold() == self.mac.adapter_config_name.casefold()
        return self.mac.adapter_config_name if is_adapter else self.mac.config_name

    @property
    def runs(self) -> SepConfig | None:
        """The config that it most likely runs; None if that is not known."""
        return _read(self.served)

    @property
    def takes(self) -> SepConfig | None:
        """The config that it will run; None if it cannot be parsed."""
        return _read(self.wanted)

    @property
    def takes_commands(self) -> bool:
        """Whether it may accept commands over HTTP: its address is known, and its config does not turn web access off.

        Parses a config, as :attr:`runs` and :attr:`takes` do.
        """
        if self.address is None:
            return False
        runs = self.runs
        return runs is None or runs.web_access in {None, "enabled"}

    def require_registration(self) -> Registration:
        """Return the registration. Raises NotRestarted with the reason if there is none."""
        if self.registration is None:
            raise self.unregistered or NotRestarted(RestartRefusal.REGISTRATION_NOT_ASKED.notice())
        return self.registration

    def require_address(self) -> str:
        """Return the address. Raises Unreachable if it is not known."""
        if self.address is None:
            raise Unreachable(RestartRefusal.ADDRESS_UNKNOWN.notice())
        return self.address


def _read(config: bytes | None) -> SepConfig | None:
    try:
        return None if config is None else sep_config.read(config)
    except Invalid:
        return None
