import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from cisisk.model.clock import now, timestamp
from cisisk.model.errors import Conflict, Invalid, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone_login import ReturnedTo
from cisisk.model.revision import entity_tag
from cisisk.model.site import EmergencyCall
from cisisk.model.user import Actor
from cisisk.store import migrations, phones, profiles, sites
from cisisk.store.database import Database
from tests.unit.store.conftest import LastEntry, NewProfile, NewUser


async def test_site_is_created_changed_and_deleted(
    db: Database, actor: Actor, new_user: NewUser, new_profile: NewProfile, last_entry: LastEntry
) -> None:
    profile = await new_profile(await new_user())
    made = await db.write(sites.create, actor, {"name": "Lisbon", "logout_at": ["20:00", "12:30"]})
    assert (made.name, made.logout_at, made.logout_profile_uuid) == ("Lisbon", ("20:00", "12:30"), None)
    assert (await db.read(sites.page, Listing(q="isb"))).items == [made] == [await db.read(sites.get, made.uuid)]
    changed = await db.write(
        sites.update, actor, made.uuid, {"logout_profile_uuid": profile.uuid, "logout_at": []}, {entity_tag(made)}
    )
    assert (changed.logout_profile_uuid, changed.logout_at) == (profile.uuid, ())
    assert (await last_entry()).payload == {"changed": ["logout_at", "logout_profile_uuid"]}
    with pytest.raises(Stale):
        await db.write(sites.update, actor, made.uuid, {"name": "Porto"}, {entity_tag(made)})
    assert (await db.write(sites.update, actor, made.uuid, {"logout_at": None, "name": "LISBON"})).logout_at is None
    await db.write(profiles.delete, actor, profile.uuid)
    assert (await db.read(sites.get, made.uuid)).logout_profile_uuid is None
    with pytest.raises(Stale):
        await db.write(sites.delete, actor, made.uuid, {entity_tag(made)})
    await db.write(sites.delete, actor, made.uuid)
    assert (await last_entry()).action == "site.deleted"
    with pytest.raises(NotFound):
        await db.read(sites.get, made.uuid)


async def test_taken_name_or_missing_profile_is_refused(db: Database, actor: Actor) -> None:
    await db.write(sites.create, actor, {"name": "Lisbon"})
    other = await db.write(sites.create, actor, {"name": "Porto"})
    with pytest.raises(Conflict, match="There is a site lisbon already"):
        await db.write(sites.create, actor, {"name": "lisbon"})
    with pytest.raises(Conflict):
        await db.write(sites.update, actor, other.uuid, {"name": "Lisbon"})
    for attempt in (
        db.write(sites.create, actor, {"name": "Faro", "logout_profile_uuid": other.uuid}),
        db.write(sites.update, actor, other.uuid, {"logout_profile_uuid": other.uuid}),
    ):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.fields == {"logout_profile_uuid": ["No such profile"]}


async def test_site_names_compare_without_case_and_accents(db: Database, actor: Actor, mac: Mac) -> None:
    site = await db.write(sites.create, actor, {"name": "São Tomé", "emergency_location": "Rua 1"})
    greek = await db.write(sites.create, actor, {"name": "Αθήνα"})
    for name in ("SÃO TOMÉ", "Sa\u0303o Tome\u0301", "sao  tome", "ΑΘΉΝΑ", "αθηνα"):
        with pytest.raises(Conflict, match=r"There is a site .* already"):
            await db.write(sites.create, actor, {"name": name})
    with pytest.raises(Conflict):
        await db.write(sites.update, actor, greek.uuid, {"name": "SÃO TOMÉ"})
    assert (await db.write(sites.update, actor, site.uuid, {"name": "SÃO TOMÉ"})).name == "SÃO TOMÉ"
    await db.write(phones.create, actor, mac, {})
    for location in ("são tomé", "Sao Tome", "SÃO TOMÉ"):
        await db.write(phones.update, actor, mac, {"location": location})
        assert await db.read(sites.emergency_call, mac) == EmergencyCall(location="Rua 1")
    await db.write(phones.update, actor, mac, {"location": "São"})
    assert await db.read(sites.emergency_call, mac) == EmergencyCall()


async def test_old_sites_differing_in_accents_stay_two(tmp_path: Path, actor: Actor, mac: Mac) -> None:
    path = tmp_path / "old.db"
    migrations.migrate(path, migrations.steps()[:9])
    with closing(sqlite3.connect(path)) as old:
        old.executemany(
            "INSERT INTO sites (uuid, name, emergency_location, created_at, updated_at) VALUES (?, ?, ?, ?, '')",
            [("1", "Malaga", "first", "1"), ("2", "Málaga", "second", "2")],
        )
        old.commit()
    migrations.migrate(path, migrations.steps())
    async with Database.open(path.as_uri()) as db:
        await db.write(phones.create, actor, mac, {})
        for location, expected in (("malaga", "first"), ("Málaga", "second"), ("MÁLAGA", "first")):
            await db.write(phones.update, actor, mac, {"location": location})
            assert await db.read(sites.emergency_call, mac) == EmergencyCall(location=expected)
        # Both can still be changed, with or without their name.
        assert (await db.write(sites.update, actor, "2", {"name": "Málaga", "logout_at": []})).logout_at == ()


