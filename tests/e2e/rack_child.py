"""A rack of phones and their Asterisk, in a process of their own: what they do costs nobody else's event loop anything.

On the standard input and output, a line of JSON each way: it tells its ports; is told the server's, and powers the
phones on; tells when all are registered; is told anything, and tells what each phone has come to.
"""

import asyncio
import json
import sys
from typing import Any

from cisisk.model.mac import Mac
from cisisk.simulator.fleet import Fleet, build_phones
from cisisk.simulator.models import find_model
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing
from tests.protocol.asterisk import AsteriskEmulator
from tests.protocol.sip_registrar import SipRegistrar

BOOT_SECONDS = 120.0
TIMING = Timing(tftp=TftpRetry(interval=2.0, retries=10), offline=0.3, boot_pause=0.2, registration=30.0)


def tell(**news: Any) -> None:
    print(json.dumps(news), flush=True)


async def told() -> Any:
    return json.loads(await asyncio.to_thread(sys.stdin.readline) or "null")


async def main(count: int, first_mac: str, network: str) -> None:
    registrar = SipRegistrar()
    async with AsteriskEmulator(sip=registrar) as asterisk:
        tell(ami=asterisk.port, sip=registrar.port)
        if (server := await told()) is None:
            return
        phones = build_phones(
            count,
            find_model("7942"),
            first_mac=Mac.parse(first_mac),
            network=network,
            server="127.0.0.1",
            timing=TIMING,
            **server,
        )
        async with Fleet(phones):
            for phone in phones:
                await phone.wait_for_registration(BOOT_SECONDS)
            tell(registered=len(phones))
            await told()
            tell(phones={str(phone.mac): [phone.runs, phone.config_sha256, phone.is_registered] for phone in phones})
            # Those that restart at this moment are no concern of anybody any more.
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
