import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cisisk.model.mac import Mac
from cisisk.provisioning.names import MAX_COMPONENTS, MAX_NAME_BYTES, device_mac, normalise

AWKWARD = st.one_of(
    st.text(max_size=40),
    st.text(
        alphabet="aAzZ09./\\:\0\n\x7f\x85 -_\N{KELVIN SIGN}\N{LATIN SMALL LETTER LONG S}İß\u2028\ufffd", max_size=20
    ),
    st.binary(max_size=300).map(lambda raw: raw.decode(errors="replace")),
    st.binary(max_size=40).map(lambda raw: raw.decode(errors="surrogateescape")),
)
MAC = Mac("AABBCCDDEE01")


@given(name=AWKWARD)
@example(name="/c:/x")
@example(name="c:d:x")
@example(name="\N{KELVIN SIGN}:/x")
@example(name="a\x85b")
def test_key_names_only_files_below_root(name: str) -> None:
    key = normalise(name)
    assume(key is not None)
    assert key is not None
    components = key.split("/")
    assert 1 <= len(components) <= MAX_COMPONENTS
    assert not any(part in {"", ".", ".."} or part.startswith(".") for part in components)
    assert "\\" not in key
    assert not any(unicodedata.category(letter) == "Cc" for letter in key)
    assert key == key.casefold()
    assert len(name.encode(errors="replace")) <= MAX_NAME_BYTES


@given(name=AWKWARD)
@example(name="/c:/x")
@example(name="c:d:x")
@example(name="\N{KELVIN SIGN}:/x")
def test_key_of_key_is_itself(name: str) -> None:
    key = normalise(name)
    # Folding case can lengthen a name beyond the limit.
    assume(key is not None and len(key.encode(errors="replace")) <= MAX_NAME_BYTES)
    assert key is not None
    assert normalise(key) == key


@given(name=AWKWARD, lead=st.text(alphabet="/\\", max_size=3), drive=st.sampled_from(["", "C:", "z:"]))
def test_letters_slashes_and_drives_make_no_difference(name: str, lead: str, drive: str) -> None:
    key = normalise(name)
    assume(len(name.encode(errors="replace")) < MAX_NAME_BYTES - 10)
    assert normalise(drive + lead + name) == key
    assert normalise(name.replace("/", "\\")) == key
    if name.isascii():
        assert normalise(name.swapcase()) == key


@given(name=AWKWARD)
@example(name="")
@example(name="SEP\N{ARABIC-INDIC DIGIT ONE}1BBCCDDEE01.cnf.xml")
def test_device_mac_agrees_with_normalise_for_any_text(name: str) -> None:
    mac = device_mac(name)
    assert mac is None or mac.digits.casefold() in (normalise(name) or "")


@given(
    letters=st.lists(st.booleans(), min_size=23, max_size=23),
    lead=st.sampled_from(["", "/", "\\", "//", "C:", "c:/", "C:\\", "/c:/", "\\\\z:"]),
    long_s=st.booleans(),
)
def test_device_mac_knows_every_spelling_of_a_config_name(letters: list[bool], lead: str, long_s: bool) -> None:
    spelled = "".join(
        letter.upper() if upper else letter.lower() for letter, upper in zip(MAC.config_name, letters, strict=True)
    )
    name = lead + ("\N{LATIN SMALL LETTER LONG S}" + spelled[1:] if long_s else spelled)
    assert normalise(name) == MAC.config_name.casefold()
    assert device_mac(name) == MAC


@pytest.mark.parametrize(
    "name",
    [
        "SEPAABBCCDDEE01.cnf.xml",
        "SEPAABBCCDDEE01.cnf.xml.sgn",
        "SEPAABBCCDDEE01.cnf.xml.enc.sgn",
        "SEPaabbccddee01",
        "SEPaabbccddee01.cnf",
        "sepaabbccddee01.cnf.xml",
        "CTLSEPAABBCCDDEE01.tlv",
        "ITLSEPAABBCCDDEE01.tlv",
        "SIPAABBCCDDEE01.cnf",
        "ATAaabbccddee01",
        "ATAaabbccddee01.cnf.xml",
        "WLANAABBCCDDEE01.xml",
        "/SEPAABBCCDDEE01.cnf.xml",
        "\\SEPAABBCCDDEE01.cnf.xml",
        "C:\\tftpboot\\SEPAABBCCDDEE01.cnf.xml",
    ],
)
def test_name_of_single_phone_contains_its_mac(name: str) -> None:
    assert device_mac(name) == MAC


