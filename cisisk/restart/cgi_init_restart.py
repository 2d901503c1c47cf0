"""``Init:Restart`` over CGI/Execute.

No public Cisco document names this URI (docs/phone-protocol/restart.md#init-restart). Some firmware is said to take it.
Firmware that does not know it answers with status 6, and the next method is tried.
"""

from cisisk.model.restart import Worth
from cisisk.model.target import Target
from cisisk.restart.execute import PhoneCommands


class CgiInitRestart:
    """Ask the phone to restart with one command."""

    name = "cgi-init-restart"
    way = "phone-http"
    worth = Worth.ANSWERED

    def __init__(self, commands: PhoneCommands) -> None:
        self._commands = commands

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`."""
        await self._commands.execute(target, ["Init:Restart"])
