import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.phone_xml import XmlError
from cisisk.simulator.running_config import LineAtProxy, PhoneService, RunningConfig

FULL = """<?xml version="1.0" encoding="UTF-8"?>
<device>
  <sipProfile><sipLines><line button="1"><name>1001</name><contact>desk</contact>
    <proxy>USECALLMANAGER</proxy></line><line><name>1002</name></line></sipLines>
    <dialTemplate>not here</dialTemplate></sipProfile>
  <loadInformation> SIP45.9-4-2SR3-1S </loadInformation>
  <vendorConfig><webAccess>0</webAccess><settingsAccess>1</settingsAccess></vendorConfig>
  <userLocale><name>Fran\u00e7ais</name></userLocale><networkLocale/>
  <featurePolicyFile>policy.xml</featurePolicyFile><softKeyFile>keys.xml</softKeyFile>
  <authenticationURL>http://127.0.0.1/auth?a=1&amp;b=2</authenticationURL>
  <servicesURL>http://127.0.0.1/s?name=#DEVICENAME#</servicesURL><directoryURL>http://127.0.0.1/d</directoryURL>
  <phoneServices><provisioning>2</provisioning>
    <phoneService type="0"><name>Switch</name><url>http://127.0.0.1/switch</url></phoneService></phoneServices>
</device>
"""


def test_read_returns_all_supported_elements() -> None:
    assert RunningConfig.read(FULL.encode()) == RunningConfig(
        load="SIP45.9-4-2SR3-1S",
        user_locale="Fran\u00e7ais",
        network_locale="",
        extra_files=("keys.xml", "policy.xml"),
        authentication_url="http://127.0.0.1/auth?a=1&b=2",
        web_access="0",
        settings_access="1",
        line="1001",
        contact="desk",
        has_call_manager=True,
        services_url="http://127.0.0.1/s?name=#DEVICENAME#",
        directory_url="http://127.0.0.1/d",
        services=(PhoneService(name="Switch", url="http://127.0.0.1/switch"),),
    )


@pytest.mark.parametrize(("provisioning", "has_list", "has_urls"), [("0", True, False), ("1", False, True)])
def test_provisioning_selects_service_list_or_urls(provisioning: str, has_list: bool, has_urls: bool) -> None:
    document = FULL.replace("<provisioning>2", f"<provisioning>{provisioning}")
    config = RunningConfig.read(document.encode())
    assert bool(config.services) is has_list
    assert (bool(config.services_url), bool(config.directory_url)) == (has_urls, has_urls)


PLACED = b"""<device><devicePool><callManagerGroup><members>
  <member priority="1"><callManager><processNodeName>192.0.2.11</processNodeName></callManager></member>
  <member priority="0"><callManager><ports><sipPort>5070</sipPort></ports>
    <processNodeName>192.0.2.10</processNodeName></callManager></member>
</members></callManagerGroup></devicePool><sipProfile><sipLines><line><proxy>%b</proxy><port>5080</port>
  <name>1001</name><authName>a1001</authName><authPassword>secret</authPassword></line></sipLines>
  <sipStack><timerRegisterExpires>120</timerRegisterExpires></sipStack></sipProfile>
<transportLayerProtocol>%b</transportLayerProtocol></device>"""


def test_line_registers_with_first_call_manager_or_proxy() -> None:
    by_group = RunningConfig.read(PLACED % (b"USECALLMANAGER", b"1")).registers
    assert by_group == LineAtProxy(
        name="1001",
        contact="1001",
        host="192.0.2.10",
        port=5070,
        is_tcp=True,
        auth_name="a1001",
        auth_password="secret",
        expires=120,
    )
    by_proxy = RunningConfig.read(PLACED % (b"192.0.2.12", b"2")).registers
    assert by_proxy is not None
    assert (by_proxy.host, by_proxy.port, by_proxy.is_tcp) == ("192.0.2.12", 5080, False)
    assert RunningConfig.read(PLACED % (b"USECALLMANAGER", b"3")).registers is None
    assert "secret" not in repr(by_group)


def test_absent_elements_are_empty() -> None:
    config = RunningConfig.read(b"<device/>")
    assert (config.load, config.user_locale, config.network_locale, config.extra_files) == ("", None, None, ())
    assert (config.services_url, config.directory_url, config.services) == ("", "", ())


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(FULL.encode()[:200], id="half"),
        pytest.param(b"<!DOCTYPE device><device/>", id="document type"),
        pytest.param(b"<Default/>", id="other root"),
        pytest.param(b"<html><body>Not here</body></html>", id="a web page"),
        pytest.param(b"<device>\xff</device>", id="not in its encoding"),
    ],
)
def test_read_invalid_document_raises_xml_error(document: bytes) -> None:
    with pytest.raises(XmlError):
        RunningConfig.read(document)


def test_xml_error_does_not_quote_document() -> None:
    with pytest.raises(XmlError) as failure:
        RunningConfig.read(b"<device>\n<authPassword>a&secret;</authPassword></device>")
    assert str(failure.value) == "not well-formed in line 2"
    assert failure.value.__suppress_context__


def test_invalid_file_name_is_empty() -> None:
    config = RunningConfig.read(
        f"<device><softKeyFile>{'k' * 300}</softKeyFile><loadInformation>a\nb</loadInformation></device>".encode()
    )
    assert (config.extra_files, config.load) == ((), "")


@given(st.binary())
def test_read_any_document_returns_config_or_raises_xml_error(document: bytes) -> None:
    try:
        config = RunningConfig.read(b"<device>" + document + b"</device>")
    except XmlError:
        return
    assert len(config.load) <= 255
