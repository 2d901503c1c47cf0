"""The protocol of restart methods, and the order in which they are tried."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from cisisk.model.errors import ConfigurationError
from cisisk.model.phone import Software
from cisisk.model.restart import Attempt, MethodRefusal, RestartOutcome, Worth
from cisisk.model.target import InCall, NotRestarted, Target, Unreachable


class RestartMethod(Protocol):
    """One way to restart a phone."""

    @property
    def name(self) -> str:
        """The name in the settings."""

    @property
    def way(self) -> str:
        """The way to the phone. Methods that share it are reachable or unreachable together."""

    @property
    def worth(self) -> Worth:
        """What its acceptance shows: the phone's own answer, or only that the call manager sent the request."""

    async def restart(self, target: Target) -> None:
        """Return once the phone has accepted to restart, or the call manager has sent the request.

        Raises:
            NotRestarted: the phone has not accepted.
        """


class Restarts:
    """The methods for each software, in the configured order.

    Raises:
        ConfigurationError: a configured name is not a method.
    """

    def __init__(self, methods: Sequence[RestartMethod], orders: Mapping[Software, Sequence[str]]) -> None:
        known = {method.name: method for method in methods}
        for software, names in orders.items():
            for name in names:
                if name not in known:
                    where = f"restart.{software.lower()}"
                    raise ConfigurationError(f'{where}: unknown method "{name}"; known are {", ".join(known)}')
        self._order = {software: [known[name] for name in names] for software, names in orders.items()}

    def order(self, software: Software) -> tuple[str, ...]:
        """Return the names of the methods for phones with this software, in the order in which they are tried."""
        return tuple(method.name for method in self._order[software])

    def untried(self, software: Software, tried: Collection[str]) -> tuple[str, ...]:
        """Return the names of the methods that come after those that were ``tried``."""
        return tuple(name for name in self.order(software) if name not in tried)

    async def restart(self, target: Target, tried: Collection[str] = ()) -> Attempt:
        """Try the methods until one is accepted. Never raises :class:`NotRestarted`: the attempt has the reasons.

        Args:
            tried: methods that are left out, unless no other is configured.
        """
        names = self.untried(target.software, tried) or self.order(target.software)
        refusals: list[MethodRefusal] = []
        unreachable: set[str] = set()
        for method in self._order[target.software]:
            if method.name not in names or method.way in unreachable:
                continue
            try:
                await method.restart(target)
            except NotRestarted as error:
                refusals.append(MethodRefusal(method.name, error.notice))
                if isinstance(error, InCall):
                    break
                if isinstance(error, Unreachable):
                    unreachable.add(method.way)
            else:
                return Attempt(RestartOutcome.ACCEPTED, method.name, tuple(refusals), method.worth)
        if not refusals:
            return Attempt(RestartOutcome.NO_METHOD)
        return Attempt(RestartOutcome.REFUSED, refusals=tuple(refusals))
