"""Switch a phone to a second profile and kill this process at a named step of that switch."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from cisisk.model.mac import Mac
from cisisk.provisioning.library import Library
from cisisk.restart.method import Restarts
from cisisk.store import progress
from cisisk.store.database import Database
from tests.e2e.database_writes import Write, around
from tests.e2e.running_site import PASSWORD, open_site, settings_for

STEPS: dict[str, tuple[Any, str, bool]] = {
    "before the record": (progress, "record", False),
    "after the record": (progress, "record", True),
    "before the rename": (Library, "_put", False),
    "after the rename": (Library, "_put", True),
    "before the commit": (progress, "written", False),
    "after the commit": (progress, "written", True),
    "during the restart": (Restarts, "restart", False),
    "after the restart": (progress, "restart_tried", True),
}
"""Where to kill: the owner of a function, its name, and whether after its call (True) or before."""


def arm(owner: Any, name: str, *, after: bool) -> None:
    """Kill this process at the next call of a function."""
    original = getattr(owner, name)
    replacement: Callable[..., Any]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def killing_coroutine(*arguments: Any, **named: Any) -> Any:
        if after:
            await original(*arguments, **named)
        die()

    def killing(*arguments: Any) -> Any:
        if after:
            original(*arguments)
        die()

    async def killing_write(stored: Write) -> None:
        if after:
            await stored()
        die()

    if isinstance(owner, ModuleType):
        # A store function ends with its commit.
        owner, name, replacement = Database, "write", around(original, killing_write)
    else:
        replacement = killing_coroutine if asyncio.iscoroutinefunction(original) else killing
    setattr(owner, name, replacement)


async def main(directory: str, step: str, mac: str) -> None:
    os.environ["CISISK_ADMIN_PASSWORD"] = PASSWORD
    owner, name, after = STEPS[step]
    async with open_site(settings_for(Path(directory))) as site:
        old, new = await site.profile("old"), await site.profile("new")
        await site.switch(old, Mac.parse(mac))
        arm(owner, name, after=after)
        await site.switch(new, Mac.parse(mac))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
