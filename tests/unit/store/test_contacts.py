import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisisk.model.contact import PersonalContact
from cisisk.model.errors import Conflict, Invalid, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor, User
from cisisk.store import contacts, users
from cisisk.store.audit import AuditEntry
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.store.conftest import NewUser

NOTHING = "99999999-9999-9999-9999-999999999999"
NewContact = Callable[..., Awaitable[PersonalContact]]
MANY = 5000
PAGE_SECONDS = 0.5
"""Limit in seconds for a page, which takes milliseconds. A phone waits ten seconds."""


@pytest.fixture
async def anna(db: Database, superadmin: User, new_user: NewUser) -> User:
    return await new_user("anna")


@pytest.fixture
def new_contact(db: Database, anna: User, actor: Actor) -> NewContact:
    async def make(name: str, **columns: Any) -> PersonalContact:
        return await db.write(contacts.create_personal, actor, anna.uuid, {"name": name, **columns})

    return make


async def names(db: Database, user: User, listing: Listing | None = None, **wanted: str) -> list[str]:
    page = await db.read(contacts.page_of_personal, listing or Listing(), user.uuid, **wanted)
    assert page.total == len(page.items)
    return [contact.name for contact in page.items]


async def test_contact_is_stored_as_given(db: Database, anna: User, new_contact: NewContact) -> None:
    numbers = {"work": "+49 30 1", "mobile": "0171", "home": "*7"}
    made = await new_contact("Ana Luísa", **numbers, email="ana@example.org", ringtone="Chime.raw")
    assert made == await db.read(contacts.get_personal, made.uuid)
    assert (made.work, made.mobile, made.home) == tuple(numbers.values())
    assert (made.name, made.email, made.ringtone) == ("Ana Luísa", "ana@example.org", "Chime.raw")
    assert (made.user_uuid, made.position, made.revision) == (anna.uuid, 1, 1)


async def test_new_contacts_are_appended(
    db: Database, anna: User, superadmin: User, new_contact: NewContact, actor: Actor
) -> None:
    for name in ("Zoe", "Adam", "Mia"):
        await new_contact(name)
    await db.write(contacts.create_personal, actor, superadmin.uuid, {"name": "Other"})
    assert await names(db, anna) == ["Zoe", "Adam", "Mia"]
    assert await names(db, anna, Listing(sort="name")) == ["Adam", "Mia", "Zoe"]
    assert await names(db, superadmin) == ["Other"]


