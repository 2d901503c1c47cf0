"""Simulated phones and their Asterisk, in a separate process to keep their load off the event loop of the tests.

The process exchanges lines of JSON over stdin and stdout: it sends its ports; receives the ports of the server and
boots the phones; sends the number of phones when all are registered; receives any line; and sends the state of each
phone.
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


def send(**message: Any) -> None:
    print(json.dumps(message), flush=True)


async def receive() -> Any:
    return json.loads(await asyncio.to_thread(sys.stdin.readline) or "null")


async def main(count: int, first_mac: str, network: str) -> None:
    registrar = SipRegistrar()
    async with AsteriskEmulator(sip=registrar) as asterisk:
        send(ami=asterisk.port, sip=registrar.port)
        if (server := await receive()) is None:
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
            send(registered=len(phones))
            await receive()
            send(phones={str(phone.mac): [phone.runs, phone.config_sha256, phone.is_registered] for phone in phones})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
