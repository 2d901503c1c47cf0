import pytest

from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software, plain_model

MOMENT = "2026-06-28T12:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("7942", "7942"),
        ("CP-7942G", "7942"),
        ("cp-7942g", "7942"),
        (" CP-8841 ", "8841"),
        ("7941G-GE", "7941G-GE"),
        ("CIPC", "CIPC"),
        ("", ""),
    ],
)
def test_plain_model_drops_prefix_and_suffix(text: str, plain: str) -> None:
    assert plain_model(text) == plain
    assert plain_model(plain) == plain


@pytest.mark.parametrize(
    ("entered", "seen", "address"),
    [
        (None, None, None),
        ("192.0.2.1", None, "192.0.2.1"),
        (None, "192.0.2.2", "192.0.2.2"),
        ("192.0.2.1", "192.0.2.2", "192.0.2.2"),
    ],
)
def test_phone_address_is_the_last_seen_one(entered: str | None, seen: str | None, address: str | None) -> None:
    phone = Phone(mac=Mac("AABBCCDDEE01"), phone_ip=entered, seen_ip=seen, created_at=MOMENT, updated_at=MOMENT)
    assert phone.address == address


def test_software_is_named_as_the_api_names_it() -> None:
    assert {str(software) for software in Software} == {"SCCP", "SIP", "SIPE"}
