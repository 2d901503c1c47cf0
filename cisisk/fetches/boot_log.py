"""Reads from the fetch log what the stories of a phone's boots are made of."""

import asyncio

from cisisk.fetches.boots import Boot
from cisisk.fetches.boots import stories as told
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone
from cisisk.store import deployments, fetches, phones
from cisisk.store.database import Database
from cisisk.store.fetches import LoggedFetch

MAX_FETCHES = 1000
"""Of the phone and of each of its addresses: some fifty boots. Of an older one only a part might be known."""
MAX_ADDRESSES = 8
"""The newest addresses of the phone that are looked at."""


async def stories(db: Database, mac: Mac) -> list[Boot]:
    """The boots of a phone of the inventory, the newest first. Raises NotFound."""
    phone = await phones.get(db, mac)
    own = await fetches.newest_of_phone(db, mac, MAX_FETCHES)
    addresses = list(dict.fromkeys([fetch.peer for fetch in own] + [phone.address] * bool(phone.address)))
    found = [own, *[await fetches.newest_of_peer(db, peer, MAX_FETCHES) for peer in addresses[:MAX_ADDRESSES] if peer]]
    waiting = await deployments.awaited_since(db, mac)
    # A thousand fetches are some 30 ms of reading and comparing.
    return await asyncio.to_thread(
        told, mac, _whole(found), address=phone.address, model=_model(phone), awaited_since=waiting
    )


def _whole(found: list[list[LoggedFetch]]) -> list[LoggedFetch]:
    """All of ``found`` once, from where on every part of it is complete."""
    begin = max((part[-1].number for part in found if len(part) == MAX_FETCHES), default=0)
    return list({fetch.number: fetch for part in found for fetch in part if fetch.number >= begin}.values())


def _model(phone: Phone) -> str | None:
    """The one somebody entered, else one of those that the requests reveal: they are alike."""
    revealed = phone.discovery.revealed.models if phone.discovery else ()
    return phone.model or next(iter(revealed), None)
