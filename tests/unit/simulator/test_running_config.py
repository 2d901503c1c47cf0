import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.phone_xml import XmlError
from cisisk.simulator.running_config import RunningConfig

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
</device>
"""


def test_the_elements_a_phone_acts_on_are_read() -> None:
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
    )


def test_absent_elements_name_nothing() -> None:
    config = RunningConfig.read(b"<device/>")
    assert (config.load, config.user_locale, config.network_locale, config.extra_files) == ("", None, None, ())


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
def test_what_a_phone_cannot_read_is_an_xml_error(document: bytes) -> None:
    with pytest.raises(XmlError):
        RunningConfig.read(document)


def test_an_xml_error_quotes_nothing_of_the_document() -> None:
    with pytest.raises(XmlError) as failure:
        RunningConfig.read(b"<device>\n<authPassword>a&secret;</authPassword></device>")
    assert str(failure.value) == "not well-formed in line 2"
    assert failure.value.__suppress_context__


def test_a_name_no_request_can_carry_is_no_name() -> None:
    config = RunningConfig.read(
        f"<device><softKeyFile>{'k' * 300}</softKeyFile><loadInformation>a\nb</loadInformation></device>".encode()
    )
    assert (config.extra_files, config.load) == ((), "")


@given(st.binary())
def test_any_document_is_a_config_or_an_xml_error(document: bytes) -> None:
    try:
        config = RunningConfig.read(b"<device>" + document + b"</device>")
    except XmlError:
        return
    assert len(config.load) <= 255
