import pytest

from cisisk.model import sep_config
from cisisk.model.errors import Invalid
from cisisk.model.sep_config import Line


def test_sip_config_facts_are_parsed(sip: bytes) -> None:
    config = sep_config.read(sip)
    assert (config.encoding, config.protocol, config.speaks) == ("UTF-8", "SIP", "SIP")
    assert config.load == "SIP45.9-4-2SR3-1S"
    assert config.call_managers == ("192.0.2.10", "backup.example.org")
    assert (config.device_security_mode, config.transport) == ("none", "TCP")
    assert config.web_access == "enabled"
    assert (config.user_locale, config.network_locale) == ("English_United_Kingdom", "United_Kingdom")
    assert config.phone_label == "Reception"
    assert config.modules == 0


def test_blank_url_differs_from_absent_one(sip: bytes) -> None:
    config = sep_config.read(sip)
    assert config.authentication_url == "http://192.0.2.5:8080/authentication"
    assert config.secure_authentication_url is None
    assert sep_config.read(b"<device><secureAuthenticationURL/></device>").secure_authentication_url == ""


def test_lines_are_read_in_order_without_their_passwords(sip: bytes) -> None:
    line, service = sep_config.read(sip).lines
    assert line == Line(
        button=1,
        line_index=1,
        feature_id=9,
        name="1001",
        contact="1001",
        display_name="Zoë & Co",
        label="1001",
        proxy="USECALLMANAGER",
        at=25,
    )
    assert line.is_line
    assert (service.button, service.line_index, service.feature_id, service.is_line) == (2, None, 20, False)


def test_position_in_file_does_not_change_a_line(sip: bytes) -> None:
    moved = sip.replace(b"<device>", b"<device>\n\n")
    assert sep_config.read(moved) == sep_config.read(sip)
    assert (sep_config.read(sip).lines[0].at, sep_config.read(moved).lines[0].at) == (25, 27)


def test_sccp_config_facts_are_parsed(sccp: bytes) -> None:
    config = sep_config.read(sccp)
    assert (config.protocol, config.load, config.lines) == ("SCCP", "SCCP42.9-4-2SR3-1S", ())
    assert config.call_managers == ("192.0.2.10",)
    assert config.encoding == "UTF-8"


def test_config_with_sip_profile_only_speaks_sip() -> None:
    config = sep_config.read(b"<device><sipProfile/></device>")
    assert (config.protocol, config.speaks) == (None, "SIP")
    assert sep_config.read(b"<device/>").speaks is None


def test_minimal_config_has_no_facts() -> None:
    config = sep_config.read(
        b"<device><loadInformation/><vendorConfig><webAccess>7</webAccess></vendorConfig></device>"
    )
    assert config.load is None
    assert config.web_access is None
    assert config.authentication_url is None
    assert config.lines == ()


def test_comments_cdata_and_namespace_hide_no_value() -> None:
    content = (
        b'<device xmlns="urn:x"><!-- <loadInformation>old</loadInformation> -->'
        b"<loadInformation>SIP<!-- split -->45</loadInformation>"
        b"<authenticationURL><![CDATA[http://a/?b=1&c=2]]></authenticationURL></device>"
    )
    config = sep_config.read(content)
    assert config.load == "SIP45"
    assert config.authentication_url == "http://a/?b=1&c=2"


@pytest.mark.parametrize("button", ["", "x", "-1", "1_0", "\u0661", "9" * 5000])
def test_button_that_is_no_number_is_unknown(button: str) -> None:
    content = f'<device><sipProfile><sipLines><line button="{button}"/></sipLines></sipProfile></device>'.encode()
    assert sep_config.read(content).lines[0].button is None


@pytest.mark.parametrize(("value", "access"), [("0", "enabled"), ("1", "disabled"), ("2", "read_only")])
def test_web_access_counts_from_enabled_to_read_only(sip: bytes, value: str, access: str) -> None:
    content = sip.replace(b"<webAccess>0", f"<webAccess>{value}".encode())
    assert sep_config.read(content).web_access == access


def test_more_lines_than_any_phone_has_are_refused() -> None:
    def with_lines(count: int) -> bytes:
        return b"<device><sipProfile><sipLines>" + b"<line/>" * count + b"</sipLines></sipProfile></device>"

    assert len(sep_config.read(with_lines(512)).lines) == 512
    with pytest.raises(Invalid, match="more than 512 <line> elements"):
        sep_config.read(with_lines(513))