@pytest.mark.parametrize(
    "name",
    [
        "",
        "CTLFile.tlv",
        "ITLFile.tlv",
        "XMLDefault.cnf.xml",
        "XMLDefault7960.cnf.xml",
        "XMLDefault7970-1.cnf.xml",
        "SEPDefault.cnf",
        "SIPDefault.cnf",
        "ATADefault.cnf.xml",
        "SKdeadbeef-0000-0000-0000-000000000000.xml",
        "OS79XX.TXT",
        "dialplan.xml",
        "SEPAABBCCDDEE01.cnf.xml.bak",
        "xSEPAABBCCDDEE01.cnf.xml",
        "SEPAABBCCDDEE0.cnf.xml",
        "SEPAABBCCDDEE011.cnf.xml",
        "SEPGABBCCDDEE01.cnf.xml",
        "SEP010000000001.cnf.xml",
        "SEP000000000000.cnf.xml",
        "SEPFFFFFFFFFFFF.cnf.xml",
        "SEPAABBCCDDEE01.cnf.xml/x",
        "SEPAABBCCDDEE01.cnf.xml\n",
        "SEPAABBCCDDEE01.cnf.xml\0",
        "../SEPAABBCCDDEE01.cnf.xml",
    ],
)
def test_other_names_belong_to_no_phone(name: str) -> None:
    assert device_mac(name) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Ringlist.xml", "ringlist.xml"),
        ("RINGLIST.XML", "ringlist.xml"),
        ("RINGLIST.DAT", "ringlist.dat"),
        ("Ringlist-wb.xml", "ringlist-wb.xml"),
        ("Analog1.raw", "analog1.raw"),
        ("Desktops/320x212x16/List.xml", "desktops/320x212x16/list.xml"),
        ("Desktops\\320x212x16\\List.xml", "desktops/320x212x16/list.xml"),
        ("/English_United_Kingdom/mk-sip.jar", "english_united_kingdom/mk-sip.jar"),
        ("i18n/English_United_States/sl-be-sip.jar", "i18n/english_united_states/sl-be-sip.jar"),
        ("United_Kingdom/g3-tones.xml", "united_kingdom/g3-tones.xml"),
        ("/mk-sip.jar", "mk-sip.jar"),
        ("Communicator\\LdapDirectories.xml", "communicator/ldapdirectories.xml"),
        ("Français (Canada)/be-sip.jar", "français (canada)/be-sip.jar"),
        ("term45.default.loads", "term45.default.loads"),
        ("SIP45.9-4-2SR3-1S.loads", "sip45.9-4-2sr3-1s.loads"),
        ("apps45.9-4-2ES26.sbn", "apps45.9-4-2es26.sbn"),
        ("CP7921G-1.4.5.3.LOADS", "cp7921g-1.4.5.3.loads"),
        ("rootfs88xx.14-2-1-0001-14.sbn", "rootfs88xx.14-2-1-0001-14.sbn"),
        ("ATA030204SCCP090202A.zup", "ata030204sccp090202a.zup"),
        ("dialplan..xml", "dialplan..xml"),
        ("7960-tones.xml", "7960-tones.xml"),
        ("authorized_keys", "authorized_keys"),
        ("a/b/c/d/e", "a/b/c/d/e"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_requested_by_phones_are_kept(name: str, key: str) -> None:
    assert normalise(name) == key


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "\\",
        "C:",
        "C:\\",
        ".",
        "..",
        "../etc/passwd",
        "..\\..\\etc\\passwd",
        "a/../b",
        "a/..",
        "a/./b",
        "C:..\\x",
        "/c:/../x",
        "a//b",
        "a/",
        ".hidden",
        "a/.hidden/b",
        ".cisisk/x",
        "a\0b",
        "a\nb",
        "a\x1bb",
        "a\x7fb",
        "a\x85b",
        "a\ufffdb",
        "a/b/c/d/e/f",
        "x" * 256,
        "ü" * 128,
    ],
)
def test_unsafe_names_are_invalid(name: str) -> None:
    assert normalise(name) is None
