import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cisisk.model.errors import CisiskError, Conflict, Invalid, TooLarge
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM, Actor
from cisisk.provisioning.archives import MAX_MEMBERS, without_wrapping
from cisisk.provisioning.library import Library
from cisisk.provisioning.staging import STAGING, Staged
from cisisk.provisioning.uploads import UploadLimits, Uploads

LOADS = "SIP45.9-4-2SR3-1S.loads"


class NoRecords:
    """A config sink that accepts everything."""

    def put_config(self, actor: Actor, mac: Mac, name: str, content: bytes) -> None:
        raise AssertionError

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        raise AssertionError

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        assert action == "file.unpacked"


@pytest.fixture
def uploads(library: Library) -> Uploads:
    return Uploads(library, NoRecords(), 1000)


def unpack(uploads: Uploads, archive: bytes) -> list[str]:
    package = uploads.begin_package(SYSTEM)
    package.write(archive)
    return package.finish()


def member(name: str, content: bytes = b"x", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def tarred(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipped(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def zipped_with_mode(name: str, mode: int) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return zipped([(info, b"/etc/passwd")])


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


PACKAGE = {LOADS: b"jar45.sbn", "jar45.sbn": bytes(100_000), "German Germany/mk-sip.jar": b"jar", "empty.sbn": b""}
AS_TAR = tarred(member(name, content) for name, content in PACKAGE.items())
AS_ZIP = zipped(PACKAGE.items())


@pytest.mark.parametrize(
    "archive",
    [AS_ZIP, zipped(PACKAGE.items(), zipfile.ZIP_STORED), AS_TAR, gzip.compress(AS_TAR)]
    + [tarred((member(*each) for each in PACKAGE.items()), form) for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT)]
    + [tarred([member(".", b"", type=tarfile.DIRTYPE), *(member(f"./{name}", c) for name, c in PACKAGE.items())])],
)
def test_zip_tar_and_tar_gz_are_unpacked(uploads: Uploads, root: Path, archive: bytes) -> None:
    before = descriptors()
    assert sorted(unpack(uploads, archive)) == sorted(PACKAGE)
    assert files(root) == PACKAGE
    assert descriptors() == before


def test_loads_file_is_served_after_its_parts(
    uploads: Uploads, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    original = library._move

    def recorded(staged: Staged, path: str) -> None:
        moved.append(path)
        original(staged, path)

    monkeypatch.setattr(library, "_move", recorded)
    unpack(uploads, AS_ZIP)
    assert moved[-1] == LOADS


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([f"x/{LOADS}", "x/a.sbn"], [LOADS, "a.sbn"]),
        ([f"x/{LOADS}", "a.sbn"], [f"x/{LOADS}", "a.sbn"]),
        ([f"x/y/{LOADS}", "x/a.sbn"], [f"x/y/{LOADS}", "x/a.sbn"]),
        (["Desktops/a/List.xml"], ["Desktops/a/List.xml"]),
        ([f"x/{LOADS}", "y/a.sbn"], [f"x/{LOADS}", "y/a.sbn"]),
        ([], []),
    ],
)
def test_only_a_folder_around_the_whole_firmware_is_dropped(paths: list[str], expected: list[str]) -> None:
    assert without_wrapping(paths) == expected


@pytest.mark.parametrize(
    "archive",
    [
        *(zipped([("good.sbn", b"x"), (name, b"x")]) for name in ("../x", "/etc/x", "a/../../x", "a//b", "a\\..\\x")),
        *(zipped([("good.sbn", b"x"), (name, b"x")]) for name in ("c:x", "a/b/c/d/e/f", "x" * 300, "a\x07b")),
        *(tarred([member("good.sbn"), member(name)]) for name in ("../x", "/etc/x", "a/../x", "a\\b", "x" * 300)),
        *(
            tarred([member("good.sbn"), member("bad", b"", type=kind, linkname="good.sbn")])
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        ),
        tarred([member("bad", b"\0" * 512, type=tarfile.GNUTYPE_SPARSE)], tarfile.GNU_FORMAT),
        *(zipped_with_mode("bad", kind | 0o777) for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK)),
        *(zipped([("a.sbn", b"x")], method) for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
        zipped([("SEPAABBCCDDEE01.cnf.xml", b"<device/>")]),
        zipped([("x/SEPAABBCCDDEE01.cnf.xml", b"<device/>"), (f"x/{LOADS}", b"")]),
        tarred([member("twice"), member("twice", b"y")]),
        zipped([("Case.sbn", b"x"), ("case.sbn", b"y")]),
        zipped([("a", b"x"), ("a/b", b"y")]),
        *(b"", b"PK", b"PK\3\4", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(50), b"text" * 1000, bytes(10240)),
    ],
)
def test_archive_with_one_invalid_member_is_refused(uploads: Uploads, root: Path, archive: bytes) -> None:
    before = descriptors()
    with pytest.raises((Invalid, Conflict)):
        unpack(uploads, archive)
    assert files(root) == {}
    assert descriptors() == before


def test_archive_with_encrypted_member_is_refused(uploads: Uploads) -> None:
    archive = bytearray(zipped([("a.sbn", b"x")]))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        archive[archive.index(signature) + offset] |= 1
    with pytest.raises(Invalid, match=r"a\.sbn is encrypted"):
        unpack(uploads, bytes(archive))


@pytest.mark.parametrize(
    "archive",
    [
        zipped([("bomb", bytes(20 << 20))]),
        zipped([(f"bomb{number}", bytes(2 << 20)) for number in range(10)]),
        gzip.compress(tarred([member("bomb", bytes(20 << 20))])),
        gzip.compress(bytes(20 << 20)),
        zipped([(f"{number}.sbn", b"") for number in range(MAX_MEMBERS + 1)]),
        gzip.compress(tarred(member(f"{number}.sbn", b"") for number in range(MAX_MEMBERS + 1))),
    ],
)
def test_archive_bomb_is_stopped_early(uploads: Uploads, root: Path, archive: bytes) -> None:
    with pytest.raises(TooLarge):
        unpack(uploads, archive)
    assert files(root) == {}


def test_unpacked_bytes_are_bounded(library: Library) -> None:
    uploads = Uploads(library, NoRecords(), 1000, UploadLimits(max_unpacked_bytes=100_000))
    with pytest.raises(TooLarge, match="unpacks to more than 100000 bytes"):
        unpack(uploads, AS_TAR)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_archive_with_huge_header_is_refused(uploads: Uploads, kind: bytes) -> None:
    with pytest.raises((Invalid, TooLarge)):
        unpack(uploads, gzip.compress(tarred([member("x", b"1" * (3 << 20), type=kind), member("a")]), 1))


def test_archive_with_huge_directory_is_refused(uploads: Uploads) -> None:
    entry = zipped([("a", b"")], zipfile.ZIP_STORED)
    start = entry.index(b"PK\1\2")
    directory = entry[start : entry.index(b"PK\5\6")] * 30_000
    end = bytearray(entry[entry.index(b"PK\5\6") :])
    end[12:16] = len(directory).to_bytes(4, "little")
    with pytest.raises(Invalid, match="larger than that of any archive"):
        unpack(uploads, entry[:start] + directory + bytes(end))


@pytest.mark.parametrize("tenths", range(10))
@pytest.mark.parametrize("archive", [AS_ZIP, AS_TAR, gzip.compress(AS_TAR)])
def test_archive_truncated_serves_nothing(uploads: Uploads, root: Path, archive: bytes, tenths: int) -> None:
    try:
        unpack(uploads, archive[: len(archive) * tenths // 10])
    except Invalid:
        assert files(root) == {}
    else:
        # A tar has no end marker: its complete members are unpacked.
        assert archive is AS_TAR
        assert all(PACKAGE[name] == content for name, content in files(root).items())


def test_archive_refused_keeps_old_files(uploads: Uploads, root: Path) -> None:
    unpack(uploads, AS_ZIP)
    with pytest.raises(Invalid):
        unpack(uploads, zipped([("jar45.sbn", b"new"), ("../x", b"")]))
    assert files(root) == PACKAGE


def escaped(root: Path) -> set[str]:
    """Return the files outside the root."""
    return {path.name for path in root.parent.iterdir()}


NAMES = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(["..", ".", "", "a", "B", "\\", "c:", "é", "SEP", ".x"]), max_size=6).map("/".join),
)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            NAMES, st.binary(max_size=30), st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6", b"S", b"L", b"x"])
        ),
        max_size=5,
    )
)
def test_hostile_tar_members_never_leave_the_root(members: list[tuple[str, bytes, bytes]]) -> None:
    infos = [member(name, content, type=kind, linkname="../x") for name, content, kind in members]
    check_nothing_escapes(lambda: gzip.compress(tarred(infos)))


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(NAMES, st.binary(max_size=30), st.integers(0, 0xFFFF)),
        max_size=5,
        # zipfile itself cuts names at a NUL, and warns of two that are the same.
        unique_by=lambda member: member[0].partition("\0")[0],
    )
)
def test_hostile_zip_members_never_leave_the_root(members: list[tuple[str, bytes, int]]) -> None:
    def archive() -> bytes:
        made = []
        for name, content, mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr = name, mode << 16
            made.append((info, content))
        return zipped(made)

    check_nothing_escapes(archive)


@settings(max_examples=300)
@given(st.sampled_from([AS_ZIP, AS_TAR, gzip.compress(AS_TAR, mtime=0)]), st.data())
def test_damaged_archives_are_refused_or_unpacked_and_nothing_else(archive: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive)
    # Archives describe themselves at their end and at their beginning.
    places = st.one_of(st.integers(0, 600), st.integers(max(0, len(archive) - 600), len(archive) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        damaged[min(place, len(archive) - 1)] = data.draw(st.integers(0, 255))
    check_nothing_escapes(lambda: bytes(damaged))


def check_nothing_escapes(archive: Callable[[], bytes]) -> None:
    try:
        content = archive()
    except (ValueError, UnicodeError, tarfile.TarError):
        # The zipfile module refuses to create this archive.
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "served"
        with closing(Library(root)) as library:
            before = descriptors()
            try:
                paths = unpack(Uploads(library, NoRecords(), 1000), content)
            except CisiskError:
                paths = []
            assert sorted(files(root)) == sorted(paths)
            assert list((root / STAGING).iterdir()) == []
            assert escaped(root) == {"served"}
            assert not any(path.is_symlink() for path in root.rglob("*"))
            assert descriptors() == before
