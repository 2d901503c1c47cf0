"""What a restart method is, and the order in which methods are tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cisisk.model.deployment import RESTART_OK
from cisisk.model.errors import CisiskError, ConfigurationError
from cisisk.model.mac import Mac
from cisisk.model.phone import Software


class NotRestarted(CisiskError):
    """The phone did not accept a restart; the text tells a person why."""


class Unreachable(NotRestarted):
    """The phone did not answer at all: another method on the same way would only wait again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The phone as it is before its config is replaced.

    Attributes:
        address: its IP address, None when nothing is known of it.
        software: what it runs, or what the profile is for when nobody has said.
    """

    mac: Mac
    address: str | None
    model: str | None
    software: Software

    def require_address(self) -> str:
        """The address. Raises Unreachable when it is not known."""
        if self.address is None:
            raise Unreachable(
                "the phone's address is not known: it has not fetched anything from Cisisk yet, and its phone_ip is "
                "not set"
            )
        return self.address


class RestartMethod(Protocol):
    """One way to make a phone restart."""

    @property
    def name(self) -> str:
        """As it stands in the settings."""

    @property
    def way(self) -> str:
        """Methods that share a way are reachable or unreachable together."""

    async def restart(self, target: Target) -> None:
        """Return once the phone has accepted to restart.

        Raises:
            NotRestarted: it has not.
        """


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a restart.

    Attributes:
        outcome: :data:`RESTART_OK`, or why there was none.
        method: the name of the method that was accepted.
    """

    outcome: str
    method: str | None = None


class Restarts:
    """The methods for each software, in the configured order.

    Raises:
        ConfigurationError: an ordered name is no method.
    """

    def __init__(self, methods: Sequence[RestartMethod], orders: Mapping[Software, Sequence[str]]) -> None:
        known = {method.name: method for method in methods}
        for software, names in orders.items():
            for name in names:
                if name not in known:
                    where = f"restart.{software.lower()}"
                    raise ConfigurationError(f'{where}: unknown method "{name}"; known are {", ".join(known)}')
        self._order = {software: [known[name] for name in names] for software, names in orders.items()}

    async def restart(self, target: Target) -> Attempt:
        """Try the methods until one is accepted. Never raises :class:`NotRestarted`: the reasons are the outcome."""
        reasons: dict[str, list[str]] = {}
        unreachable: set[str] = set()
        for method in self._order[target.software]:
            if method.way in unreachable:
                continue
            try:
                await method.restart(target)
            except NotRestarted as error:
                reasons.setdefault(str(error), []).append(method.name)
                if isinstance(error, Unreachable):
                    unreachable.add(method.way)
            else:
                return Attempt(RESTART_OK, method.name)
        if not reasons:
            return Attempt(
                f"No restart method is configured for {target.software} phones (restart.{target.software.lower()})"
            )
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        return Attempt(f"{told}. The phone takes the config at its next boot")
