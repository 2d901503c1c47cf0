from typing import Any

import pytest

from cisisk.model.discovery import DiscoveredPhone, DiscoveryHints
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.store import fetches, phones
from cisisk.store.database import Database
from cisisk.store.fetches import Row, Wanted
from cisisk.store.phones import Sighting
from cisisk.store.transaction import Read, Write

MAC, OTHER = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")
LONG_AGO = "2000-01-01T00:00:00.000Z"


def row(
    minute: int = 0,
    name: str = "SEPAABBCCDDEE01.cnf.xml",
    *,
    mac: Mac | None = MAC,
    peer: str = "192.0.2.7",
    protocol: str = "tftp",
    outcome: str = "completed",
    options: str = "{}",
) -> Row:
    started = f"2026-06-28T12:{minute:02}:00.000Z"
    digits = mac.digits if mac else None
    return (
        *(started, protocol, peer, 49152, "192.0.2.5", name, digits, outcome, "0" * 64),
        *(12_000, 12_000, 24, 1, 0.25, options),
    )


async def found(db: Database, **wanted: Any) -> list[str]:
    page = await db.read(fetches.page, Listing(), Wanted(**wanted))
    assert page.total == len(page.items)
    return [fetch.started_at[14:16] for fetch in page.items]


async def test_fetch_is_returned_as_stored(db: Database) -> None:
    await db.write(fetches.add, [row(options='{"blksize":1428}')])
    [fetch] = (await db.read(fetches.page, Listing(), Wanted())).items
    assert (fetch.number, fetch.mac, fetch.peer, fetch.port) == (1, MAC, "192.0.2.7", 49152)
    assert (fetch.size, fetch.acknowledged, fetch.blocks, fetch.retransmits) == (12_000, 12_000, 24, 1)
    assert (fetch.duration, fetch.options, fetch.outcome) == (0.25, {"blksize": 1428}, "completed")


async def test_fetches_are_filtered_by_every_criterion(db: Database) -> None:
    await db.write(
        fetches.add,
        [
            row(0),
            row(1, mac=OTHER, name="SEPAABBCCDDEE02.cnf.xml", outcome="absent"),
            row(2, mac=None, name="Ring 50%.raw", peer="192.0.2.8"),
            row(3, protocol="http", mac=None, name="dialplan.xml"),
        ],
    )
    assert await found(db) == ["03", "02", "01", "00"]
    assert await found(db, mac=MAC) == ["00"]
    assert await found(db, peer="192.0.2.8") == ["02"]
    assert await found(db, protocol="http") == ["03"]
    assert await found(db, outcome="absent") == ["01"]
    assert await found(db, name="RING") == await found(db, name="50%") == ["02"]
    assert await found(db, name="_") == []
    assert await found(db, name="") == await found(db)
    assert await found(db, since="2026-06-28T12:01:00.000Z", until="2026-06-28T12:03:00.000Z") == ["02", "01"]
    assert await found(db, mac=MAC, protocol="http") == []


@pytest.mark.parametrize("sort", fetches._FETCHES.sortable)
async def test_log_sorts_by_offered_columns(db: Database, sort: str) -> None:
    await db.write(
        fetches.add, [row(minute, f"file {minute % 3}", mac=None, peer=f"192.0.2.{minute}") for minute in range(5)]
    )
    for order, reverse in ((sort, False), (f"-{sort}", True)):
        values = [getattr(fetch, sort) for fetch in (await db.read(fetches.page, Listing(sort=order), Wanted())).items]
        assert values == sorted(values, reverse=reverse)


async def test_filters_use_indexes(db: Database) -> None:
    for wanted, index in (
        (Wanted(mac=MAC), "fetches_by_phone"),
        (Wanted(peer="192.0.2.7"), "fetches_by_peer"),
        (Wanted(since="2026-06-28T12:00:00.000Z", until="2026-06-28T12:01:00.000Z"), "fetches_by_time"),
    ):
        where, values = wanted.conditions()
        plan = await db.read(
            Read.rows, f"EXPLAIN QUERY PLAN {fetches._SELECT} WHERE {where} ORDER BY number DESC LIMIT 9", values
        )
        assert any(index in step["detail"] for step in plan), [step["detail"] for step in plan]


async def trim(db: Database, *, before: str, rows: int, limit: int) -> int:
    old = await db.read(fetches.expired, before=before, rows=rows, limit=limit)
    await db.write(fetches.remove, old)
    return len(old)


