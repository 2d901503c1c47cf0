import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.purpose import Purpose, purpose, reveal, revealed


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("CTLSEPAABBCCDDEE01.tlv", Purpose.TRUST_LIST),
        ("ITLFile.tlv", Purpose.TRUST_LIST),
        ("/SEPAABBCCDDEE01.cnf.xml", Purpose.CONFIG),
        ("SEPaabbccddee01", Purpose.CONFIG),
        ("SIPAABBCCDDEE01.cnf", Purpose.CONFIG),
        ("SEPAABBCCDDEE01.cnf.xml.enc.sgn", Purpose.SIGNED_CONFIG),
        ("XmlDefault.cnf.xml", Purpose.DEFAULT_CONFIG),
        ("XMLDefault7970-1.cnf.xml", Purpose.DEFAULT_CONFIG),
        ("SIPDefault.cnf", Purpose.SHARED_CONFIG),
        ("WLANDefault.xml", Purpose.WIRELESS),
        ("term06.default.loads", Purpose.RECOVERY),
        ("OS79XX.TXT", Purpose.IMAGE_NAME),
        ("CP7921G-1.4.2.LOADS", Purpose.FIRMWARE),
        ("BOOT69xx.0-0-0-14.zz.sgn", Purpose.FIRMWARE_PART),
        ("CP7912080004SCCP080108A.sbin", Purpose.FIRMWARE_PART),
        ("APP3905.1-0.zz", Purpose.FIRMWARE_PART),
        ("kern8961.1-0.sebn", Purpose.FIRMWARE_PART),
        ("ATA02005E000941.cnf.xml", Purpose.CONFIG),
        ("mk-sip.jar", Purpose.DICTIONARY),
        ("English_United_States\\7921-dictionary.xml", Purpose.DICTIONARY),
        ("united_states_7960-tones.xml", Purpose.TONES),
        ("RINGLIST.DAT", Purpose.RINGTONE),
        ("Desktops\\320x212x16\\List.xml", Purpose.BACKGROUND),
        ("SK1a2b3c4d-0000.xml.sgn", Purpose.SOFT_KEYS),
        ("defaultheadsetconfig.json", Purpose.HEADSET),
        ("AppDialRules.xml", Purpose.DIAL_RULES),
        ("CIPC_Locale.loads", Purpose.DICTIONARY),
        ("syncinfo.xml", Purpose.SYNCHRONISATION),
        ("P003-8-12-00.sbn", Purpose.FIRMWARE_PART),
        ("SEP01.cnf.xml", Purpose.UNKNOWN),
        ("notes.txt.sgn", Purpose.UNKNOWN),
        (".sgn", Purpose.UNKNOWN),
        ("../SEPAABBCCDDEE01.cnf.xml", Purpose.UNKNOWN),
        ("", Purpose.UNKNOWN),
    ],
)
def test_purpose_follows_from_the_name(name: str, what: Purpose) -> None:
    assert purpose(name) is what


@pytest.mark.parametrize(
    ("name", "software", "models"),
    [
        ("jar42sccp.9-4-2.sbn", "SCCP", ("7942", "7962")),
        ("SIP45.9-4-2SR3-1S.loads", "SIP", ("7945", "7965")),
        ("sip9971.9-4-2SR4-1.loads", "SIP", ("9971",)),
        ("sip8845_65.12-8-1-0001-455.loads", "SIP", ("8845", "8865")),
        ("OS79XX.TXT", None, ("7940", "7960")),
        ("P003-8-12-00.sbn", None, ("7940", "7960")),
        ("P00308010200.sbn", "SCCP", ("7940", "7960")),
        ("mk-sip.jar.sgn", "SIP", ()),
        ("English_United_States/7921-dictionary.xml", None, ("7921",)),
        ("x/sp-sip.jar", "SIP", ("7811", "7821", "7841", "7861")),
        ("SIPAABBCCDDEE01.cnf", "SIP", ("7940", "7960")),
        ("SEPAABBCCDDEE01.cnf.xml", None, ()),
        ("ATA02005E000941.cnf.xml", None, ("ATA187", "ATA190", "ATA191")),
        ("ATA02005E000941", None, ("ATA186", "ATA188")),
        ("CP7921G-1.4.2.LOADS", "SCCP", ("7921",)),
        ("CP7912080004SCCP080108A.sbin", "SCCP", ("7912",)),
        ("apps37sccp.1-4-5-7.bin", "SCCP", ("7937",)),
        ("sip1234.5.loads", "SIP", ()),
        ("mk-sccp.jar", "SCCP", ()),
    ],
)
def test_name_reveals_purpose_of_request(name: str, software: str | None, models: tuple[str, ...]) -> None:
    facts = reveal("tftp", name)
    assert (facts.software, facts.models, facts.protocols) == (software, models, ("tftp",))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "DialTemplate.xml",
            "dialplan.xml",
            "mk-sip.jar",
            "German_Germany/mk-sip.jar",
            "g3-tones.xml",
            "Ringlist.xml",
        ),
        *("Ring1.raw", "Ring1.rwb", "Desktops/320x212x16/List.xml", "blue.png", "FeaturePolicyDefault.xml"),
        *("AppDialRules.xml", "XMLDefault.cnf.xml", "SoftKeyDefault.xml", "SK1a2b3c4d-0000.xml", "SIPDefault.cnf"),
        *("WLANDefault.xml", "7921-kate.utf-8.xml", "defaultheadsetconfig.json", "RINGLIST.DAT", "syncinfo.xml"),
    ],
)
def test_signed_form_has_purpose_of_its_file(name: str) -> None:
    """Phones with a trust list ask for the signed form of every file that is not firmware."""
    assert purpose(name) is not Purpose.UNKNOWN
    assert purpose(f"{name}.sgn") is purpose(name)
    assert purpose(f"{name.upper()}.SGN") is purpose(name)


def test_several_requests_reveal_more_than_one() -> None:
    asked = [("http", "SEPAABBCCDDEE01.cnf.xml.sgn"), ("tftp", "term11.default.loads"), ("tftp", "SCCP11.9.loads")]
    facts = revealed([*asked, ("tftp", "term06.default.loads")])
    assert (facts.protocols, facts.software, facts.models) == (("http", "tftp"), "SCCP", ("7906",))
    assert (facts.signed, facts.recovering) == (True, True)
    assert facts.loads == ("term06.default", "sccp11.9", "term11.default")


@given(st.text(max_size=300))
def test_purpose_of_any_name_is_computed(name: str) -> None:
    assert purpose(name) in Purpose
    assert len(reveal("tftp", name).loads) <= 1
