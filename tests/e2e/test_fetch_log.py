"""A thousand phones boot: the fetch log holds each of their requests exactly once."""

import asyncio
import ipaddress
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cisisk.model.mac import Mac
from cisisk.simulator.boot import BootNetwork, FetchResult, Loader, load_config
from cisisk.simulator.models import find_model
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing
from tests.e2e.running_site import Site, config, open_site, settings_for, until

PHONES = 1000
CONCURRENT_BOOTS = 60
"""Phones that boot at the same time: a PoE switch powers its ports one after the other."""
FIRST_MAC = 0x00_11_22_70_00_00
FIRST_ADDRESS = ipaddress.IPv4Address("127.77.0.1")
OUTCOMES = {FetchResult.RECEIVED: "completed", FetchResult.ABSENT: "absent"}
TIMING = Timing(tftp=TftpRetry(interval=20.0, retries=0), http=20.0)
"""Timeouts that rule out repeated requests: the log would hold a repeated request for an absent file twice."""

Request: TypeAlias = tuple[str, str, str, str, int]
"""Address, protocol, name, outcome and size of one fetch."""


async def boot(site: Site, number: int) -> list[Request]:
    """Boot one phone and return its requests. Every second phone is of a model that asks over HTTP first."""
    assert site.running.tftp_address
    assert site.running.provisioning_http_address
    server, tftp_port = site.running.tftp_address
    model = find_model("8851" if number % 2 else "7942")
    network = BootNetwork(
        address=str(FIRST_ADDRESS + number),
        source_port=0,
        server=server,
        tftp_port=tftp_port,
        http_port=site.running.provisioning_http_address[1] if number % 2 else None,
    )
    loader = Loader(model, network, TIMING, on_attempt=lambda _: None)
    await load_config(loader, model, mac_of(number))
    return [
        (network.address, attempt.via.value, attempt.name, OUTCOMES[attempt.result], attempt.size)
        for attempt in loader.attempts
    ]


async def boot_all(site: Site) -> Counter[Request]:
    slots, counted = asyncio.Semaphore(CONCURRENT_BOOTS), Counter[Request]()

    async def boot_one(number: int) -> None:
        async with slots:
            counted.update(await boot(site, number))

    async with asyncio.TaskGroup() as phones:
        for number in range(PHONES):
            phones.create_task(boot_one(number))
    return counted


def mac_of(number: int) -> Mac:
    return Mac.parse(f"{FIRST_MAC + number:012X}")


async def page(site: Site, offset: int = 0, limit: int = 1000) -> Any:
    return (await site.call("GET", f"/fetches?limit={limit}&offset={offset}"))[1]


async def total(site: Site) -> int:
    return int((await page(site, limit=1))["metadata"]["total"])


@pytest.mark.slow
async def test_fetch_log_of_a_thousand_boots_has_each_request_once(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    settings.served_root.mkdir(parents=True)
    # Every third phone has no config and asks for the default.
    for number in filter(lambda number: number % 3, range(PHONES)):
        (settings.served_root / mac_of(number).config_name).write_text(config(str(number)), "ascii", newline="")
    async with open_site(settings) as site:
        counted = await boot_all(site)
        assert await until(lambda: total(site), lambda found: found >= counted.total()) == counted.total()
        rows = [row for offset in range(0, counted.total(), 1000) for row in (await page(site, offset))["data"]]
    logged = Counter(
        (row["peer"], row["protocol"], row["name"].lstrip("/"), row["outcome"], row["acknowledged"]) for row in rows
    )
    assert logged == counted
    assert len({row["number"] for row in rows}) == len(rows)
    assert {request[1] for request in counted} == {"http", "tftp"}
