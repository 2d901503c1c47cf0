from typing import TypedDict, Unpack

import pytest

from cisisk.model import sep_config
from cisisk.model.codes.config import FindingCode
from cisisk.model.phone import Software
from cisisk.model.sep_config import Finding


class ProfileSays(TypedDict, total=False):
    compatible_models: list[str]
    software_type: Software | None
    placeholders: bool


def codes(content: bytes, **profile: Unpack[ProfileSays]) -> list[str]:
    return [found.code for found in findings(content, **profile)]


def findings(content: bytes, **profile: Unpack[ProfileSays]) -> tuple[Finding, ...]:
    return sep_config.judge(content, **profile)[1]


def changed(content: bytes, old: str, new: str) -> bytes:
    assert content.count(old.encode()) >= 1
    return content.replace(old.encode(), new.encode(), 1)


def test_valid_config_has_no_findings(sip: bytes) -> None:
    models = ["7965", "CP-7945G"]
    assert codes(sip, compatible_models=models, software_type=Software.SIPE, placeholders=True) == []


def test_judging_returns_the_facts_as_well(sip: bytes) -> None:
    assert sep_config.judge(sip)[0] == sep_config.read(sip)


def test_call_manager_export_has_prefix_finding(sccp: bytes) -> None:
    (found,) = findings(sccp, compatible_models=["7942"], software_type=Software.SCCP)
    assert (found.code, found.line) == ("undeclared_prefix", 1)


LONG_URL = "http://192.0.2.5/" + "x" * 239
LINE = '<line button="1" lineIndex="1">'
AUTHENTICATION = "<authenticationURL>http://192.0.2.5:8080/authentication</authenticationURL>"


@pytest.mark.parametrize(
    ("code", "old", "new", "line"),
    [
        ("blank_authentication_url", "http://192.0.2.5:8080/authentication<", " <", 44),
        ("missing_authentication_url", AUTHENTICATION, "", None),
        ("web_access_disabled", "<webAccess>0", "<webAccess>1", 39),
        ("web_access_disabled", "<webAccess>0", "<webAccess>2", 39),
        ("missing_full_config", "<fullConfig>true</fullConfig>", "", None),
        ("missing_full_config", "<fullConfig>true", "<fullConfig>false", 3),
        ("load_with_suffix", "4-2SR3-1S", "4-2SR3-1S.loads", 38),
        ("load_with_suffix", "4-2SR3-1S", "4-2SR3-1S.LOADS", 38),
        ("load_with_suffix", "4-2SR3-1S", "4-2SR3-1S.sbn", 38),
        ("load_protocol_mismatch", "SIP45.9", "SCCP45.9", 38),
        ("no_line", "<featureID>9", "<featureID>2", 21),
        ("line_without_name", "<name>1001</name>", "", 25),
        ("line_without_name", "<name>1001</name>", "<name> </name>", 25),
        ("line_without_proxy", "<proxy>USECALLMANAGER</proxy>", "", 25),
        ("line_not_call_manager", "<proxy>USECALLMANAGER", "<proxy>192.0.2.10", 25),
        ("duplicate_button", '<line button="2">', '<line button="1">', 25),
        (
            "duplicate_line_name",
            '<line button="2"><featureID>20',
            '<line button="2"><name>1001</name><proxy>USECALLMANAGER</proxy><featureID>9',
            25,
        ),
        ("call_manager_too_long", "backup.example.org", "b" * 51, 16),
        ("duplicate_line_index", '<line button="2">', '<line button="2" lineIndex="1">', 25),
        ("auth_password_too_long", "authSentinel", "p" * 31, 28),
        ("url_too_long", "http://192.0.2.5:8080/idle", LONG_URL, 48),
        ("phone_label_too_long", "Reception", "Reception 123", 23),
        ("encrypted_config", "<encrConfig>false", "<encrConfig>true", 51),
        ("ssh_password_present", "<sshPassword>", "<sshPassword>x", 6),
        ("phone_password_present", "<phonePassword>", "<phonePassword>x", 20),
        ("security_mode_needs_trust_list", "<deviceSecurityMode>1", "<deviceSecurityMode>2", 43),
        ("security_mode_needs_trust_list", "<deviceSecurityMode>1", "<deviceSecurityMode>3", 43),
        ("undeclared_prefix", "<device>", '<device xsi:type="axl:XIPPhone">', 2),
        ("byte_order_mark", "<?xml", "\ufeff<?xml", 1),
        ("large_config", "</device>", "</device>" + " " * 65536, None),
        ("placeholder_not_filled", "Reception", "{{mac}}", 23),
    ],
)
def test_each_finding_names_its_line(sip: bytes, code: str, old: str, new: str, line: int | None) -> None:
    (found,) = findings(changed(sip, old, new))
    assert (found.code, found.line) == (code, line)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("authSentinel", "p" * 30),
        ("http://192.0.2.5:8080/idle", LONG_URL[:255]),
        ("Reception", "Reception 12"),
        (AUTHENTICATION, AUTHENTICATION.replace("authenticationURL", "secureAuthenticationURL")),
        ("SIP45.9-4-2SR3-1S", ""),
        ("SIP45.9-4-2SR3-1S", "term45.default"),
        ("{Jan 01 2003 00:00:00}", "{{mac}"),
        ("<sshAccess>1</sshAccess>", "<webAccess>1</webAccess>"),
    ],
)
def test_values_within_limits_have_no_findings(sip: bytes, old: str, new: str) -> None:
    assert codes(changed(sip, old, new)) == []


