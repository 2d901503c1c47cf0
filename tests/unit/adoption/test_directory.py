import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.adoption.configs import ConfigAdoption, ThreadsafeAdoption
from cisisk.adoption.directory import DirectoryImport, ImportReport
from cisisk.model.clock import now
from cisisk.model.codes.directory_import import ImportNoteCode
from cisisk.model.errors import Conflict, Invalid, StorageFailed
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM, Actor
from cisisk.provisioning.library import Library
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.provisioning.staging import STAGING
from cisisk.provisioning.uploads import Uploads
from cisisk.store import audit, phones, profiles, progress, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.patience import PATIENCE
from tests.unit.plans import plan

OTHER = Mac("AABBCCDDEE02")
ANNA = Actor(user_uuid="anna")


def config(line: str = "101", more: str = "") -> bytes:
    return (
        f"<device><devicePool><callManagerGroup><members><member><callManager><processNodeName>pbx</processNodeName>"
        f"</callManager></member></members></callManagerGroup></devicePool><sipProfile><sipLines><line button='1'>"
        f"<featureID>9</featureID><name>{line}</name><featureLabel>Desk {line}</featureLabel></line></sipLines>"
        f"</sipProfile>{more}</device>"
    ).encode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tftpboot"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The imported directory."""
    path = tmp_path / "old"
    path.mkdir()
    return path


@pytest.fixture
async def library(root: Path) -> AsyncIterator[Library]:
    with closing(Library(root)) as opened:
        yield opened


@pytest.fixture
async def takeover(db: Database, library: Library, root: Path) -> AsyncIterator[DirectoryImport]:
    adoption = ConfigAdoption(db, library, PhoneLocks(), 10_000)
    uploads = Uploads(library, ThreadsafeAdoption(adoption), 10_000)
    threads = ThreadPoolExecutor(1)
    yield DirectoryImport(adoption, library, uploads, threads, private=root.parent, served=root)
    await asyncio.to_thread(threads.shutdown)


Take = Callable[[Path], "asyncio.Future[ImportReport]"]


@pytest.fixture
def take(takeover: DirectoryImport, profile: Profile) -> Take:
    return lambda directory: asyncio.ensure_future(takeover.run(ANNA, directory, profile.user_uuid))


