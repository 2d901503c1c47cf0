"""Restart through the phone's menu, by key presses over CGI/Execute.

Source: docs/phone-protocol/restart.md#key-sequences

Only families with a published macro are supported: on the others the same digits can erase settings or trust lists.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cisisk.model.catalogue import find
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.restart import Worth
from cisisk.model.target import NotRestarted, Target
from cisisk.restart.execute import PhoneCommands


class Press(NamedTuple):
    """A command, and the seconds to wait after it: the phone ignores keys while the soft keys change."""

    url: str
    pause: float


_SETTINGS_STAR_STAR_POUND = (
    # An open page would receive the keys.
    Press("Init:Services", 0.2),
    Press("Key:Settings", 1.0),
    Press("Key:KeyPadStar", 0.2),
    Press("Key:KeyPadStar", 0.2),
    Press("Key:KeyPadPound", 0.2),
    Press("Key:KeyPadStar", 0.2),
    Press("Key:KeyPadStar", 0.0),
)
_APPLICATIONS_RESET = (
    Press("Init:Services", 0.2),
    Press("Key:Applications", 1.0),
    Press("Key:KeyPad4", 0.2),
    Press("Key:KeyPad4", 0.2),
    Press("Key:KeyPad1", 0.2),
    Press("Key:Soft3", 0.0),
)
MACROS: Mapping[str, Sequence[Press]] = {"79xx": _SETTINGS_STAR_STAR_POUND, "8961/99xx": _APPLICATIONS_RESET}
"""By the family of the catalogue. The first needs ``settingsAccess`` 1 in the config that the phone runs."""


class CgiKeys:
    """Restart the phone as a person at its keys would."""

    name = "cgi-keys"
    way = "phone-http"
    worth = Worth.ANSWERED

    def __init__(self, commands: PhoneCommands) -> None:
        self._commands = commands

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; accepted means that the phone took every key."""
        target.require_address()
        for press in _macro(target.model):
            await self._commands.execute(target, [press.url])
            await asyncio.sleep(press.pause)


def _macro(model: str | None) -> Sequence[Press]:
    if model is None:
        raise NotRestarted(RestartRefusal.MODEL_UNKNOWN.notice())
    facts = find(model)
    macro = MACROS.get(facts.family) if facts else None
    if macro is None:
        raise NotRestarted(RestartRefusal.KEYS_UNKNOWN.notice(model=model))
    return macro