def test_white_space_before_the_first_element_is_found() -> None:
    assert codes(b"\n<device/>", software_type=Software.SCCP) == [
        "leading_whitespace",
        "missing_authentication_url",
        "no_call_manager",
    ]


@pytest.mark.parametrize(
    ("software", "found"),
    [(Software.SIP, []), (Software.SIPE, []), (None, []), (Software.SCCP, ["protocol_software_mismatch"])],
)
def test_protocol_that_contradicts_software_is_found(sip: bytes, software: Software | None, found: list[str]) -> None:
    assert codes(sip, software_type=software) == found


def test_undeclared_protocol_follows_the_sip_profile(sip: bytes) -> None:
    undeclared = changed(sip, "<deviceProtocol>SIP</deviceProtocol>", "")
    assert codes(undeclared, software_type=Software.SIP) == []
    assert codes(undeclared, software_type=Software.SCCP) == ["protocol_software_mismatch"]


def test_file_without_protocol_follows_profile_software() -> None:
    content = b"<device><secureAuthenticationURL>https://a/</secureAuthenticationURL></device>"
    assert codes(content) == ["protocol_unknown", "no_call_manager"]
    assert codes(content, software_type=Software.SIPE) == ["missing_full_config", "no_line", "no_call_manager"]
    found = codes(content, software_type=Software.SCCP, compatible_models=["8841"])
    assert found == ["sccp_on_sip_only_model", "no_call_manager"]


def test_each_model_without_firmware_for_the_protocol_is_named(sip: bytes, sccp: bytes) -> None:
    declared = changed(sccp, 'xsi:type="axl:XIPPhone" ', "")
    declared = changed(declared, "SCCP42.9-4-2SR3-1S", "")
    first, second = findings(declared, compatible_models=["CP-8841", "7942", "9971"])
    assert (first.code, second.code) == ("sccp_on_sip_only_model", "sccp_on_sip_only_model")
    assert (first.notice.parameters, second.notice.parameters) == ({"model": "8841"}, {"model": "9971"})
    (found,) = findings(without_load(sip), compatible_models=["7921"])
    assert (found.code, found.line) == ("sip_on_sccp_only_model", 4)


def test_model_outside_catalogue_is_named(sip: bytes) -> None:
    (found,) = findings(sip, compatible_models=["7945", "7924"])
    assert (found.code, found.line) == ("unknown_model", None)
    assert found.notice.parameters == {"model": "7924"}


def without_load(config: bytes) -> bytes:
    return changed(config, "SIP45.9-4-2SR3-1S", "")


def with_lines(sip: bytes, count: int, modules: int = 0) -> bytes:
    line = "<line><featureID>9</featureID><name>{}</name><proxy>USECALLMANAGER</proxy></line>"
    lines = "".join(line.format(number) for number in range(1, count))
    content = changed(without_load(sip), "</sipLines>", f"{lines}</sipLines>")
    return changed(content, "</device>", "<addOnModules>" + "<addOnModule/>" * modules + "</addOnModules></device>")


