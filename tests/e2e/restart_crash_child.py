"""Switch a phone and kill this process after it sent the restart, before it records it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from cisisk.model.mac import Mac
from tests.e2e.running_site import PASSWORD, open_site, settings_for
from tests.e2e.switch_crash_child import STEPS, arm


async def main(directory: str, sections: str, mac: str, new: str) -> None:
    os.environ["CISISK_ADMIN_PASSWORD"] = PASSWORD
    async with open_site(settings_for(Path(directory), **json.loads(sections))) as site:
        profile = await site.profile("new", cnf_xml=new)
        owner, name, _ = STEPS["after the restart"]
        arm(owner, name, after=False)
        await site.switch(profile, Mac.parse(mac))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
