from pathlib import Path

import pytest

from cisisk.model import sep_config
from cisisk.model.codes.config import FindingCode
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import Library

CASES = Path(__file__).parents[2] / "cases"
LOAD = "SIP45.9-4-2SR3-1S"


def config(inner: str) -> bytes:
    return f"<device>{inner}</device>".encode()


def place(library: Library, root: Path, **files: bytes) -> None:
    for name, content in files.items():
        (root / name.replace("_", ".")).write_bytes(content)
    library.refresh()


def codes(library: Library, content: bytes) -> list[str]:
    return [finding.code for finding in load_findings(library, sep_config.read(content))]


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<loadInformation/>",
        f"<loadInformation>{LOAD}</loadInformation><vendorConfig><loadServer>192.0.2.9</loadServer></vendorConfig>",
    ],
)
def test_config_with_another_load_server_has_no_finding(library: Library, inner: str) -> None:
    assert codes(library, config(inner)) == []


def test_load_has_a_finding_until_all_files_are_present(library: Library, root: Path) -> None:
    content = config("<loadInformation>X45</loadInformation>")
    assert codes(library, content) == ["load_not_served"]
    place(library, root, x45_loads=b"jar45.sbn\ncnu45.sbn", JAR45_SBN=b"")
    (finding,) = load_findings(library, sep_config.read(content))
    assert finding.code == "load_incomplete"
    assert finding.notice.parameters == {"load": "X45", "files": 2, "absent": 1, "examples": ("cnu45.sbn",)}
    place(library, root, cnu45_sbn=b"")
    assert codes(library, content) == []


def test_name_with_parent_directory_finds_nothing(library: Library, tmp_path: Path) -> None:
    (tmp_path / "outside.loads").write_bytes(b"")
    assert codes(library, config("<loadInformation>../outside</loadInformation>")) == ["load_not_served"]


@pytest.mark.parametrize(
    ("number", "file"),
    [("i21", "CP7912080004SCCP080108A.sbin"), ("i22", "apps37sccp.1-4-5-7.bin")],
)
def test_load_of_one_file_is_whole_without_loads_file(library: Library, root: Path, number: str, file: str) -> None:
    (config,) = CASES.glob(f"{number}-*")
    assert codes(library, config.read_bytes()) == ["load_not_served"]
    (root / file).write_bytes(b"firmware")
    library.refresh()
    assert codes(library, config.read_bytes()) == []


@pytest.mark.parametrize(
    ("number", "loads", "name", "parts"),
    [
        (
            "i23",
            "l1-sipX8961.1-0.loads",
            "sip8961.9-4-2SR4-1.loads",
            ("kern8961.1-0.sebn", "rootfs8961.1-0.sebn"),
        ),
        ("i24", "l2-CP3905.1-0.loads", "CP3905.9-4-1SR2-2.loads", ("APP3905.1-0.zz",)),
    ],
)
def test_load_of_real_kind_is_incomplete_until_parts_are_present(
    library: Library, root: Path, number: str, loads: str, name: str, parts: tuple[str, ...]
) -> None:
    (config,) = CASES.glob(f"{number}-*")
    read = sep_config.read(config.read_bytes())
    (root / name).write_bytes((CASES / loads).read_bytes())
    library.refresh()
    (finding,) = load_findings(library, read)
    assert finding.code == FindingCode.LOAD_INCOMPLETE
    assert finding.notice.parameters["examples"] == parts
    for part in parts:
        (root / part).write_bytes(b"firmware")
    library.refresh()
    assert load_findings(library, read) == ()


def test_own_name_in_loads_file_is_no_part(library: Library, root: Path) -> None:
    (root / "sip88xx.1-0.loads").write_bytes((CASES / "l3-sip88xx.1-0.loads").read_bytes())
    place(library, root, **{"kern88xx.1-0.sbn": b"", "rootfs88xx.1-0.sbn": b""})
    assert codes(library, config("<loadInformation>sip88xx.1-0</loadInformation>")) == []
