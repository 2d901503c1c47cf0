"""Strict parsing of application messages."""

from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cisisk.api.emservice.failures import BadMessage, UnknownQuery
from cisisk.api.emservice.messages import (
    MAX_CHARACTERS,
    MAX_QUERY_ITEMS,
    MAX_VALUE,
    Application,
    CheckDeviceType,
    CheckUser,
    DeviceProfileQuery,
    DeviceUserQuery,
    LoginRequest,
    LogoutAllRequest,
    LogoutRequest,
    UserDevicesQuery,
    parse,
)

APP = "<appInfo><appID>app</appID><appCertificate>s3ntinel</appCertificate></appInfo>"
LOGIN = "<deviceName>SEPAABBCCDDEE01</deviceName><userID>john</userID>"
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\ufeff"), max_size=MAX_VALUE
)


def request(what: str) -> str:
    return f"<request>{APP}{what}</request>"


def query(what: str) -> str:
    return f"<query>{APP}{what}</query>"


def login(more: str = "") -> str:
    return request(f"<login>{LOGIN}{more}</login>")


def operation(text: str) -> Any:
    return parse(text)[1]


def test_parse_login_returns_all_fields() -> None:
    text = login(
        "<deviceProfile> Front desk </deviceProfile><exclusiveDuration><time>60</time></exclusiveDuration>"
        "<remoteIPAddr>192.0.2.7</remoteIPAddr><isViaHeaderSet>false</isViaHeaderSet>"
    )
    application, wanted = parse(text)
    assert application == Application(name="app", password="s3ntinel")
    assert wanted == LoginRequest(device="SEPAABBCCDDEE01", username="john", profile="Front desk", minutes=60)


@pytest.mark.parametrize(
    "more",
    [
        "",
        "<deviceProfile/>",
        "<exclusiveDuration><indefinite/></exclusiveDuration>",
        "<exclusiveDuration><indefinite></indefinite></exclusiveDuration>",
        "<deviceProfile></deviceProfile><exclusiveDuration>\n<indefinite />\n</exclusiveDuration>",
    ],
)
def test_parse_login_without_profile_and_duration(more: str) -> None:
    assert operation(login(more)) == LoginRequest(device="SEPAABBCCDDEE01", username="john", profile=None, minutes=None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (request("<logout><deviceName>SEPA</deviceName></logout>"), LogoutRequest("SEPA")),
        (
            request("<logout><deviceName>SEPA</deviceName><remoteIPAddr>192.0.2.7</remoteIPAddr></logout>"),
            LogoutRequest("SEPA"),
        ),
        (request("<logoutAll/>"), LogoutAllRequest(None)),
        (request("<logoutAll>\n</logoutAll>"), LogoutAllRequest(None)),
        (request("<logoutAll><userID>john</userID></logoutAll>"), LogoutAllRequest("john")),
        (
            query("<deviceUserQuery><deviceName>a</deviceName><deviceName>b</deviceName></deviceUserQuery>"),
            DeviceUserQuery(("a", "b")),
        ),
        (
            query("<userDevicesQuery><userID>a%40b</userID><userID>c</userID></userDevicesQuery>"),
            UserDevicesQuery(("a@b", "c")),
        ),
        (query("<deviceProfileQuery><userID>a</userID></deviceProfileQuery>"), DeviceProfileQuery(("a",))),
        (query("<userDeviceProfileQuery><userID>a</userID></userDeviceProfileQuery>"), DeviceProfileQuery(("a",))),
        (query("<checkUser><userID>a</userID><isViaHeaderSet>x</isViaHeaderSet></checkUser>"), CheckUser(("a",))),
        (query("<checkDeviceType><deviceName>a</deviceName></checkDeviceType>"), CheckDeviceType(("a",))),
    ],
)
def test_parse_other_operations(text: str, wanted: Any) -> None:
    assert operation(text) == wanted


