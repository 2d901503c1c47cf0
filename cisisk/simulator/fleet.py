"""Many simulated phones in one process, on addresses of the loopback network."""

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
"""Concurrent first boots: a network switch powers its ports one after the other."""


def build_phones(
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
    sip_proxy: tuple[str, int] | None = None,
    timing: Timing | None = None,
    on_event: Callable[[SimulatedPhone, str], None] | None = None,
) -> list[SimulatedPhone]:
    """Return ``count`` phones with consecutive MAC addresses and consecutive host addresses of ``network``.

    Args:
        count: number of phones.
        model: model of every phone.
        first_mac: MAC address of the first phone.
        network: network of local addresses, such as ``127.0.2.0/24``.
        server: numeric IP address of the provisioning server.
        tftp_port: the server's TFTP port.
        http_port: the server's HTTP port.
        web_port: web server port of every phone, each on its own address.
        sip_port: SIP port of every phone, likewise; None disables SIP.
        sip_proxy: address and port where every phone registers, in place of its config's call manager.
        timing: timing of every phone.
        on_event: called for the events of every phone.

    Raises:
        Invalid: the network is invalid or too small, or a MAC address would be a multicast address.
    """
    try:
        hosts = ipaddress.ip_network(network).hosts()
    except ValueError as failure:
        raise Invalid.field("network", str(failure)) from failure
    addresses = [str(host) for host in islice(hosts, count)]
    if len(addresses) < count:
        raise Invalid.field("network", f"{network} has {len(addresses)} addresses; {count} phones need more")
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
            sip_proxy=sip_proxy,
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
    """Phones that are powered on while the context is open."""

    def __init__(self, phones: Sequence[SimulatedPhone], *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        """Limit the concurrent first boots of ``phones`` to ``concurrency``."""
        self.phones = tuple(phones)
        self._concurrency = concurrency

    async def __aenter__(self) -> Self:
        """Power on all phones and wait until each has finished its first boot, successful or not.

        Raises:
            ExceptionGroup: phones failed, for example on a web port that is in use. All phones are off then.
        """
        semaphore = asyncio.Semaphore(self._concurrency)
        try:
            async with asyncio.TaskGroup() as starts:
                for phone in self.phones:
                    starts.create_task(_first_boot(phone, semaphore), name=f"first boot of {phone.device_name}")
        except BaseException:
            await self._power_off()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Power off all phones.

        Raises:
            ExceptionGroup: phones failed while they were on.
        """
        failures = await self._power_off()
        if failures:
            raise BaseExceptionGroup("phones failed", failures)

    async def _power_off(self) -> list[BaseException]:
        """Stop all phones and return the errors of those that had failed."""
        results = await asyncio.gather(*(phone.stop() for phone in self.phones), return_exceptions=True)
        return [result for result in results if result is not None]


async def _first_boot(phone: SimulatedPhone, semaphore: asyncio.Semaphore) -> None:
    async with semaphore:
        phone.start()
        await phone.wait_until(lambda: phone.runs > 0 or _first_boot_failed(phone), None, "has booted")


def _first_boot_failed(phone: SimulatedPhone) -> bool:
    return bool(phone.boots) and phone.boots[-1].outcome is BootOutcome.TRANSFER_FAILED
