"""What is known of a phone's kind: the inventory, then requests, then the served config, then the profile."""

from dataclasses import replace

import pytest

from cisisk.mobility.phone_kind import kind_of
from cisisk.model.clock import now
from cisisk.model.discovery import DiscoveredPhone, DiscoveryHints
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.store import configs, phones
from cisisk.store.database import Database

HOST = "192.0.2.7"
SCCP = b"<device><loadInformation>SCCP45.9-4-2SR4-3S</loadInformation></device>"
SIP = b"<device><deviceProtocol>SIP</deviceProtocol></device>"


def discovered(phone: Phone, software: str) -> Phone:
    revealed = DiscoveryHints(software=software)
    return replace(phone, software=None, discovery=DiscoveredPhone(at=now(), revealed=revealed))


@pytest.fixture
def phone(mac: Mac) -> Phone:
    return Phone(mac=mac, created_at=now(), updated_at=now())


async def requested(db: Database, mac: Mac, *names: str) -> None:
    """Store requests of the phone in the fetch log."""
    await db.write(
        lambda tx: tx.many(
            "INSERT INTO fetches (started_at, protocol, peer, port, local, name, mac, outcome, size, acknowledged,"
            " blocks, retransmits, duration, options)"
            " VALUES (?, 'tftp', ?, 1024, '', ?, ?, 'absent', 0, 0, 0, 0, 0, '{}')",
            [(now(), HOST, name, mac.digits if mac.digits in name else None) for name in names],
        )
    )


async def software(
    db: Database, mac: Mac, phone: Phone | None, profile: Profile | None = None, address: str | None = HOST
) -> Software | None:
    return (await db.read(kind_of, mac, phone, address, profile)).software


async def test_software_of_inventory_counts_first(db: Database, mac: Mac, phone: Phone) -> None:
    await requested(db, mac, "SCCP45.9-4-2SR4-3S.loads")
    assert await software(db, mac, replace(phone, software=Software.SIPE)) is Software.SIPE


async def test_software_follows_requests_then_served_config(db: Database, mac: Mac, phone: Phone) -> None:
    assert await software(db, mac, phone) is None
    await db.write(phones.enter, SYSTEM, mac)
    await db.write(configs.found, mac, SCCP)
    assert await software(db, mac, phone) is Software.SCCP
    await requested(db, mac, "mk-sip.jar")
    assert await software(db, mac, phone) is Software.SIP
    assert await software(db, mac, phone, address="192.0.2.8") is Software.SCCP


async def test_software_of_discovered_phone_follows_its_hints(db: Database, mac: Mac, phone: Phone) -> None:
    assert await software(db, mac, discovered(phone, "SCCP")) is Software.SCCP


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (SCCP, None, Software.SCCP),
        (SIP, None, Software.SIP),
        (SIP, Software.SIPE, Software.SIPE),
        (b"<device/>", None, None),
    ],
)
async def test_software_of_unknown_phone_follows_profile(
    db: Database, mac: Mac, profile: Profile, content: bytes, declared: Software | None, expected: Software | None
) -> None:
    wanted = replace(profile, cnf_xml=content, software_type=declared)
    assert await software(db, mac, None, wanted, None) is expected


async def test_profile_keeps_its_kind_of_sip_software(db: Database, mac: Mac, phone: Phone, profile: Profile) -> None:
    wanted = replace(profile, software_type=Software.SIPE)
    assert await software(db, mac, discovered(phone, "SIP"), wanted) is Software.SIPE


@pytest.mark.parametrize(
    ("names", "asks"),
    [
        (["SIPDefault.cnf", "SIP{}.cnf"], True),
        (["P0S3-8-12-00.loads"], True),
        (["P00308010200.bin"], False),
        (["SEP{}.cnf.xml", "mk-sip.jar"], False),
        ([], False),
    ],
)
async def test_requests_for_flat_config_are_noticed(
    db: Database, mac: Mac, phone: Phone, names: list[str], *, asks: bool
) -> None:
    await requested(db, mac, *(name.format(mac.digits) for name in names))
    assert (await db.read(kind_of, mac, phone, HOST, None)).asks_for_flat_config is asks


@pytest.mark.parametrize(
    ("model", "names", "is_adapter"),
    [
        ("ATA 187", [], True),
        ("ATA191", [], True),
        ("ATA 186", ["ATA{}.cnf.xml"], False),
        ("7942", ["ATA{}.cnf.xml"], False),
        (None, ["ATA{}.cnf.xml"], True),
        (None, ["ATA{}"], False),
        (None, ["SEP{}.cnf.xml"], False),
    ],
)
async def test_adapter_is_known_by_model_or_request(
    db: Database, mac: Mac, phone: Phone, model: str | None, names: list[str], *, is_adapter: bool
) -> None:
    await requested(db, mac, *(name.format(mac.digits) for name in names))
    assert (await db.read(kind_of, mac, replace(phone, model=model), HOST, None)).is_adapter is is_adapter


async def test_second_port_is_an_adapter(db: Database) -> None:
    port = Mac("001B54000941").second_port
    assert (await db.read(kind_of, port, None, None, None)).is_adapter
