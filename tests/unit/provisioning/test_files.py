from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.errors import Invalid, NotFound
from cisisk.model.listing import Listing
from cisisk.provisioning import files
from cisisk.provisioning.files import FileKind, kind_of
from cisisk.provisioning.library import Library


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (
            FileKind.CONFIG,
            ["SEPAABBCCDDEE01.cnf.xml", "SEPAABBCCDDEE01.cnf.xml.sgn", "XMLDefault.cnf.xml", "SIPDefault.cnf"],
        ),
        (
            FileKind.FIRMWARE,
            ["SIP45.9-4-2SR3-1S.loads", "term45.default.loads", "CP7921G-1.4.7.3.SBN", "a.zz.sgn", "a.bin"],
        ),
        (FileKind.RING_TONE, ["Chime.raw", "Chime.rwb", "RINGLIST.XML", "Ringlist-wb.xml", "DistinctiveRingList.xml"]),
        (FileKind.BACKGROUND, ["Desktops/320x212x16/List.xml", "Desktops/320x212x16/Fountain.png"]),
        (
            FileKind.LOCALE,
            ["German Germany/mk-sip.jar", "Germany/g3-tones.xml", "7960-dictionary.xml", "7921-font.dat"],
        ),
        (FileKind.DIAL_TEMPLATE, ["dialplan.xml", "AppDialRules.xml"]),
        (FileKind.SOFT_KEYS, ["SoftKeys.xml", "SK0a1b2c3d-0000-1111.xml"]),
        (FileKind.OTHER, ["CTLSEPAABBCCDDEE01.tlv", "ITLFile.tlv", "README", "defaultheadsetconfig.json"]),
    ],
)
def test_kind_follows_from_the_file_name(kind: FileKind, paths: list[str]) -> None:
    assert [(path, kind_of(path)) for path in paths] == [(path, kind) for path in paths]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    for name, size in (("b.raw", 1), ("a.raw", 3), ("Sub/c.jar", 2)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
    with closing(Library(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("listing", "kind", "expected", "total"),
    [
        (Listing(), None, ["Sub/c.jar", "a.raw", "b.raw"], 3),
        (Listing(sort="-size"), None, ["a.raw", "Sub/c.jar", "b.raw"], 3),
        (Listing(limit=1, offset=1), None, ["a.raw"], 3),
        (Listing(offset=9), None, [], 3),
        (Listing(q="RAW"), None, ["a.raw", "b.raw"], 2),
        (Listing(), FileKind.LOCALE, ["Sub/c.jar"], 1),
    ],
)
def test_page_is_part_of_search_result(
    library: Library, listing: Listing, kind: FileKind | None, expected: list[str], total: int
) -> None:
    page = files.page(library, listing, kind)
    assert ([file.path for file in page.items], page.total) == (expected, total)


def test_absent_file_is_not_found_and_unknown_sort_is_refused(library: Library) -> None:
    for path in ("absent", "A.raw", "Sub", "../x", ""):
        with pytest.raises(NotFound):
            files.find(library, path)
    with pytest.raises(Invalid, match="Sort by one of path, size, modified_at"):
        files.page(library, Listing(sort="owner"), None)


def test_only_a_loads_file_describes_a_firmware(library: Library, tmp_path: Path) -> None:
    (tmp_path / "X.LOADS").write_bytes(b"X.LOADS\njar45.sbn")
    library.refresh()
    load = files.find(library, "X.LOADS").load
    assert load is not None
    assert (load.name, load.parts, load.missing) == ("X", ("jar45.sbn",), ("jar45.sbn",))
    assert files.find(library, "a.raw").load is None
