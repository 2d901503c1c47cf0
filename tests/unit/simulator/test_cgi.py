from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cisisk.simulator import cgi
from cisisk.simulator.cgi import ErrorNumber, Status, Unparsable


def execute(*urls: str) -> str:
    root = etree.Element("CiscoIPPhoneExecute")
    for url in urls:
        etree.SubElement(root, "ExecuteItem", Priority="0", URL=url)
    return etree.tostring(root).decode()


@pytest.mark.parametrize("quoting", [quote, quote_plus])
def test_read_execute_returns_urls_in_order(quoting: Callable[[str], str]) -> None:
    urls = ["Init:Services", "http://127.0.0.1/a?b=1&c=2", "Key:Services"]
    assert cgi.read_execute(b"XML=" + quoting(execute(*urls)).encode()) == urls


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("xml=" + quote(execute("Init:Services")), id="field in lower case"),
        pytest.param("XML=" + quote("<CiscoIPPhoneText/>"), id="other object"),
        pytest.param("XML=" + quote(execute("Init:Services")[:-3]), id="cut off"),
        pytest.param("XML=" + quote("<!DOCTYPE a []>" + execute("Init:Services")), id="document type"),
        pytest.param("XML=" + quote(execute()), id="no item"),
        pytest.param("XML=" + quote(execute(*["Key:Soft1"] * 4)), id="four items"),
        pytest.param("XML=" + quote(execute("http://a/", "https://b/")), id="two pages"),
        pytest.param("XML=" + quote(execute("Dial:" + "1" * 260)), id="long URL"),
        pytest.param("XML=" + quote("<CiscoIPPhoneExecute><ExecuteItem/></CiscoIPPhoneExecute>"), id="no URL"),
        pytest.param("&".join(["a=1"] * 50), id="many fields"),
    ],
)
def test_read_execute_invalid_body_raises_unparsable(body: str) -> None:
    with pytest.raises(Unparsable):
        cgi.read_execute(body.encode())


@given(st.binary())
def test_read_execute_any_body_returns_urls_or_raises(body: bytes) -> None:
    try:
        urls = cgi.read_execute(b"XML=" + body)
    except Unparsable:
        return
    assert 1 <= len(urls) <= 3


def test_response_contains_url_and_status_of_each_item() -> None:
    document = cgi.response([("Init:Services", Status.SUCCESS), ('Bad:"<&', Status.NOT_EXECUTABLE)])
    items = etree.fromstring(document).findall("ResponseItem")
    assert [(item.get("URL"), item.get("Status")) for item in items] == [("Init:Services", "0"), ('Bad:"<&', "6")]
    assert items[0].get("Data") == "Success"


def test_refusal_contains_error_number() -> None:
    assert cgi.refusal(ErrorNumber.AUTHENTICATION) == b'<CiscoIPPhoneError Number="4"/>'
