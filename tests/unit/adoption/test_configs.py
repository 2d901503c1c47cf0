import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cisisk.adoption.configs import ConfigAdoption, ThreadsafeAdoption
from cisisk.model.clock import now
from cisisk.model.errors import Conflict, Invalid, NotFound, StorageFailed
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.user import SYSTEM, Actor
from cisisk.provisioning.library import ChangedMeanwhile, Library
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.store import audit, configs, deployments, phones, progress
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.unit.plans import plan

FIRST, SECOND, FOREIGN = (f"<device><a>{name}</a></device>".encode() for name in ("first", "second", "foreign"))
ANNA = Actor(user_uuid="anna", ip="192.0.2.7")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tftpboot"


@pytest.fixture
async def library(root: Path) -> AsyncIterator[Library]:
    with closing(Library(root)) as opened:
        yield opened


@pytest.fixture
def turns() -> PhoneLocks:
    return PhoneLocks()


@pytest.fixture
def adoption(db: Database, library: Library, turns: PhoneLocks) -> ConfigAdoption:
    return ConfigAdoption(db, library, turns, 1000)


def sha256_on_disk(library: Library, mac: Mac) -> str:
    snapshot = library.current(mac.config_name)
    assert snapshot is not None
    return snapshot.sha256


async def versions(db: Database, mac: Mac) -> list[tuple[bytes, str]]:
    rows = await db.read(
        Read.rows,
        "SELECT content, origin FROM config_versions JOIN contents USING (sha256) WHERE mac = ? ORDER BY number",
        (mac.digits,),
    )
    return [(row["content"], row["origin"]) for row in rows]


async def actions(db: Database) -> list[str]:
    page = await db.read(audit.entries, Listing())
    return [entry.action for entry in reversed(page.items) if entry.entity_type == "config"]


async def switched(db: Database, library: Library, mac: Mac, profile: Profile, content: bytes = FIRST) -> str:
    """Serve a profile's config to the phone; return the uuid of the deployment."""
    known = library.current(mac.config_name)
    deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, content), known.content if known else None)
    library.replace(mac.config_name, content, known)
    await db.write(progress.written, SYSTEM, deployment, now())
    await db.write(progress.restart_tried, deployment, Attempt(RestartOutcome.ACCEPTED, "test"), "restart")
    return deployment.uuid


def place(root: Path, mac: Mac, content: bytes) -> Path:
    path = root / mac.config_name
    path.write_bytes(content)
    return path


async def test_put_serves_and_keeps_the_config(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac
) -> None:
    await adoption.put(ANNA, mac, FIRST)
    await adoption.put(ANNA, mac, SECOND)
    assert (root / mac.config_name).read_bytes() == SECOND
    assert await versions(db, mac) == [(FIRST, "adopted"), (SECOND, "adopted")]
    served = await db.read(configs.served_to, mac)
    assert served is not None
    assert (served.sha256, served.pending, served.origin) == (sha256_on_disk(library, mac), None, "adopted")
    assert await actions(db) == ["config.adopted", "config.adopted"]
    assert (await db.read(phones.get, mac)).served_sha256 == served.sha256


@pytest.mark.parametrize("content", [b"", b"<device>", b"<Default/>", b"<device>" + bytes(2000) + b"</device>"])
async def test_put_rejects_invalid_config(
    db: Database, adoption: ConfigAdoption, root: Path, mac: Mac, content: bytes
) -> None:
    await adoption.put(ANNA, mac, FIRST)
    with pytest.raises(Invalid) as refused:
        await adoption.put(ANNA, mac, content)
    assert set(refused.value.fields) == {"cnf_xml"}
    assert (root / mac.config_name).read_bytes() == FIRST
    assert await versions(db, mac) == [(FIRST, "adopted")]