def test_parse_accepts_bom_declaration_comments_and_element_order() -> None:
    text = (
        '\ufeff\r\n<?xml version="1.0" encoding="utf-16" standalone="yes"?>\r\n'
        '<request xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n  <!-- a note --><logout>\n'
        "    <deviceName> SEP<!-- -->A\n </deviceName></logout>\n  "
        "<appInfo><appCertificate><![CDATA[<&>]]></appCertificate><appID>app</appID></appInfo>\n</request>\n"
    )
    assert parse(text) == (Application(name="app", password="<&>"), LogoutRequest("SEPA"))


def test_parse_strips_name_but_not_password() -> None:
    app = "<appInfo><appID> app\n</appID><appCertificate> a b </appCertificate></appInfo>"
    application, _ = parse(f"<request>{app}<logoutAll/></request>")
    assert application == Application(name="app", password=" a b ")


def test_parse_encrypted_certificate_gives_empty_password() -> None:
    app = "<appInfo><appID>app</appID><appEncryptedCertificate>abc</appEncryptedCertificate></appInfo>"
    assert parse(f"<request>{app}<logoutAll/></request>")[0].password == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "<request",
        "<request/>",
        "<Request>" + APP + "<logoutAll/></Request>",
        f"<request>{APP}</request>",
        f"<request>{APP}{APP}<logoutAll/></request>",
        "<request><logoutAll/></request>",
        "<request><appInfo/><logoutAll/></request>",
        "<request><appInfo><appID>a</appID></appInfo><logoutAll/></request>",
        request("<logoutAll/><logoutAll/>"),
        request("<logoutAll/><logout><deviceName>a</deviceName></logout>"),
        request("<deviceUserQuery><deviceName>a</deviceName></deviceUserQuery>"),
        request("<logoutAll><userID/></logoutAll>"),
        request("<logoutAll><userID>a</userID><userID>b</userID></logoutAll>"),
        request("<logoutAll><deviceName>a</deviceName></logoutAll>"),
        request("<logout/>"),
        request("<logout><deviceName/></logout>"),
        request("<logout><deviceName> </deviceName></logout>"),
        request("<logout><deviceName>a</deviceName><deviceName>b</deviceName></logout>"),
        request("<logout><deviceName>a<b/></deviceName></logout>"),
        request('<logout><deviceName x="1">a</deviceName></logout>'),
        request('<logout x="1"><deviceName>a</deviceName></logout>'),
        request("<logout>text<deviceName>a</deviceName></logout>"),
        request("<logout><deviceName>a</deviceName>text</logout>"),
        request("<logout xmlns='urn:x'><deviceName>a</deviceName></logout>"),
        request(f"<logout><deviceName>{'a' * (MAX_VALUE + 1)}</deviceName></logout>"),
        request("<login><deviceName>a</deviceName></login>"),
        request("<login><userID>a</userID></login>"),
        *(
            login(f"<exclusiveDuration>{duration}</exclusiveDuration>")
            for duration in (
                "",
                "60",
                "<time/>",
                "<time>0</time>",
                "<time>-1</time>",
                "<time>1.5</time>",
                "<time>1000000</time>",
                "<time>\u0661</time>",
                "<time>1</time><indefinite/>",
                "<time>1</time><time>1</time>",
                "<indefinite>1</indefinite>",
                "<indefinite/><indefinite/>",
            )
        ),
        login("<deviceProfile>a</deviceProfile><deviceProfile>b</deviceProfile>"),
        query(""),
        query("<deviceUserQuery/>"),
        query("<deviceUserQuery><userID>a</userID></deviceUserQuery>"),
        query("<deviceUserQuery><deviceName/></deviceUserQuery>"),
        query("<checkUser><userID>a</userID></checkUser><checkUser><userID>a</userID></checkUser>"),
        query(f"<checkUser>{'<userID>a</userID>' * (MAX_QUERY_ITEMS + 1)}</checkUser>"),
        request("<logoutAll/>") + " " * MAX_CHARACTERS,
        request("<logoutAll/>") + "<request/>",
        request("<logoutAll>\x01</logoutAll>"),
        request("<logoutAll>\ud800</logoutAll>"),
        "<a>" * 5000,
    ],
)
def test_parse_message_outside_dtd_raises_bad_message(text: str) -> None:
    with pytest.raises(BadMessage) as refused:
        parse(text)
    assert not isinstance(refused.value, UnknownQuery)