async def test_expired_selects_by_number_and_age_in_steps(db: Database) -> None:
    await db.write(fetches.add, [row(minute) for minute in range(20)])
    assert await trim(db, before=LONG_AGO, rows=15, limit=3) == 3
    assert await trim(db, before=LONG_AGO, rows=15, limit=3) == 2
    assert await trim(db, before=LONG_AGO, rows=15, limit=3) == 0
    assert len(await found(db)) == 15
    assert await trim(db, before="2026-06-28T12:08:00.000Z", rows=15, limit=100) == 3
    assert (await found(db))[-1] == "08"
    assert await trim(db, before="2026-06-28T13:00:00.000Z", rows=15, limit=100) == 12
    assert await trim(db, before="2026-06-28T13:00:00.000Z", rows=15, limit=100) == 0


async def test_fetches_of_a_wrong_clock_expire(db: Database) -> None:
    late = ("2099-01-01T00:00:00.000Z", *row()[1:])
    await db.write(fetches.add, [late, *(row(minute) for minute in range(5))])
    assert await trim(db, before=LONG_AGO, rows=3, limit=100) == 3
    assert await found(db) == ["04", "03", "02"]


# Unknown phones


async def strangers(db: Database, after: int = 0, most: int = 9, lately: str = LONG_AGO) -> dict[Mac, fetches.Stranger]:
    found = await db.read(fetches.strangers, after=after, lately=lately, most=most)
    return {stranger.mac: stranger for stranger in found}


async def test_stranger_carries_its_evidence(db: Database) -> None:
    await db.write(
        fetches.add,
        [
            row(0, "CTLSEPAABBCCDDEE01.tlv", outcome="absent"),
            row(1, outcome="absent"),
            row(2, "sepaabbccddee01.CNF.XML", outcome="absent"),
            row(3, outcome="absent", peer="192.0.2.99"),
            row(4, mac=OTHER, outcome="completed", peer="192.0.2.99"),
        ],
    )
    known = await strangers(db)
    assert (known[MAC].peer, known[MAC].names, known[MAC].proved) == ("192.0.2.99", 1, False)
    assert known[OTHER].proved
    await db.write(fetches.add, [row(5, outcome="absent")])
    assert (await strangers(db, after=5))[MAC].names == 2
    assert set(await strangers(db, after=5)) == {MAC}
    assert (await strangers(db, after=5))[MAC].first_at == "2026-06-28T12:00:00.000Z"


async def test_address_with_too_many_phones_is_ignored(db: Database, actor: Actor) -> None:
    macs = [Mac(f"AABBCC00000{number}") for number in range(4)]
    await db.write(fetches.add, [row(at, mac=mac) for at, mac in enumerate(macs)])
    await db.write(fetches.add, [row(9, peer="192.0.2.8")])
    assert set(await strangers(db, most=4)) == {MAC, *macs}
    assert set(await strangers(db, most=3)) == {MAC}
    assert set(await strangers(db, most=3, lately="2026-06-28T12:01:00.000Z")) == {MAC, *macs}
    await db.write(phones.discover, {macs[0]: FOUND})
    assert set(await strangers(db, most=3)) == {MAC}
    await db.write(phones.create, actor, macs[0], {})
    assert set(await strangers(db, most=3)) == {MAC, *macs[1:]}


async def test_known_phones_and_ftp_clients_are_no_strangers(db: Database, actor: Actor) -> None:
    await db.write(phones.create, actor, MAC, {})
    await db.write(fetches.add, [row(0), row(1, mac=OTHER, protocol="ftp"), row(2, mac=OTHER, outcome="refused")])
    assert await strangers(db) == {}


async def test_asked_by_orders_requests_and_omits_other_phones(db: Database) -> None:
    await db.write(
        fetches.add,
        [
            row(0, "term42.default.loads", mac=None),
            row(1),
            row(2, mac=OTHER, name="SEPAABBCCDDEE02.cnf.xml"),
            row(3, "dialplan.xml", mac=None, protocol="ftp"),
            row(4, "Ringlist.xml", mac=None, peer="192.0.2.8"),
        ],
    )
    asked = await db.read(fetches.asked_by, {MAC: "192.0.2.7"})
    assert asked == {MAC: [("tftp", "term42.default.loads"), ("tftp", "SEPAABBCCDDEE01.cnf.xml")]}
    assert await db.read(fetches.asked_by, {MAC: "192.0.2.7"}, after=4) == {}


