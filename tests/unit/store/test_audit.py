"""Every change writes its audit row, in its own transaction and without secrets."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cisisk.model.clock import after, now
from cisisk.model.contact import CompanyContact, PersonalContact
from cisisk.model.deployment import Deployment
from cisisk.model.extension import Extension, UserExtension
from cisisk.model.kem import Kem
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.profile import Profile
from cisisk.model.service import Service
from cisisk.model.user import Actor, Permission, User
from cisisk.store import (
    audit,
    contacts,
    extensions,
    kems,
    logins,
    permissions,
    phones,
    pins,
    profiles,
    progress,
    services,
    users,
)
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.plans import plan
from tests.unit.store.conftest import NewProfile, NewUser

SECRET = "sentinel7331"
PASSWORD_HASH, PIN_HASH = f"$argon2id${SECRET}password", f"$argon2id${SECRET}pin"
CONFIG = f"<device><sshPassword>{SECRET}</sshPassword></device>".encode()
USED, NEXT = f"{SECRET}used".encode(), f"{SECRET}next".encode()
LATER = after(timedelta(days=1))


@dataclass(frozen=True)
class AuditedResources:
    """One row of each kind."""

    db: Database
    actor: Actor
    anna: User
    bert: User
    clerk: Permission
    spare: Permission
    profile: Profile
    mac: Mac
    deployment: Deployment
    kem: Kem
    service: Service
    friend: PersonalContact
    colleague: CompanyContact
    extension: Extension
    link: UserExtension


@pytest.fixture
async def resources(
    db: Database, superadmin: User, new_user: NewUser, new_profile: NewProfile, actor: Actor, mac: Mac
) -> AuditedResources:
    anna, bert = await new_user("anna", PASSWORD_HASH), await new_user("bert", PASSWORD_HASH)
    clerk = await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    spare = await db.write(permissions.create, actor, {"level": 6, "name": "spare"})
    await db.write(permissions.give, actor, anna.uuid, clerk.uuid)
    await db.write(pins.put, actor, anna.uuid, PIN_HASH)
    await db.write(phones.create, actor, mac, {"software": Software.SIP})
    profile = await new_profile(anna, cnf_xml=CONFIG)
    deployment = await db.write(progress.record, actor, plan(mac, profile, CONFIG), b"<found/>" + CONFIG)
    await db.write(logins.begin, actor, anna.uuid, PASSWORD_HASH, "session", USED, LATER)
    await db.write(logins.rotate, actor, USED, NEXT, LATER)
    kem = await db.write(kems.create, actor, {"connected_phone": mac})
    service = await db.write(services.create, actor, {"name": "Weather"})
    await db.write(contacts.create_personal, actor, anna.uuid, {"name": "Adam"})
    friend = await db.write(contacts.create_personal, actor, anna.uuid, {"name": "Zoe"})
    colleague = await db.write(contacts.create_company, actor, {"name": "Zoe"})
    extension = await db.write(extensions.create, actor, NEW_EXTENSION)
    link = await db.write(extensions.link, actor, anna.uuid, extension.uuid)
    around = (kem, service, friend, colleague, extension, link)
    return AuditedResources(db, actor, anna, bert, clerk, spare, profile, mac, deployment, *around)


NEW_USER = {
    "first_name": "Carl",
    "last_name": "Canetti",
    "username": "carl",
    "email": "carl@example.org",
    "lang": "de",
    "timezone": "UTC",
}
NEW_EXTENSION = {
    "type": "custom",
    "extension": "101",
    "name": "Lobby",
    "password": f"{SECRET}sip",
    "voicemail": True,
    "voicemail_passcode": f"{SECRET}mail",
    "is_active": True,
}
CHANGES: dict[str, tuple[Callable[[AuditedResources], Awaitable[object]], Callable[[AuditedResources], object]]] = {
    "user.created": (lambda s: s.db.write(users.create, s.actor, NEW_USER, PASSWORD_HASH), lambda _: None),
    "user.updated": (
        lambda s: s.db.write(users.update, s.actor, s.anna.uuid, {"password_hash": PASSWORD_HASH, "is_active": False}),
        lambda s: s.anna.uuid,
    ),
    "user.deleted": (lambda s: s.db.write(users.delete, s.actor, s.anna.uuid), lambda s: s.anna.uuid),
    "user.permission_given": (
        lambda s: s.db.write(permissions.give, s.actor, s.bert.uuid, s.clerk.uuid),
        lambda s: s.bert.uuid,
    ),
    "user.permission_taken": (lambda s: s.db.write(permissions.take, s.actor, s.anna.uuid), lambda s: s.anna.uuid),
    "permission.created": (
        lambda s: s.db.write(permissions.create, s.actor, {"level": 7, "name": "new"}),
        lambda _: None,
    ),
    "permission.updated": (
        lambda s: s.db.write(permissions.update, s.actor, s.clerk.uuid, {"level": 8}),
        lambda s: s.clerk.uuid,
    ),
    "permission.deleted": (lambda s: s.db.write(permissions.delete, s.actor, s.spare.uuid), lambda s: s.spare.uuid),
    "auth.login": (
        lambda s: s.db.write(logins.begin, s.actor, s.bert.uuid, PASSWORD_HASH, "another", b"hash" + USED, LATER),
        lambda s: s.bert.uuid,
    ),
    "auth.refresh_reused": (
        lambda s: s.db.write(logins.rotate, s.actor, USED, b"third" + NEXT, LATER),
        lambda s: s.anna.uuid,
    ),
    "auth.logout": (lambda s: s.db.write(logins.end, s.actor, s.anna.uuid, NEXT), lambda s: s.anna.uuid),
    "cisco_user.created": (lambda s: s.db.write(pins.put, s.actor, s.bert.uuid, PIN_HASH), lambda s: s.bert.uuid),
    "cisco_user.updated": (lambda s: s.db.write(pins.put, s.actor, s.anna.uuid, PIN_HASH), lambda s: s.anna.uuid),
    "cisco_user.deleted": (lambda s: s.db.write(pins.delete, s.actor, s.anna.uuid), lambda s: s.anna.uuid),
    "profile.created": (
        lambda s: s.db.write(profiles.create, s.actor, {"user_uuid": s.anna.uuid, "name": "new", "cnf_xml": CONFIG}),
        lambda _: None,
    ),
    "profile.updated": (
        lambda s: s.db.write(profiles.update, s.actor, s.profile.uuid, {"cnf_xml": CONFIG + b"<!-- -->"}),
        lambda s: s.profile.uuid,
    ),
    "profile.deleted": (lambda s: s.db.write(profiles.delete, s.actor, s.profile.uuid), lambda s: s.profile.uuid),
    "profile.switched": (
        lambda s: s.db.write(progress.written, s.actor, s.deployment, now()),
        lambda s: s.profile.uuid,
    ),
    "phone.created": (
        lambda s: s.db.write(phones.create, s.actor, Mac("AABBCCDDEE02"), {"name": "new"}),
        lambda _: "AA:BB:CC:DD:EE:02",
    ),
    "phone.updated": (lambda s: s.db.write(phones.update, s.actor, s.mac, {"name": "x"}), lambda s: str(s.mac)),
    "phone.deleted": (lambda s: s.db.write(phones.delete, s.actor, s.mac), lambda s: str(s.mac)),
    "cisco_phone.updated": (
        lambda s: s.db.write(phones.put_cisco_phone, s.actor, s.mac, Software.SCCP),
        lambda s: str(s.mac),
    ),
    "cisco_phone.deleted": (lambda s: s.db.write(phones.delete_cisco_phone, s.actor, s.mac), lambda s: str(s.mac)),
    "cisco_kem.created": (lambda s: s.db.write(kems.create, s.actor, {}), lambda _: None),
    "cisco_kem.updated": (
        lambda s: s.db.write(kems.update, s.actor, s.kem.uuid, {"ip": "192.0.2.9"}),
        lambda s: s.kem.uuid,
    ),
    "cisco_kem.deleted": (lambda s: s.db.write(kems.delete, s.actor, s.kem.uuid), lambda s: s.kem.uuid),
    "cisco_service.created": (lambda s: s.db.write(services.create, s.actor, {}), lambda _: None),
    "cisco_service.updated": (
        lambda s: s.db.write(services.update, s.actor, s.service.uuid, {"url": SECRET}),
        lambda s: s.service.uuid,
    ),
    "cisco_service.deleted": (lambda s: s.db.write(services.delete, s.actor, s.service.uuid), lambda s: s.service.uuid),
    "personal_contact.created": (
        lambda s: s.db.write(contacts.create_personal, s.actor, s.bert.uuid, {"name": SECRET}),
        lambda _: None,
    ),
    "personal_contact.updated": (
        lambda s: s.db.write(contacts.update_personal, s.actor, s.friend.uuid, {"work": SECRET}),
        lambda s: s.friend.uuid,
    ),
    "personal_contact.moved": (
        lambda s: s.db.write(contacts.move_personal, s.actor, s.friend.uuid, 1),
        lambda s: s.friend.uuid,
    ),
    "personal_contact.deleted": (
        lambda s: s.db.write(contacts.delete_personal, s.actor, s.friend.uuid),
        lambda s: s.friend.uuid,
    ),
    "company_contact.created": (lambda s: s.db.write(contacts.create_company, s.actor, {"name": "a"}), lambda _: None),
    "company_contact.updated": (
        lambda s: s.db.write(contacts.update_company, s.actor, s.colleague.uuid, {"name": "a"}),
        lambda s: s.colleague.uuid,
    ),
    "company_contact.deleted": (
        lambda s: s.db.write(contacts.delete_company, s.actor, s.colleague.uuid),
        lambda s: s.colleague.uuid,
    ),
    "extension.created": (
        lambda s: s.db.write(extensions.create, s.actor, {**NEW_EXTENSION, "extension": "102"}),
        lambda _: None,
    ),
    "extension.updated": (
        lambda s: s.db.write(extensions.update, s.actor, s.extension.uuid, {"password": SECRET}),
        lambda s: s.extension.uuid,
    ),
    "extension.deleted": (
        lambda s: s.db.write(extensions.delete, s.actor, s.extension.uuid),
        lambda s: s.extension.uuid,
    ),
    "user_extension.created": (
        lambda s: s.db.write(extensions.link, s.actor, s.bert.uuid, s.extension.uuid),
        lambda _: None,
    ),
    "user_extension.deleted": (lambda s: s.db.write(extensions.unlink, s.actor, s.link.uuid), lambda s: s.link.uuid),
}

each_change = pytest.mark.parametrize("action", CHANGES)


async def everything(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    tables = await db.read(Read.rows, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    names = [row["name"] for row in tables]
    return {name: [tuple(row) for row in await db.read(Read.rows, f"SELECT * FROM {name}")] for name in names}  # noqa: S608 -- no user input


@each_change
async def test_change_writes_one_audit_row_without_secrets(resources: AuditedResources, action: str) -> None:
    change, entity = CHANGES[action]
    before = (await resources.db.read(audit.entries, Listing())).total
    await change(resources)
    page = await resources.db.read(audit.entries, Listing())
    assert page.total == before + 1
    entry = page.items[0]
    assert (entry.action, entry.entity_type) == (action, action.partition(".")[0])
    assert (entry.user_uuid, entry.ip, entry.user_agent) == (
        resources.actor.user_uuid,
        resources.actor.ip,
        resources.actor.user_agent,
    )
    assert entry.entity_uuid == (entity(resources) or entry.entity_uuid)
    assert entry.entity_uuid
    rows = str([tuple(row) for row in await resources.db.read(Read.rows, "SELECT * FROM audit_log")])
    assert [word for word in (SECRET, "pin_hash", "password_hash") if word in rows] == []


@each_change
async def test_change_without_audit_row_is_undone(resources: AuditedResources, action: str) -> None:
    await resources.db.write(
        Write.rows, "CREATE TRIGGER refuse BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    before = await everything(resources.db)
    with pytest.raises(sqlite3.IntegrityError, match="no room"):
        await CHANGES[action][0](resources)
    assert await everything(resources.db) == before


async def test_audit_names_changed_password_field(resources: AuditedResources) -> None:
    await CHANGES["user.updated"][0](resources)
    entry = (await resources.db.read(audit.entries, Listing(limit=1))).items[0]
    assert entry.payload == {"changed": ["is_active", "password"]}


async def test_audit_of_deleted_user_lists_profiles(resources: AuditedResources) -> None:
    await CHANGES["user.deleted"][0](resources)
    entry = (await resources.db.read(audit.entries, Listing(limit=1))).items[0]
    assert entry.payload == {
        "username": "anna",
        "profiles": [{"uuid": resources.profile.uuid, "name": resources.profile.name}],
        "extensions": ["101"],
    }


async def test_entries_come_newest_first(db: Database, actor: Actor) -> None:
    for action in ("a.first", "b.second", "c.third"):
        await db.write(audit.record, actor, action, None)
    assert [entry.action for entry in (await db.read(audit.entries, Listing())).items] == [
        "c.third",
        "b.second",
        "a.first",
    ]
    assert [entry.action for entry in (await db.read(audit.entries, Listing(limit=1, offset=1))).items] == ["b.second"]


async def test_entries_of_one_user_exclude_others(db: Database, superadmin: User) -> None:
    def work(tx: Write) -> None:
        audit.record(tx, Actor(user_uuid=superadmin.uuid), "a.mine", None, {"with": ["a", 1, None]})
        audit.record(tx, Actor(), "b.nobodys", None)

    await db.write(work)
    page = await db.read(audit.entries, Listing(), superadmin.uuid)
    assert [(entry.action, entry.payload) for entry in page.items] == [("a.mine", {"with": ["a", 1, None]})]
    assert page.total == 1


async def test_entries_outlive_their_users(resources: AuditedResources) -> None:
    await resources.db.write(users.delete, Actor(user_uuid=resources.anna.uuid), resources.anna.uuid)
    assert (await resources.db.read(audit.entries, Listing(), resources.anna.uuid)).total == 1
