from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac


@pytest.mark.parametrize(
    "text",
    [
        "AA:BB:CC:DD:EE:01",
        "aa:bb:cc:dd:ee:01",
        "AA-BB-CC-DD-EE-01",
        "AABB.CCDD.EE01",
        "aabbccddee01",
        "SEPAABBCCDDEE01",
        "sepaabbccddee01",
    ],
)
def test_mac_forms_parse_to_same_address(text: str) -> None:
    assert Mac.parse(text) == Mac("AABBCCDDEE01")


def test_mac_has_device_and_config_names() -> None:
    mac = Mac.parse("aabb.ccdd.ee01")
    assert str(mac) == "AA:BB:CC:DD:EE:01"
    assert mac.device_name == "SEPAABBCCDDEE01"
    assert mac.config_name == "SEPAABBCCDDEE01.cnf.xml"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AABBCCDDEE0",
        "AABBCCDDEE012",
        "AA:BB:CC:DD:EE",
        "AA:BB-CC:DD:EE:01",
        "GG:BB:CC:DD:EE:01",
        "AABBCCDDEE01\n",
        " AABBCCDDEE01",
        "SEPAA:BB:CC:DD:EE:01",
        "SEPAABBCCDDEE01.cnf.xml",
        "\u0661ABBCCDDEE01",
        "\u017fepAABBCCDDEE01",
        "../AABBCCDDEE01",
    ],
)
def test_parse_rejects_other_text(text: str) -> None:
    with pytest.raises(Invalid, match="Not a MAC address such as AA:BB:CC:DD:EE:01"):
        Mac.parse(text)


@pytest.mark.parametrize("text", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:01", "SEP010000000000"])
def test_parse_rejects_zero_and_group_addresses(text: str) -> None:
    with pytest.raises(Invalid, match="belongs to no phone"):
        Mac.parse(text)


def test_mac_error_names_given_field() -> None:
    with pytest.raises(Invalid) as caught:
        Mac.parse("x", field="phone_mac")
    assert list(caught.value.fields) == ["phone_mac"]


@given(st.integers(1, 2**48 - 1).filter(lambda number: not number >> 40 & 1))
def test_mac_parses_each_form_it_writes(number: int) -> None:
    mac = Mac(f"{number:012X}")
    assert Mac.parse(str(mac)) == Mac.parse(mac.device_name) == Mac.parse(mac.digits.lower()) == mac


@given(st.text(max_size=20))
def test_arbitrary_text_is_an_address_or_refused(text: str) -> None:
    digits = ""
    with suppress(Invalid):
        digits = Mac.parse(text).digits
    assert len(digits) in {0, 12}


def test_second_port_of_adapter_is_shifted_by_two_digits() -> None:
    mac = Mac.parse("ATA02005E000941")
    assert mac.adapter_config_name == "ATA02005E000941.cnf.xml"
    assert mac.second_port.adapter_config_name == "ATA005E00094101.cnf.xml"


def test_second_port_may_have_the_group_bit() -> None:
    port = Mac.parse("00:1B:54:00:09:41").second_port
    assert port.is_second_port
    assert Mac.parse(str(port)) == port


@pytest.mark.parametrize("text", ["01:00:5E:00:00:01", "33:33:00:00:00:01", "FF:FF:FF:FF:FF:01", "01:1B:54:00:09:02"])
def test_multicast_address_is_no_second_port(text: str) -> None:
    with pytest.raises(Invalid):
        Mac.parse(text)
