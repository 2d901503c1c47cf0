import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cisisk.model.errors import CisiskError, Conflict, Invalid, NotFound, StorageFailed, TooLarge
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.provisioning.library import Library
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.staging import STAGING
from cisisk.provisioning.uploads import UploadLimits, Uploads, config_mac

MAC = Mac("AABBCCDDEE01")
ANNA = Actor(user_uuid="anna", ip="192.0.2.7")
RING = bytes(range(256)) * 40


class Records:
    """A config sink that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refuses: CisiskError | None = None

    def put_config(self, actor: Actor, mac: Mac, name: str, content: bytes) -> None:
        self._tell("put", actor, mac, content)

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        self._tell("remove", actor, mac)

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        self._tell(action, actor, path, payload)

    def _tell(self, *what: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.calls.append(what)


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def uploads(library: Library, records: Records) -> Uploads:
    return Uploads(library, records, 1000)


def put(uploads: Uploads, path: str, content: bytes = RING) -> None:
    upload = uploads.begin(path, ANNA)
    upload.write(content)
    upload.finish()


def served(library: Library, path: str) -> bytes | None:
    try:
        content = library.open(path)
    except NotServed:
        return None
    with closing(content):
        return content.read(0, content.size)


def residue(root: Path) -> list[Path]:
    return list((root / STAGING).iterdir())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_upload_is_served_only_after_finish(uploads: Uploads, library: Library, root: Path) -> None:
    upload = uploads.begin("Desktops/320x212x16/List.xml", ANNA)
    for start in range(0, len(RING), 1000):
        upload.write(RING[start : start + 1000])
        assert served(library, "Desktops/320x212x16/List.xml") is None
    assert upload.size == len(RING)
    upload.finish()
    assert served(library, "desktops\\320X212X16\\list.xml") == RING
    assert (root / "Desktops/320x212x16/List.xml").stat().st_mode & 0o777 == 0o600
    assert residue(root) == []


def test_transfer_under_way_keeps_its_version_after_upload(uploads: Uploads, library: Library) -> None:
    put(uploads, "ring.raw", b"old")
    with closing(library.open("ring.raw")) as content:
        put(uploads, "ring.raw", b"new")
        assert content.read(0, 9) == b"old"
    assert served(library, "ring.raw") == b"new"


def test_uploaded_file_is_found_by_a_new_library(uploads: Uploads, root: Path) -> None:
    put(uploads, "a/b/c.raw")
    with closing(Library(root)) as again:
        assert served(again, "a/b/c.raw") == RING


def test_each_act_is_recorded_before_it_is_done(uploads: Uploads, records: Records, library: Library) -> None:
    put(uploads, "ring.raw")
    uploads.remove("ring.raw", ANNA)
    payload = {"path": "ring.raw", "size": len(RING)}
    assert records.calls == [("file.uploaded", ANNA, "ring.raw", payload), ("file.deleted", ANNA, "ring.raw", payload)]
    records.refuses = StorageFailed("no space")
    with pytest.raises(StorageFailed):
        put(uploads, "other.raw")
    assert served(library, "other.raw") is None


@pytest.mark.parametrize("cut", range(10))
def test_discarded_upload_leaves_the_old_file(uploads: Uploads, library: Library, root: Path, cut: int) -> None:
    put(uploads, "ring.raw", b"old")
    before = descriptors()
    upload = uploads.begin("ring.raw", ANNA)
    upload.write(RING[: len(RING) * cut // 10])
    upload.discard()
    upload.discard()
    assert served(library, "ring.raw") == b"old"
    assert residue(root) == []
    assert descriptors() == before


@pytest.mark.parametrize("cut", range(10))
def test_upload_left_by_a_killed_process_is_deleted_at_start(root: Path, cut: int) -> None:
    with closing(Library(root)) as library:
        put(Uploads(library, Records(), 1000), "ring.raw", b"old")
        upload = Uploads(library, Records(), 1000).begin("ring.raw", ANNA)
        upload.write(RING[: len(RING) * cut // 10])
        upload._staged._file.close()
        assert len(residue(root)) == 1
    with closing(Library(root)) as library:
        assert (served(library, "ring.raw"), residue(root)) == (b"old", [])


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_config_may_be_as_large_as_profile(uploads: Uploads, records: Records, root: Path, size: int) -> None:
    upload = uploads.begin(MAC.config_name, ANNA)
    upload.write(bytes(999))
    if size > 1000:
        with pytest.raises(TooLarge, match="at most 1000 bytes"):
            upload.write(bytes(2))
        upload.discard()
        assert records.calls == []
    else:
        upload.write(bytes(size - 999))
        upload.finish()
        assert records.calls == [("put", ANNA, MAC, bytes(size))]
    assert residue(root) == []


def test_any_other_file_has_a_limit_of_its_own(library: Library, records: Records) -> None:
    uploads = Uploads(library, records, 1000, UploadLimits(max_file_bytes=2000))
    put(uploads, "ring.raw", bytes(2000))
    upload = uploads.begin("ring.raw", ANNA)
    with pytest.raises(TooLarge):
        upload.write(bytes(2001))
    upload.discard()


def test_config_refused_leaves_no_file(uploads: Uploads, records: Records, root: Path) -> None:
    records.refuses = Invalid.field("cnf_xml", "no XML")
    with pytest.raises(Invalid, match="no XML"):
        put(uploads, MAC.config_name, b"<")
    assert residue(root) == []


@pytest.mark.parametrize(
    "path",
    [
        *("", "/ring.raw", "a//b", "a/", ".x", "a/.x", "..", "../x", "a/../b", "a\\b", "c:ring.raw", "a/b/c/d/e/f"),
        *("a\0b", "a\nb", "a\x7fb", "a\udcffb", "a\u202eb", "a\ufffdb", "x" * 256, "ä" * 128),
        *("sepaabbccddee01.cnf.xml", "SEPAABBCCDDEE01.CNF.XML", "SEPaabbccddee01.cnf.xml"),
        *("sub/SEPAABBCCDDEE01.cnf.xml", "SEP000000000000.cnf.xml", "SEPFFFFFFFFFFFF.cnf.xml"),
    ],
)
def test_upload_with_unservable_name_is_refused(uploads: Uploads, root: Path, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        uploads.begin(path, ANNA)
    assert set(refused.value.fields) == {"path"}
    assert residue(root) == []


@pytest.mark.parametrize(
    "path",
    [
        *("RINGLIST.DAT", "Ringlist-wb.xml", "Desktops/800x480x24/List.xml", "German Germany/mk-sip.jar", "a b c"),
        *("SEPaabbccddee01", "CTLSEPAABBCCDDEE01.tlv", "XMLDefault.cnf.xml", "SIP45.9-4-2SR3-1S.loads", "é.raw"),
    ],
)
def test_upload_with_servable_name_is_accepted(uploads: Uploads, library: Library, path: str) -> None:
    put(uploads, path)
    assert served(library, path) == RING


def test_names_that_differ_only_in_case_are_refused(uploads: Uploads) -> None:
    put(uploads, "Sounds/Ring.raw")
    for path in ("sounds/ring.raw", "Sounds/ring.raw", "sounds/Other.raw", "Sounds", "sounds", "Sounds/Ring.raw/x"):
        with pytest.raises(Conflict):
            uploads.begin(path, ANNA)
    put(uploads, "Sounds/Other.raw")


def test_second_concurrent_upload_in_another_case_is_refused(uploads: Uploads, library: Library, root: Path) -> None:
    first, second = uploads.begin("Ring.raw", ANNA), uploads.begin("ring.raw", ANNA)
    first.write(b"first")
    second.write(b"second")
    first.finish()
    with pytest.raises(Conflict, match=r"Ring\.raw exists already"):
        second.finish()
    assert served(library, "RING.RAW") == b"first"
    assert residue(root) == []


def test_concurrent_uploads_of_one_file_leave_one_complete(uploads: Uploads, library: Library, root: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=put, args=(uploads, "ring.raw", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert served(library, "ring.raw") in contents
    assert residue(root) == []


def test_remove_deletes_the_file_and_its_empty_folders(uploads: Uploads, library: Library, root: Path) -> None:
    put(uploads, "Desktops/a/List.xml")
    put(uploads, "Desktops/b/List.xml")
    uploads.remove("Desktops/a/List.xml", ANNA)
    assert served(library, "Desktops/a/List.xml") is None
    assert [path.name for path in (root / "Desktops").iterdir()] == ["b"]
    for path in ("Desktops/a/List.xml", "desktops/b/List.xml", "Desktops", "../x", ""):
        with pytest.raises(NotFound):
            uploads.remove(path, ANNA)


def test_config_is_removed_through_the_config_sink(uploads: Uploads, records: Records, root: Path) -> None:
    (root / MAC.config_name).write_bytes(b"config")
    uploads.library.refresh()
    uploads.remove(MAC.config_name, ANNA)
    assert records.calls == [("remove", ANNA, MAC)]


def test_files_served_are_listed_by_path(uploads: Uploads, root: Path) -> None:
    put(uploads, "b.raw", b"12")
    put(uploads, "a/c.raw", b"123")
    (root / ".hidden").write_bytes(b"x")
    unfinished = uploads.begin("unfinished.raw", ANNA)
    unfinished.write(b"x")
    listed = uploads.entries()
    unfinished.discard()
    assert [(path, size) for path, size, _ in listed] == [("a/c.raw", 3), ("b.raw", 2)]
    assert listed[1].modified == (root / "b.raw").stat().st_mtime


def test_link_in_place_of_a_folder_is_not_followed(uploads: Uploads, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "Sounds").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageFailed, match=r"Sounds/ring\.raw could not be written"):
        put(uploads, "Sounds/ring.raw")
    assert list((tmp_path / "outside").iterdir()) == []
    assert residue(root) == []


def test_link_in_place_of_a_file_is_replaced(uploads: Uploads, root: Path, tmp_path: Path) -> None:
    target = tmp_path / "passwd"
    target.write_bytes(b"secret")
    (root / "ring.raw").symlink_to(target)
    put(uploads, "ring.raw")
    assert target.read_bytes() == b"secret"
    assert (root / "ring.raw").read_bytes() == RING


@pytest.mark.parametrize(
    "path", ["\u017fEPAABBCCDDEE01.cnf.xml", "SEPAABBCCDDEE\ufb00.cnf.xml", "Desktops/\u017fEPAABBCCDDEE01.cnf.xml"]
)
def test_config_is_recognised_in_any_spelling(uploads: Uploads, library: Library, path: str) -> None:
    with pytest.raises(Invalid):
        put(uploads, path, b"no config")
    assert library.entries() == []


@pytest.mark.parametrize("path", ["\u017fEPAABBCCDDEE01.cnf.xml", "c:SEPAABBCCDDEE01.cnf.xml"])
def test_file_served_as_a_config_is_removed_as_one(
    uploads: Uploads, library: Library, records: Records, root: Path, path: str
) -> None:
    (root / path).write_bytes(b"old")
    library.refresh()
    assert served(library, MAC.config_name) == b"old"

    assert config_mac(path) == MAC
    uploads.remove(path, ANNA)
    assert records.calls == [("remove", ANNA, MAC)]


def test_names_of_configs_are_known_in_any_case() -> None:
    assert config_mac("sepaabbccddee01.CNF.xml") == config_mac(MAC.config_name) == MAC
    assert [config_mac(name) for name in ("SEP01.cnf.xml", "a/SEPAABBCCDDEE01.cnf.xml", "SEPFFFFFFFFFFFF.cnf.xml")] == [
        None, None, None,
    ]  # fmt: skip


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Uploads, Callable[[], None], Callable[[], None]]]:
    """Uploads on a small disk that can be filled and cleared."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1048576", "tmpfs", disk], check=True)

    def fill() -> None:
        with suppress(OSError), (disk / "ballast").open("ab", buffering=0) as file:
            for size in (4096, 1):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    with closing(Library(disk / "served")) as library:
        yield Uploads(library, Records(), 1000), fill, (disk / "ballast").unlink
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_full_disk_refuses_an_upload_and_keeps_the_old_file(
    full: tuple[Uploads, Callable[[], None], Callable[[], None]],
) -> None:
    uploads, fill, clear = full
    put(uploads, "ring.raw", b"old")
    fill()
    upload = uploads.begin("ring.raw", ANNA)
    with pytest.raises(StorageFailed, match="The file could not be written: No space left on device"):
        upload.write(bytes(100_000))
    upload.discard()
    assert served(uploads.library, "ring.raw") == b"old"
    clear()
    put(uploads, "ring.raw", bytes(100_000))
    assert served(uploads.library, "ring.raw") == bytes(100_000)