async def test_upgrade_counts_times_of_new_site_from_then(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrations.migrate(path, migrations.steps()[:9])
    found = ["ZÜRICH", "zürich", "GENÈVE", "Bern", None]
    with closing(sqlite3.connect(path)) as old:
        old.executemany(
            "INSERT INTO sites (uuid, name, logout_at, created_at, updated_at) VALUES (?, ?, ?, ?, '')",
            [("1", "zürich", '["12:00"]', "1"), ("2", "Genève", None, "2")],
        )
        for number, location in enumerate([*found, "ZÜRICH", "ZÜRICH"]):
            digits = f"AABBCCDDEE0{number}"
            old.execute(
                "INSERT INTO phones (mac, location, created_at, updated_at) VALUES (?, ?, '', '')", (digits, location)
            )
            begun, over = None if number == len(found) else "1", "2" if number > len(found) else None
            old.execute(
                "INSERT INTO phone_logins (uuid, mac, user_uuid, username, profile_uuid, profile_name, way, takes_over,"
                " is_only, requested_at, logged_in_at, ended_at)"
                " VALUES (?, ?, '', '', '', '', 'phone', 0, 0, '', ?, ?)",
                (digits, digits, begun, over),
            )
        old.commit()
    before = now()
    migrations.migrate(path, migrations.steps())
    with closing(sqlite3.connect(path)) as upgraded:
        rows = upgraded.execute("SELECT times_since FROM phone_logins ORDER BY number").fetchall()
    (since, *others) = [times_since for (times_since,) in rows]
    assert before <= since <= now()
    assert timestamp(datetime.fromisoformat(since)) == since
    # The other phones had that site before, have no site with times, or have no open login.
    assert others == [None] * 6


async def test_site_supplies_what_the_phone_leaves_open(
    db: Database, actor: Actor, mac: Mac, new_user: NewUser, new_profile: NewProfile
) -> None:
    anna = await new_user()
    of_site, of_phone = await new_profile(anna), await new_profile(anna)
    assert await db.read(sites.logout_profiles, mac) == []
    assert await db.read(sites.emergency_call, mac) == EmergencyCall()
    await db.write(phones.create, actor, mac, {"location": "lisbon", "emergency_caller_id": ""})
    assert await db.read(sites.emergency_call, mac) == EmergencyCall()
    site = await db.write(
        sites.create, actor, {"name": "Lisbon", "emergency_location": "Rua 1", "emergency_caller_id": "112"}
    )
    assert await db.read(sites.emergency_call, mac) == EmergencyCall(location="Rua 1", caller_id="112")
    await db.write(phones.update, actor, mac, {"emergency_location": "Rua 1, 3rd floor"})
    assert await db.read(sites.emergency_call, mac) == EmergencyCall(location="Rua 1, 3rd floor", caller_id="112")
    assert await db.read(sites.logout_profiles, mac) == []
    await db.write(sites.update, actor, site.uuid, {"logout_profile_uuid": of_site.uuid})
    assert await db.read(sites.logout_profiles, mac) == [(ReturnedTo.SITE, of_site.uuid)]
    await db.write(phones.update, actor, mac, {"logout_profile_uuid": of_phone.uuid})
    both = [(ReturnedTo.PHONE, of_phone.uuid), (ReturnedTo.SITE, of_site.uuid)]
    assert await db.read(sites.logout_profiles, mac) == both
    await db.write(profiles.delete, actor, of_phone.uuid)
    assert await db.read(sites.logout_profiles, mac) == both[1:]
    await db.write(phones.update, actor, mac, {"location": "Porto"})
    assert await db.read(sites.logout_profiles, mac) == []


async def test_missing_logout_profile_of_phone_is_refused(db: Database, actor: Actor, mac: Mac) -> None:
    columns = {"logout_profile_uuid": "6f2f4fd4-6f2b-4cf2-9d0c-6a0f4f6d3c11"}
    with pytest.raises(Invalid) as refused:
        await db.write(phones.create, actor, mac, columns)
    assert refused.value.fields == {"logout_profile_uuid": ["No such profile"]}
    await db.write(phones.create, actor, mac, {})
    with pytest.raises(Invalid):
        await db.write(phones.update, actor, mac, columns)
