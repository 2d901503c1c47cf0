"""Many phones at once: a rack of them on the loopback network."""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Self

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.simulator.boot import BootOutcome
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.phone import SimulatedPhone
from cisisk.simulator.timing import Timing

DEFAULT_CONCURRENCY = 50
"""Phones that boot at the same time at the start: a switch powers its ports up one after the other."""


def line_up(
    count: int,
    model: PhoneModel,
    *,
    first_mac: Mac,
    network: str,
    server: str,
    tftp_port: int = 69,
    http_port: int = 6970,
    web_port: int = 80,
    sip_port: int | None = None,
    timing: Timing | None = None,
    on_event: Callable[[SimulatedPhone, str], None] | None = None,
) -> list[SimulatedPhone]:
    """``count`` phones with consecutive MAC addresses and the consecutive host addresses of ``network``.

    Args:
        count: how many.
        model: what all of them are.
        first_mac: of the first.
        network: of addresses this machine has, such as ``127.0.2.0/24``.
        server: numeric address of the provisioning server.
        tftp_port: there.
        http_port: there.
        web_port: of every phone, each on its own address.
        sip_port: likewise; None for phones that take no SIP.
        timing: of every phone.
        on_event: hears of all.

    Raises:
        Invalid: no network, one with too few addresses, or MAC addresses that run into the multicast ones.
    """
    try:
        hosts = ipaddress.ip_network(network).hosts()
    except ValueError as failure:
        raise Invalid.field("network", str(failure)) from failure
    addresses = [str(host) for host in islice(hosts, count)]
    if len(addresses) < count:
        raise Invalid.field("network", f"{network} has {len(addresses)} addresses, fewer than {count} phones")
    return [
        SimulatedPhone(
            mac,
            model,
            address=address,
            server=server,
            tftp_port=tftp_port,
            http_port=http_port,
            web_port=web_port,
            sip_port=sip_port,
            timing=timing,
            on_event=on_event,
        )
        for address, mac in zip(addresses, _consecutive(first_mac), strict=False)
    ]


def _consecutive(first: Mac) -> Iterator[Mac]:
    number = int(first.digits, 16)
    while True:
        yield Mac.parse(f"{number:012X}")
        number += 1


class Fleet:
    """Phones that live while the context is open."""

    def __init__(self, phones: Sequence[SimulatedPhone], *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """At most ``concurrency`` of ``phones`` make their first boot at the same time."""
        self.phones = tuple(phones)
        self._concurrency = concurrency

    async def __aenter__(self) -> Self:
        """Power on all phones; each has ended its first boot, well or not.

        Raises:
            ExceptionGroup: of what phones died of, such as a web port that was taken; all of them are off then.
        """
        gate = asyncio.Semaphore(self._concurrency)
        try:
            async with asyncio.TaskGroup() as starts:
                for phone in self.phones:
                    starts.create_task(_first_boot(phone, gate), name=f"first boot of {phone.device_name}")
        except BaseException:
            await self._power_off()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Power off all phones.

        Raises:
            ExceptionGroup: of what phones died of meanwhile.
        """
        deaths = await self._power_off()
        if deaths:
            raise BaseExceptionGroup("phones died", deaths)

    async def _power_off(self) -> list[BaseException]:
        """Stop all phones. Returns what those that were dead already had died of."""
        ends = await asyncio.gather(*(phone.stop() for phone in self.phones), return_exceptions=True)
        return [end for end in ends if end is not None]


async def _first_boot(phone: SimulatedPhone, gate: asyncio.Semaphore) -> None:
    async with gate:
        phone.start()
        await phone.wait_until(lambda: phone.runs > 0 or _first_boot_failed(phone), None, "has booted")


def _first_boot_failed(phone: SimulatedPhone) -> bool:
    return bool(phone.boots) and phone.boots[-1].outcome is BootOutcome.TRANSFER_FAILED
