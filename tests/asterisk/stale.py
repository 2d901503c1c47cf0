"""Contacts that stay at Asterisk after their phone has lost power."""

from dataclasses import replace
from functools import partial

from cisisk.simulator.line_client import PhoneIdentity
from cisisk.simulator.phone import SimulatedPhone
from cisisk.simulator.registration import SipRegistration
from cisisk.simulator.running_config import RunningConfig
from cisisk.sip.transaction import Sender, SipClient
from tests.asterisk.site import AsteriskSite
from tests.e2e.running_site import free_port
from tests.patience import PATIENCE


async def leave_stale_contact(pbx: AsteriskSite, line: str, phone: SimulatedPhone) -> None:
    """Register a line from the address of a phone, at a port where nothing listens.

    It expires before a registration of the phone does, as one that the phone made earlier.
    """
    registers = RunningConfig.read(pbx.config(line).encode()).registers
    assert registers is not None
    registers = replace(registers, expires=pbx.expires // 2)
    identity = PhoneIdentity(
        address=phone.address,
        sip_port=free_port(),
        device_name=phone.device_name,
        product=phone.model.product,
        load=phone.load,
        call_id=f"0000-stale-{line}@{phone.address}",
        last="initialized",
    )
    async with SipClient() as client:
        open_way = partial(client.way, sender=Sender(address=phone.address, port=identity.sip_port))
        await SipRegistration(registers, identity, open_way).register(PATIENCE, 0)
