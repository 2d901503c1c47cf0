"""The protocol of restart methods, and the order in which they are tried."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from cisisk.model.errors import ConfigurationError
from cisisk.model.phone import Software
from cisisk.model.restart import Attempt, MethodRefusal, RestartOutcome
from cisisk.model.target import InCall, NotRestarted, Target, Unreachable


class RestartMethod(Protocol):
    """One way to restart a phone."""

    @property
    def name(self) -> str:
        """The name in the settings."""

    @property
    def way(self) -> str:
        """The way to the phone. Methods that share it are reachable or unreachable together."""

    async def restart(self, target: Target) -> None:
        """Return once the phone has accepted to restart.

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

    async def restart(self, target: Target) -> Attempt:
        """Try the methods until one is accepted. Never raises :class:`NotRestarted`: the attempt has the reasons."""
        refusals: list[MethodRefusal] = []
        unreachable: set[str] = set()
        for method in self._order[target.software]:
            if method.way in unreachable:
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
                return Attempt(RestartOutcome.ACCEPTED, method.name)
        if not refusals:
            return Attempt(RestartOutcome.NO_METHOD)
        return Attempt(RestartOutcome.REFUSED, refusals=tuple(refusals))