@pytest.mark.parametrize(
    ("position", "order"),
    [(1, "cabde"), (2, "acbde"), (3, "abcde"), (4, "abdce"), (5, "abdec"), (0, "cabde"), (-7, "cabde"), (99, "abdec")],
)
async def test_moved_contact_shifts_others(
    db: Database, anna: User, new_contact: NewContact, actor: Actor, position: int, order: str
) -> None:
    made = {name: await new_contact(name) for name in "abcde"}
    moved = await db.write(contacts.move_personal, actor, made["c"].uuid, position)
    assert await names(db, anna) == list(order)
    assert moved.position == order.index("c") + 1
    assert moved.revision == (1 if order == "abcde" else 2)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("move"), st.integers(0, 4), st.integers(-1, 7)),
            st.tuples(st.just("delete"), st.integers(0, 4), st.just(0)),
        ),
        max_size=8,
    )
)
async def test_moves_and_deletions_leave_no_gaps(
    db: Database, anna: User, new_contact: NewContact, actor: Actor, steps: list[tuple[str, int, int]]
) -> None:
    for contact in (await db.read(contacts.page_of_personal, Listing(), anna.uuid)).items:
        await db.write(contacts.delete_personal, actor, contact.uuid)
    order = [(await new_contact(name)).uuid for name in "abcde"]
    for what, index, position in steps:
        if not order:
            break
        uuid = order.pop(index % len(order))
        if what == "move":
            order.insert(min(max(0, position - 1), len(order)), uuid)
            await db.write(contacts.move_personal, actor, uuid, position)
        else:
            await db.write(contacts.delete_personal, actor, uuid)
    found = (await db.read(contacts.page_of_personal, Listing(), anna.uuid)).items
    assert [contact.uuid for contact in found] == order
    assert [contact.position for contact in found] == list(range(1, len(order) + 1))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "jose"}, ["José da Silva"]),
        ({"name": "SILVA jo"}, ["José da Silva"]),
        ({"name": "jose muller"}, []),
        ({"name": "müll"}, ["Jürgen Müller"]),
        ({"name": "STRASSE"}, ["Café Straße"]),
        ({"name": "ΠΑΠΑΔΟΠΟΥΛΟΣ"}, ["Γιώργος Παπαδόπουλος"]),
        ({"name": "ﾀﾅｶ"}, ["タナカ 一郎"]),
        ({"name": "%"}, []),
        ({"name": " "}, ["José da Silva", "Jürgen Müller", "Café Straße", "Γιώργος Παπαδόπουλος", "タナカ 一郎"]),
        ({"number": "4930123"}, ["José da Silva"]),
        ({"number": "(30) 12-3"}, ["José da Silva"]),
        ({"number": "0171 5"}, ["Jürgen Müller"]),
        ({"number": "4567"}, []),
        ({"number": "3456"}, ["José da Silva"]),
        ({"name": "jose", "number": "0171"}, []),
        ({"name": "jurgen", "number": "0171"}, ["Jürgen Müller"]),
    ],
)
async def test_personal_contacts_are_found_by_name_and_number(
    db: Database, anna: User, new_contact: NewContact, wanted: dict[str, Any], found: list[str]
) -> None:
    await new_contact("José da Silva", work="+49 30 123-456", mobile="7")
    await new_contact("Jürgen Müller", mobile="0171/55 55", email="jm@example.org")
    for name in ("Café Straße", "Γιώργος Παπαδόπουλος", "タナカ 一郎"):
        await new_contact(name)
    assert await names(db, anna, **wanted) == found


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("EXAMPLE.org", ["José"]),
        ("sao paulo", ["José"]),
        ("4930", ["José"]),
        ("+49 30", ["José"]),
        ("Room 5", ["Anna"]),
        ("5", ["Anna", "José"]),
        ("+", []),
        ("_", []),
        ("'", []),
        ("", ["Anna", "José"]),
    ],
)
async def test_company_search_covers_all_texts(
    db: Database, superadmin: User, actor: Actor, q: str, found: list[str]
) -> None:
    jose = {"name": "José", "work": "+49 (30) 55", "email": "jose@example.org", "location": "São Paulo"}
    await db.write(contacts.create_company, actor, jose)
    await db.write(contacts.create_company, actor, {"name": "Anna", "building": "Room 5"})
    assert [contact.name for contact in (await db.read(contacts.page_of_company, Listing(q=q))).items] == found


async def test_company_order_ignores_case_and_accents(db: Database, actor: Actor) -> None:
    for name in ("Zoe", "ärmel", "Bob", "Émile", "adam"):
        await db.write(contacts.create_company, actor, {"name": name})
    order = ["adam", "ärmel", "Bob", "Émile", "Zoe"]
    for sort, expected in ((None, order), ("name", order), ("-name", order[::-1])):
        page = await db.read(contacts.page_of_company, Listing(sort=sort))
        assert [contact.name for contact in page.items] == expected
    with pytest.raises(Invalid, match="Sort by one of name,"):
        await db.read(contacts.page_of_company, Listing(sort="folded_name"))


async def test_search_follows_changed_contact(db: Database, anna: User, new_contact: NewContact, actor: Actor) -> None:
    made = await new_contact("José", work="101", email="j@example.org")
    changed = await db.write(contacts.update_personal, actor, made.uuid, {"name": "Zoë"})
    assert (changed.name, changed.work, changed.revision, changed.position) == ("Zoë", "101", 2, 1)
    assert await names(db, anna, name="jose") == []
    assert await names(db, anna, name="zoe", number="101") == ["Zoë"]
    await db.write(contacts.update_personal, actor, made.uuid, {"work": None, "home": "202"})
    assert await names(db, anna, number="101") == []
    assert await names(db, anna, Listing(q="j@example"), number="202") == ["Zoë"]