@pytest.mark.parametrize(
    "text",
    [
        f"<!DOCTYPE request>{request('<logoutAll/>')}",
        f'<!DOCTYPE request SYSTEM "http://127.0.0.1:9/x.dtd">{request("<logoutAll/>")}',
        '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + request("<logout><deviceName>&a;</deviceName></logout>"),
        '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + request("<logoutAll>&b;</logoutAll>"),
        request("<logout><deviceName>&unknown;</deviceName></logout>"),
        '<request xmlns:xi="http://www.w3.org/2001/XInclude">'
        + APP
        + '<logout><deviceName><xi:include href="/etc/passwd" parse="text"/></deviceName></logout></request>',
    ],
)
def test_parse_refuses_dtd_entities_and_xinclude(text: str) -> None:
    with pytest.raises(BadMessage):
        parse(text)


def test_parse_unknown_query_raises_unknown_query() -> None:
    with pytest.raises(UnknownQuery):
        parse(query("<whoAmI/>"))


def test_bad_message_does_not_quote_input() -> None:
    for text in (request("<x>")[:-5], f"<!DOCTYPE x>{APP}", query("<s3ntinel/>"), APP, f"<{APP}"):
        with pytest.raises(BadMessage) as refused:
            parse(text)
        assert "s3ntinel" not in f"{refused.value} {refused.value.__cause__}"


def test_repr_hides_password() -> None:
    assert "s3ntinel" not in repr(parse(request("<logoutAll/>")))


@given(device=XML_TEXT, username=st.from_regex("[A-Za-z0-9._@-]{1,64}", fullmatch=True), password=XML_TEXT)
def test_parse_restores_escaped_values(device: str, username: str, password: str) -> None:
    app = f"<appInfo><appID>{username}</appID><appCertificate>{escape(password)}</appCertificate></appInfo>"
    what = f"<login><deviceName>x{escape(device[1:])}x</deviceName><userID>{username}</userID></login>"
    assert parse(f"<request>{app}{what}</request>") == (
        Application(name=username, password=password),
        LoginRequest(device=f"x{device[1:]}x", username=username, profile=None, minutes=None),
    )


@given(st.text(max_size=300))
def test_parse_any_text_returns_or_raises_bad_message(text: str) -> None:
    for each in (text, f"<request>{text}</request>", query(text), login(text)):
        try:
            parse(each)
        except BadMessage:
            continue


ELEMENTS = [
    *("appInfo", "appID", "appCertificate", "login", "logout", "logoutAll", "deviceName", "userID", "deviceProfile"),
    *("exclusiveDuration", "time", "indefinite", "deviceUserQuery", "userDevicesQuery", "checkUser", "other"),
]


@given(
    st.sampled_from(["request", "query"]),
    st.recursive(
        st.tuples(st.sampled_from(ELEMENTS), st.text("ab1 \n", max_size=3)),
        lambda below: st.tuples(st.sampled_from(ELEMENTS), st.lists(below, max_size=4)),
        max_leaves=12,
    ),
)
def test_parse_any_element_tree_returns_or_raises_bad_message(root: str, tree: tuple[str, Any]) -> None:
    def element(name: str, content: Any) -> etree._Element:
        made = etree.Element(name)
        if isinstance(content, str):
            made.text = content
        else:
            made.extend(element(*below) for below in content)
        return made

    text = etree.tostring(element(*tree), encoding="unicode")
    for each in (f"<{root}>{text}</{root}>", f"<{root}>{APP}{text}</{root}>"):
        try:
            application, _ = parse(each)
        except BadMessage:
            continue
        assert application.name == "app"
