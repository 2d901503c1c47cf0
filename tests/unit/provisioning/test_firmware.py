from pathlib import Path

import pytest

from cisisk.model import sep_config
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import Library

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
