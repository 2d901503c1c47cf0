"""Reads the boots of a phone from the fetch log."""

import asyncio

from cisisk.fetches.boot import Boot
from cisisk.fetches.boots import boot_history
from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone
from cisisk.store import deployments, fetches, phones, steps
from cisisk.store.database import Database
from cisisk.store.fetches import LoggedFetch
from cisisk.store.transaction import Read

MAX_FETCHES = 1000
"""Per phone, and per address: about fifty boots. Of an older boot, the log may hold only a part."""
MAX_RESTARTS = 200
"""The newest restarts that are read: more than there are boots."""
MAX_ADDRESSES = 8
"""The newest addresses of the phone whose requests are read."""


async def read_boots(db: Database, mac: Mac) -> list[Boot]:
    """Return the boots of a phone in the inventory, the newest first. Raises NotFound."""
    phone, own = await db.read(_read_own, mac)
    addresses = list(dict.fromkeys([fetch.peer for fetch in own] + [phone.address] * bool(phone.address)))
    # One read for each address: all of them together would block other reads for a quarter of a second.
    peers = [peer for peer in addresses[:MAX_ADDRESSES] if peer]
    found = [own, *[await db.read(fetches.newest_of_peer, peer, MAX_FETCHES) for peer in peers]]
    waiting, restarts = await db.read(_read_restarts, mac)
    # A thousand fetches take about 30 ms.
    return await asyncio.to_thread(
        boot_history,
        mac,
        _whole(found),
        address=phone.address,
        model=_model(phone),
        awaited_since=waiting,
        restarts=restarts,
    )


def _read_own(tx: Read, mac: Mac) -> tuple[Phone, list[LoggedFetch]]:
    """Return the phone and the newest fetches of its own files."""
    return phones.get(tx, mac), fetches.newest_of_phone(tx, mac, MAX_FETCHES)


def _read_restarts(tx: Read, mac: Mac) -> tuple[Timestamp | None, list[Timestamp]]:
    """Return when the config was written that the phone has not fetched, and when it was asked to restart."""
    return deployments.awaited_since(tx, mac), steps.restarts_of(tx, mac, MAX_RESTARTS)


def _whole(found: list[list[LoggedFetch]]) -> list[LoggedFetch]:
    """Return each fetch once, from the first moment on that every part covers."""
    begin = max((part[-1].number for part in found if len(part) == MAX_FETCHES), default=0)
    return list({fetch.number: fetch for part in found for fetch in part if fetch.number >= begin}.values())


def _model(phone: Phone) -> str | None:
    """Return the model that was entered, else one of those that the requests reveal: they behave alike."""
    revealed = phone.discovery.revealed.models if phone.discovery else ()
    return phone.model or next(iter(revealed), None)