async def test_put_waits_for_switch_under_way(
    adoption: ConfigAdoption, turns: PhoneLocks, root: Path, mac: Mac
) -> None:
    async with turns.take(mac) as superseded:
        putting = asyncio.create_task(adoption.put(ANNA, mac, FIRST))
        other = Mac("AABBCCDDEE02")
        await adoption.put(ANNA, other, SECOND)
        assert not putting.done()
        assert not superseded.done()
        assert not (root / mac.config_name).exists()
    await putting
    assert (root / mac.config_name).read_bytes() == FIRST


async def test_put_clears_the_current_profile(
    db: Database, library: Library, adoption: ConfigAdoption, mac: Mac, profile: Profile
) -> None:
    uuid = await switched(db, library, mac, profile)
    await adoption.put(ANNA, mac, SECOND)
    assert (await db.read(phones.get, mac)).current_profile_uuid is None
    assert (await db.read(deployments.get, uuid)).state == "superseded"


async def test_put_keeps_foreign_config_before_replacing_it(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adoption.put(ANNA, mac, FIRST)
    original = library.replace

    def racing(*arguments: Any) -> None:
        monkeypatch.setattr(library, "replace", original)
        place(root, mac, FOREIGN)
        original(*arguments)

    monkeypatch.setattr(library, "replace", racing)
    await adoption.put(ANNA, mac, SECOND)
    assert (root / mac.config_name).read_bytes() == SECOND
    assert [content for content, _ in await versions(db, mac)] == [FIRST, SECOND, FOREIGN]
    assert await actions(db) == ["config.adopted", configs.CHANGED_ON_DISK, "config.adopted"]


async def test_put_gives_up_against_constant_writer(
    library: Library, adoption: ConfigAdoption, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: Any) -> None:
        raise ChangedMeanwhile("changed")

    monkeypatch.setattr(library, "replace", changed)
    with pytest.raises(Conflict, match="keeps changing"):
        await adoption.put(ANNA, mac, FIRST)


@pytest.mark.parametrize("attempt", ["put", "remove"])
async def test_same_write_after_failed_put_is_foreign_change(
    db: Database,
    library: Library,
    adoption: ConfigAdoption,
    root: Path,
    mac: Mac,
    attempt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await adoption.put(ANNA, mac, FIRST)
    await adoption.look()

    def full(*_: object) -> None:
        raise StorageFailed("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(library, "replace", full)
        broken.setattr(library, "remove", full)
        with pytest.raises(StorageFailed):
            await (adoption.put(ANNA, mac, FOREIGN) if attempt == "put" else adoption.remove(ANNA, mac))
    if attempt == "put":
        place(root, mac, FOREIGN)
    else:
        (root / mac.config_name).unlink()
    library.refresh()
    await adoption.look()
    assert (await actions(db))[-1] == "config.changed_on_disk"


async def test_remove_keeps_the_config_as_version(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac
) -> None:
    place(root, mac, FOREIGN)
    library.refresh()
    await adoption.remove(ANNA, mac)
    assert not (root / mac.config_name).exists()
    assert await versions(db, mac) == [(FOREIGN, "adopted")]
    assert await actions(db) == ["config.removed"]
    with pytest.raises(NotFound):
        await adoption.remove(ANNA, mac)
    await adoption.look()
    assert await actions(db) == ["config.removed"]


async def test_remove_removes_hidden_configs_too(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac
) -> None:
    place(root, mac, FIRST)
    (root / mac.config_name.lower()).write_bytes(FOREIGN)
    library.refresh()
    await adoption.remove(ANNA, mac)
    library.refresh()
    assert library.current(mac.config_name) is None
    await adoption.look()
    assert await actions(db) == ["config.removed"]
    assert await versions(db, mac) == [(FIRST, "adopted"), (FOREIGN, "adopted")]


@pytest.mark.parametrize("cut", ["replace", "record"])
async def test_interrupted_put_is_no_foreign_change(
    db: Database,
    library: Library,
    adoption: ConfigAdoption,
    root: Path,
    mac: Mac,
    monkeypatch: pytest.MonkeyPatch,
    cut: str,
) -> None:
    await adoption.put(ANNA, mac, FIRST)

    def fail(*_: Any) -> None:
        raise StorageFailed("no space")

    with monkeypatch.context() as patch:
        patch.setattr(*((library, "replace", fail) if cut == "replace" else (configs, "adopted", fail)))
        with pytest.raises(StorageFailed, match="no space") as failed:
            await adoption.put(ANNA, mac, SECOND)
    assert ("new config is being served" in str(failed.value)) is (cut == "record")
    expected = FIRST if cut == "replace" else SECOND
    assert (root / mac.config_name).read_bytes() == expected
    await adoption.look()
    served = await db.read(configs.served_to, mac)
    assert served is not None
    assert (served.sha256, served.origin) == (sha256_on_disk(library, mac), "adopted")
    assert configs.CHANGED_ON_DISK not in await actions(db)


async def test_unrecorded_removal_is_no_foreign_change(
    db: Database, adoption: ConfigAdoption, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adoption.put(ANNA, mac, FIRST)

    def fail(*_: Any) -> None:
        raise StorageFailed("no space")

    with monkeypatch.context() as patch:
        patch.setattr(configs, "adopted", fail)
        with pytest.raises(StorageFailed, match="The file is removed"):
            await adoption.remove(ANNA, mac)
    await adoption.look()
    assert await actions(db) == ["config.adopted", "config.removed"]
    assert (await db.read(phones.get, mac)).served_sha256 is None


# Drift


async def test_first_look_records_existing_configs(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac
) -> None:
    place(root, mac, FOREIGN)
    library.refresh()
    await adoption.look()
    assert await versions(db, mac) == [(FOREIGN, "adopted")]
    assert await actions(db) == []
    assert await db.read(phones.find, mac) is None


async def test_foreign_change_is_kept_and_logged_once(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac, profile: Profile
) -> None:
    uuid = await switched(db, library, mac, profile)
    await adoption.look()
    assert await actions(db) == []
    before = now()
    place(root, mac, FOREIGN)
    for _ in range(3):
        library.refresh()
        await adoption.look()
    assert (root / mac.config_name).read_bytes() == FOREIGN
    assert await versions(db, mac) == [(FIRST, "switch"), (FOREIGN, "adopted")]
    assert await actions(db) == [configs.CHANGED_ON_DISK]
    phone = await db.read(phones.get, mac)
    assert phone.drifted_at is not None
    assert phone.drifted_at >= before
    assert (await db.read(deployments.get, uuid)).state == "superseded"


async def test_change_during_downtime_is_found(
    db: Database, library: Library, turns: PhoneLocks, root: Path, mac: Mac, profile: Profile
) -> None:
    other = Mac("AABBCCDDEE02")
    await switched(db, library, mac, profile)
    await switched(db, library, other, profile)
    place(root, mac, FOREIGN)
    (root / other.config_name).unlink()
    library.refresh()
    await ConfigAdoption(db, library, turns, 1000).look()
    for phone in (mac, other):
        assert (await db.read(phones.get, phone)).drifted_at is not None
    assert (await db.read(phones.get, other)).served_sha256 is None
    assert await actions(db) == [configs.CHANGED_ON_DISK] * 2


async def test_restored_config_is_recorded(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac, profile: Profile
) -> None:
    await switched(db, library, mac, profile)
    await adoption.look()
    path = root / mac.config_name
    for change in (path.unlink, lambda: place(root, mac, FIRST)):
        change()
        library.refresh()
        await adoption.look()
    assert await actions(db) == [configs.CHANGED_ON_DISK] * 2
    assert (await db.read(phones.get, mac)).served_sha256 == sha256_on_disk(library, mac)


async def test_switch_ends_a_foreign_change(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac, profile: Profile
) -> None:
    await switched(db, library, mac, profile)
    place(root, mac, FOREIGN)
    await switched(db, library, mac, profile, SECOND)
    assert await actions(db) == [configs.CHANGED_ON_DISK]
    assert (await db.read(phones.get, mac)).drifted_at is None
    await adoption.look()
    assert await actions(db) == [configs.CHANGED_ON_DISK]


async def test_look_skips_locked_phone(
    db: Database, library: Library, adoption: ConfigAdoption, turns: PhoneLocks, root: Path, mac: Mac, profile: Profile
) -> None:
    await switched(db, library, mac, profile)
    async with turns.take(mac):
        library.replace(mac.config_name, SECOND, library.current(mac.config_name))
        await adoption.look()
    assert await actions(db) == []


async def test_unrecorded_switch_is_no_foreign_change(
    db: Database, library: Library, adoption: ConfigAdoption, mac: Mac, profile: Profile
) -> None:
    await switched(db, library, mac, profile)
    await db.write(progress.record, SYSTEM, plan(mac, profile, SECOND), FIRST)
    library.replace(mac.config_name, SECOND, library.current(mac.config_name))
    await adoption.look()
    assert await actions(db) == []


async def test_look_finds_config_in_lower_case(
    db: Database, library: Library, adoption: ConfigAdoption, root: Path, mac: Mac, profile: Profile
) -> None:
    await switched(db, library, mac, profile)
    (root / mac.config_name).unlink()
    (root / mac.config_name.lower()).write_bytes(FOREIGN)
    library.refresh()
    await adoption.look()
    assert (await db.read(phones.get, mac)).drifted_at is not None
    assert (FOREIGN, "adopted") in await versions(db, mac)


async def test_failed_look_is_logged_once_and_repeated(
    db: Database,
    library: Library,
    adoption: ConfigAdoption,
    root: Path,
    mac: Mac,
    profile: Profile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await switched(db, library, mac, profile)
    path = place(root, mac, b"")
    with path.open("r+b") as file:
        file.truncate(9 << 20)
    for _ in range(3):
        await adoption.look()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    place(root, mac, FOREIGN)
    await adoption.look()
    assert (await db.read(phones.get, mac)).drifted_at is not None


# From other threads


async def test_threadsafe_put_returns_or_raises(adoption: ConfigAdoption, root: Path, mac: Mac) -> None:
    keeper = ThreadsafeAdoption(adoption)
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()

        async def there(work: Callable[..., None], *arguments: Any) -> None:
            await loop.run_in_executor(pool, work, *arguments)

        await there(keeper.put_config, ANNA, mac, mac.config_name, FIRST)
        assert (root / mac.config_name).read_bytes() == FIRST
        with pytest.raises(Invalid):
            await there(keeper.put_config, ANNA, mac, mac.config_name, b"<")
        await there(keeper.record, ANNA, "file.uploaded", "ring.raw", {})
        await there(keeper.remove_config, ANNA, mac)
        assert not (root / mac.config_name).exists()


async def test_threadsafe_put_times_out(adoption: ConfigAdoption, turns: PhoneLocks, root: Path, mac: Mac) -> None:
    keeper = ThreadsafeAdoption(adoption, answer_seconds=0.05)
    async with turns.take(mac):
        with pytest.raises(StorageFailed, match="Check whether the change was made"):
            await asyncio.to_thread(keeper.put_config, ANNA, mac, mac.config_name, FIRST)
    assert not (root / mac.config_name).exists()


def test_threadsafe_put_fails_on_closed_loop(db_path: Path, tmp_path: Path, mac: Mac) -> None:
    made: list[ThreadsafeAdoption] = []

    async def make() -> None:
        async with Database.open(db_path.as_uri()) as db:
            with closing(Library(tmp_path / "root")) as library:
                made.append(ThreadsafeAdoption(ConfigAdoption(db, library, PhoneLocks(), 1000)))

    thread = threading.Thread(target=lambda: asyncio.run(make()))
    thread.start()
    thread.join(30)
    with pytest.raises(StorageFailed, match="stopping"):
        made[0].put_config(ANNA, mac, mac.config_name, FIRST)
