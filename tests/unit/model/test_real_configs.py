"""What is right for each config of ``tests/cases``."""

from pathlib import Path

import pytest

from cisisk.model import sep_config
from cisisk.model.errors import Invalid
from cisisk.model.phone import Software

CASES = Path(__file__).parents[2] / "cases"


def case(number: str) -> bytes:
    (path,) = CASES.glob(f"{number}-*.cnf.xml")
    return path.read_bytes()


def codes(content: bytes, *models: str, software_type: Software | None = None) -> set[str]:
    _, found = sep_config.judge(content, compatible_models=models, software_type=software_type)
    return {finding.code for finding in found}


FINDINGS: list[tuple[str, tuple[str, ...], set[str]]] = [
    ("i01", (), set()),
    ("i01", ("7945",), set()),
    ("i01", ("8841",), {"sccp_on_sip_only_model", "load_other_model"}),
    ("i02", (), {"no_call_manager"}),
    ("i03", (), {"no_call_manager"}),
    ("i05", (), {"value_unknown"}),
    ("i05b", (), {"value_unknown"}),
    ("i06", (), {"reads_flat_config"}),
    ("i06", ("7940",), {"reads_flat_config"}),
    ("i06", ("7965",), {"reads_flat_config", "load_other_model"}),
    ("i07", ("8841",), {"multiplatform_load"}),
    ("i08", (), set()),
    ("i08", ("7942",), set()),
    ("i08", ("7965",), {"load_other_model"}),
    ("i09", (), {"duplicate_line_name"}),
    ("i12", (), set()),
    ("i15", (), set()),
    ("i18", (), set()),
    ("i20", (), {"duplicate_button"}),
    ("i21", ("7912",), set()),
    ("i22", ("7937",), set()),
    ("i23", ("8961",), set()),
    ("i24", ("3905",), set()),
    ("i25", (), {"url_too_long"}),
    ("i26", ("7945",), {"load_with_suffix"}),
    ("i27", (), {"no_call_manager"}),
    ("i32", (), set()),
    ("i32", ("7940",), {"reads_flat_config"}),
    ("i32", ("7940", "7942"), {"reads_flat_config"}),
    ("i33", (), set()),
    ("i34", (), set()),
    ("i37", (), {"byte_order_mark"}),
    ("i39", (), set()),
    ("i40", (), set()),
    ("i42", (), {"reads_flat_config"}),
    ("i42", ("7940",), {"reads_flat_config"}),
]


@pytest.mark.parametrize(("number", "models", "found"), FINDINGS)
def test_config_of_real_kind_has_its_findings(number: str, models: tuple[str, ...], found: set[str]) -> None:
    assert codes(case(number), *models) == found


REFUSED = [
    ("i10", "Line 8, column 192: "),
    ("i11", "Line 8, column 256: "),
    ("i13", "Line 15, column 1: "),
    ("i16", "Line 1, column 1: "),
    ("i17", "Line 1: "),
    ("i19", "Line 8: "),
    ("i28", "Line 13, column 10: "),
    ("i29", "Line 2, column 1: "),
    ("i30", "Line 15, column 6: "),
    ("i31", "Line 1: "),
    ("i35", "Line 13, column 76: "),
    ("i36", "Line 8, column 198: "),
    ("i38", "Line 1: "),
]


@pytest.mark.parametrize(("number", "place"), REFUSED)
def test_harmful_config_of_real_kind_is_refused_with_its_place(number: str, place: str) -> None:
    with pytest.raises(Invalid) as refused:
        sep_config.read(case(number))
    (reason,) = refused.value.fields["cnf_xml"]
    assert reason.startswith(place)
    assert "secret" not in reason


def test_each_case_is_covered_by_this_table() -> None:
    covered = {number for number, *_ in (*FINDINGS, *REFUSED)}
    assert covered == {path.name.partition("-")[0] for path in CASES.glob("i*")}


@pytest.mark.parametrize(
    ("number", "protocol"),
    [("i01", "SCCP"), ("i06", "SIP"), ("i21", "SCCP"), ("i22", "SCCP"), ("i32", "SIP"), ("i42", "SIP")],
)
def test_protocol_is_derived_from_load_and_settings(number: str, protocol: str) -> None:
    assert sep_config.read(case(number)).speaks == protocol


@pytest.mark.parametrize(
    ("inside", "protocol"),
    [
        ("", None),
        ("<loadInformation>SCCP70.9-4-2</loadInformation>", "SCCP"),
        ("<loadInformation>P00308010200</loadInformation>", "SCCP"),
        ("<loadInformation>P0S3-8-12-00</loadInformation>", "SIP"),
        ("<loadInformation>CP7921G-1.4.5</loadInformation><sipProfile/>", "SCCP"),
        ("<loadInformation>term45.default</loadInformation><sipProfile/>", "SIP"),
        ("<deviceProtocol>SIP</deviceProtocol><loadInformation>SCCP45.9</loadInformation>", "SIP"),
        ("<deviceProtocol>MGCP</deviceProtocol>", None),
    ],
)
def test_protocol_follows_the_strongest_evidence(inside: str, protocol: str | None) -> None:
    assert sep_config.read(f"<device>{inside}</device>".encode()).speaks == protocol


def test_config_of_unknown_protocol_is_found_unless_profile_tells() -> None:
    assert "protocol_unknown" in codes(b"<device/>")
    assert "protocol_unknown" not in codes(b"<device/>", software_type=Software.SCCP)
