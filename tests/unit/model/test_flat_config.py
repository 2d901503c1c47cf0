"""Flat configs, SIP<MAC>.cnf of a 7940 or 7960."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model import placeholders, sep_config
from cisisk.model.content_type import ContentType, content_type_of, names_flat_firmware
from cisisk.model.errors import Invalid
from cisisk.model.phone import Software
from cisisk.model.sep_config.diff import diff

FLAT = b"""# Desk of Anna\r
image_version: "P0S3-8-12-00"\r
line1_name: 1001\r
line1_authname: "1001"\r
line1_password: "s3ntinel"\r
line1_displayname: "Anna Berg"   ; shown to callees\r
line2_name: UNPROVISIONED\r
proxy1_address: 192.0.2.10       ; the PBX\r
phone_label: "Anna"\r
\r
services_url: "http://192.0.2.5:8080/cisco/services?mac={{mac}}"\r
"""


def codes(content: bytes, *models: str, software: Software | None = None, placeholders: bool = True) -> list[str]:
    _, found = sep_config.judge(content, compatible_models=models, software_type=software, placeholders=placeholders)
    return [finding.code for finding in found]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (FLAT, ContentType.CNF),
        (b"line1_name:1", ContentType.CNF),
        (b"\n\n  # x\nline1_name : 1", ContentType.CNF),
        (b"<device/>", ContentType.XML),
        (b"\n<device/>", ContentType.XML),
        (b"\xef\xbb\xbf<device/>", ContentType.XML),
        (b"This XML file does not appear to have any style information: see below", ContentType.XML),
        (b"", ContentType.XML),
        (b"# only a comment", ContentType.XML),
    ],
)
def test_first_setting_determines_content_type(content: bytes, form: ContentType) -> None:
    assert content_type_of(content) is form


def test_flat_config_has_facts_of_lines() -> None:
    config = sep_config.read(FLAT)
    assert (config.speaks, config.is_flat, config.load) == ("SIP", True, "P0S3-8-12-00")
    assert (config.call_managers, config.phone_label, config.transport) == (("192.0.2.10",), "Anna", "UDP")
    (line,) = config.lines
    assert (line.button, line.name, line.display_name, line.proxy, line.at) == (1, "1001", "Anna Berg", "192.0.2.10", 3)
    assert "s3ntinel" not in repr(config)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b"line1_name: 1001", b"line1_name 1001", "Line 3: "),
        (b'"1001"', b'"1001', "Line 4: "),
        (b"1001", b"10\0", "Line 3, column 15: "),
        (b"Anna", b"Ann\xe4", "Line 1, column 14: "),
        (b"# Desk", b"\xef\xbb\xbf# Desk", "Line 1: "),
    ],
)
def test_unreadable_flat_config_is_refused_with_its_line(old: bytes, new: bytes, place: str) -> None:
    with pytest.raises(Invalid) as refused:
        sep_config.read(FLAT.replace(old, new, 1))
    (reason,) = refused.value.fields["cnf_xml"]
    assert reason.startswith(place)


def test_large_flat_config_is_refused() -> None:
    with pytest.raises(Invalid):
        sep_config.read(FLAT + b"# \n" * 30_000)


def test_good_flat_config_has_no_findings() -> None:
    assert codes(FLAT, "7940", "7960", software=Software.SIP) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"line1_name: 1001", b"line1_name: UNPROVISIONED", ["no_flat_line"]),
        (b"UNPROVISIONED", b"1001", ["duplicate_line_name"]),
        (b"P0S3-8-12-00", b"P00308010200", ["load_protocol_mismatch"]),
        (b'"s3ntinel"', b"x" * 31, ["auth_password_too_long"]),
        (b"phone_label:", b'phone_password: "cisco"\nphone_label:', ["phone_password_present"]),
        (b'label: "Anna"', b'label: "Reception desk"', ["phone_label_too_long"]),
        (b"phone_label:", b"line1_name: 1002\nphone_label:", ["duplicate_setting"]),
        (b"{{mac}}", b"{{MAC}}", ["unknown_placeholder"]),
    ],
)
def test_harmful_flat_config_has_finding(old: bytes, new: bytes, found: list[str]) -> None:
    assert codes(FLAT.replace(old, new, 1)) == found


@pytest.mark.parametrize(
    ("model", "found"), [("7942", ["flat_config_on_other_model"]), ("7924", ["unknown_model"]), ("7960", [])]
)
def test_flat_config_fits_first_generation_only(model: str, found: list[str]) -> None:
    assert codes(FLAT, model) == found
    three = FLAT.replace(b"UNPROVISIONED", b"1002\nline3_name: 1003")
    assert "too_many_lines" in codes(three, "7940")


def test_flat_config_contradicts_sccp_profile() -> None:
    assert codes(FLAT, software=Software.SCCP) == ["protocol_software_mismatch"]


def test_content_type_that_was_not_sent_is_refused() -> None:
    sep_config.require_content_type(FLAT, ContentType.CNF)
    sep_config.require_content_type(b"<device/>", ContentType.XML)
    for content, wanted in ((FLAT, ContentType.XML), (b"<device/>", ContentType.CNF)):
        with pytest.raises(Invalid):
            sep_config.require_content_type(content, wanted)


def test_diff_of_flat_configs_names_lines_and_hides_passwords() -> None:
    other = FLAT.replace(b"1001", b"305").replace(b"s3ntinel", b"0ther").replace(b"8-12", b"8-11")
    found = diff(FLAT, other)
    assert found.changes == (
        "load: P0S3-8-12-00 -> P0S3-8-11-00",
        "line 1: 1001 -> 305",
        "line1_authname: 1001 -> 305",
        "line1_password: changed",
    )
    assert (found.restart, found.more) == ("reset", 0)
    assert diff(FLAT, FLAT + b"# another comment\n").changes == ()


def test_diff_of_other_form_or_absent_config_is_a_sentence() -> None:
    assert diff(None, FLAT).changes == ("there is no config before",)
    (change,) = diff(b"<device/>", FLAT).changes
    assert "SIP<MAC>.cnf" in change


def test_placeholder_in_flat_config_is_not_escaped_for_xml() -> None:
    content = b'messages_uri: "{{emergency_location}}"\n'
    rendered = placeholders.render(content, {"emergency_location": 'R&D "east"\nwing'})
    assert rendered == b"messages_uri: \"R&D 'east' wing\"\n"


@pytest.mark.parametrize(
    ("content", "is_signpost"),
    [
        (b"<device><loadInformation>P0S3-8-12-00</loadInformation></device>", True),
        (b'<device><loadInformation model="IP Phone 7940">\n P0S3-8</loadInformation></device>', True),
        (b"<device><loadInformation>P00308010200</loadInformation></device>", False),
        (b"<device/>", False),
        (FLAT, False),
    ],
)
def test_xml_config_that_only_names_flat_firmware_is_recognised(content: bytes, *, is_signpost: bool) -> None:
    assert names_flat_firmware(content) is is_signpost


@given(st.binary(max_size=500))
def test_any_flat_content_is_read_or_refused(content: bytes) -> None:
    try:
        config = sep_config.read(b"line1_name: 1\n" + content)
    except Invalid:
        return
    assert config.is_flat
