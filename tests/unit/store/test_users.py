import pytest

from cisisk.model.errors import Conflict, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor, User
from cisisk.store import users
from cisisk.store.database import Database
from cisisk.store.transaction import Write
from tests.unit.store.conftest import NewUser

NOBODY = "99999999-9999-9999-9999-999999999999"


@pytest.fixture(autouse=True)
def administered(superadmin: User) -> None:
    """Ensure a superadmin: changes that leave none are refused."""


async def test_user_is_stored_with_its_creator(db: Database, new_user: NewUser, actor: Actor) -> None:
    made = await new_user("anna", phone="+49 30 1", location="Berlin", nationality="DE")
    assert made == await db.read(users.get, made.uuid)
    assert (made.first_name, made.last_name, made.username, made.email) == (
        "Anna",
        "Arendt",
        "anna",
        "anna@example.org",
    )
    assert (made.phone, made.location, made.nationality) == ("+49 30 1", "Berlin", "DE")
    assert (made.created_by, made.created_ip, made.last_uuid, made.updated_ip) == (
        actor.user_uuid,
        actor.ip,
        actor.user_uuid,
        actor.ip,
    )
    assert (made.is_active, made.level, made.perm_name, made.revision) == (True, None, None, 1)
    assert made.created_at == made.updated_at
    assert not made.is_superadmin


async def test_user_has_no_password_hash(db: Database, new_user: NewUser) -> None:
    made = await new_user("anna", "$argon2id$sentinel")
    assert "sentinel" not in repr(made)
    assert "sentinel" not in repr(await db.read(users.page, Listing()))


@pytest.mark.parametrize("username", ["anna", "ANNA", "Anna"])
async def test_credentials_ignore_case_of_username(db: Database, new_user: NewUser, username: str) -> None:
    made = await new_user("Anna", "$hash of anna")
    assert await db.read(users.credentials, username) == (made, "$hash of anna")


@pytest.mark.parametrize("username", ["", "ann", "anna ", "anna\0", "anna%", "bert"])
async def test_credentials_of_unknown_name_are_none(db: Database, new_user: NewUser, username: str) -> None:
    await new_user("anna")
    assert await db.read(users.credentials, username) is None


@pytest.mark.parametrize(
    ("taken", "word"),
    [({"username": "ANNA"}, "username"), ({"email": "Anna@Example.ORG"}, "email")],
)
async def test_username_and_email_are_unique_ignoring_case(
    db: Database, new_user: NewUser, actor: Actor, taken: dict[str, str], word: str
) -> None:
    await new_user("anna")
    bert = await new_user("bert")
    with pytest.raises(Conflict, match=f"Another user has this {word}"):
        await new_user(**{"username": "carl", **taken})
    with pytest.raises(Conflict, match=f"Another user has this {word}"):
        await db.write(users.update, actor, bert.uuid, taken)
    assert await db.read(users.get, bert.uuid) == bert
    assert (await db.read(users.page, Listing())).total == 3


async def test_username_can_change_its_case(db: Database, new_user: NewUser, actor: Actor) -> None:
    anna = await new_user("anna")
    changed = await db.write(users.update, actor, anna.uuid, {"username": "ANNA", "email": "ANNA@example.org"})
    assert (changed.username, changed.email) == ("ANNA", "ANNA@example.org")


async def test_update_changes_given_columns_only(db: Database, new_user: NewUser) -> None:
    anna = await new_user("anna", phone="1", location="Berlin")
    other = Actor(user_uuid=anna.uuid, ip="198.51.100.1")
    changed = await db.write(users.update, other, anna.uuid, {"location": None, "first_name": "Anne"})
    assert (changed.first_name, changed.location, changed.phone, changed.revision) == ("Anne", None, "1", 2)
    assert (changed.last_uuid, changed.updated_ip) == (anna.uuid, "198.51.100.1")
    assert (changed.created_by, changed.created_at) == (anna.created_by, anna.created_at)
    assert changed == await db.read(users.get, anna.uuid)


async def test_empty_update_increments_revision(db: Database, new_user: NewUser, actor: Actor) -> None:
    anna = await new_user("anna")
    assert (await db.write(users.update, actor, anna.uuid, {})).revision == 2


async def test_change_of_stale_user_is_refused(db: Database, new_user: NewUser, actor: Actor) -> None:
    anna = await new_user("anna")
    seen = {entity_tag(anna), "another"}
    changed = await db.write(users.update, actor, anna.uuid, {"location": "Bonn"}, seen)
    for stale in (seen, set(), {""}):
        with pytest.raises(Stale):
            await db.write(users.update, actor, anna.uuid, {"location": "Kiel"}, stale)
        with pytest.raises(Stale):
            await db.write(users.delete, actor, anna.uuid, stale)
    assert await db.read(users.get, anna.uuid) == changed
    await db.write(users.delete, actor, anna.uuid, {entity_tag(changed)})


async def test_login_keeps_the_version(db: Database, new_user: NewUser, actor: Actor) -> None:
    anna = await new_user("anna")
    await db.write(Write.rows, "UPDATE users SET last_login_ip = '192.0.2.1'")
    assert entity_tag(await db.read(users.get, anna.uuid)) == entity_tag(anna)


async def test_missing_user_is_not_found(db: Database, actor: Actor) -> None:
    with pytest.raises(NotFound, match="User not found"):
        await db.read(users.get, NOBODY)
    with pytest.raises(NotFound):
        await db.write(users.update, actor, NOBODY, {"location": "x"})
    with pytest.raises(NotFound):
        await db.write(users.delete, actor, NOBODY)


async def test_deleted_username_can_be_reused(db: Database, new_user: NewUser, actor: Actor) -> None:
    first = await new_user("anna")
    await db.write(users.delete, actor, first.uuid)
    second = await new_user("anna")
    assert second.uuid != first.uuid


async def test_users_are_listed_by_name_ignoring_case(db: Database, new_user: NewUser) -> None:
    for name in ("Zoe", "bert", "Anna"):
        await new_user(name)
    assert [user.username for user in (await db.read(users.page, Listing())).items] == ["Anna", "bert", "root", "Zoe"]


async def test_created_superadmin_has_level_zero(db: Database, superadmin: User) -> None:
    assert superadmin.is_superadmin
    row = {
        "username": "admin",
        "first_name": "A",
        "last_name": "B",
        "email": "admin@localhost",
        "lang": "en",
        "timezone": "UTC",
    }
    made = await db.write(users.create_superadmin, row, "$hash")
    assert made.is_superadmin
    assert made.perm_name == "superadmin"
    with pytest.raises(Conflict):
        await db.write(users.create_superadmin, row, "$hash")


async def test_any_exist_reports_whether_users_exist(db: Database, superadmin: User) -> None:
    assert await db.read(users.any_exist)
    await db.write(Write.rows, "DELETE FROM users")
    assert not await db.read(users.any_exist)