@pytest.mark.parametrize(
    ("model", "modules", "keys"),
    [("7942", 0, 2), ("7942", 2, 2), ("7965", 0, 6), ("7965", 2, 54), ("7965", 3, 54), ("8865", 3, 113)],
)
def test_more_lines_than_keys_are_found(sip: bytes, model: str, modules: int, keys: int) -> None:
    assert codes(with_lines(sip, keys, modules), compatible_models=[model]) == []
    (found,) = findings(with_lines(sip, keys + 1, modules), compatible_models=[model])
    assert found.code == "too_many_lines"
    assert found.notice.parameters == {"lines": keys + 1, "model": model, "keys": keys}


def test_model_with_unknown_keys_has_no_finding(sip: bytes) -> None:
    assert codes(with_lines(sip, 20), compatible_models=["DX650"]) == []


def test_phone_label_limit_applies_to_79xx_only(sip: bytes) -> None:
    content = changed(without_load(sip), "Reception", "Reception and Post")
    assert codes(content, compatible_models=["8841"]) == []
    assert codes(content, compatible_models=["8841", "7942"]) == ["phone_label_too_long"]


def test_plain_proxy_is_reported_once(sip: bytes) -> None:
    content = with_lines(sip, 3).replace(b"USECALLMANAGER", b"192.0.2.10")
    assert codes(content) == ["line_not_call_manager"]


@pytest.mark.parametrize("text", ["{{MAC}}", "{{ mac }}", "{{user.name}}", "{{DEVICENAME}}"])
def test_placeholder_lookalike_is_found(sip: bytes, text: str) -> None:
    content = changed(sip, "{Jan 01 2003 00:00:00}", text)
    (found,) = findings(content, placeholders=True)
    assert (found.code, found.line) == ("unknown_placeholder", 40)
    known = found.notice.parameters["known"]
    assert isinstance(known, tuple)
    assert known[:3] == ("{{mac}}", "{{device_name}}", "{{server}}")
    assert codes(content) == []


def test_known_placeholders_have_no_finding(sip: bytes) -> None:
    assert codes(changed(sip, "Reception", "{{mac}}"), placeholders=True) == []


def test_many_findings_are_limited_and_keep_important() -> None:
    lines = b"<line><featureID>9</featureID></line>" * 500
    content = (
        b"<device><sshPassword>x</sshPassword><sipProfile><sipLines>" + lines + b"</sipLines></sipProfile></device>"
    )
    found = codes(content)
    assert len(found) == 100
    assert {"ssh_password_present", "missing_authentication_url", "missing_full_config"} < set(found)


def test_finding_codes_are_the_published_ones() -> None:
    assert {code.value for code in FindingCode} == {
        "auth_password_too_long",
        "blank_authentication_url",
        "byte_order_mark",
        "call_manager_too_long",
        "duplicate_button",
        "duplicate_line_index",
        "duplicate_line_name",
        "duplicate_setting",
        "emergency_unknown",
        "encrypted_config",
        "flat_config_on_other_model",
        "large_config",
        "leading_whitespace",
        "line_not_call_manager",
        "line_without_name",
        "line_without_proxy",
        "load_incomplete",
        "load_not_served",
        "load_other_model",
        "load_protocol_mismatch",
        "load_with_suffix",
        "missing_authentication_url",
        "missing_full_config",
        "multiplatform_load",
        "no_call_manager",
        "no_flat_line",
        "no_line",
        "phone_label_too_long",
        "phone_password_present",
        "phone_takes_signed_files",
        "placeholder_not_filled",
        "protocol_software_mismatch",
        "protocol_unknown",
        "reads_flat_config",
        "sccp_on_sip_only_model",
        "security_mode_needs_trust_list",
        "sip_on_sccp_only_model",
        "ssh_password_present",
        "too_many_lines",
        "undeclared_prefix",
        "unknown_model",
        "unknown_placeholder",
        "url_too_long",
        "value_unknown",
        "web_access_disabled",
    }