# Discovered phones

FOUND = DiscoveredPhone(at="2026-06-28T12:00:00.000Z", revealed=DiscoveryHints(protocols=("tftp",), models=("7942",)))


async def test_discovered_phone_can_become_an_ordinary_one(db: Database, actor: Actor) -> None:
    await db.write(phones.discover, {MAC: FOUND})
    assert (await db.read(phones.get, MAC)).discovery == FOUND
    await db.write(phones.update, actor, MAC, {"name": "Lobby"})
    assert (await db.read(phones.get, MAC)).discovery is None
    await db.write(phones.discover, {MAC: FOUND})
    assert (await db.read(phones.get, MAC)).discovery is None
    assert (await db.read(phones.get, MAC)).name == "Lobby"


async def test_discovered_phone_can_be_created(db: Database, actor: Actor) -> None:
    await db.write(phones.discover, {MAC: FOUND})
    made = await db.write(phones.create, actor, MAC, {"name": "Lobby"})
    assert (made.name, made.discovery) == ("Lobby", None)


async def test_limit_of_discovered_phones_keeps_proved_ones(db: Database, actor: Actor) -> None:
    await db.write(phones.create, actor, OTHER, {})
    macs = [Mac(f"AABBCC00000{number}") for number in range(6)]
    await db.write(
        phones.note_sightings,
        [
            Sighting(mac=mac, ip=f"192.0.2.{at}", seen_at=f"2026-06-28T12:0{at}:00.000Z", proved=at == 1)
            for at, mac in enumerate(macs)
        ],
    )
    await db.write(phones.discover, dict.fromkeys(macs, FOUND), max_discovered=3, days=36_500)
    kept = {phone.mac for phone in (await db.read(phones.page, Listing())).items}
    assert kept == {OTHER, macs[1], macs[4], macs[5]}


async def test_silent_unproved_discovered_phone_is_removed(db: Database) -> None:
    sightings = [Sighting(mac=mac, ip="192.0.2.7", seen_at=LONG_AGO, proved=mac == MAC) for mac in (MAC, OTHER)]
    await db.write(phones.note_sightings, sightings)
    await db.write(phones.discover, {MAC: FOUND, OTHER: FOUND})
    assert [phone.mac for phone in (await db.read(phones.page, Listing())).items] == [MAC]


async def test_discovered_phone_in_use_is_never_removed(db: Database, actor: Actor) -> None:
    await db.write(phones.note_sightings, [Sighting(mac=MAC, ip="192.0.2.7", seen_at=LONG_AGO, proved=False)])
    await db.write(phones.discover, {MAC: FOUND, OTHER: FOUND})
    assert [phone.mac for phone in (await db.read(phones.page, Listing())).items] == [OTHER]

    def work(tx: Write) -> None:
        tx.rows(
            "INSERT INTO phones (mac, discovery, created_at, updated_at) VALUES (?, ?, '', '')",
            (MAC.digits, FOUND.to_json()),
        )
        tx.rows("INSERT INTO cisco_phones (mac, created_at) VALUES (?, '')", (MAC.digits,))

    await db.write(work)
    await db.write(phones.discover, {})
    assert [phone.mac for phone in (await db.read(phones.page, Listing())).items] == [MAC, OTHER]


async def test_learn_stores_later_discoveries(db: Database, actor: Actor) -> None:
    await db.write(phones.discover, {MAC: FOUND})
    await db.write(phones.note_sightings, [Sighting(mac=MAC, ip="192.0.2.7", seen_at=FOUND.at, proved=False)])
    await db.write(fetches.add, [row(0), row(1, peer="192.0.2.8")])
    assert await db.read(phones.discovered_since, 0) == {MAC: ("192.0.2.7", FOUND)}
    assert await db.read(phones.discovered_since, 1) == {}
    later = DiscoveredPhone(at=FOUND.at, revealed=FOUND.revealed.and_then(DiscoveryHints(software="SCCP", signed=True)))
    await db.write(phones.learn, {MAC: later, OTHER: later})
    assert (await db.read(phones.get, MAC)).discovery == later
    assert DiscoveredPhone.from_json(later.to_json()) == later
