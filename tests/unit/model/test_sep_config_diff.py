"""Differences between configs are named in usual terms and show no secret."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.sep_config.diff import MAX_CHANGES, Diff, diff

SENTINEL = "xQ7sentinel"


def device(inside: str) -> bytes:
    return f"<device>{inside}</device>".encode()


def lines(*keys: str) -> bytes:
    return device(f"<sipProfile><sipLines>{''.join(keys)}</sipLines></sipProfile>")


def key(button: int, feature: int, name: str, more: str = "") -> str:
    return f'<line button="{button}"><featureID>{feature}</featureID><name>{name}</name>{more}</line>'


def changes(before: bytes, after: bytes) -> tuple[str, ...]:
    return diff(before, after).changes


def test_line_is_named_by_its_user(sip: bytes) -> None:
    after = sip.replace(b"<name>1001</name>", b"<name>305</name>").replace(b"<contact>1001<", b"<contact>305<")
    assert diff(sip, after) == Diff(
        changes=("line 1: 1001 -> 305", "line 1/contact: 1001 -> 305"), more=0, restart="restart", reset_for=()
    )


def test_added_and_removed_keys_are_counted() -> None:
    before = lines(key(1, 9, "201"), key(2, 2, "a"), key(3, 2, "b"), key(4, 21, "c"), key(5, 9, "202"))
    after = lines(key(1, 9, "201"), key(6, 9, "203"), key(7, 99, "d"))
    assert changes(before, after) == (
        "line 5: 202 removed",
        "line 6: 203 added",
        "2 speed dials removed",
        "1 busy lamp removed",
        "1 other key added",
    )


def test_other_element_among_keys_is_named_by_path() -> None:
    before, after = (lines(f"<authPassword>{SENTINEL}{at}</authPassword><x>{at}</x>", key(1, 99, "a")) for at in "12")
    assert changes(before, after) == ("sipProfile/sipLines/authPassword: changed", "sipProfile/sipLines/x: 1 -> 2")


def test_changed_key_function_is_named() -> None:
    assert changes(lines(key(2, 2, "a")), lines(key(2, 9, "305"))) == ("key 2: speed dial -> line 305",)


def test_keys_without_unique_button_are_compared_in_order() -> None:
    before = lines("<line><featureID>9</featureID><name>1</name></line>", key(1, 9, "2"), key(1, 9, "3"))
    after = lines("<line><featureID>9</featureID><name>4</name></line>", key(1, 9, "2"), key(1, 9, "5"))
    assert changes(before, after) == ("line without a button: 1 -> 4", "line 1[2]: 3 -> 5")


@pytest.mark.parametrize(
    ("old", "new", "expected", "reason"),
    [
        ("SIP45.9-4-2SR3-1S", "SIP45.9-3-1S", "load: SIP45.9-4-2SR3-1S -> SIP45.9-3-1S", "load"),
        ("<name>English_United_Kingdom", "<name>Dutch", "locale: English_United_Kingdom -> Dutch", "locale"),
        ("<networkLocale>United_Kingdom", "<networkLocale>Spain", "network locale: United_Kingdom -> Spain", "locale"),
        ("<deviceProtocol>SIP", "<deviceProtocol>SCCP", "protocol: SIP -> SCCP", "protocol"),
        ("192.0.2.10", "192.0.2.11", "call manager 1: 192.0.2.10 -> 192.0.2.11", "network"),
        ("backup.example.org", "b", "call manager 2: backup.example.org -> b", "network"),
        ("<transportLayerProtocol>1", "<transportLayerProtocol>2", "transport: 1 -> 2", "network"),
        ("<deviceSecurityMode>1", "<deviceSecurityMode>2", "security mode: 1 -> 2", "network"),
    ],
)
def test_load_locale_protocol_and_network_need_reset(
    sip: bytes, old: str, new: str, expected: str, reason: str
) -> None:
    found = diff(sip, sip.replace(old.encode(), new.encode()))
    assert found.changes[0] == expected
    assert (found.restart, found.reset_for) == ("reset", (reason,))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<webAccess>0<", "<webAccess>1<", "vendorConfig/webAccess: 0 -> 1"),
        ("<directoryURL></directoryURL>", "", "directoryURL: empty -> none"),
        ("<encrConfig>false</encrConfig>", "<a><b>1</b></a><encrConfig>false</encrConfig>", "a added"),
        ("<phoneLabel>Reception<", "<phoneLabel>Hall<", "phone label: Reception -> Hall"),
        ('<member priority="1">', '<member priority="3">', "member[2]/@priority: 1 -> 3"),
        ("<langCode>en", f"<langCode>{'e' * 70}", f"userLocale/langCode: en -> {'e' * 64}..."),
    ],
)
def test_other_elements_are_named_by_path(sip: bytes, old: str, new: str, expected: str) -> None:
    found = diff(sip, sip.replace(old.encode(), new.encode()))
    [text] = found.changes
    assert text.endswith(expected)
    assert found.restart == "restart"


def test_sccp_config_needs_reset(sccp: bytes) -> None:
    found = diff(sccp, sccp.replace(b"<webAccess>0", b"<webAccess>2"))
    assert (found.changes, found.restart, found.reset_for) == (("vendorConfig/webAccess: 0 -> 2",), "reset", ())


def test_white_space_and_comments_are_no_difference(sip: bytes) -> None:
    after = sip.replace(b"<fullConfig>true", b"<!-- x --><fullConfig> true\n")
    assert diff(sip, after) == Diff(changes=(), more=0, restart=None, reset_for=())


def test_missing_and_unreadable_configs_are_named(sip: bytes) -> None:
    assert diff(None, sip).changes == ("there is no config before",)
    assert diff(sip, None).changes == ("there is no config after",)
    assert diff(None, None).restart is None
    [text] = diff(f"<device><sshPassword>{SENTINEL}".encode(), sip).changes
    assert "cannot read" in text
    assert SENTINEL not in text


def test_changes_are_limited_and_important_come_first() -> None:
    names = [f"e{number}" for number in range(2 * MAX_CHANGES)]
    before, after = ("".join(f"<{name}>{value}</{name}>" for name in names) for value in "ab")
    found = diff(
        device(f"{before}<loadInformation>A</loadInformation>"), device(f"{after}<loadInformation>B</loadInformation>")
    )
    assert found.changes[0] == "load: A -> B"
    assert (len(found.changes), found.more) == (MAX_CHANGES, MAX_CHANGES + 1)


def test_deep_tree_of_long_names_is_shortened() -> None:
    names = [f"n{number}{'x' * 1000}" for number in range(200)]
    down, up = "".join(f"<{name}>" for name in names), "".join(f"</{name}>" for name in reversed(names))
    [text] = changes(device(f"{down}1{up}"), device(f"{down}2{up}"))
    assert text.endswith(": 1 -> 2")
    assert len(text) < 200


@pytest.mark.parametrize("name", ["authPassword", "sshPassword", "phonePassword", "userPIN", "adminPasswd", "pinCode"])
@pytest.mark.parametrize(
    "form", ["<{0}>{1}</{0}>", '<x {0}="{1}"/>', '<{0} y="{1}"/>', "<{0}><x>{1}</x></{0}>", "<{0}/><{0}>{1}</{0}>"]
)
def test_secret_change_shows_no_value(name: str, form: str) -> None:
    for old, new in ((f"{SENTINEL}1", f"{SENTINEL}2"), (SENTINEL, ""), ("", SENTINEL)):
        [text] = changes(device(form.format(name, old)), device(form.format(name, new)))
        assert re.fullmatch(r"\S+: changed", text)
    for sides in ((form.format(name, SENTINEL), ""), ("", form.format(name, SENTINEL))):
        assert SENTINEL not in str(diff(device(sides[0]), device(sides[1])))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:{}@192.0.2.5/",
        "http://u:a/{}@192.0.2.5/",
        "http://192.0.2.5/?pin={}",
        "http://h/?a=1&amp;APIKEY={}",
    ],
)
def test_url_with_secret_is_not_shown(url: str) -> None:
    name = "<servicesURL>{}</servicesURL>"
    assert changes(device(name.format("http://h/")), device(name.format(url.format(SENTINEL)))) == (
        "servicesURL: changed",
    )
    assert SENTINEL not in str(diff(lines(), lines(key(1, 9, url.format(SENTINEL)))))


@given(data=st.data())
def test_damaged_config_shows_no_secret(data: st.DataObject, sip: bytes) -> None:
    content = sip.replace(b"authSentinel", SENTINEL.encode())
    start = data.draw(st.integers(0, len(content)))
    damage = data.draw(
        st.sampled_from([b"", b"<x/>", b"1", b"<!--x-->", b"<line/>", b"&#9;", b"<", b"\xff", b" y='1'"])
    )
    removed = data.draw(st.integers(0, 3))
    damaged = content[:start] + damage + content[start + removed :]
    for before, after in ((content, damaged), (damaged, content), (damaged, sip), (sip, damaged)):
        found = diff(before, after)
        assert SENTINEL not in str(found)
        assert bool(found.changes) is (found.restart is not None)
    assert diff(damaged, bytes(bytearray(damaged))).changes == ()


_NAMES = st.sampled_from(
    ["line", "name", "featureID", "sipProfile", "sipLines", "userLocale", "authPassword", "member"]
)
_TREES = st.recursive(
    st.sampled_from(["", "1", "9"]),
    lambda inside: st.lists(st.tuples(_NAMES, inside), max_size=4).map(
        lambda parts: "".join(
            f'<{name} button="{len(each) % 3}">{SENTINEL if "Pass" in name else ""}{each}</{name}>'
            for name, each in parts
        )
    ),
)


@given(before=_TREES, after=_TREES)
def test_odd_trees_show_no_secret(before: str, after: str) -> None:
    sides = [
        device(f"<sipProfile><sipLines>{side}</sipLines></sipProfile><adminPin>{side}</adminPin>")
        for side in (before, after)
    ]
    found = diff(*sides)
    assert (found.restart is None) is (found.changes == ())
    assert SENTINEL not in str(found)
    assert diff(sides[0], sides[0] + b"\n").changes == ()
