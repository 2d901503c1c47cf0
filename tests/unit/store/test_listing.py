from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisisk.model.errors import Invalid
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.user import Actor, User
from cisisk.store import audit, contacts, extensions, kems, permissions, phones, profiles, services, users
from cisisk.store.database import Database
from cisisk.store.listing import ListSource
from cisisk.store.phones import Sighting
from tests.unit.store.conftest import NewProfile, NewUser

SOURCES = {
    "users": users._USERS,
    "permissions": permissions._PERMISSIONS,
    "profiles": profiles._PROFILES,
    "phones": phones._PHONES,
    "cisco phones": phones._CISCO_PHONES,
    "audit log": audit._LOG,
    "modules": kems._KEMS,
    "services": services._SERVICES,
    "personal contacts": contacts._PERSONAL,
    "company contacts": contacts._COMPANY,
    "extensions": extensions._EXTENSIONS,
    "links": extensions._LINKS,
}
each_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
MODELS = ["7942", "8841", None, "7940"]


@pytest.fixture
async def filled(db: Database, actor: Actor, superadmin: User, new_user: NewUser, new_profile: NewProfile) -> Database:
    for number, (model, software) in enumerate(zip(MODELS, [*Software, None], strict=True)):
        user = await new_user(f"user{number}", first_name=f"First{3 - number}", last_name=f"Last{number % 2}")
        await db.write(permissions.create, actor, {"level": 9 - number, "name": f"level {number}"})
        await new_profile(user, f"profile {9 - number}", software_type=software)
        mac = Mac(f"AABBCCDDEE0{9 - number}")
        person = {"name": f"person {number % 2}", "email": f"{number}@example.org", "location": f"room {9 - number}"}
        await db.write(contacts.create_personal, actor, user.uuid, {"name": person["name"], "email": person["email"]})
        await db.write(contacts.create_company, actor, {**person, "company": model})
        await db.write(services.create, actor, {"name": f"service {number % 2}", "url": model})
        await db.write(kems.create, actor, {"model": model, "mac": mac})
        line = {
            "type": "custom" if number % 2 else "chan_sip",
            "extension": f"10{9 - number}",
            "name": f"line {number}",
        }
        secret = {"password": "p", "voicemail": False, "is_active": True}
        extension = await db.write(extensions.create, actor, {**line, **secret})
        await db.write(extensions.link, actor, user.uuid, extension.uuid)
        columns = {"model": model, "software": software, "name": f"phone {number % 2}", "location": f"room {number}"}
        await db.write(phones.create, actor, mac, columns)
        await db.write(
            phones.note_sightings,
            [Sighting(mac=mac, ip=f"192.0.2.{number}", seen_at=f"2026-01-0{number + 1}T", proved=True)],
        )
    return db


@each_source
async def test_sortable_columns_sort_both_ways(filled: Database, source: ListSource[Any]) -> None:
    whole = await filled.read(source.page, Listing())
    assert whole.total == len(whole.items) >= 4
    for column in offered(source):
        for sort, down in ((column, False), (f"-{column}", True)):
            page = await filled.read(source.page, Listing(sort=sort))
            values = [_value(item, column) for item in page.items]
            # SQLite sorts NULL first.
            assert values == sorted(values, key=lambda value: () if value is None else (value,), reverse=down), sort
            assert page.total == whole.total


def offered(source: ListSource[Any]) -> list[str]:
    return [column.rpartition(".")[2] for column in source.sortable]


def _value(item: object, column: str) -> Any:
    value = getattr(item, column)
    return value.digits if isinstance(value, Mac) else value


NOT_OFFERED = [
    "-",
    "nonsense",
    "--uuid",
    "password_hash",
    "pin_hash",
    "1",
    "uuid; DROP TABLE users",
    "mac ASC",
    "level ",
]


@each_source
async def test_unknown_sort_column_is_refused(db: Database, source: ListSource[Any]) -> None:
    for sort in NOT_OFFERED:
        with pytest.raises(Invalid) as refused:
            await db.read(source.page, Listing(sort=sort))
        assert list(refused.value.fields) == ["sort"]
        (reason,) = refused.value.fields["sort"]
        assert all(column in reason for column in offered(source))


@each_source
async def test_empty_sort_means_default_order(filled: Database, source: ListSource[Any]) -> None:
    assert await filled.read(source.page, Listing(sort="")) == await filled.read(source.page, Listing())