async def test_contact_of_another_user_is_not_found(
    db: Database, superadmin: User, anna: User, new_contact: NewContact, actor: Actor
) -> None:
    made = await new_contact("Zoe")
    stranger = superadmin.uuid
    for attempt in (
        db.read(contacts.get_personal, made.uuid, stranger),
        db.write(contacts.update_personal, actor, made.uuid, {"name": "x"}, owner=stranger),
        db.write(contacts.move_personal, actor, made.uuid, 1, owner=stranger),
        db.write(contacts.delete_personal, actor, made.uuid, owner=stranger),
        db.read(contacts.get_personal, NOTHING),
        db.write(contacts.create_personal, actor, NOTHING, {"name": "x"}),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await db.read(contacts.get_personal, made.uuid, anna.uuid) == made


async def test_change_of_stale_contact_is_refused(db: Database, new_contact: NewContact, actor: Actor) -> None:
    made = await new_contact("Zoe")
    changed = await db.write(contacts.update_personal, actor, made.uuid, {"work": "1"}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(contacts.update_personal, actor, made.uuid, {"work": "2"}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(contacts.delete_personal, actor, made.uuid, {entity_tag(made)})
    await db.write(contacts.delete_personal, actor, made.uuid, {entity_tag(changed)})
    with pytest.raises(NotFound):
        await db.read(contacts.get_personal, made.uuid)


async def test_contact_changes_are_audited(
    db: Database, anna: User, new_contact: NewContact, actor: Actor, last_entry: Callable[[], Awaitable[AuditEntry]]
) -> None:
    await new_contact("Adam")
    made = await new_contact("Zoe")
    steps: list[tuple[str, Awaitable[Any] | None]] = [
        ("personal_contact.created", None),
        ("personal_contact.updated", db.write(contacts.update_personal, actor, made.uuid, {"work": "0171"})),
        ("personal_contact.moved", db.write(contacts.move_personal, actor, made.uuid, 1)),
        ("personal_contact.deleted", db.write(contacts.delete_personal, actor, made.uuid)),
    ]
    for action, step in steps:
        if step:
            await step
        entry = await last_entry()
        assert (entry.action, entry.entity_uuid, entry.payload["user_uuid"]) == (action, made.uuid, anna.uuid)
        assert "0171" not in str(entry.payload)


async def test_deleted_user_loses_personal_directory(
    db: Database, anna: User, new_contact: NewContact, actor: Actor
) -> None:
    made = await new_contact("Zoe")
    await db.write(users.delete, actor, anna.uuid)
    with pytest.raises(NotFound):
        await db.read(contacts.get_personal, made.uuid)


async def test_personal_directory_has_a_limit(db: Database, new_contact: NewContact, anna: User, actor: Actor) -> None:
    await new_contact("a")
    made = await new_contact("b")
    with pytest.raises(Conflict, match="at most 2"):
        await db.write(contacts.create_personal, actor, anna.uuid, {"name": "c"}, maximum=2)
    assert made.position == 2


async def test_thousands_of_contacts_are_handled_fast(db: Database, anna: User, actor: Actor) -> None:
    people = [(f"{number}", *[f"name {number:05}"] * 3, f"{number:07}", "t", "t") for number in range(MANY)]

    def work(tx: Write) -> None:
        tx.many(
            "INSERT INTO company_contacts (uuid, name, folded_name, folded, digits, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            people,
        )
        tx.many(
            "INSERT INTO personal_contacts"
            " (uuid, name, folded_name, folded, digits, created_at, updated_at, user_uuid, position)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*person, anna.uuid, number) for number, person in enumerate(people, 1)],
        )

    await db.write(work)
    for find in (
        lambda **more: db.read(contacts.page_of_personal, Listing(limit=32, offset=4900), anna.uuid, **more),
        lambda **more: db.read(contacts.page_of_company, Listing(limit=32, offset=4900), **more),
    ):
        for wanted, total in (({}, MANY), ({"name": "name 0"}, MANY), ({"number": "0004999"}, 1)):
            before = time.perf_counter()
            page = await find(**wanted)
            assert time.perf_counter() - before < PAGE_SECONDS
            assert (page.total, len(page.items)) == (total, 32 if total == MANY else 0)
    before = time.perf_counter()
    await db.write(contacts.move_personal, actor, "0", MANY)
    assert time.perf_counter() - before < PAGE_SECONDS
    assert (await db.read(contacts.get_personal, "1")).position == 1


@pytest.mark.parametrize(
    ("select", "index"),
    [
        (f"{contacts._SELECT_PERSONAL} WHERE user_uuid = '' ORDER BY position, uuid", "personal_contacts_in_order"),
        (f"{contacts._SELECT_COMPANY} ORDER BY folded_name, uuid", "company_contacts_by_name"),
    ],
)
async def test_page_uses_index_for_its_order(db: Database, select: str, index: str) -> None:
    plan = [row["detail"] for row in await db.read(Read.rows, f"EXPLAIN QUERY PLAN {select}")]
    assert index in plan[0]
    assert not any("SORT" in step or "B-TREE FOR ORDER BY" in step for step in plan)
