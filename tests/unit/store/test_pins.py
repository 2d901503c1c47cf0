import pytest

from cisisk.model.errors import NotFound, Stale
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor, User
from cisisk.store import pins, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.store.conftest import NewUser

NOBODY = "99999999-9999-9999-9999-999999999999"


@pytest.fixture
async def anna(db: Database, superadmin: User, new_user: NewUser) -> User:
    return await new_user("anna")


async def log_in_on_a_phone(db: Database, *users_: User) -> None:

    def work(tx: Write) -> None:
        for number, user in enumerate(users_):
            tx.rows(
                "INSERT INTO service_sessions VALUES (?, ?, '192.0.2.1', '2026', '2026')", (f"{number:012}", user.uuid)
            )

    await db.write(work)


async def test_put_creates_and_replaces_pin(db: Database, anna: User, actor: Actor) -> None:
    assert await db.read(pins.find, anna.uuid) is None
    first = await db.write(pins.put, actor, anna.uuid, "$first")
    second = await db.write(pins.put, actor, anna.uuid, "$second")
    assert (first.pin_hash, second.pin_hash) == ("$first", "$second")
    assert (second.uuid, second.created_at, second.revision) == (first.uuid, first.created_at, 2)
    assert await db.read(pins.get, anna.uuid) == second


async def test_repr_of_pin_hides_the_hash(db: Database, anna: User, actor: Actor) -> None:
    assert "sentinel" not in repr(await db.write(pins.put, actor, anna.uuid, "$sentinel"))


async def test_missing_user_gets_no_pin(db: Database, actor: Actor) -> None:
    with pytest.raises(NotFound, match="User not found"):
        await db.write(pins.put, actor, NOBODY, "$hash")
    with pytest.raises(NotFound, match="Cisco user not found"):
        await db.read(pins.get, NOBODY)
    with pytest.raises(NotFound):
        await db.write(pins.delete, actor, NOBODY)


async def test_change_of_stale_pin_is_refused(db: Database, anna: User, actor: Actor) -> None:
    with pytest.raises(NotFound):
        await db.write(pins.put, actor, anna.uuid, "$hash", {"anything"})
    first = await db.write(pins.put, actor, anna.uuid, "$first")
    second = await db.write(pins.put, actor, anna.uuid, "$second", {entity_tag(first)})
    with pytest.raises(Stale):
        await db.write(pins.put, actor, anna.uuid, "$third", {entity_tag(first)})
    with pytest.raises(Stale):
        await db.write(pins.delete, actor, anna.uuid, {entity_tag(first)})
    assert await db.read(pins.get, anna.uuid) == second
    await db.write(pins.delete, actor, anna.uuid, {entity_tag(second)})
    assert await db.read(pins.find, anna.uuid) is None


@pytest.mark.parametrize("what", ["new pin", "no pin", "no user"])
async def test_new_pin_ends_service_sessions(
    db: Database, anna: User, superadmin: User, actor: Actor, what: str
) -> None:
    await db.write(pins.put, actor, anna.uuid, "$first")
    await log_in_on_a_phone(db, anna, anna, superadmin)
    match what:
        case "new pin":
            await db.write(pins.put, actor, anna.uuid, "$second")
        case "no pin":
            await db.write(pins.delete, actor, anna.uuid)
        case _:
            await db.write(users.delete, actor, anna.uuid)
    assert [row["user_uuid"] for row in await db.read(Read.rows, "SELECT user_uuid FROM service_sessions")] == [
        superadmin.uuid
    ]


async def test_deleted_user_leaves_no_pin(db: Database, anna: User, actor: Actor) -> None:
    await db.write(pins.put, actor, anna.uuid, "$first")
    await db.write(users.delete, actor, anna.uuid)
    assert await db.read(Read.rows, "SELECT * FROM pins") == []
