import ipaddress

import pytest

from cisisk.mobility.server_address import server_address
from cisisk.model.errors import Conflict


@pytest.mark.parametrize("phone", [None, "127.0.0.1", "255.255.255.255"])
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://192.0.2.5", "192.0.2.5"),
        ("https://pbx.example.org:8443/x", "pbx.example.org"),
        ("http://[2001:db8::5]:8080", "2001:db8::5"),
    ],
)
def test_server_address_is_the_host_of_the_public_url(url: str, host: str, phone: str | None) -> None:
    assert server_address(url, phone) == host


@pytest.mark.parametrize("phone", ["127.0.0.1", "127.0.0.77", "::1"])
def test_server_address_without_public_url_is_the_local_address(phone: str) -> None:
    address = ipaddress.ip_address(server_address("", phone))
    assert address.is_loopback
    assert address.version == ipaddress.ip_address(phone).version


def test_server_address_of_an_unknown_phone_needs_a_public_url() -> None:
    with pytest.raises(Conflict, match=r"The profile uses {{server}}, but neither server\.public_url nor"):
        server_address("", None)


@pytest.mark.parametrize("phone", ["255.255.255.255"])
def test_server_address_without_a_route_names_the_phone(phone: str) -> None:
    with pytest.raises(Conflict, match=r"The profile uses {{server}}, but there is no way to ") as refused:
        server_address("", phone)
    assert phone in str(refused.value)
    assert "None" not in str(refused.value)