def place(directory: Path, name: str, content: bytes = b"content") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def state(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return everything that an import could change."""
    return {
        str(path.relative_to(directory)): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
        )
        for path in [directory, *directory.rglob("*")]
    }


def lies_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.phones, report.profiles, report.files, report.unchanged


def notes(report: ImportReport) -> set[tuple[str, str]]:
    return {(note.path, note.kind) for note in report.notes}


async def test_import_creates_profiles_and_copies_files(
    db: Database, take: Take, old: Path, root: Path, mac: Mac, profile: Profile
) -> None:
    place(old, mac.config_name, config())
    place(old, "Desktops/320x212x16/List.xml")
    place(old, "ring.raw", bytes(3 << 20))
    before = state(old)
    report = await take(old)
    assert counts(report) == (1, 1, 2, 0)
    assert notes(report) == set()
    assert state(old) == before
    assert (root / mac.config_name).read_bytes() == config()
    assert (root / "ring.raw").read_bytes() == bytes(3 << 20)
    assert (root / "Desktops/320x212x16/List.xml").read_bytes() == b"content"
    phone = await db.read(phones.get, mac)
    assert (phone.name, phone.drifted_at) == ("Desk 101", None)
    assert phone.current_profile_uuid is not None
    made = await db.read(profiles.get, phone.current_profile_uuid)
    assert (made.name, made.user_uuid, made.cnf_xml) == (
        "Desk 101 (SEPAABBCCDDEE01)", profile.user_uuid, config(),
    )  # fmt: skip
    rows = await db.read(Read.rows, "SELECT origin FROM config_versions WHERE mac = ?", (mac.digits,))
    assert [row["origin"] for row in rows] == ["adopted"]
    (row, *_) = (await db.read(audit.entries, Listing(q="directory.taken_over"))).items
    assert (row.user_uuid, row.entity_uuid) == ("anna", str(old))
    assert row.payload == {"phones": 1, "profiles": 1, "files": 2, "unchanged": 0}


async def everything(db: Database) -> list[list[tuple[object, ...]]]:
    tables = ("phones", "cisco_phones", "profiles", "config_versions", "contents", "served_configs", "takeovers")
    return [[tuple(row) for row in await db.read(Read.rows, f"SELECT * FROM {table}")] for table in tables]  # noqa: S608 - see above


async def test_second_import_changes_nothing(db: Database, take: Take, old: Path, root: Path, mac: Mac) -> None:
    place(old, mac.config_name, config())
    place(old, "ring.raw")
    await take(old)
    stored, served = await everything(db), state(root)
    report = await take(old)
    assert counts(report) == (0, 0, 0, 2)
    assert await everything(db) == stored
    assert state(root) == served


async def test_second_import_restores_no_deleted_profile(
    db: Database, library: Library, take: Take, old: Path, root: Path, mac: Mac
) -> None:
    place(old, mac.config_name, config())
    place(old, OTHER.config_name, config("102"))
    await take(old)
    for phone in (mac, OTHER):
        await db.write(profiles.delete, SYSTEM, (await db.read(phones.get, phone)).current_profile_uuid or "")
    library.remove(OTHER.config_name)
    report = await take(old)
    assert counts(report) == (0, 0, 0, 2)
    assert not (root / OTHER.config_name).exists()
    assert (await db.read(profiles.page, Listing(q="Desk 10"))).total == 0


async def test_import_keeps_the_served_config(
    db: Database, library: Library, take: Take, old: Path, root: Path, mac: Mac, profile: Profile
) -> None:
    deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, config("777")), None)
    library.replace(mac.config_name, config("777"), None)
    await db.write(progress.written, SYSTEM, deployment, now())
    place(old, mac.config_name, config())
    report = await take(old)
    assert counts(report) == (0, 1, 0, 0)
    assert notes(report) == {(mac.config_name, "skipped")}
    assert (root / mac.config_name).read_bytes() == config("777")
    phone = await db.read(phones.get, mac)
    assert (phone.current_profile_uuid, phone.drifted_at) == (profile.uuid, None)


async def test_import_skips_config_of_a_profile(
    db: Database, library: Library, take: Take, root: Path, mac: Mac, profile: Profile
) -> None:
    deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, config("777")), None)
    library.replace(mac.config_name, config("777"), None)
    await db.write(progress.written, SYSTEM, deployment, now())
    known = (await db.read(profiles.page, Listing())).total
    assert counts(await take(root)) == (0, 0, 0, 1)
    assert (await db.read(profiles.page, Listing())).total == known
    assert (await db.read(phones.get, mac)).current_profile_uuid == profile.uuid

    # No profile has this config any more, so it becomes one.
    await db.write(profiles.delete, SYSTEM, profile.uuid)
    assert counts(await take(root)) == (0, 1, 0, 0)


async def test_import_overwrites_no_served_file(take: Take, old: Path, root: Path, library: Library) -> None:
    place(root, "ring.raw", b"ours")
    place(root, "Same.raw", b"same")
    library.refresh()
    for name, content in (("ring.raw", b"theirs"), ("Same.raw", b"same"), ("same.RAW", b"x"), ("RING.raw/x", b"x")):
        place(old, name, content)
    report = await take(old)
    assert counts(report) == (0, 0, 0, 1)
    assert notes(report) == {("ring.raw", "skipped"), ("same.RAW", "skipped"), ("RING.raw/x", "skipped")}
    assert (root / "ring.raw").read_bytes() == b"ours"


async def test_import_of_served_directory_works(
    db: Database, library: Library, take: Take, root: Path, mac: Mac
) -> None:
    place(root, mac.config_name, config())
    place(root, "ring.raw")
    library.refresh()
    before = state(root)
    report = await take(root)
    assert counts(report) == (1, 1, 0, 1)
    assert notes(report) == set()
    assert state(root) == before
    assert (await db.read(phones.get, mac)).current_profile_uuid is not None
    assert counts(await take(root)) == (0, 0, 0, 2)


async def test_report_names_errors_and_no_secret(db: Database, take: Take, old: Path, root: Path, mac: Mac) -> None:
    secret = "hunter2hunter2"
    third = Mac("AABBCCDDEE03")
    place(old, mac.config_name, config("101", f"<sshUserId>x</sshUserId><sshPassword>{secret}</sshPassword>"))
    place(old, OTHER.config_name, config("101", "<loadInformation>SIP45.1</loadInformation>"))
    place(old, third.config_name, f"<device><sshPassword>{secret}".encode())
    place(old, third.config_name.lower(), config("105"))
    place(old, mac.config_name.lower(), config("106"))
    for name in (f"{mac.config_name}.bak", "sub/" + OTHER.config_name, "a\\b", "SEP000000000000.cnf.xml", ".htaccess"):
        place(old, name, secret.encode())
    (old / "link.raw").symlink_to("/etc/passwd")
    report = await take(old)
    assert notes(report) == {
        (mac.config_name, "ssh_password"),
        (mac.config_name.lower(), "duplicate"),
        (OTHER.config_name, "duplicate"),
        (OTHER.config_name, "dead_load"),
        (third.config_name, "invalid"),
        (f"{mac.config_name}.bak", "skipped"),
        (f"sub/{OTHER.config_name}", "skipped"),
        ("SEP000000000000.cnf.xml", "skipped"),
        *((name, "skipped") for name in ("a\\b", ".htaccess", "link.raw")),
    }
    assert counts(report) == (3, 3, 0, 0)
    assert secret not in str(report)
    assert secret not in str([entry.payload for entry in (await db.read(audit.entries, Listing())).items])
    assert lies_in(root) == {STAGING, *(m.config_name for m in (mac, OTHER, third))}


async def test_imported_firmware_is_no_dead_load(take: Take, old: Path, mac: Mac) -> None:
    place(old, mac.config_name, config(more="<loadInformation>SIP45.1</loadInformation>"))
    place(old, "SIP45.1.loads", b"jar45.sbn")
    place(old, "jar45.sbn")
    assert notes(await take(old)) == set()


async def test_import_skips_pipes_sockets_and_links(take: Take, old: Path, root: Path, tmp_path: Path) -> None:
    os.mkfifo(old / "pipe.raw")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(old / "s.raw"))
        place(tmp_path / "outside", "secret.raw")
        (old / "Desktops").symlink_to(tmp_path / "outside")
        report = await asyncio.wait_for(take(old), PATIENCE)
    assert counts(report) == (0, 0, 0, 0)
    assert {path for path, _ in notes(report)} == {"pipe.raw", "s.raw", "Desktops"}
    assert lies_in(root) == {STAGING}


async def test_import_rejects_forbidden_directories(take: Take, old: Path, root: Path, tmp_path: Path) -> None:
    place(root.parent, "keys", b"secret")
    (tmp_path / "link").symlink_to(root.parent)
    for directory in (root.parent, tmp_path, Path("/"), tmp_path / "link", root / STAGING):
        with pytest.raises(Invalid, match="Cisisk's own data"):
            await take(directory)
    for directory in (tmp_path / "absent", place(tmp_path, "file"), Path("relative")):
        with pytest.raises(Invalid):
            await take(directory)
    assert lies_in(root) == {STAGING}


async def test_import_rejects_directory_with_too_many_files(
    db: Database, library: Library, old: Path, root: Path
) -> None:
    for number in range(4):
        place(old, f"{number}.raw")
    adoption = ConfigAdoption(db, library, PhoneLocks(), 10_000)
    uploads = Uploads(library, ThreadsafeAdoption(adoption), 10_000)
    with ThreadPoolExecutor(1) as threads:
        limited = DirectoryImport(adoption, library, uploads, threads, private=root.parent, served=root, max_files=3)
        with pytest.raises(Invalid, match="more than 3 files"):
            await limited.run(SYSTEM, old, "anna")


async def test_import_rejects_parent_of_served_directory(
    db: Database, tmp_path: Path, old: Path, root: Path, library: Library
) -> None:
    served, below = root, root / "Desktops"
    below.mkdir()
    adoption = ConfigAdoption(db, library, PhoneLocks(), 10_000)
    uploads = Uploads(library, ThreadsafeAdoption(adoption), 10_000)
    with ThreadPoolExecutor(1) as threads:
        takeover = DirectoryImport(adoption, library, uploads, threads, private=old, served=served)
        for directory in (served.parent, below):
            with pytest.raises(Invalid, match="which is served already"):
                await takeover.run(SYSTEM, directory, "anna")


async def test_concurrent_import_is_a_conflict(take: Take, old: Path) -> None:
    place(old, "ring.raw")
    results = await asyncio.gather(take(old), take(old), return_exceptions=True)
    assert {type(result) for result in results} == {ImportReport, Conflict}


async def test_next_import_finishes_interrupted_one(
    db: Database, library: Library, take: Take, old: Path, root: Path, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(old, mac.config_name, config())
    place(old, "ring.raw")

    def fail(*_: object) -> None:
        raise StorageFailed("no space")

    with monkeypatch.context() as patch:
        patch.setattr(library, "replace", fail)
        with pytest.raises(StorageFailed):
            await take(old)
    assert not (root / mac.config_name).exists()
    report = await take(old)
    assert notes(report) == set()
    assert (root / mac.config_name).read_bytes() == config()
    assert (await db.read(profiles.page, Listing(q="Desk 101"))).total == 1
    assert (await db.read(phones.get, mac)).current_profile_uuid is not None


REWRITTEN = {
    "firmware/7945/SCCP45.9-4-2SR4-3S.loads": "SCCP45.9-4-2SR4-3S.loads",
    "firmware/7945/term45.default.loads": "term45.default.loads",
    "locales/languages/German_Germany/mk-sccp.jar": "German_Germany/mk-sccp.jar",
    "locales/countries/Germany/g3-tones.xml": "Germany/g3-tones.xml",
    "ringtones/ringlist.xml": "ringlist.xml",
    "wallpapers/320x212x16/List.xml": "Desktops/320x212x16/List.xml",
    "dialplan.xml": "dialplan.xml",
}


async def test_import_of_rewriting_server_serves_names_that_phones_request(
    db: Database, take: Take, old: Path, root: Path, mac: Mac
) -> None:
    place(old, f"settings/{mac.config_name}", config())
    for path in REWRITTEN:
        place(old, path, path.encode())
    report = await take(old)
    assert counts(report) == (1, 1, len(REWRITTEN), 0)
    assert [note.path for note in report.notes] == []
    assert {path: (root / name).read_bytes().decode() for path, name in REWRITTEN.items()} == {
        path: path for path in REWRITTEN
    }
    assert (root / mac.config_name).read_bytes() == config()
    assert (await db.read(phones.get, mac)).current_profile_uuid is not None
    again = await take(old)
    assert counts(again) == (0, 0, 0, len(REWRITTEN) + 1)


async def test_import_of_same_firmware_for_two_models_copies_it_once(take: Take, old: Path, root: Path) -> None:
    place(old, "firmware/7945/term45.default.loads", b"same")
    place(old, "firmware/7965/term45.default.loads", b"same")
    place(old, "firmware/7962/term45.default.loads", b"other")
    report = await take(old)
    assert (report.files, report.unchanged) == (1, 1)
    assert len(notes(report)) == 1
    assert (root / "term45.default.loads").read_bytes() in (b"same", b"other")


async def test_import_follows_links_inside_the_directory(
    db: Database, take: Take, old: Path, root: Path, tmp_path: Path, mac: Mac
) -> None:
    place(old, f"store/{mac.digits}.xml", config())
    (old / mac.config_name).symlink_to(f"store/{mac.digits}.xml")
    place(old, "de/mk-sip.jar")
    (old / "German_Germany").symlink_to("de")
    # Another name of a file that is imported anyway.
    place(old, f"settings/{OTHER.config_name}", config("102"))
    (old / OTHER.config_name).symlink_to(f"settings/{OTHER.config_name}")
    for name, target in (("out.xml", tmp_path / "secret"), ("loop", old), ("gone", "absent"), ("self", "self")):
        (old / name).symlink_to(target)
    place(tmp_path, "secret")
    report = await take(old)
    assert (root / mac.config_name).read_bytes() == config()
    assert (root / "German_Germany/mk-sip.jar").exists()
    assert (report.phones, {each.mac for each in report.configs}) == (2, {mac, OTHER})
    assert notes(report) == {(name, "skipped") for name in ("out.xml", "loop", "gone", "self")}
    assert not (root / "out.xml").exists()
    assert await db.read(phones.find, OTHER) is not None


async def test_import_gives_profiles_to_their_users(
    db: Database, takeover: DirectoryImport, old: Path, mac: Mac, profile: Profile
) -> None:
    row = {"first_name": "B", "last_name": "B", "username": "bert", "email": "b@b.org", "lang": "en", "timezone": "UTC"}
    bert = await db.write(users.create, ANNA, row, "$hash")
    place(old, mac.config_name, config())
    place(old, OTHER.config_name, config("102"))
    report = await takeover.run(ANNA, old, profile.user_uuid, {OTHER: bert.uuid})
    owners = {each.mac: each.username for each in report.configs}
    assert owners[OTHER] == "bert"
    assert owners[mac] != "bert"
    phone = await db.read(phones.get, OTHER)
    assert (await db.read(profiles.get, phone.current_profile_uuid or "")).user_uuid == bert.uuid


async def test_import_leaves_signed_configs_out(take: Take, old: Path, root: Path, mac: Mac) -> None:
    place(old, mac.config_name, config())
    place(old, f"{mac.config_name}.sgn")
    report = await take(old)
    assert [(note.path, note.notice.code) for note in report.notes] == [
        (f"{mac.config_name}.sgn", ImportNoteCode.SIGNED_CONFIG)
    ]
    assert lies_in(root) == {STAGING, mac.config_name}


SIGNPOST = b"<device><loadInformation>P0S3-8-12-00</loadInformation></device>"
FLAT = b'line1_name: 201\nline1_displayname: "Desk 201"\n'


async def test_flat_and_adapter_configs_become_phones_under_their_names(
    db: Database, take: Take, old: Path, root: Path, mac: Mac
) -> None:
    adapter = Mac("001B54000941")
    place(old, mac.flat_config_name.lower(), FLAT)
    place(old, mac.config_name, SIGNPOST)
    place(old, adapter.adapter_config_name, config("102"))
    place(old, adapter.second_port.adapter_config_name, config("103"))
    place(old, "SIPDefault.cnf", b"proxy1_address: pbx\n")
    report = await take(old)
    assert counts(report) == (3, 3, 2, 0)
    assert (root / mac.flat_config_name).read_bytes() == FLAT
    assert (root / mac.config_name).read_bytes() == SIGNPOST
    for port in (adapter, adapter.second_port):
        assert (root / port.adapter_config_name).exists()
        assert (await db.read(phones.get, port)).current_profile_uuid is not None
    page = await db.read(profiles.page, Listing())
    assert {profile.description for profile in page.items} >= {
        f"Imported from {mac.flat_config_name}",
        f"Imported from {adapter.adapter_config_name}",
    }
    assert counts(await take(old)) == (0, 0, 0, 5)


async def test_stray_flat_config_of_other_phone_is_noted_as_duplicate(take: Take, old: Path, mac: Mac) -> None:
    place(old, mac.config_name, config("101"))
    place(old, mac.flat_config_name, FLAT)
    report = await take(old)
    assert counts(report) == (1, 1, 0, 0)
    assert notes(report) == {(mac.flat_config_name, "duplicate")}