@each_source
async def test_pages_together_are_the_list(filled: Database, source: ListSource[Any]) -> None:
    whole = await filled.read(source.page, Listing())
    for size in (1, 2, 3, 100):
        together = []
        for offset in range(0, whole.total, size):
            page = await filled.read(source.page, Listing(limit=size, offset=offset))
            assert page.total == whole.total
            assert len(page.items) <= size
            together += page.items
        assert together == whole.items


@each_source
async def test_offset_without_limit_skips_first_items(filled: Database, source: ListSource[Any]) -> None:
    whole = await filled.read(source.page, Listing())
    assert (await filled.read(source.page, Listing(offset=1))).items == whole.items[1:]
    beyond = await filled.read(source.page, Listing(offset=whole.total))
    assert (beyond.items, beyond.total) == ([], whole.total)


async def test_limit_zero_returns_total_only(filled: Database) -> None:
    page = await filled.read(phones.page, Listing(limit=0))
    assert (page.items, page.total) == ([], 4)


async def test_search_sort_and_page_work_together(filled: Database) -> None:
    page = await filled.read(phones.page, Listing(q="phone 1", sort="-location", limit=1))
    assert [phone.location for phone in page.items] == ["room 3"]
    assert page.total == 2


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("100%", ["100% wool"]),
        ("%", ["100% wool"]),
        ("_", ["a_b"]),
        ("a_b", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("\\%", []),
        ("k\\s", ["back\\slash"]),
        ("WOOL", ["100% wool"]),
        ("'", ["it's"]),
        ("' OR 1=1 --", []),
        ("axb", ["axb"]),
        ("nothing of that", []),
        ("", ["100% wool", "a_b", "axb", "back\\slash", "it's"]),
        (None, ["100% wool", "a_b", "axb", "back\\slash", "it's"]),
    ],
)
async def test_search_takes_wildcards_literally(
    db: Database, superadmin: User, new_profile: NewProfile, q: str | None, found: list[str]
) -> None:
    for name in ("100% wool", "a_b", "axb", "back\\slash", "it's"):
        await new_profile(superadmin, name)
    page = await db.read(profiles.page, Listing(q=q))
    assert [profile.name for profile in page.items] == found
    assert page.total == len(found)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(alphabet="ab%_\\'", max_size=6), q=st.text(alphabet="ab%_\\'", min_size=1, max_size=3))
async def test_search_finds_exactly_matching_items(db: Database, name: str, q: str) -> None:
    literal = name.replace("'", "''")
    source = ListSource(
        select=f"SELECT value FROM (SELECT '{literal}' AS value)",  # noqa: S608 -- quoted
        searched=("value",),
        sortable=(),
        order="value",
        item=lambda row: row["value"],
    )
    assert (await db.read(source.page, Listing(q=q))).items == ([name] if q in name else [])


@pytest.mark.parametrize(
    ("q", "found"),
    [("anna", 1), ("ARENDT", 1), ("anna@example", 1), ("+49 30", 1), ("$hash", 0), ("Europe", 0)],
)
async def test_users_are_searched_by_names_and_email(db: Database, new_user: NewUser, q: str, found: int) -> None:
    await new_user("anna", phone="+49 30 1234", timezone="Europe/Berlin")
    assert (await db.read(users.page, Listing(q=q))).total == found


@pytest.mark.parametrize(
    "q", ["AABBCC", "eE01", "bb:cc:DD", "desk", "7942", "room 5", "192.0.2.7", "198.51.100.3", "sep-desk", "old"]
)
async def test_phones_are_searched_by_identifying_columns(db: Database, actor: Actor, mac: Mac, q: str) -> None:
    columns = {
        "name": "Desk",
        "model": "CP-7942G",
        "location": "Room 5",
        "description": "the old one",
        "phone_ip": "192.0.2.7",
        "hostname": "SEP-desk",
    }
    await db.write(phones.create, actor, mac, columns)
    await db.write(phones.create, actor, Mac("02AA00000001"), {"name": "other"})
    await db.write(phones.note_sightings, [Sighting(mac=mac, ip="198.51.100.3", seen_at="2026", proved=True)])
    assert [phone.mac for phone in (await db.read(phones.page, Listing(q=q))).items] == [mac]
